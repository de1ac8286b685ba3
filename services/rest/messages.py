"""The frames that the REST process makes, and the requests that it understands."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from binance_streamer.config.symbols import symbol_fault
from binance_streamer.exchange.messages import ExchangeError, Reading
from binance_streamer.exchange.rest import step_of
from binance_streamer.exchange.streams import Stream, stream_from_name
from binance_streamer.wire.frames import WireError, decode_frame
from services.rest.answers import DepthAnswer, RestAnswer
from services.rest.market.clock_offset import Measurement, Step
from services.rest.market.trading_hours import Range
from services.rest.paths import EXCHANGE_INFO, TIME, TRADING_SCHEDULE, depth_path
from services.rest.schedule.backfill_queue import BackfillRequest
from services.runtime.gaps.drafts import Draft

EXCHANGE = "EXCHANGE"
"""In place of a symbol, for what concerns all of them."""
_REASON_CHARACTERS = 60
_GAP_ID_CHARACTERS = 120


class FrameSink(Protocol):
    """The part of `Producer` that this process uses, so that its parts can be tested without one."""

    @property
    def is_full(self) -> bool:
        """Return True while nothing can be journalled."""

    def append(self, drafts: Sequence[Draft]) -> bool:
        """Journal these and publish them; return False where the journal is full."""

    def publish_live(self, draft: Draft) -> None:
        """Publish this, and record it nowhere."""


class SnapshotRequest(NamedTuple):
    """A request for a depth snapshot; only one whose `last_update_id` is at least this helps."""

    symbol: str
    reason: str
    last_update_id: int


def read_request(parts: Sequence[bytes]) -> SnapshotRequest | BackfillRequest:
    """Return the request in a message of the bus, where anybody may publish; raises `WireError`."""
    if len(parts) != 2:
        raise WireError(f"request: expected [topic, frame], got {len(parts)} parts")
    stream_type, data = decode_frame(parts[1])
    if stream_type != "request":
        raise WireError(f"request: expected one, got {stream_type!r:.40}")
    fault = symbol_fault(data["symbol"])
    if fault:
        raise WireError(f"request: the symbol {data['symbol']!r:.80} {fault}")
    return _snapshot_request(data) if data["stream"] == "depth_snapshot" else _backfill_request(data)


def _snapshot_request(data: Mapping[str, Any]) -> SnapshotRequest:
    reason, last_update_id = data.get("reason"), data.get("last_update_id")
    if type(reason) is not str or type(last_update_id) is not int or not 0 <= last_update_id < 1 << 63:
        raise WireError(f"request: expected a reason and a last_update_id, got {reason!r:.40}, {last_update_id!r:.40}")
    return SnapshotRequest(data["symbol"], reason[:_REASON_CHARACTERS], last_update_id)


def _backfill_request(data: Mapping[str, Any]) -> BackfillRequest:
    name, gap_id = data["stream"], data.get("gap_id")
    ids: list[Any] = [data.get(key) for key in ("from_id", "to_id", "from_ns")]
    try:
        stream = stream_from_name(name)
        step = step_of(stream)
    except ExchangeError as error:
        raise WireError(f"request: expected a depth_snapshot or a stream that REST has: {error!s:.80}") from error
    if stream.symbol != data["symbol"] or type(gap_id) is not str or not all(map(_is_id, ids)):
        raise WireError(f"request: expected a gap_id, from_id, to_id and from_ns, got {gap_id!r:.40}, {ids!r:.80}")
    missing = BackfillRequest(stream, gap_id[:_GAP_ID_CHARACTERS], *ids)
    if missing.to_id < missing.from_id + step:
        raise WireError(f"request: expected at least one row between {missing.from_id} and {missing.to_id}")
    return missing


def _is_id(value: object) -> bool:
    return type(value) is int and -1 <= value < 1 << 63


def backfill_draft(missing: BackfillRequest, answer: RestAnswer, path: str, *, refusal: str) -> Draft:
    """Make the answer to a request for missing rows: the body as it came, nothing of it where it is refused."""
    stream = missing.stream
    data = {
        **_recorded(stream.symbol, stream.name, answer, b"[]" if refusal else answer.body),
        "path": path,
        "gap_id": missing.gap_id,
        "from_id": missing.from_id,
        "to_id": missing.to_id,
        "refusal": refusal,
    }
    return Draft("repair", stream.symbol, "", data)


def snapshot_draft(symbol: str, answer: RestAnswer, snapshot: DepthAnswer) -> Draft:
    """Make the row of a depth snapshot, its body byte for byte."""
    reading = Reading(None, snapshot.lastUpdateId, snapshot.event_time_ms)
    return Draft("depth_snapshot", symbol, "", _recorded(symbol, depth_path(symbol).text, answer, answer.body), reading)


def odd_row_draft(stream: Stream, answer: RestAnswer, raw: bytes) -> Draft:
    """Make the message of an element that is no row of its stream: the writer keeps it raw."""
    data = _recorded(stream.symbol, stream.name, answer, raw)
    return Draft(stream.stream_type, stream.symbol, stream.variant, data)


def exchange_info_draft(answer: RestAnswer, event: bytes) -> Draft:
    """Make the row of a change of the exchange's list; the first one is the whole list, as it came."""
    return Draft("exchange_info", EXCHANGE, "", _recorded(EXCHANGE, EXCHANGE_INFO.text, answer, event))


def trading_schedule_draft(answer: RestAnswer) -> Draft:
    """Make the row of the market hours, the body byte for byte; it stands among the changes of the list."""
    return Draft("exchange_info", EXCHANGE, "", _recorded(EXCHANGE, TRADING_SCHEDULE.text, answer, answer.body))


def offset_draft(measured: Measurement) -> Draft:
    """Make the row of a measurement of the exchange's clock: its offset from ours, and the error bound."""
    best = measured.best
    fields = {
        "offset_ms": round(best.offset_ms, 3),
        "error_ms": round(best.error_ms, 3),
        "round_trip_ms": round(best.round_trip_ms, 3),
        "samples": measured.samples,
        "server_time": best.server_ms,
    }
    return _clock_draft("rest", best.recv_ns, fields)


def step_draft(step: Step) -> Draft:
    """Make the row of a step of our own clock."""
    return _clock_draft("local", step.after_ns, {"step_ms": round(step.step_ms, 3), "step_from_ns": step.before_ns})


def _clock_draft(source: str, recv_ns: int, fields: Mapping[str, object]) -> Draft:
    data = {"symbol": EXCHANGE, "stream": TIME.text, "recv_ns": recv_ns, "source": source, **fields}
    return Draft("clock", EXCHANGE, "", data)


def symbol_status_draft(symbol: str, status: str, recv_ns: int, off_session: Sequence[Range] | None) -> Draft:
    """Make the message of a symbol's trading status; `off_session` are the hours in which its market is closed."""
    data = {
        "symbol": symbol,
        "stream": EXCHANGE_INFO.text,
        "recv_ns": recv_ns,
        "source": "rest",
        "status": status,
        **({} if off_session is None else {"off_session": list(off_session)}),
    }
    return Draft("symbol_status", symbol, "", data)


def _recorded(symbol: str, path: str, answer: RestAnswer, event: bytes) -> dict[str, object]:
    return {
        "symbol": symbol,
        "stream": path,
        "recv_ns": answer.recv_ns,
        "source": "rest",
        "connection": 0,
        "requested_ns": answer.requested_ns,
        "event": event,
    }
