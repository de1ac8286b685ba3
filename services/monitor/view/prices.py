"""Price, spread and order book of a symbol, out of its newest frames; decoded once a second, not per message."""

import math
from collections.abc import Iterable
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from binance_streamer.exchange.stream_types import STREAM_TYPES
from binance_streamer.wire.frames import WireError, decode_frame
from binance_streamer.wire.statuses import BookStatus
from services.monitor.view.picture import BookPart
from services.monitor.view.traffic import Lane

_SHOWN_LEVELS = 5


class _Top(BookStatus, frozen=True, kw_only=True):
    """An `orderbook` message; see docs/wire.md."""

    recv_ns: int
    bids: tuple[tuple[str, str], ...] = ()
    asks: tuple[tuple[str, str], ...] = ()


class BookLane:
    """The newest top of a symbol's order book, and since when the book is what it is."""

    def __init__(self) -> None:
        self.newest: bytes | None = None
        self.heard_s = -math.inf
        """When a message came, a summary too: a book that does not change has no other."""
        self._top = _Top(recv_ns=0)
        self._state: tuple[bool, str] | None = None
        self._since_ms: int | None = None

    def of_service(self, book: BookStatus, recv_ns: int) -> BookPart:
        """As the status of its service has it."""
        self._read()
        return self._shown(book, recv_ns)

    def of_share(self, silent_s: float, now_s: float) -> BookPart | None:
        """As the newest message has it; None where none came for so long, or none that can be read."""
        self._read()
        is_gone = now_s - self.heard_s > silent_s or not self._top.recv_ns
        return None if is_gone else self._shown(self._top, self._top.recv_ns)

    def _read(self) -> None:
        if self.newest is not None:
            self._top = _top(self.newest) or self._top
            self.newest = None

    def _shown(self, book: BookStatus, recv_ns: int) -> BookPart:
        if self._state != (book.valid, book.state):
            self._state = book.valid, book.state
            since_ns = book.valid_since_ns if book.valid and book.valid_since_ns else recv_ns
            self._since_ms = since_ns // 1_000_000
        return BookPart(
            valid=book.valid,
            state=book.state,
            reason=book.reason,
            since_ms=self._since_ms,
            resyncs=book.resyncs,
            audits_passed=book.audits_passed,
            audits_failed=book.audits_failed,
            bids=self._top.bids[:_SHOWN_LEVELS] if book.valid else (),
            asks=self._top.asks[:_SHOWN_LEVELS] if book.valid else (),
        )


def price_of(lanes: Iterable[Lane]) -> str | None:
    """The last price, from the stream that says it best; the exchange's digits."""
    by_type = {lane.stream.stream_type: lane for lane in lanes if lane.newest is not None}
    for stream_type in STREAM_TYPES.values():
        if stream_type.price_column and stream_type.name in by_type:
            return _cell(by_type[stream_type.name], stream_type.price_column)
    return None


def spread_of(lanes: Iterable[Lane], book: BookPart | None) -> str | None:
    """Best ask less best bid, from the book, else from bookTicker."""
    if book is not None and book.valid and book.bids and book.asks:
        return _difference(book.asks[0][0], book.bids[0][0])
    for lane in lanes:
        if lane.stream.stream_type == "bookticker" and lane.newest is not None:
            return _difference(_cell(lane, "best_ask_price"), _cell(lane, "best_bid_price"))
    return None


def _cell(lane: Lane, column: str) -> str | None:
    form = lane.stream.type.row
    assert form is not None, f"{lane.stream.stream_type} has no columns"
    keys = dict(form.columns)[column].split(".")
    try:
        value: Any = msgspec.json.decode(decode_frame(lane.newest or b"")[1].get("event", b""))
        for key in keys:
            value = value[key]
    except (WireError, msgspec.DecodeError, UnicodeDecodeError, KeyError, TypeError):
        return None
    return value if isinstance(value, str) else None


def _difference(larger: str | None, smaller: str | None) -> str | None:
    try:
        return None if larger is None or smaller is None else f"{Decimal(larger) - Decimal(smaller):f}"
    except InvalidOperation:
        return None


def _top(frame: bytes) -> _Top | None:
    try:
        return msgspec.convert(decode_frame(frame)[1], _Top)
    except (WireError, msgspec.ValidationError):
        return None
