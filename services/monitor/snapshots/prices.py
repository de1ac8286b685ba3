"""Price, spread and order book of a symbol, out of its newest frames; decoded once a second, not per message.

In: frames as they came off the bus, kept undecoded by `traffic` and `BookMessages`. Out: values for the
page. A frame that cannot be read gives None or the value before: anybody may publish, and the page must not
fail for it. Main thread only.
"""

import math
from collections.abc import Iterable
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from binance_streamer.exchange.stream_types import STREAM_TYPES
from binance_streamer.wire.books import BookMessage
from binance_streamer.wire.frames import WireError, decode_frame
from binance_streamer.wire.status_parts import BookState
from services.monitor.snapshots.page import BookTop
from services.monitor.snapshots.traffic import StreamTraffic

_SHOWN_LEVELS = 5
"""Of each side, on the page; the whole book is asked for at the order book service."""


class BookMessages:
    """The newest order book message of a symbol, and since when the book is in its present state.

    There are two sources of the state. Where one process keeps all books, its status message tells it
    (`of_service`). Where several processes share the symbols, the monitor does not know their names, and goes
    by the messages (`of_share`).
    """

    def __init__(self) -> None:
        self.newest: bytes | None = None
        self.received_s = -math.inf
        """When the last message came, by a monotonic clock; a book that does not change sends summaries alone."""
        self._top = BookMessage(symbol="", recv_ns=0)
        self._state: tuple[bool, str] | None = None
        self._since_ms: int | None = None

    def of_service(self, book: BookState, recv_ns: int) -> BookTop:
        """Return the book whose state the status of its service tells, with the levels of the newest message.

        `recv_ns` is the stamp of that status: the begin of a state that names no begin of its own.
        """
        self._read()
        return self._shown(book, recv_ns)

    def of_share(self, silent_s: float, now_s: float) -> BookTop | None:
        """Return the book of the newest message; None where none came for `silent_s`, or none can be read.

        `now_s` is of the clock of `received_s`. A share that has ended says nothing: its last book would look valid
        for ever.
        """
        self._read()
        is_gone = now_s - self.received_s > silent_s or not self._top.recv_ns
        return None if is_gone else self._shown(self._top, self._top.recv_ns)

    def _read(self) -> None:
        """Decode the newest message where there is a new one.

        One that cannot be read leaves the one before in place.
        """
        if self.newest is not None:
            self._top = _top(self.newest) or self._top
            self.newest = None

    def _shown(self, book: BookState, recv_ns: int) -> BookTop:
        """Make the page's form of a book, and note the moment when its state or validity changed.

        Levels are shown of a valid book alone, the best `_SHOWN_LEVELS` of each side.
        """
        if self._state != (book.valid, book.state):
            self._state = book.valid, book.state
            since_ns = book.valid_since_ns if book.valid and book.valid_since_ns else recv_ns
            self._since_ms = since_ns // 1_000_000
        return BookTop(
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


def price_of(streams: Iterable[StreamTraffic]) -> str | None:
    """Return the last price, the exchange's digits, from the stream type that comes first in the table of all
    types.

    `streams` are those of one symbol. None where no stream that has a price was heard yet.
    """
    by_type = {one.stream.stream_type: one for one in streams if one.newest is not None}
    for stream_type in STREAM_TYPES.values():
        if stream_type.price_column and stream_type.name in by_type:
            return _cell(by_type[stream_type.name], stream_type.price_column)
    return None


def spread_of(streams: Iterable[StreamTraffic], book: BookTop | None) -> str | None:
    """Return best ask minus best bid, from the book where it is valid, else from bookTicker; None without either.

    It is exact decimal text: the difference of two floats would show digits that the exchange never sent.
    """
    if book is not None and book.valid and book.bids and book.asks:
        return _difference(book.asks[0][0], book.bids[0][0])
    for one in streams:
        if one.stream.stream_type == "bookticker" and one.newest is not None:
            return _difference(_cell(one, "best_ask_price"), _cell(one, "best_bid_price"))
    return None


def cells_of(one: StreamTraffic) -> dict[str, Any]:
    """Return what the columns of the daily files have in the newest message, as JSON gives it, without absent ones.

    The table of stream types says where in the JSON a column lies, level by level, with dots between the keys.
    """
    form = one.stream.type.row
    assert form is not None, f"{one.stream.stream_type} has no columns"
    try:
        event: Any = msgspec.json.decode(decode_frame(one.newest or b"")[1].get("event", b""))
    except (WireError, msgspec.DecodeError, UnicodeDecodeError):
        return {}
    cells: dict[str, Any] = {}
    for column, place in form.columns:
        value = event
        for key in place.split("."):
            value = value.get(key) if isinstance(value, dict) else None
        if value is not None:
            cells[column] = value
    return cells


def _cell(one: StreamTraffic, column: str) -> str | None:
    """Return the text that one column of the daily files has in the newest message; None where it is not there."""
    value = cells_of(one).get(column)
    return value if isinstance(value, str) else None


def _difference(larger: str | None, smaller: str | None) -> str | None:
    """Return the difference of two decimal numbers as text without an exponent; None where one is missing or no
    number.
    """
    try:
        return None if larger is None or smaller is None else f"{Decimal(larger) - Decimal(smaller):f}"
    except InvalidOperation:
        return None


def _top(frame: bytes) -> BookMessage | None:
    """Decode a message of the order book; None where it is not one."""
    try:
        return msgspec.convert(decode_frame(frame)[1], BookMessage)
    except (WireError, msgspec.ValidationError):
        return None
