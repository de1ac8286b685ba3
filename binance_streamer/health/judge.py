"""Judges from the status messages of all processes whether everything that is configured is being recorded.

A *failure* means that something configured is not being recorded, or that nobody can tell. A *warning* is trouble that
costs no recorded message so far: a ban of REST, a clock that is off, a disk that will be full in days.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import msgspec

from binance_streamer.config.schema import AlertsConfig, Condition, Config, SymbolConfig, has_book, streams_of
from binance_streamer.exchange.streams import stream_of, suffix_of
from binance_streamer.health.problem import Problem, Severity
from binance_streamer.health.sizes import size
from binance_streamer.health.storage import archiver_warnings, stored_of
from binance_streamer.health.stream_states import (
    FALLBACK,
    TRADING,
    UNLISTED,
    raw_reasons,
    raw_text,
    recorded_stream,
    stream_state,
    trading_status,
)
from binance_streamer.health.workers import empty_groups, folded_by_worker, standby_fault, waiting_symbols, with_symbols
from binance_streamer.wire.status_parts import RECORDING, JournalStatus, Volumes
from binance_streamer.wire.statuses import (
    IngestStatus,
    OrderbookStatus,
    RestStatus,
    Status,
    WriterStatus,
    is_blocked,
)

SILENT_S = 10.0
"""Ten missed status messages: a process that is silent for so long does not run, stands still, or lost the bus."""
_MIN_RATE_S = 3600.0
"""A writer must have run for so long before its bytes are a rate: at first it catches up with the journals."""
_DAY_S = 86_400.0
_BOOK_PATIENCE_S = 60.0
"""For the order book service to start, beside twice the time that the snapshots of all symbols take."""

_RECORD_NOTHING = frozenset({"monitor", "archiver"})
"""Processes whose absence costs no message."""


class ReceivedStatus(NamedTuple):
    """The newest status of a process, and when it came, by a monotonic clock.

    `cpu_percent` is the CPU that it used since the status before, in percent of a core; None without one before.
    """

    status: Status
    at_s: float
    cpu_percent: float | None = None


class Disk(msgspec.Struct, frozen=True):
    """Room on the disk of the recorded files; the last two are None while the writer is too young to tell."""

    free_bytes: int
    total_bytes: int
    written_bytes_per_day: float | None
    days_left: float | None


class Health(NamedTuple):
    """The judgement over a recorder: all problems, failures first."""

    problems: tuple[Problem, ...]

    @property
    def healthy(self) -> bool:
        """Return True if every configured stream is being recorded: there are warnings at most."""
        return not any(problem.severity == "failure" for problem in self.problems)


def judge(config: Config, received: Mapping[str, ReceivedStatus], now_s: float) -> Health:
    """Judge the newest status of each process, by name. Processes that are not configured are left out.

    `now_s` is of the monotonic clock that stamped `received`. Where nobody is heard at all, that alone is the problem.
    """
    present = {name: one.status for name, one in received.items() if is_present(one, now_s)}
    expected = processes(config)
    if received and not any(name in present for name in expected):
        since_ms = max(one.status.recv_ns for one in received.values()) // 1_000_000
        why = (
            f"no process has been heard for {SILENT_S:.0f} s: the bus is down (recording goes on without it), "
            "or all processes are"
        )
        return Health((Problem("process", "failure", "bus", why, since_ms),))
    problems = [_silent(name, received.get(name)) for name in expected if name not in present]
    problems += [_blocked(name, present[name]) for name in expected if name in present and is_blocked(present[name])]
    problems += _monitor_problems(present.get("monitor"))
    archiver = archiver_warnings(config.alerts, present.get("archiver"))
    problems += [Problem("disk", "warning", what, why) for what, why in archiver]
    for name in expected:
        status = present.get(name)
        if status is not None and status.journal is not None:
            problems += _journal_problems(config.alerts, name, status.journal)
    by_symbol = with_symbols(config, present)
    found = [problem for symbol in config.symbols for problem in symbol_problems(symbol, by_symbol)]
    problems += folded_by_worker(config, [*found, *waiting_symbols(config, present)])
    problems += empty_groups(config, present)
    for symbol in config.named:
        if why := standby_fault(present.get(f"standby-{symbol.symbol}")):
            problems.append(Problem("process", "warning", f"standby-{symbol.symbol}", why))
    problems += _other_raw_problems(config, present.get("writer"))
    problems += _writer_problems(config.alerts, present.get("writer"), stored_of(present.get("archiver")))
    problems += _rest_problems(config.alerts, present.get("rest"))
    problems += folded_by_worker(config, _book_problems(config, by_symbol))
    return Health(tuple(sorted(problems, key=lambda problem: problem.severity)))


def is_present(received: ReceivedStatus, now_s: float) -> bool:
    """Return True if the status is not older than `SILENT_S`; both times are of one monotonic clock."""
    return now_s - received.at_s <= SILENT_S


def processes(config: Config) -> tuple[str, ...]:
    """List the names of the configured processes, as their status messages have them."""
    optional = [name for name in ("orderbook", "monitor") if getattr(config, name).enabled]
    optional += ["archiver"] if config.storage.lake else []
    standbys = [f"standby-{symbol.symbol}" for symbol in config.named if symbol.standby]
    return ("bus", "writer", "rest", *optional, *(f"ingest-{worker}" for worker in config.workers), *standbys)


def symbol_problems(symbol: SymbolConfig, present: Mapping[str, Status]) -> Iterator[Problem]:
    """Yield a problem for each stream of one symbol that is not being recorded, or of which something is odd."""
    ingest, rest = present.get(f"ingest-{symbol.symbol}"), present.get("rest")
    if isinstance(rest, RestStatus) and rest.symbols.get(symbol.symbol) == UNLISTED:
        yield Problem("recording", "failure", symbol.symbol, _unlisted(rest.unlisted.get(symbol.symbol, ())))
        return
    if not isinstance(ingest, IngestStatus) or is_blocked(ingest):
        return  # there is a problem for the whole process
    trading = trading_status(symbol.symbol, present)
    for configured in streams_of(symbol):
        stream = recorded_stream(configured, ingest)
        what = f"{symbol.symbol} {suffix_of(configured.name)}"
        found = stream_state(stream, ingest, trading, writer=present.get("writer"))
        if found.why:
            yield Problem("recording", "failure", what, found.why, found.since_ms)
            continue
        if reasons := raw_reasons(stream.name, present.get("writer")):
            yield Problem("recording", "warning", what, _raw(reasons))
        if stream != configured:
            yield Problem(
                "recording", "warning", what, f"never delivered; {suffix_of(stream.name)} is recorded instead"
            )
        if stream.name in ingest.suspicious:
            yield Problem("recording", "warning", what, "silent for very long while the order book moves")


def _raw(reasons: Mapping[str, int]) -> str:
    return f"{sum(reasons.values())} messages could not be read ({raw_text(reasons)}); raw_… keeps them as they came"


def _other_raw_problems(config: Config, writer: Status | None) -> Iterator[Problem]:
    """Raw rows of no configured stream; their names come off the wire, so that all of them are one problem."""
    if not isinstance(writer, WriterStatus):
        return
    known = {stream.name for symbol in config.symbols for stream in streams_of(symbol)}
    known |= {stream_of(symbol.symbol, FALLBACK).name for symbol in config.symbols}
    reasons: Counter[str] = Counter()
    for name, counts in writer.raw.items():
        if name not in known:
            reasons.update(counts)
    if reasons:
        yield Problem("recording", "warning", "other raw rows", _raw(reasons))


def _unlisted(nearest: Sequence[str]) -> str:
    names = f"; nearest names: {', '.join(nearest)}" if nearest else ""
    return f"the exchange does not list it{names}; correct or remove it in the YAML, then `apply`"


def disk_of(writer: WriterStatus | None, stored: Volumes | None = None) -> Disk | None:
    """Return the room on the disk of the recorded files, as the writer tells it; None where it does not.

    When it is full follows from what is stored, where that is known: the writer knows nothing of what is removed.
    """
    if writer is None or writer.disk_free_bytes is None or writer.disk_total_bytes is None:
        return None
    per_day = writer.bytes / writer.up_s * _DAY_S if writer.up_s >= _MIN_RATE_S else None
    days_left = writer.disk_free_bytes / per_day if per_day else None
    if stored is not None and stored.fills is not None:
        days_left = stored.disks[0].days_left
    return Disk(writer.disk_free_bytes, writer.disk_total_bytes, per_day, days_left)


def _silent(name: str, received: ReceivedStatus | None) -> Problem:
    if received is None:
        return Problem("process", _severity(name), name, "no status: it does not run, or does not reach the bus")
    why = f"no status for {SILENT_S:.0f} s or more: it does not run, stands still, or does not reach the bus"
    return Problem("process", _severity(name), name, why, received.status.recv_ns // 1_000_000)


def _blocked(name: str, status: Status) -> Problem:
    """A process that cannot begin; the bus passes messages on for nobody then, and no other one records."""
    return Problem("recording", _severity(name), name, status.state)


def _severity(name: str) -> Severity:
    """Return how bad it is that a process does not run: a warning, where no message is lost by it."""
    return "warning" if name in _RECORD_NOTHING or name.startswith("standby-") else "failure"


def _monitor_problems(monitor: Status | None) -> Iterator[Problem]:
    """Problems of the monitor are warnings: it records nothing."""
    if monitor is not None and monitor.state.startswith("cannot"):
        yield Problem("process", "warning", "monitor", monitor.state)


def _journal_problems(alerts: AlertsConfig, name: str, journal: JournalStatus) -> Iterator[Problem]:
    if journal.state != RECORDING:
        yield Problem("recording", "failure", name, f"{journal.state}: messages are published, and not kept")
    if journal.unacknowledged_s > alerts.backlog:
        why = (
            f"{size(journal.unacknowledged_bytes)}, the oldest {journal.unacknowledged_s:.0f} s old, wait in the "
            "journal for the writer"
        )
        yield Problem("backlog", "failure", name, why)
    free_bytes = journal.disk_free_bytes
    if free_bytes is not None and free_bytes < alerts.disk_free_bytes:
        yield Problem("disk", "warning", f"{name} journal", f"{size(free_bytes)} are free on its disk")


def _writer_problems(alerts: AlertsConfig, writer: Status | None, stored: Volumes | None) -> Iterator[Problem]:
    if not isinstance(writer, WriterStatus) or is_blocked(writer):
        return
    if writer.state != RECORDING:
        condition: Condition = "disk" if writer.state == "disk full" else "recording"
        yield Problem(condition, "failure", "writer", f"{writer.state}: journals keep what arrives")
    disk = disk_of(writer, stored)
    if disk is None:
        return
    if disk.free_bytes < alerts.disk_free_bytes:
        yield Problem("disk", "warning", "data disk", f"{size(disk.free_bytes)} are free")
    elif disk.days_left is not None and disk.days_left < alerts.disk_days:
        yield Problem("disk", "warning", "data disk", f"full in {disk.days_left:.1f} days")


def _rest_problems(alerts: AlertsConfig, rest: Status | None) -> Iterator[Problem]:
    """Problems of REST are warnings: they cost snapshots, not what the streams deliver."""
    if not isinstance(rest, RestStatus) or is_blocked(rest):
        return
    wait = f" for {rest.stand_down_s:.0f} s" if rest.stand_down_s else ""
    if rest.state == "starting" and wait:
        yield Problem(
            "rest", "warning", "rest", f"waiting{wait} as the exchange has asked, no snapshots: since before its start"
        )
    elif rest.state not in ("answered", "starting"):
        nothing = "" if rest.state == "trouble" else ", no snapshots"
        yield Problem("rest", "warning", "rest", f"{rest.state}{wait}{nothing}: {rest.fault}")
    if rest.hours_unknown:
        symbols = ", ".join(rest.hours_unknown)
        yield Problem("rest", "warning", "market hours", f"not known for {symbols}: their silence is not judged")
    for series, why in rest.refused_series.items():
        yield Problem("rest", "warning", series, f"not recorded: {why}")
    for place, count in rest.not_understood.items():
        yield Problem("rest", "warning", place, f"entries that are not understood: {count}; kept as they came")
    offset_ms = rest.clock_offset_ms
    if offset_ms is not None and abs(offset_ms) - (rest.clock_error_ms or 0) > alerts.clock * 1000:
        why = f"exchange clock minus ours: {offset_ms:+.0f} ms; set the clock of this machine (NTP)"
        yield Problem("clock", "warning", "clock", why)


def _book_problems(config: Config, present: Mapping[str, Status]) -> Iterator[Problem]:
    """Books of symbols that do not trade are left out: the update that would make them valid does not come."""
    orderbook = present.get("orderbook")
    if not isinstance(orderbook, OrderbookStatus) or is_blocked(orderbook):
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
