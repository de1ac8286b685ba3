"""The status messages of all processes as Prometheus metrics.

In: the newest status of each process that has been heard within ten seconds, by name. Out: metric families.
A process that is not heard has `process_up` 0, and no other value: old numbers would look like present
ones.
"""

from collections.abc import Iterator, Mapping

from prometheus_client.core import Metric

from binance_streamer.exchange.stream_types import ROUTES
from binance_streamer.health.judge import Disk
from binance_streamer.wire.status_parts import JournalStatus
from binance_streamer.wire.statuses import BusStatus, IngestStatus, RestStatus, Status, WriterStatus
from services.monitor.metrics.prometheus import Rows, counter, gauge, summary
from services.monitor.snapshots.page import MonitorSnapshot

_MOST_CONNECTIONS = 4
"""Of a route: the largest `network.connections`. It bounds the number of time series, whatever a status says."""
_REST_STATES = ("starting", "answered", "standing down", "forbidden", "trouble")
"""All states that a status of the REST process names; each has a value, so that a change of state is seen in both."""


def process_metrics(snapshot: MonitorSnapshot) -> Iterator[Metric]:
    """Yield the metrics of all configured processes that have been heard lately.

    A part of the recorder that is missing, as the writer on another machine, yields nothing and is no error
    here: the judge of health says so.
    """
    statuses = snapshot.statuses
    yield from _processes(snapshot)
    yield from _connections(statuses)
    yield from _journals(statuses)
    yield from _writer(statuses.get("writer"))
    yield from _disk(snapshot.page.disk)
    yield from _rest(statuses.get("rest"))
    yield from _bus(statuses.get("bus"))


def _processes(snapshot: MonitorSnapshot) -> Iterator[Metric]:
    """Yield for each configured process: heard or not, memory, age and CPU time.

    CPU time is a counter in seconds of user and system time together, so that its rate is the number of cores
    in use.
    """
    parts = snapshot.page.processes
    statuses = {part.name: snapshot.statuses[part.name] for part in parts if part.up}
    labels = ("process",)
    yield gauge("process_up", "1 if it was heard lately", labels, [((part.name,), part.up) for part in parts])
    gauges = {
        "process_resident_memory_bytes": ("Resident memory", "rss_bytes"),
        "process_uptime_seconds": ("Since its start", "uptime_s"),
    }
    for name, (text, field) in gauges.items():
        yield gauge(name, text, labels, [((part.name,), getattr(part, field)) for part in parts])
    yield counter(
        "process_cpu_seconds", "CPU time, user and system", labels, [((n,), one.cpu_s) for n, one in statuses.items()]
    )


def _connections(statuses: Mapping[str, Status]) -> Iterator[Metric]:
    """Yield the state of each worker's connections, and how many it opened and lost by route.

    A connection is labelled by its ordinal within its route (0 to 3), not by its number: numbers are never used
    twice, and would make a new time series with every reconnect. What a forged status says of other routes or
    ordinals is left out. Where two open connections have one ordinal, as during a handover, the last one in the
    status is shown.
    """
    workers = [
        (name.removeprefix("ingest-"), status) for name, status in statuses.items() if isinstance(status, IngestStatus)
    ]
    links = {
        (symbol, link.route, str(link.ordinal)): link
        for symbol, status in workers
        for link in status.connections
        if link.route in ROUTES and 0 <= link.ordinal < _MOST_CONNECTIONS and link.is_open
    }
    labels = ("symbol", "route", "ordinal")
    yield gauge(
        "first_arrival_ratio",
        "Share of a connection's messages that came over it first",
        labels,
        [(key, link.first_arrivals) for key, link in links.items()],
    )
    yield gauge(
        "connection_age_seconds", "Since it was opened", labels, [(key, link.age_s) for key, link in links.items()]
    )
    for name, text in (("opened", "Connections opened"), ("lost", "Connections that ended, planned ones too")):
        yield counter(
            f"connections_{name}",
            f"{text}, since the start of the worker",
            ("symbol", "route"),
            [((symbol, route), getattr(one, name).get(route, 0)) for symbol, one in workers for route in ROUTES],
        )
    yield gauge(
        "queued_bytes", "Read and not journalled yet", ("symbol",), [((s,), one.queued_bytes) for s, one in workers]
    )


def _journals(statuses: Mapping[str, Status]) -> Iterator[Metric]:
    """Yield the state of each producer's journal: its backlog, size, disk, and the time that `fsync` takes.

    A growing backlog is the first sign of a writer that is away or too slow; nothing is lost until the journal
    is full.
    """
    journals = {name: status for name, status in statuses.items() if status.journal is not None}

    def rows(field: str) -> Rows:
        """Return one field of all journals, as the values of a family."""
        return [((name,), getattr(status.journal, field)) for name, status in journals.items()]

    labels = ("process",)
    yield gauge("journal_backlog_bytes", "Not durable in the files yet", labels, rows("unacknowledged_bytes"))
    yield gauge("journal_backlog_seconds", "Age of the oldest of it", labels, rows("unacknowledged_s"))
    yield gauge(
        "journal_backlog_messages",
        "Messages of it, of this run of the process",
        labels,
        [((name,), _backlog_messages(status)) for name, status in journals.items()],
    )
    yield gauge("journal_bytes", "Size of the journal", labels, rows("journal_bytes"))
    yield counter("journal_messages", "Messages journalled", labels, rows("appended"))
    yield counter(
        "journal_refused_messages", "Messages that a full journal did not take", labels, rows("not_journalled")
    )
    yield gauge(
        "journal_full",
        "1 if the journal takes nothing",
        labels,
        [((name,), (status.journal or JournalStatus()).state != "recording") for name, status in journals.items()],
    )
    yield gauge("journal_disk_free_bytes", "Room on the journal's disk", labels, rows("disk_free_bytes"))
    yield gauge("journal_longest_write_seconds", "Longest write so far", labels, rows("longest_write_s"))
    yield summary(
        "journal_fsync_seconds",
        "Time to make the journal durable",
        [((name,), status.journal.syncs, status.journal.sync_s) for name, status in journals.items() if status.journal],
    )


def _backlog_messages(status: Status) -> int:
    """Return the messages of this run that are journalled and not yet durable at the writer.

    Positions begin at 0 in each epoch. Where the writer's last acknowledgement is of an earlier epoch, nothing
    of this run is durable, and the next position is the count. Messages of earlier runs are not in it; the
    backlog in bytes has them.
    """
    journal = status.journal or JournalStatus()
    if journal.durable is None or journal.durable[0] != status.epoch:
        return journal.next_position
    return max(0, journal.next_position - journal.durable[1])


def _writer(status: Status | None) -> Iterator[Metric]:
    """Yield the writer's state, its rows and bytes, what it holds in memory, and the time that commits take.

    The backlog is summed over producers; a difference below 0 would be a fault of a status message, and counts
    as 0.
    """
    if not isinstance(status, WriterStatus):
        return
    yield gauge("writer_recording", "1 if the writer records", (), [((), status.state == "recording")])
    yield counter("writer_rows", "Rows written, since its start", (), [((), status.rows)])
    yield counter("writer_bytes", "Bytes written, since its start", (), [((), status.bytes)])
    yield gauge(
        "writer_backlog_messages",
        "Messages taken and not yet durable",
        (),
        [((), sum(max(0, one.next_received - one.next_durable) for one in status.producers.values()))],
    )
    yield summary(
        "writer_commit_seconds", "Time to make files durable", [(("writer",), status.commits, status.commit_s)]
    )


def _disk(disk: Disk | None) -> Iterator[Metric]:
    """Yield the room on the data disk, and the seconds until it is full; no value where no rate is known.

    A day has 86,400 s.
    """
    if disk is None:
        return
    yield gauge("disk_free_bytes", "Room on the data disk", (), [((), disk.free_bytes)])
    yield gauge("disk_size_bytes", "Its size", (), [((), disk.total_bytes)])
    yield gauge(
        "disk_seconds_left",
        "Until it is full, at the present rate",
        (),
        [((), None if disk.days_left is None else disk.days_left * 86_400)],
    )


def _rest(status: Status | None) -> Iterator[Metric]:
    """Yield the REST process: request weight, bans, its state, and the offset of the clock.

    The weight is what the exchange counted for our address in the last minute. The state is a gauge per state,
    1 for the present one and 0 for the others, the usual form of an enumeration in Prometheus. Clock values are
    converted from ms to seconds.
    """
    if not isinstance(status, RestStatus):
        return
    yield gauge("rest_weight_used", "Request weight of the last minute", (), [((), status.used_weight)])
    yield gauge("rest_weight_limit", "What the exchange allows", (), [((), status.weight_limit)])
    yield gauge("rest_stand_down_seconds", "How long REST keeps silent", (), [((), status.stand_down_s)])
    yield gauge(
        "rest_state", "1 for the present one", ("state",), [((one,), one == status.state) for one in _REST_STATES]
    )
    yield counter("rest_snapshots", "Depth snapshots recorded", (), [((), status.snapshots)])
    offset_s = None if status.clock_offset_ms is None else status.clock_offset_ms / 1000
    error_s = None if status.clock_error_ms is None else status.clock_error_ms / 1000
    yield gauge("clock_offset_seconds", "Exchange clock minus ours", (), [((), offset_s)])
    yield gauge("clock_error_seconds", "Error bound of the clock offset", (), [((), error_s)])
    yield counter("clock_steps", "Times the local clock was set", (), [((), status.clock_steps)])


def _bus(status: Status | None) -> Iterator[Metric]:
    """Yield the messages into and out of the bus.

    Each subscriber gets its own copy, so that out is usually larger than in.
    """
    if not isinstance(status, BusStatus):
        return
    yield counter("bus_messages_in", "Messages published", (), [((), status.messages_in)])
    yield counter("bus_messages_out", "Messages delivered to subscribers", (), [((), status.messages_out)])
