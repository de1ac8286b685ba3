"""The frames that the REST process makes, and the requests that it understands."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from msgspec import UnsetType
from msgspec.structs import replace

from binance_streamer.config.symbols import symbol_fault
from binance_streamer.exchange.messages import ExchangeError, Reading
from binance_streamer.exchange.rest import step_of
from binance_streamer.exchange.streams import Stream, stream_from_name
from binance_streamer.wire import requests
from binance_streamer.wire.frames import WireError, decode_frame
from binance_streamer.wire.requests import BackfillAnswer, BackfillRequest, SnapshotRequest, SymbolStatus
from services.rest.answers import DepthAnswer, RestAnswer
from services.rest.market.clock_offset import Measurement, Step
from services.rest.market.trading_hours import Range
from services.rest.paths import EXCHANGE_INFO, TIME, TRADING_SCHEDULE, depth_path
from services.rest.schedule.backfill_queue import MissingRows
from services.runtime.delivery.events import rest_data
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


def read_request(parts: Sequence[bytes]) -> SnapshotRequest | MissingRows:
    """Return the request in a message of the bus, where anybody may publish; raises `WireError`."""
    if len(parts) != 2:
        raise WireError(f"request: expected [topic, frame], got {len(parts)} parts")
    stream_type, data = decode_frame(parts[1])
    if stream_type != "request":
        raise WireError(f"request: expected one, got {stream_type!r:.40}")
    request = requests.read_request(data)
    fault = symbol_fault(request.symbol)
    if fault:
        raise WireError(f"request: the symbol {request.symbol!r:.80} {fault}")
    if isinstance(request, SnapshotRequest):
        return replace(request, reason=request.reason[:_REASON_CHARACTERS])
    return _missing_rows(request)


def _missing_rows(request: BackfillRequest) -> MissingRows:
    try:
        stream = stream_from_name(request.stream)
        step = step_of(stream)
    except ExchangeError as error:
        raise WireError(f"request: expected a depth_snapshot or a stream that REST has: {error!s:.80}") from error
    if stream.symbol != request.symbol:
        raise WireError(f"request: expected a stream of {request.symbol}, got {stream.name}")
    if request.to_id < request.from_id + step:
        raise WireError(f"request: expected at least one row between {request.from_id} and {request.to_id}")
    return MissingRows(stream, request.gap_id[:_GAP_ID_CHARACTERS], request.from_id, request.to_id, request.from_ns)


def backfill_draft(missing: MissingRows, answer: RestAnswer, path: str, *, refusal: str) -> Draft:
    """Make the answer to a request for missing rows: the body as it came, nothing of it where it is refused."""
    stream = missing.stream
    message = BackfillAnswer(
        symbol=stream.symbol,
        stream=stream.name,
        recv_ns=answer.recv_ns,
        requested_ns=answer.requested_ns,
        event=b"[]" if refusal else answer.body,
        path=path,
        gap_id=missing.gap_id,
        from_id=missing.from_id,
        to_id=missing.to_id,
        refusal=refusal,
    )
    return Draft("repair", stream.symbol, "", requests.answer_data(message))


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


def symbol_status_draft(symbol: str, status: str, recv_ns: int, off_session: list[Range] | UnsetType) -> Draft:
    """Make the message of a symbol's trading status; `off_session` are the hours in which its market is closed."""
    path = EXCHANGE_INFO.text
    message = SymbolStatus(symbol=symbol, stream=path, recv_ns=recv_ns, status=status, off_session=off_session)
    return Draft("symbol_status", symbol, "", requests.answer_data(message))


def _recorded(symbol: str, path: str, answer: RestAnswer, event: bytes) -> dict[str, Any]:
    return rest_data(symbol, path, event, recv_ns=answer.recv_ns, requested_ns=answer.requested_ns)
