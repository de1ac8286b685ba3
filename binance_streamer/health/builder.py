"""Builds a snapshot of the recorder from the newest status messages and from today's gaps. Nothing else makes one.

In: the configuration, status messages by process name, gaps, and both clocks. Out: `Snapshot`. It reads no clock and no
file, so that `status`, the monitor and `up` show the same, and tests need no process.
"""

from collections.abc import Mapping

from binance_streamer.config.groups import symbols_of
from binance_streamer.config.schema import Config, SymbolConfig, streams_of
from binance_streamer.exchange.streams import Stream, routes_needed, suffix_of
from binance_streamer.health.gaps import GapSummary, GapTotals
from binance_streamer.health.judge import (
    Health,
    ReceivedStatus,
    disk_of,
    is_present,
    processes,
)
from binance_streamer.health.sizes import size
from binance_streamer.health.snapshot import Clock, ProcessSnapshot, Snapshot, StreamSnapshot, SymbolSnapshot, Weight
from binance_streamer.health.storage import stored_of
from binance_streamer.health.stream_states import raw_reasons, recorded_stream, stream_state, trading_status
from binance_streamer.health.workers import with_symbols
from binance_streamer.wire.status_parts import JournalStatus, StreamStatus
from binance_streamer.wire.statuses import (
    COMPILED,
    STANDBY,
    ArchiverStatus,
    IngestStatus,
    OrderbookStatus,
    RestStatus,
    Status,
    WriterStatus,
)

PLAIN_STATES = {
    "answered": "ok",
    "trouble": "some requests fail",
    "standing down": "paused by the exchange",
    "forbidden": "refused by the exchange",
    "building": "building books",
    "valid": "all books valid",
    STANDBY: "ready to go on",
}
"""States of processes as they are shown, where the word of the status message needs its context to be understood.
docs/monitoring.md says of each what it means, and what to do."""
_NO_REST = RestStatus(producer="rest", epoch=0, recv_ns=0)
"""In the place of a REST process that is not heard: nothing is known."""


def build(  # noqa: PLR0913 (all that a recorder says)
    config: Config,
    received: Mapping[str, ReceivedStatus],
    health: Health,
    gaps: GapSummary,
    *,
    now_s: float,
    now_ms: int,
) -> Snapshot:
    """Build the snapshot of now: a part for each configured symbol and each expected process, heard or not.

    `received` is by process name, `now_s` by the monotonic clock of its `at_s`, `now_ms` by UTC. A process that has not
    been heard lately counts as absent, so that its last words do not pass for the present state.
    """
    present = {name: one.status for name, one in received.items() if is_present(one, now_s)}
    by_symbol = with_symbols(config, present)
    writer, rest = present.get("writer"), present.get("rest", _NO_REST)
    rest = rest if isinstance(rest, RestStatus) else _NO_REST
    stored = stored_of(present.get("archiver"))
    journals = [status.journal for status in present.values() if status.journal is not None]
    return Snapshot(
        time_ms=now_ms,
        mode=config.mode,
        healthy=health.healthy,
        problems=health.problems,
        symbols=tuple(_symbol(symbol, by_symbol, gaps, now_ms=now_ms) for symbol in config.symbols),
        processes=tuple(_process(config, name, received.get(name), present.get(name)) for name in processes(config)),
        gaps=gaps.total,
        raw_rows=dict(writer.raw) if isinstance(writer, WriterStatus) else {},
        backlog_bytes=sum(journal.unacknowledged_bytes for journal in journals),
        backlog_s=max((journal.unacknowledged_s for journal in journals), default=0.0),
        data_directory=config.storage.output_directory,
        disk=disk_of(writer, stored) if isinstance(writer, WriterStatus) else None,
        stored=stored,
        clock=Clock(offset_ms=rest.clock_offset_ms, error_ms=rest.clock_error_ms),
        weight=Weight(used=rest.used_weight, limit=rest.weight_limit, stand_down_s=rest.stand_down_s),
    )


def _symbol(symbol: SymbolConfig, present: Mapping[str, Status], gaps: GapSummary, *, now_ms: int) -> SymbolSnapshot:
    """Return one symbol with its streams in the configured order.

    A stream that the worker has replaced (depth@0ms that never delivers, docs/exchange.md §9.15) is shown as what is
    recorded.
    """
    name = symbol.symbol
    status = present.get(f"ingest-{name}")
    ingest = status if isinstance(status, IngestStatus) else None
    trading = trading_status(name, present)
    recorded = dict.fromkeys(recorded_stream(one, ingest) if ingest else one for one in streams_of(symbol))
    return SymbolSnapshot(
        symbol=name,
        status=trading,
        gaps=gaps.by_symbol.get(name, GapTotals()),
        streams=tuple(
            _stream(one, ingest, present, gaps.by_stream.get((name, one.name), GapTotals()), now_ms=now_ms)
            for one in recorded
        ),
    )


def _stream(
    stream: Stream, ingest: IngestStatus | None, present: Mapping[str, Status], gaps: GapTotals, *, now_ms: int
) -> StreamSnapshot:
    """Return one stream: the worker's counts, our judgement of its state, and its gaps of the day.

    `age_s` is never negative, also where our clock was set back after the stamp of the last message.
    """
    status = ingest.streams.get(stream.name, StreamStatus()) if ingest else StreamStatus()
    writer = present.get("writer")
    found = stream_state(stream, ingest, trading_status(stream.symbol, present), writer=writer) if ingest else None
    last_ns = status.last_recv_ns
    return StreamSnapshot(
        stream=suffix_of(stream.name),
        state=found.state if found else "unknown",
        why=found.why if found else "its worker is not heard",
        rate=status.rate,
        messages=status.rows,
        received=status.messages,
        raw=max(status.raw, sum(raw_reasons(stream.name, writer).values())),
        last_id=status.last_id,
        age_s=None if last_ns is None else max(0.0, round(now_ms / 1000 - last_ns / 1e9, 3)),
        latency_ms=None if status.latency_ms is None else round(status.latency_ms, 3),
        new_gaps=status.gaps,
        gaps=gaps,
    )


def _process(config: Config, name: str, received: ReceivedStatus | None, status: Status | None) -> ProcessSnapshot:
    """Return one process. `received` is its newest status, `status` the same while the process is present.

    "not heard yet" is a process that has said nothing so far, "down" one that has fallen silent.
    """
    journal = status.journal if status and status.journal else JournalStatus()
    return ProcessSnapshot(
        name=name,
        kind=name.partition("-")[0],
        up=status is not None,
        state=_state(status) if status else "not heard yet" if received is None else "down",
        detail=_detail(config, status) if status else "",
        pid=status.pid if status else None,
        uptime_s=status.up_s if status else None,
        rss_bytes=status.rss_bytes if status else None,
        cpu_s=status.cpu_s if status else None,
        cpu_percent=received.cpu_percent if status and received else None,
        backlog_bytes=journal.unacknowledged_bytes,
        backlog_s=journal.unacknowledged_s,
    )


def _state(status: Status) -> str:
    """Return the state in a word; that of a worker is the state of its journal, or that it has no connection."""
    if status.state:
        return PLAIN_STATES.get(status.state, status.state)
    if not isinstance(status, IngestStatus):
        return "running"
    journal = status.journal.state if status.journal else "starting"
    return journal if journal != "recording" or status.connections else "not connected"


def _detail(config: Config, status: Status) -> str:
    """Return a few words on what a process has done; each kind of process has its own numbers."""
    if isinstance(status, IngestStatus):
        is_open = sum(one.is_open for one in status.connections)
        worker = status.producer.partition("-")[2]
        wanted = routes_needed(stream for symbol in symbols_of(config, worker) for stream in streams_of(symbol))
        expected = max(len(status.connections), wanted * config.connections_of(config.symbol(worker)))
        return f"{is_open} of {expected} connections open"
    if isinstance(status, WriterStatus):
        return f"{status.rows} rows, {size(status.bytes)}{_way(status)}"
    if isinstance(status, RestStatus):
        return status.fault or f"{status.snapshots} snapshots, {status.used_weight} of {status.weight_limit} weight"
    if isinstance(status, OrderbookStatus):
        return f"{sum(book.valid for book in status.books.values())} of {len(status.books)} books valid"
    if isinstance(status, ArchiverStatus):
        return status.fault or f"{status.sealed} days sealed, {status.due} to be sealed"
    return ""


def _way(status: WriterStatus) -> str:
    """Return words on how rows are made; nothing where the writer does not say."""
    if not status.kernel:
        return ""
    return ", compiled" if status.kernel == COMPILED else ", in Python alone"
