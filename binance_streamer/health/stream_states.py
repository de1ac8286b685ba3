"""The state of each configured stream, as its worker tells it: is it being recorded, and if not, why.

| state | meaning | recorded |
|---|---|---|
| `live` | messages come | yes |
| `quiet` | connected, and nothing is overdue | yes |
| `off session` | the market behind a TradFi contract is closed, and nothing comes | yes |
| `not trading` | the exchange says that the symbol is not TRADING, so that nothing is expected | yes |
| `waiting` | connected, and nothing has come yet where something is expected | no |
| `stale` | messages came, and the next is overdue | no |
| `disconnected` | no connection of its route is open | no |
| `missing` | its worker does not know it | no |
| `unreadable` | messages come, and half of them or more cannot be read | no |
| `blocked` | its worker cannot begin | no |
| `unlisted` | the exchange does not list the symbol | no |
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from binance_streamer.exchange.streams import Stream, stream_of
from binance_streamer.wire.status_parts import ConnectionStatus, StreamStatus
from binance_streamer.wire.statuses import BLOCKED, IngestStatus, RestStatus, Status, WriterStatus, is_blocked

TRADING = "TRADING"
UNLISTED = "UNLISTED"
"""Our word for a symbol that is not in the exchange's list: a wrong name, or a contract that has ended."""
OFF_SESSION = "OFF SESSION"
"""Our word for a contract that is TRADING while the market that it follows is closed."""
_START_S = 60.0
"""Between the starts of processes that were started together, at most."""
_UNDOCUMENTED, FALLBACK = "depth@0ms", "depth@100ms"


class StreamState(NamedTuple):
    """`live`, `quiet` (nothing is overdue), `off session`, `not trading`, or why it is not recorded.

    `why` is empty where the stream counts as recorded.
    """

    state: str
    why: str
    since_ms: int | None = None


def trading_status(symbol: str, present: Mapping[str, Status]) -> str:
    """Return the exchange's status of the symbol, or `OFF SESSION`; TRADING until the exchange has said otherwise."""
    rest, ingest = present.get("rest"), present.get(f"ingest-{symbol}")
    found = rest.symbols.get(symbol, TRADING) if isinstance(rest, RestStatus) else TRADING
    if found == TRADING and isinstance(ingest, IngestStatus) and symbol in ingest.not_trading:
        return "NOT TRADING"  # told to the worker by a REST process that is away now
    is_off = symbol in rest.off_session if isinstance(rest, RestStatus) else False
    is_off = is_off or (isinstance(ingest, IngestStatus) and symbol in ingest.off_session)
    return OFF_SESSION if is_off and found == TRADING else found


def recorded_stream(configured: Stream, ingest: IngestStatus) -> Stream:
    """Return the stream that is recorded for the configured one: a worker falls back from a speed that never came."""
    if configured.name in ingest.streams or not configured.name.endswith(f"@{_UNDOCUMENTED}"):
        return configured
    fallback = stream_of(configured.symbol, FALLBACK)
    return fallback if fallback.name in ingest.streams else configured


def stream_state(stream: Stream, ingest: IngestStatus, trading: str, *, writer: Status | None = None) -> StreamState:
    """Tell the state of a stream from its worker's status, and the exchange's status of its symbol.

    With the writer's status it is also known whether rows could be formed of what came.

    A quiet stream is recorded while a connection of its route delivers and it is not overdue for its type; one that
    is never overdue (forceOrder) while a connection is open. While the market behind it is closed silence of any
    length is well, but not the lack of a connection.
    """
    if is_blocked(ingest):
        return StreamState("blocked", ingest.state.removeprefix(BLOCKED))
    if trading == UNLISTED:
        return StreamState("unlisted", "the exchange does not list the symbol")
    if trading not in (TRADING, OFF_SESSION):
        return StreamState("not trading", "")
    status = ingest.streams.get(stream.name)
    if status is None:
        return StreamState("missing", "the worker does not record it: restart it after a change of the configuration")
    if unreadable := _unreadable(stream.name, status, ingest, writer):
        return StreamState("unreadable", unreadable)
    return _expected(stream, status, ingest, is_off_session=trading == OFF_SESSION)


def raw_reasons(name: str, writer: Status | None) -> Mapping[str, int]:
    """Count the rows of a stream that the writer kept raw in this run, by reason."""
    return writer.raw.get(name, {}) if isinstance(writer, WriterStatus) else {}


def raw_text(reasons: Mapping[str, int]) -> str:
    """Write the three most frequent reasons of raw rows: `not JSON: 3, p is null: 1`."""
    ordered = sorted(reasons.items(), key=lambda one: (-one[1], one[0]))[:3]
    return ordered[0][0] if len(reasons) == 1 else ", ".join(f"{reason}: {count}" for reason, count in ordered)


def _unreadable(name: str, status: StreamStatus, ingest: IngestStatus, writer: Status | None) -> str:
    """Why a stream counts as unreadable; empty where most of it is read.

    The worker counts what it cannot read itself; what the writer cannot make a row of is compared with the worker's
    rows, as long as the writer has not counted for much longer than the worker.
    """
    reasons = raw_reasons(name, writer)
    count = sum(reasons.values())
    is_comparable = writer is not None and writer.up_s <= ingest.up_s + _START_S
    is_all_raw = status.raw > 0 and not status.rows
    if not is_all_raw and not (count and is_comparable and 2 * count >= status.rows):
        return ""
    why = f" ({raw_text(reasons)})" if reasons else ""
    return f"{max(count, status.raw)} messages came that could not be read{why}; raw_… keeps them as they came"


def _expected(stream: Stream, status: StreamStatus, ingest: IngestStatus, *, is_off_session: bool) -> StreamState:
    """The state of a stream that should be connected."""
    since_ms = None if status.last_recv_ns is None else status.last_recv_ns // 1_000_000
    route = status.route or stream.route
    open_ones = [one for one in ingest.connections if one.route == route and one.is_open]
    if not open_ones:
        return StreamState("disconnected", _not_connected(route, ingest), since_ms)
    if is_off_session:
        return StreamState("live" if _is_fresh(status, ingest) else "off session", "")
    return _connected(status, open_ones, since_ms)


def _connected(status: StreamStatus, connections: Sequence[ConnectionStatus], since_ms: int | None) -> StreamState:
    """The state of a stream with an open connection, from which something may be expected."""
    if status.state == "stale" or _is_overdue(status):
        silent = "" if status.silent_s is None else f" for {status.silent_s:.0f} s"
        return StreamState("stale", f"silent{silent}, expected every {status.patience_s:.0f} s", since_ms)
    if status.state != "live" and status.patience_s and not any(one.is_delivering for one in connections):
        return StreamState("waiting", "connected, and nothing has come yet", since_ms)
    return StreamState("live" if status.state == "live" else "quiet", "")


def _not_connected(route: str, ingest: IngestStatus) -> str:
    if ingest.attempts_exhausted:
        return f"no connection of /{route}: the attempts of 5 minutes are used up"
    return f"no connection of /{route}: {ingest.failing.get(route) or 'one is being dialled'}"


def _is_overdue(status: StreamStatus) -> bool:
    """Return True if a message is overdue by half, also where the worker has not said so.

    Connections that end and come back give the stream new patience each time.
    """
    return bool(status.patience_s) and status.silent_s is not None and status.silent_s > status.patience_s * 1.5


def _is_fresh(status: StreamStatus, ingest: IngestStatus) -> bool:
    """Return True if a message came within the patience for its type."""
    return status.last_recv_ns is not None and ingest.recv_ns - status.last_recv_ns <= status.patience_s * 1e9
