"""Price, spread and order book of a symbol, out of its newest frames; decoded once a second, not per message. Pure."""

from collections.abc import Iterable
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from binance_streamer.exchange import ROW_FORMS
from binance_streamer.wire import WireError, decode_frame
from services.monitor.picture import BookPart
from services.monitor.traffic import Lane

_PRICE_COLUMNS = {
    "aggtrade": "price",
    "trade": "price",
    "markprice": "mark_price",
    "ticker": "last_price",
    "miniticker": "close",
    "kline": "close",
}
"""By preference: what is traded, before what is computed."""
_SHOWN_LEVELS = 5


class _Book(msgspec.Struct, frozen=True, kw_only=True):
    """An `orderbook` message; see docs/wire.md."""

    recv_ns: int
    valid: bool = False
    valid_since_ns: int | None = None
    state: str = ""
    reason: str = ""
    bids: tuple[tuple[str, str], ...] = ()
    asks: tuple[tuple[str, str], ...] = ()
    resyncs: int = 0
    audits_passed: int = 0
    audits_failed: int = 0


class BookLane:
    """The newest order book of a symbol, and since when it is what it is."""

    def __init__(self) -> None:
        self.newest: bytes | None = None
        self._state: tuple[bool, str] | None = None
        self._since_ms: int | None = None
        self._part: BookPart | None = None

    def part(self) -> BookPart | None:
        """The book; None where none came, or none that can be read."""
        if self.newest is not None:
            book = _book(self.newest)
            self.newest = None
            if book is not None:
                self._part = self._shown(book)
        return self._part

    def _shown(self, book: _Book) -> BookPart:
        if self._state != (book.valid, book.state):
            self._state = book.valid, book.state
            since_ns = book.valid_since_ns if book.valid and book.valid_since_ns else book.recv_ns
            self._since_ms = since_ns // 1_000_000
        return BookPart(
            valid=book.valid,
            state=book.state,
            reason=book.reason,
            since_ms=self._since_ms,
            resyncs=book.resyncs,
            audits_passed=book.audits_passed,
            audits_failed=book.audits_failed,
            bids=book.bids[:_SHOWN_LEVELS],
            asks=book.asks[:_SHOWN_LEVELS],
        )


def price_of(lanes: Iterable[Lane]) -> str | None:
    """The last price, from the stream that says it best; the exchange's digits."""
    by_type = {lane.stream.stream_type: lane for lane in lanes if lane.newest is not None}
    for stream_type, column in _PRICE_COLUMNS.items():
        if stream_type in by_type:
            return _cell(by_type[stream_type], column)
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
    keys = dict(ROW_FORMS[lane.stream.stream_type].columns)[column].split(".")
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


def _book(frame: bytes) -> _Book | None:
    try:
        return msgspec.convert(decode_frame(frame)[1], _Book)
    except (WireError, msgspec.ValidationError):
        return None
