"""A snapshot as Prometheus metrics. Pure.

Labels are names of configured symbols, streams and processes, routes, ordinals of connections, and states that we name
ourselves: their number is bounded by the configuration, whatever comes over the bus.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
    SummaryMetricFamily,
)
from prometheus_client.registry import Collector

from binance_streamer.config import CONDITIONS
from binance_streamer.exchange import ROUTES
from binance_streamer.statuses import (
    BusStatus,
    IngestStatus,
    JournalStatus,
    RestStatus,
    Status,
    WriterStatus,
)
from services.monitor.picture import Latency, Picture, Snapshot, StreamPart, SymbolPart
from services.monitor.traffic import BUCKETS_S

PREFIX = "binance_streamer_"
_MOST_CONNECTIONS = 4
"""Of a route: the largest `network.connections`."""
_REST_STATES = ("starting", "answered", "standing down", "forbidden", "trouble")

Rows = Iterable[tuple[tuple[str, ...], float | None]]


def registry_of(snapshot: Snapshot | None, age_s: float) -> CollectorRegistry:
    """A registry with what the snapshot says and nothing else; the age tells of a monitor that stands still."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(snapshot, age_s))
    return registry


class _Collector(Collector):
    def __init__(self, snapshot: Snapshot | None, age_s: float) -> None:
        self._snapshot = snapshot
        self._age_s = age_s

    def describe(self) -> Iterable[Metric]:
        return []

    def collect(self) -> Iterable[Metric]:
        yield _gauge("snapshot_age_seconds", "Since the monitor last looked at the bus", (), [((), self._age_s)])
        if self._snapshot is None:
            return
        yield from _recorder(self._snapshot)
        yield from _streams(self._snapshot.picture)
        yield from _gaps(self._snapshot)
        yield from _books(self._snapshot.picture)
        yield from _processes(self._snapshot)
        yield from _connections(self._snapshot.statuses)
        yield from _journals(self._snapshot.statuses)
        yield from _writer(self._snapshot.statuses.get("writer"))
        yield from _rest(self._snapshot)
        yield from _bus(self._snapshot.statuses.get("bus"))


def _gauge(name: str, text: str, labels: tuple[str, ...], rows: Rows) -> Metric:
    family = GaugeMetricFamily(PREFIX + name, text, labels=labels)
    for values, number in rows:
        if number is not None:
            family.add_metric(values, number)
    return family


def _counter(name: str, text: str, labels: tuple[str, ...], rows: Rows) -> Metric:
    family = CounterMetricFamily(PREFIX + name, text, labels=labels)
    for values, number in rows:
        if number is not None:
            family.add_metric(values, number)
    return family


def _summary(name: str, text: str, rows: Iterable[tuple[tuple[str, ...], int, float]]) -> Metric:
    family = SummaryMetricFamily(PREFIX + name, text, labels=("process",))
    for values, count, total in rows:
        family.add_metric(values, count_value=count, sum_value=total)
    return family


def _recorder(snapshot: Snapshot) -> Iterator[Metric]:
    picture = snapshot.picture
    yield _gauge("healthy", "1 if every configured stream is being recorded", (), [((), picture.healthy)])
    pairs = [(problem.condition, problem.severity) for problem in picture.problems]
    yield _gauge(
        "problems",
        "Problems by condition; see docs/monitoring.md",
        ("condition", "severity"),
        [
            ((condition, severity), pairs.count((condition, severity)))
            for condition in CONDITIONS
            for severity in ("failure", "warning")
        ],
    )
    yield _counter("refused_messages", "Messages on the bus that broke the contract", (), [((), snapshot.refused)])
    yield _gauge(
        "symbol_trading",
        "1 if the exchange has the symbol TRADING; nothing is expected of one that is not",
        ("symbol",),
        [((symbol.symbol,), symbol.status == "TRADING") for symbol in picture.symbols],
    )


def _each_stream(picture: Picture) -> Iterator[tuple[tuple[str, str], StreamPart]]:
    for symbol in picture.symbols:
        for stream in symbol.streams:
            yield (symbol.symbol, stream.stream), stream


def _streams(picture: Picture) -> Iterator[Metric]:
    labels = ("symbol", "stream")
    streams = list(_each_stream(picture))
    counters = {
        "messages": ("Messages recorded, each once; since the start of its worker", "messages"),
        "received_messages": ("Messages received, copies of redundant connections too", "received"),
        "bytes": ("Bytes of frames on the bus, since the start of the monitor", "bytes"),
    }
    for name, (text, field) in counters.items():
        yield _counter(name, text, labels, [(key, getattr(stream, field)) for key, stream in streams])
    yield _gauge("message_rate", "Messages a second, over 5 s", labels, [(key, one.rate) for key, one in streams])
    yield _gauge("last_message_age_seconds", "Since the last one", labels, [(key, one.age_s) for key, one in streams])
    yield _gauge(
        "stream_recorded",
        "1 if the stream is being recorded, or nothing is expected of it",
        labels,
        [(key, not one.why) for key, one in streams],
    )
    family = HistogramMetricFamily(
        PREFIX + "latency_seconds",
        "Receipt less event time of a sample of the messages: two clocks, may be negative",
        labels=labels,
    )
    for key, one in streams:
        family.add_metric(key, _buckets(one.latency), one.latency.sum_s)
    yield family


def _buckets(latency: Latency) -> list[tuple[str, float]]:
    bounds = [*map(str, BUCKETS_S), "+Inf"]
    return list(zip(bounds, accumulate(latency.counts), strict=True))


def _gaps(snapshot: Snapshot) -> Iterator[Metric]:
    labels = ("symbol", "stream")
    streams = list(_each_stream(snapshot.picture))
    seen = {(symbol, name.partition("@")[2] or name): count for (symbol, name), count in snapshot.gaps_seen.items()}
    for key, _ in streams:
        seen.setdefault(key, 0)
    yield _counter("gaps", "Gaps of a day that was today, since the start of the monitor", labels, seen.items())
    yield _gauge("gaps_today", "Gaps of today (UTC)", labels, [(key, one.gaps) for key, one in streams])
    yield _gauge(
        "missed_messages_today",
        "Messages that today's gaps miss and that are not repaired, where ids count them",
        labels,
        [(key, one.missed) for key, one in streams],
    )
    yield _gauge(
        "symbol_gaps_today",
        "Gaps of today in any stream of the symbol, our own records too",
        ("symbol",),
        [((symbol.symbol,), symbol.gaps_today) for symbol in snapshot.picture.symbols],
    )


def _books(picture: Picture) -> Iterator[Metric]:
    books = [(symbol, symbol.book) for symbol in picture.symbols if symbol.book is not None]

    def rows(field: str) -> list[tuple[tuple[str, ...], float | None]]:
        return [((symbol.symbol,), getattr(book, field)) for symbol, book in books]

    yield _gauge("book_valid", "1 if the local order book is proven right", ("symbol",), rows("valid"))
    yield _counter("book_resyncs", "Times the book was built anew", ("symbol",), rows("resyncs"))
    yield _counter("book_audits_passed", "Audits that the book passed", ("symbol",), rows("audits_passed"))
    yield _counter("book_audits_failed", "Audits that the book failed", ("symbol",), rows("audits_failed"))
    yield _gauge("price", "Last price, as a float", ("symbol",), [((s.symbol,), _price(s)) for s in picture.symbols])


def _price(symbol: SymbolPart) -> float | None:
    try:
        return None if symbol.price is None else float(symbol.price)
    except ValueError:
        return None


def _processes(snapshot: Snapshot) -> Iterator[Metric]:
    parts = snapshot.picture.processes
    statuses = {part.name: snapshot.statuses[part.name] for part in parts if part.up}
    labels = ("process",)
    yield _gauge("process_up", "1 if it was heard lately", labels, [((part.name,), part.up) for part in parts])
    gauges = {
        "process_resident_memory_bytes": ("Resident memory", "rss_bytes"),
        "process_uptime_seconds": ("Since its start", "uptime_s"),
    }
    for name, (text, field) in gauges.items():
        yield _gauge(name, text, labels, [((part.name,), getattr(part, field)) for part in parts])
    yield _counter(
        "process_cpu_seconds", "CPU time, user and system", labels, [((n,), one.cpu_s) for n, one in statuses.items()]
    )


def _connections(statuses: Mapping[str, Status]) -> Iterator[Metric]:
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
    yield _gauge(
        "first_arrival_ratio",
        "Share of a connection's messages that came over it first",
        labels,
        [(key, link.first_arrivals) for key, link in links.items()],
    )
    yield _gauge(
        "connection_age_seconds", "Since it was opened", labels, [(key, link.age_s) for key, link in links.items()]
    )
    for name, text in (("opened", "Connections opened"), ("lost", "Connections that ended, planned ones too")):
        yield _counter(
            f"connections_{name}",
            f"{text}, since the start of the worker",
            ("symbol", "route"),
            [((symbol, route), getattr(one, name).get(route, 0)) for symbol, one in workers for route in ROUTES],
        )
    yield _gauge(
        "queued_bytes", "Read and not journalled yet", ("symbol",), [((s,), one.queued_bytes) for s, one in workers]
    )


def _journals(statuses: Mapping[str, Status]) -> Iterator[Metric]:
    journals = {name: status for name, status in statuses.items() if status.journal is not None}

    def rows(field: str) -> Rows:
        return [((name,), getattr(status.journal, field)) for name, status in journals.items()]

    labels = ("process",)
    yield _gauge("journal_backlog_bytes", "Not durable in the files yet", labels, rows("unacknowledged_bytes"))
    yield _gauge("journal_backlog_seconds", "Age of the oldest of it", labels, rows("unacknowledged_s"))
    yield _gauge(
        "journal_backlog_messages",
        "Messages of it, of this run of the process",
        labels,
        [((name,), _backlog_messages(status)) for name, status in journals.items()],
    )
    yield _gauge("journal_bytes", "Size of the journal", labels, rows("journal_bytes"))
    yield _counter("journal_messages", "Messages journalled", labels, rows("appended"))
    yield _counter(
        "journal_refused_messages", "Messages that a full journal did not take", labels, rows("not_journalled")
    )
    yield _gauge(
        "journal_full",
        "1 if the journal takes nothing",
        labels,
        [((name,), (status.journal or JournalStatus()).state != "recording") for name, status in journals.items()],
    )
    yield _gauge("journal_disk_free_bytes", "Room on the journal's disk", labels, rows("disk_free_bytes"))
    yield _gauge("journal_longest_write_seconds", "Longest write so far", labels, rows("longest_write_s"))
    yield _summary(
        "journal_fsync_seconds",
        "Time to make the journal durable",
        [((name,), status.journal.syncs, status.journal.sync_s) for name, status in journals.items() if status.journal],
    )


def _backlog_messages(status: Status) -> int:
    journal = status.journal or JournalStatus()
    if journal.durable is None or journal.durable[0] != status.epoch:
        return journal.next_position
    return max(0, journal.next_position - journal.durable[1])


def _writer(status: Status | None) -> Iterator[Metric]:
    if not isinstance(status, WriterStatus):
        return
    yield _gauge("writer_recording", "1 if the writer records", (), [((), status.state == "recording")])
    yield _counter("writer_rows", "Rows written, since its start", (), [((), status.rows)])
    yield _counter("writer_bytes", "Bytes written, since its start", (), [((), status.bytes)])
    yield _gauge(
        "writer_backlog_messages",
        "Messages taken and not yet durable",
        (),
        [((), sum(max(0, one.next_received - one.next_durable) for one in status.producers.values()))],
    )
    yield _summary(
        "writer_commit_seconds", "Time to make files durable", [(("writer",), status.commits, status.commit_s)]
    )


def _rest(snapshot: Snapshot) -> Iterator[Metric]:
    picture = snapshot.picture
    if picture.disk is not None:
        yield _gauge("disk_free_bytes", "Room on the data disk", (), [((), picture.disk.free_bytes)])
        yield _gauge("disk_size_bytes", "Its size", (), [((), picture.disk.total_bytes)])
        yield _gauge("disk_days_left", "Until it is full, at the present rate", (), [((), picture.disk.days_left)])
    status = snapshot.statuses.get("rest")
    if not isinstance(status, RestStatus):
        return
    yield _gauge("rest_weight_used", "Request weight of the last minute", (), [((), status.used_weight)])
    yield _gauge("rest_weight_limit", "What the exchange allows", (), [((), status.weight_limit)])
    yield _gauge("rest_stand_down_seconds", "How long REST keeps silent", (), [((), status.stand_down_s)])
    yield _gauge(
        "rest_state", "1 for the present one", ("state",), [((one,), one == status.state) for one in _REST_STATES]
    )
    yield _counter("rest_snapshots", "Depth snapshots recorded", (), [((), status.snapshots)])
    offset_s = None if status.clock_offset_ms is None else status.clock_offset_ms / 1000
    error_s = None if status.clock_error_ms is None else status.clock_error_ms / 1000
    yield _gauge("clock_offset_seconds", "How far the exchange's clock is ahead of ours", (), [((), offset_s)])
    yield _gauge("clock_error_seconds", "How well that is known", (), [((), error_s)])
    yield _counter("clock_steps", "Times the local clock was set", (), [((), status.clock_steps)])


def _bus(status: Status | None) -> Iterator[Metric]:
    if not isinstance(status, BusStatus):
        return
    yield _counter("bus_messages_in", "Messages published", (), [((), status.messages_in)])
    yield _counter("bus_messages_out", "Messages delivered to subscribers", (), [((), status.messages_out)])
