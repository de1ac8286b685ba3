"""Live books, questions to the order book service, and its answers, as docs/wire.md specifies them."""

from typing import Annotated

import msgspec

from binance_streamer.exchange.depth import Level
from binance_streamer.wire.frames import WireError
from binance_streamer.wire.status_parts import BookState

MAX_DEPTH = 1_000_000


class Query(msgspec.Struct, frozen=True):
    """A question for the book of a symbol, with `depth` levels of each side; None: all."""

    symbol: str
    depth: Annotated[int, msgspec.Meta(ge=1, le=MAX_DEPTH)] | None = None


class BookMessage(BookState, frozen=True, kw_only=True):
    """The live message of a book (`orderbook.<symbol>.`): its state, and its best levels while it is valid."""

    symbol: str
    recv_ns: int
    """When the message was made."""
    event_time_ms: int | None = None
    transact_time_ms: int | None = None
    depth_recv_ns: int | None = None
    bids: tuple[Level, ...] = ()
    """Best first; prices and quantities in the exchange's digits."""
    asks: tuple[Level, ...] = ()


class BookView(BookMessage, frozen=True, kw_only=True):
    """A book as it stands, the answer to a question. While `valid` is false it has no levels and `reason` says why."""

    producer: str
    epoch: int
    trusted_levels: tuple[int, int]
    """So many of `bids` and `asks`, the best ones, are known to be complete: between those behind them, levels that
    have not changed since the service started may be missing."""


class QueryError(Exception):
    """The service refuses a question; the text says what to do."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class _Refusal(msgspec.Struct, frozen=True):
    error: str
    message: str


_decode_query = msgspec.msgpack.Decoder(Query).decode
_decode_view = msgspec.msgpack.Decoder(BookView).decode
_decode_refusal = msgspec.msgpack.Decoder(_Refusal).decode
_ERRORS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def encode_query(query: Query) -> bytes:
    """Return a question as the message for `orderbook_query`."""
    return msgspec.msgpack.encode(query)


def decode_query(packed: bytes) -> Query:
    """The question in a message; `WireError` where it is none."""
    try:
        return _decode_query(packed)
    except _ERRORS as error:
        raise WireError(f"expected a map of symbol (text) and depth (1 or more, or nil): {error}") from error


def encode_view(view: BookView) -> bytes:
    """Return a book as the answer to a question."""
    return msgspec.msgpack.encode(view)


def encode_refusal(error: QueryError) -> bytes:
    """Return the answer that says why there is none."""
    return msgspec.msgpack.encode(_Refusal(error.code, str(error)))


def decode_answer(packed: bytes) -> BookView:
    """The book in an answer; `QueryError` where the service refuses, `WireError` where it is no answer."""
    try:
        return _decode_view(packed)
    except _ERRORS as error:
        fault = error
    try:
        refusal = _decode_refusal(packed)
    except _ERRORS:
        raise WireError(f"expected a book: {fault}") from fault
    raise QueryError(refusal.error, refusal.message)
