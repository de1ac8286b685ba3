"""The status messages of all processes as Prometheus metrics.

In: the newest status of each process that has been heard within ten seconds, by name. Out: metric families.
A process that is not heard has `process_up` 0, and no other value: old numbers would look like present
ones.
"""

import re
from collections.abc import Iterator, Mapping

from prometheus_client.core import Metric

from binance_streamer.exchange.stream_types import ROUTES
from binance_streamer.health.judge import Disk
from binance_streamer.health.snapshot import ProcessSnapshot
from binance_streamer.health.volumes import FORMATS
from binance_streamer.wire.status_parts import (
    RECORDING,
    ConnectionStatus,
    JournalStatus,
    PlannedRemoval,
    StoredFormat,
)
from binance_streamer.wire.statuses import BusStatus, IngestStatus, RestStatus, Status, WriterStatus
from services.monitor.metrics.prometheus import Table, counter, families, gauge, summary
from services.monitor.snapshots.page import MonitorSnapshot

_DAY_S = 86_400
_is_further_route = re.compile(f"(?:{'|'.join(ROUTES)})-[0-9]{{1,2}}").fullmatch
"""Of a worker with more streams of a path than a connection carries: `market-1`."""
_MOST_CONNECTIONS = 4
"""Of a route: the largest `network.connections`. It bounds the number of time series, whatever a status says."""
_REST_STATES = ("starting", "answered", "standing down", "forbidden", "trouble")
"""All states that a status of the REST process names; each has a value, so that a change of state is seen in both."""


def _writer_backlog(status: WriterStatus) -> int:
    """Sum the backlog over producers; a difference below 0 would be a fault of a status message, and counts as 0."""
    return sum(max(0, one.next_received - one.next_durable) for one in status.producers.values())


def _times(number: float | None, factor: float) -> float | None:
    """Return a number in another unit; None where it is not known."""
    return None if number is None else number * factor


_PROCESS: Table[ProcessSnapshot] = (
    (gauge, "process_up", "1 if it was heard lately", lambda one: one.up),
    (gauge, "process_resident_memory_bytes", "Resident memory", lambda one: one.rss_bytes),
    (gauge, "process_uptime_seconds", "Since its start", lambda one: one.uptime_s),
)
_HEARD: Table[Status] = ((counter, "process_cpu_seconds", "CPU time, user and system", lambda one: one.cpu_s),)
_CONNECTION: Table[ConnectionStatus] = (
    (
        gauge,
        "first_arrival_ratio",
        "Share of a connection's messages that came over it first",
        lambda one: one.first_arrivals,
    ),
    (gauge, "connection_age_seconds", "Since it was opened", lambda one: one.age_s),
)
_JOURNAL: Table[JournalStatus] = (
    (gauge, "journal_backlog_bytes", "Not durable in the files yet", lambda one: one.unacknowledged_bytes),
    (gauge, "journal_backlog_seconds", "Age of the oldest of it", lambda one: one.unacknowledged_s),
    (gauge, "journal_bytes", "Size of the journal", lambda one: one.journal_bytes),
    (counter, "journal_messages", "Messages journalled", lambda one: one.appended),
    (counter, "journal_refused_messages", "Messages that a full journal did not take", lambda one: one.not_journalled),
    (gauge, "journal_full", "1 if the journal takes nothing", lambda one: one.state != RECORDING),
    (gauge, "journal_disk_free_bytes", "Room on the journal's disk", lambda one: one.disk_free_bytes),
    (gauge, "journal_longest_write_seconds", "Longest write so far", lambda one: one.longest_write_s),
)
_WRITER: Table[WriterStatus] = (
    (gauge, "writer_recording", "1 if the writer records", lambda one: one.state == RECORDING),
    (counter, "writer_rows", "Rows written, since its start", lambda one: one.rows),
    (counter, "writer_bytes", "Bytes written, since its start", lambda one: one.bytes),
    (gauge, "writer_backlog_messages", "Messages taken and not yet durable", _writer_backlog),
)
_DISK: Table[Disk] = (
    (gauge, "disk_free_bytes", "Room on the data disk", lambda one: one.free_bytes),
    (gauge, "disk_size_bytes", "Its size", lambda one: one.total_bytes),
    (gauge, "disk_seconds_left", "Until it is full, at the present rate", lambda one: _times(one.days_left, _DAY_S)),
)
_STORED: Table[StoredFormat] = (
    (gauge, "stored_bytes", "Daily and sealed files, by format", lambda one: one.bytes),
    (gauge, "stored_bytes_per_day", "The mean of the last three whole days", lambda one: one.bytes_per_day),
)
_REMOVALS: Table[PlannedRemoval] = (
    (gauge, "next_removal_timestamp_seconds", "When retention removes the oldest day", lambda one: one.at_ns / 1e9),
    (gauge, "next_removal_bytes", "So many bytes it has", lambda one: one.bytes),
)
_REST: Table[RestStatus] = (
    (gauge, "rest_weight_used", "Request weight of the last minute", lambda one: one.used_weight),
    (gauge, "rest_weight_limit", "What the exchange allows", lambda one: one.weight_limit),
    (gauge, "rest_stand_down_seconds", "How long REST keeps silent", lambda one: one.stand_down_s),
    (counter, "rest_snapshots", "Depth snapshots recorded", lambda one: one.snapshots),
    (gauge, "clock_offset_seconds", "Exchange clock minus ours", lambda one: _times(one.clock_offset_ms, 1 / 1000)),
    (gauge, "clock_error_seconds", "Error bound of the clock offset", lambda one: _times(one.clock_error_ms, 1 / 1000)),
    (counter, "clock_steps", "Times the local clock was set", lambda one: one.clock_steps),
)
_BUS: Table[BusStatus] = (
    (counter, "bus_messages_in", "Messages published", lambda one: one.messages_in),
    (counter, "bus_messages_out", "Messages delivered to subscribers", lambda one: one.messages_out),
)


def process_metrics(snapshot: MonitorSnapshot) -> Iterator[Metric]:
    """Yield the metrics of all configured processes that have been heard lately.

    A part of the recorder that is missing, as the writer on another machine, yields nothing and is no error
    here: the judge of health says so. The bus gives each subscriber its own copy of a message, so that out is
    usually larger than in.
    """
    statuses = snapshot.statuses
    yield from _processes(snapshot)
    yield from _connections(statuses)
    yield from _journals(statuses)
    yield from _writer(statuses.get("writer"))
    if snapshot.page.disk is not None:
        yield from families((), [((), snapshot.page.disk)], _DISK)
    stored = snapshot.page.stored
    if stored is not None:
        formats = [((name,), one) for name, one in stored.formats.items() if name in FORMATS]
        yield from families(("format",), formats, _STORED)
        removals = {one.format: one for one in stored.removals if one.format in FORMATS}
        yield from families(("format",), [((name,), one) for name, one in removals.items()], _REMOVALS)
    yield from _rest(statuses.get("rest"))
    bus = statuses.get("bus")
    if isinstance(bus, BusStatus):
        yield from families((), [((), bus)], _BUS)


def _processes(snapshot: MonitorSnapshot) -> Iterator[Metric]:
    """Yield for each configured process: heard or not, memory, age and CPU time.

    CPU time is a counter in seconds of user and system time together, so that its rate is the number of cores
    in use.
    """
    parts = snapshot.page.processes
    yield from families(("process",), [((part.name,), part) for part in parts], _PROCESS)
    heard = [((part.name,), snapshot.statuses[part.name]) for part in parts if part.up]
    yield from families(("process",), heard, _HEARD)


def _is_route(route: str) -> bool:
    return route in ROUTES or _is_further_route(route) is not None


def _connections(statuses: Mapping[str, Status]) -> Iterator[Metric]:
    """Yield the state of each worker's connections, and how many it opened and lost by route.

    A connection is labelled by its ordinal within its route (0 to 3), not by its number: numbers are never used
    twice, and would make a new time series with every reconnect. What a forged status says of other routes or
    ordinals is left out. Where two open connections have one ordinal, as during a handover, the last one in the
    status is shown.
    """
    workers = [
        (name.removeprefix("ingest-"), status)
        for name, status in statuses.items()
        if isinstance(status, IngestStatus) and name.startswith("ingest-")
    ]
    links = {
        (symbol, link.route, str(link.ordinal)): link
        for symbol, status in workers
        for link in status.connections
        if _is_route(link.route) and 0 <= link.ordinal < _MOST_CONNECTIONS and link.is_open
    }
    yield from families(("symbol", "route", "ordinal"), links.items(), _CONNECTION)
    for name, text in (("opened", "Connections opened"), ("lost", "Connections that ended, planned ones too")):
        yield counter(
            f"connections_{name}",
            f"{text}, since the start of the worker",
            ("symbol", "route"),
            [
                ((symbol, route), getattr(one, name).get(route, 0))
                for symbol, one in workers
                for route in (*ROUTES, *sorted(filter(_is_further_route, getattr(one, name))))
            ],
        )
    yield gauge(
        "queued_bytes", "Read and not journalled yet", ("symbol",), [((s,), one.queued_bytes) for s, one in workers]
    )


def _journals(statuses: Mapping[str, Status]) -> Iterator[Metric]:
    """Yield the state of each producer's journal: its backlog, size, disk, and the time that `fsync` takes.

    A growing backlog is the first sign of a writer that is away or too slow; nothing is lost until the journal
    is full.
    """
    labels = ("process",)
    journals = {(name,): one.journal for name, one in statuses.items() if one.journal is not None}
    yield from families(labels, journals.items(), _JOURNAL)
    yield gauge(
        "journal_backlog_messages",
        "Messages of it, of this run of the process",
        labels,
        [((name,), _backlog_messages(journal, statuses[name].epoch)) for (name,), journal in journals.items()],
    )
    yield summary(
        "journal_fsync_seconds",
        "Time to make the journal durable",
        [(key, journal.syncs, journal.sync_s) for key, journal in journals.items()],
    )


def _backlog_messages(journal: JournalStatus, epoch: int) -> int:
    """Return the messages of this run that are journalled and not yet durable at the writer.

    Positions begin at 0 in each epoch. Where the writer's last acknowledgement is of an earlier epoch, nothing
    of this run is durable, and the next position is the count. Messages of earlier runs are not in it; the
    backlog in bytes has them.
    """
    if journal.durable is None or journal.durable[0] != epoch:
        return journal.next_position
    return max(0, journal.next_position - journal.durable[1])


def _writer(status: Status | None) -> Iterator[Metric]:
    """Yield the writer's state, its rows and bytes, what it holds in memory, and the time that commits take."""
    if isinstance(status, WriterStatus):
        yield from families((), [((), status)], _WRITER)
        yield summary(
            "writer_commit_seconds", "Time to make files durable", [(("writer",), status.commits, status.commit_s)]
        )


def _rest(status: Status | None) -> Iterator[Metric]:
    """Yield the REST process: request weight, bans, its state, and the offset of the clock.

    The weight is what the exchange counted for our address in the last minute. The state is a gauge per state,
    1 for the present one and 0 for the others, the usual form of an enumeration in Prometheus.
    """
    if isinstance(status, RestStatus):
        yield from families((), [((), status)], _REST)
        yield gauge(
            "rest_state", "1 for the present one", ("state",), [((one,), one == status.state) for one in _REST_STATES]
        )
