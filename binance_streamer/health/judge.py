"""Whether everything that is configured is being recorded, judged from what the processes say of themselves.

A *failure* means that something configured is not being recorded, or that nobody can tell. A *warning* is trouble that
costs no recorded message so far: a ban of REST, a clock that is off, a disk that will be full in days.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

from binance_streamer.config.schema import AlertsConfig, Condition, Config, SymbolConfig, has_book, streams_of
from binance_streamer.exchange.streams import Stream, stream_of, suffix_of
from binance_streamer.wire.statuses import (
    RECORDING,
    ConnectionStatus,
    IngestStatus,
    JournalStatus,
    OrderbookStatus,
    RestStatus,
    Status,
    StreamStatus,
    WriterStatus,
)

SILENT_S = 10.0
"""A process that has said nothing for so long does not run, stands still, or does not reach the bus."""
TRADING = "TRADING"
OFF_SESSION = "OFF SESSION"
"""Our word for a contract that is TRADING while the market that it follows is closed."""
_MIN_RATE_S = 3600.0
"""Of writing, before it says how fast the disk fills: what a restarted writer catches up with is no rate."""
_DAY_S = 86_400.0
_BOOK_PATIENCE_S = 60.0
"""Of a service that has just started, beside twice the time that the snapshots of all symbols take."""
_UNDOCUMENTED, _FALLBACK = "depth@0ms", "depth@100ms"

Severity = Literal["failure", "warning"]


class ReceivedStatus(NamedTuple):
    """The newest status of a process, and when it came, by a monotonic clock."""

    status: Status
    at_s: float


class Problem(NamedTuple):
    """What is wrong, why, and since when (wall clock; None where nobody knows)."""

    condition: Condition
    severity: Severity
    what: str
    why: str
    since_ms: int | None = None


class StreamState(NamedTuple):
    """`live`, `quiet` (nothing is overdue), `off session`, `not trading`, or why it is not recorded.

    `why` is empty where the stream counts as recorded.
    """

    state: str
    why: str
    since_ms: int | None = None


class Disk(NamedTuple):
    """Room for the recorded files; days are None while nobody knows how fast they grow."""

    free_bytes: int
    total_bytes: int
    written_bytes_per_day: float | None
    days_left: float | None


class Health(NamedTuple):
    """The judgement; problems are ordered, failures first."""

    problems: tuple[Problem, ...]

    @property
    def healthy(self) -> bool:
        """Whether every configured stream is being recorded."""
        return not any(problem.severity == "failure" for problem in self.problems)


def judge(config: Config, told: Mapping[str, ReceivedStatus], now_s: float) -> Health:
    """The judgement over the newest status of each producer, by name; who is not configured is not looked at."""
    present = {name: one.status for name, one in told.items() if is_present(one, now_s)}
    expected = processes(config)
    if told and not any(name in present for name in expected):
        since_ms = max(one.status.recv_ns for one in told.values()) // 1_000_000
        why = f"no process has been heard for {SILENT_S:.0f} s: the bus is away, or all of them are"
        return Health((Problem("process", "failure", "bus", why, since_ms),))
    problems = [_silent(name, told.get(name)) for name in expected if name not in present and name != "monitor"]
    if config.monitor.enabled:
        problems += _monitor_problems(present.get("monitor"), told.get("monitor"))
    for name in expected:
        status = present.get(name)
        if status is not None and status.journal is not None:
            problems += _journal_problems(config.alerts, name, status.journal)
    for symbol in config.symbols:
        problems += symbol_problems(symbol, present)
    problems += _writer_problems(config.alerts, present.get("writer"))
    problems += _rest_problems(config.alerts, present.get("rest"))
    problems += _book_problems(config, present)
    return Health(tuple(sorted(problems, key=lambda problem: problem.severity)))


def is_present(told: ReceivedStatus, now_s: float) -> bool:
    """Whether a process has said something lately."""
    return now_s - told.at_s <= SILENT_S


def processes(config: Config) -> tuple[str, ...]:
    """The names under which the configured processes report themselves."""
    optional = [name for name in ("orderbook", "monitor") if getattr(config, name).enabled]
    return ("bus", "writer", "rest", *optional, *(f"ingest-{symbol.symbol}" for symbol in config.symbols))


def trading_status(symbol: str, present: Mapping[str, Status]) -> str:
    """What the exchange says of the symbol; TRADING until it has said something else."""
    rest, ingest = present.get("rest"), present.get(f"ingest-{symbol}")
    found = rest.symbols.get(symbol, TRADING) if isinstance(rest, RestStatus) else TRADING
    if found == TRADING and isinstance(ingest, IngestStatus) and not ingest.is_trading:
        return "NOT TRADING"  # told to the worker by a REST process that is away now
    is_off = symbol in rest.off_session if isinstance(rest, RestStatus) else False
    is_off = is_off or (isinstance(ingest, IngestStatus) and ingest.is_off_session)
    return OFF_SESSION if is_off and found == TRADING else found


def symbol_problems(symbol: SymbolConfig, present: Mapping[str, Status]) -> Iterator[Problem]:
    """The streams of one symbol that are not being recorded."""
    ingest = present.get(f"ingest-{symbol.symbol}")
    if not isinstance(ingest, IngestStatus):
        return  # told already
    trading = trading_status(symbol.symbol, present)
    for configured in streams_of(symbol):
        stream = recorded_stream(configured, ingest)
        what = f"{symbol.symbol} {suffix_of(configured.name)}"
        found = stream_state(stream, ingest, trading)
        if found.why:
            yield Problem("recording", "failure", what, found.why, found.since_ms)
            continue
        if stream != configured:
            yield Problem(
                "recording", "warning", what, f"never delivered; {suffix_of(stream.name)} is recorded instead"
            )
        if stream.name in ingest.suspicious:
            yield Problem("recording", "warning", what, "silent for very long while the order book moves")


def recorded_stream(configured: Stream, ingest: IngestStatus) -> Stream:
    """The stream that stands for the configured one: a worker falls back from a speed that the exchange never sent."""
    if configured.name in ingest.streams or not configured.name.endswith(f"@{_UNDOCUMENTED}"):
        return configured
    fallback = stream_of(configured.symbol, _FALLBACK)
    return fallback if fallback.name in ingest.streams else configured


def stream_state(stream: Stream, ingest: IngestStatus, trading: str) -> StreamState:
    """Whether a stream is being recorded, as its worker says.

    A quiet stream is recorded while a connection of its route delivers, and it is not overdue for its type; one that
    is never overdue (forceOrder) while a connection is open. Outside of the hours of its market silence of any length
    is well, but not the lack of a connection.
    """
    if trading not in (TRADING, OFF_SESSION):
        return StreamState("not trading", "")
    told = ingest.streams.get(stream.name)
    if told is None:
        return StreamState("missing", "the worker does not record it: restart it after a change of the configuration")
    since_ms = None if told.last_recv_ns is None else told.last_recv_ns // 1_000_000
    links = [link for link in ingest.connections if link.route == stream.route and link.is_open]
    if not links:
        return StreamState("disconnected", _not_connected(stream.route, ingest), since_ms)
    if trading == OFF_SESSION:
        return StreamState("live" if _is_fresh(told, ingest) else "off session", "")
    return _heard(told, links, since_ms)


def _heard(told: StreamStatus, links: Sequence[ConnectionStatus], since_ms: int | None) -> StreamState:
    """Of a stream with an open connection, from which something may be expected."""
    if told.state == "stale" or _is_overdue(told):
        silent = "" if told.silent_s is None else f" for {told.silent_s:.0f} s"
        return StreamState("stale", f"silent{silent}, expected every {told.patience_s:.0f} s", since_ms)
    if told.state != "live" and told.patience_s and not any(link.is_delivering for link in links):
        return StreamState("waiting", "connected, and nothing has come yet", since_ms)
    return StreamState("live" if told.state == "live" else "quiet", "")


def disk_of(writer: WriterStatus | None) -> Disk | None:
    """The disk of the recorded files, as the writer sees it."""
    if writer is None or writer.disk_free_bytes is None or writer.disk_total_bytes is None:
        return None
    per_day = writer.bytes / writer.up_s * _DAY_S if writer.up_s >= _MIN_RATE_S else None
    days_left = writer.disk_free_bytes / per_day if per_day else None
    return Disk(writer.disk_free_bytes, writer.disk_total_bytes, per_day, days_left)


def _silent(name: str, told: ReceivedStatus | None) -> Problem:
    if told is None:
        return Problem("process", "failure", name, "no status: it does not run, or does not reach the bus")
    why = f"no status for {SILENT_S:.0f} s or more: it does not run, stands still, or does not reach the bus"
    return Problem("process", "failure", name, why, told.status.recv_ns // 1_000_000)


def _monitor_problems(monitor: Status | None, told: ReceivedStatus | None) -> Iterator[Problem]:
    """Nothing is recorded by the monitor."""
    if monitor is None:
        yield _silent("monitor", told)._replace(severity="warning")
    elif monitor.state.startswith("cannot"):
        yield Problem("process", "warning", "monitor", monitor.state)


def _journal_problems(alerts: AlertsConfig, name: str, journal: JournalStatus) -> Iterator[Problem]:
    if journal.state != RECORDING:
        yield Problem("recording", "failure", name, f"{journal.state}: messages are published, and not kept")
    if journal.unacknowledged_s > alerts.backlog:
        why = (
            f"{journal.unacknowledged_bytes} bytes, the oldest {journal.unacknowledged_s:.0f} s old, wait in the "
            "journal for the writer"
        )
        yield Problem("backlog", "failure", name, why)
    free_bytes = journal.disk_free_bytes
    if free_bytes is not None and free_bytes < alerts.disk_free_bytes:
        yield Problem("disk", "warning", f"{name} journal", f"{free_bytes} bytes are free on its disk")


def _writer_problems(alerts: AlertsConfig, writer: Status | None) -> Iterator[Problem]:
    if not isinstance(writer, WriterStatus):
        return
    if writer.state != RECORDING:
        condition: Condition = "disk" if writer.state == "disk full" else "recording"
        yield Problem(condition, "failure", "writer", f"{writer.state}: journals keep what comes")
    disk = disk_of(writer)
    if disk is None:
        return
    if disk.free_bytes < alerts.disk_free_bytes:
        yield Problem("disk", "warning", "data disk", f"{disk.free_bytes} bytes are free")
    elif disk.days_left is not None and disk.days_left < alerts.disk_days:
        yield Problem("disk", "warning", "data disk", f"full in {disk.days_left:.1f} days")


def _rest_problems(alerts: AlertsConfig, rest: Status | None) -> Iterator[Problem]:
    """Trouble of REST costs snapshots, not what the streams deliver."""
    if not isinstance(rest, RestStatus):
        return
    wait = f" for {rest.stand_down_s:.0f} s" if rest.stand_down_s else ""
    if rest.state == "starting" and wait:
        yield Problem("rest", "warning", "rest", f"standing down{wait}, no snapshots: since before its start")
    elif rest.state not in ("answered", "starting"):
        nothing = "" if rest.state == "trouble" else ", no snapshots"
        yield Problem("rest", "warning", "rest", f"{rest.state}{wait}{nothing}: {rest.fault}")
    offset_ms = rest.clock_offset_ms
    if offset_ms is not None and abs(offset_ms) - (rest.clock_error_ms or 0) > alerts.clock * 1000:
        yield Problem("clock", "warning", "clock", f"the exchange's is {offset_ms:+.0f} ms ahead of ours")


def _book_problems(config: Config, present: Mapping[str, Status]) -> Iterator[Problem]:
    """Of symbols that do not trade nothing is expected: an update that would make their books valid does not come."""
    orderbook = present.get("orderbook")
    if not isinstance(orderbook, OrderbookStatus):
        return
    patience_s = _BOOK_PATIENCE_S + 2 * config.network.snapshot_spacing * len(config.symbols)
    is_starting = orderbook.up_s < patience_s
    for symbol in config.symbols:
        if trading_status(symbol.symbol, present) != TRADING:
            continue
        what, book = f"{symbol.symbol} order book", orderbook.books.get(symbol.symbol)
        if book is None:
            if has_book(symbol):
                why = "the service does not keep it: restart it after a change of the configuration"
                yield Problem("book", "warning", what, why)
        elif not book.valid and (book.state == "unreliable" or not is_starting):
            yield Problem("book", "warning", what, f"{book.state}: {book.reason}")


def _not_connected(route: str, ingest: IngestStatus) -> str:
    if ingest.attempts_exhausted:
        return f"no connection of /{route}: the attempts of 5 minutes are used up"
    return f"no connection of /{route}: {ingest.failing.get(route) or 'one is being dialled'}"


def _is_overdue(told: StreamStatus) -> bool:
    """Also where the worker does not say so: connections that end and come back give it new patience each time."""
    return bool(told.patience_s) and told.silent_s is not None and told.silent_s > told.patience_s * 1.5


def _is_fresh(told: StreamStatus, ingest: IngestStatus) -> bool:
    """Whether a message came within the patience for its type."""
    return told.last_recv_ns is not None and ingest.recv_ns - told.last_recv_ns <= told.patience_s * 1e9
