"""The exchange's messages as they stand on the wire: their shapes, and the ids and times that are read from them.

Binance's one-letter keys end here and in `rows`. Sources: the exchange's documentation and frames recorded live in
2026, collected in docs/exchange.md (read 2026-11-22).
"""

from collections.abc import Callable
from typing import Annotated, Any, NamedTuple, Protocol

import msgspec

_MINUTE_MS = 60_000
INTERVAL_MS = {
    "1s": 1000,  # of continuousKline alone (docs/exchange.md §2.6)
    "1m": _MINUTE_MS,
    "3m": 3 * _MINUTE_MS,
    "5m": 5 * _MINUTE_MS,
    "15m": 15 * _MINUTE_MS,
    "30m": 30 * _MINUTE_MS,
    "1h": 60 * _MINUTE_MS,
    "2h": 120 * _MINUTE_MS,
    "4h": 240 * _MINUTE_MS,
    "6h": 360 * _MINUTE_MS,
    "8h": 480 * _MINUTE_MS,
    "12h": 720 * _MINUTE_MS,
    "1d": 1440 * _MINUTE_MS,
    "3d": 3 * 1440 * _MINUTE_MS,
    "1w": 7 * 1440 * _MINUTE_MS,
    "1M": None,  # months differ: no continuity by arithmetic
}
"""The length of a kline in milliseconds, by the exchange's word for it."""
LARGEST_ID = 2**53
"""The exchange's ids are for clients whose integers are doubles; the largest seen is 1.2e13."""


class ExchangeError(ValueError):
    """A stream that the exchange does not have, or a message that is not what the stream carries."""


UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""All exceptions that a decoder of JSON raises for bytes that it cannot read."""


class Reading(NamedTuple):
    """The ids and the event time of one message: all that continuity needs.

    A message of a stream with sequence ids covers the half-open interval (previous_id, last_id]. `previous_id` is None
    where ids only grow (bookTicker); both are None where the message has no id. `event_time_ms` is `E`, the exchange's
    clock in UTC; it is no part of the proof, since clocks may go back (docs/exchange.md §7.6).
    """

    previous_id: int | None
    last_id: int | None
    event_time_ms: int


class EventIds(Protocol):
    """The ids and the time of a `Reading`, as they are decoded straight into a struct."""

    @property
    def previous_id(self) -> int | None: ...
    @property
    def last_id(self) -> int | None: ...
    @property
    def event_time_ms(self) -> int: ...


class SingleId(msgspec.Struct, gc=False):
    """Ids of a stream that numbers its messages one by one: aggTrade, trade (docs/exchange.md §2.1, §2.9)."""

    last_id: int

    @property
    def previous_id(self) -> int:
        """The id of the message before: ids grow by 1."""
        return self.last_id - 1


class ChainedIds(msgspec.Struct, gc=False):
    """Ids of a stream whose messages name their predecessor: depth (docs/exchange.md §2.2). They are sparse."""

    last_id: int
    previous_id: int


class GrowingId(msgspec.Struct, gc=False):
    """The id of a stream whose ids only grow: bookTicker (docs/exchange.md §2.5)."""

    last_id: int

    @property
    def previous_id(self) -> None:
        """None: messages do not name their predecessor."""


class NoIds(msgspec.Struct, gc=False):
    """The ids of a stream whose messages have none: markPrice, tickers."""

    @property
    def previous_id(self) -> None:
        """None: such a message has no id, and names no predecessor."""

    @property
    def last_id(self) -> None:
        """None: such a message has no id."""


Ids = tuple[int | None, int | None, str | None]
"""(previous_id, last_id, symbol) of a decoded message."""

_Number = Annotated[int, msgspec.Meta(ge=0, le=2**62)]
"""Times and ids; a larger one is not the exchange's, and would not fit where it is kept."""


class EventShape(NamedTuple):
    """The messages of one stream type: their `e`, the keys that are read of them, and the ids in those.

    `struct` has only these keys: others are skipped without being decoded, and new ones do no harm (docs/exchange.md
    §2).
    """

    event: str
    struct: type[msgspec.Struct]
    ids: Callable[[Any], Ids]


class _Aggregate(msgspec.Struct):
    e: str
    s: str
    E: _Number
    a: _Number


class _Trade(msgspec.Struct):
    e: str
    s: str
    E: _Number
    t: _Number


class _Depth(msgspec.Struct):
    e: str
    s: str
    E: _Number
    u: _Number
    pu: _Number


class _Update(msgspec.Struct):
    e: str
    s: str
    E: _Number
    u: _Number


class _Bar(msgspec.Struct):
    t: _Number
    i: str
    x: bool


class _Kline(msgspec.Struct):
    e: str
    E: _Number
    k: _Bar
    s: str | None = None
    ps: str | None = None


class _Order(msgspec.Struct):
    s: str


class _ForceOrder(msgspec.Struct):
    e: str
    E: _Number
    o: _Order


class _Plain(msgspec.Struct):
    e: str
    E: _Number
    s: str


def aggregates(event: str) -> EventShape:
    """Return the shape of messages with the id `a`, which grows by 1 (docs/exchange.md §2.1)."""
    return EventShape(event, _Aggregate, lambda m: (m.a - 1, m.a, m.s))


def trades(event: str) -> EventShape:
    """Return the shape of messages with the id `t`, which grows by 1 (docs/exchange.md §2.9)."""
    return EventShape(event, _Trade, lambda m: (m.t - 1, m.t, m.s))


def chained_updates(event: str) -> EventShape:
    """Return the shape of messages with the id `u`, which name the one before as `pu` (docs/exchange.md §2.2)."""
    return EventShape(event, _Depth, lambda m: (m.pu, m.u, m.s))


def updates(event: str) -> EventShape:
    """Return the shape of messages with an id `u` that only grows (docs/exchange.md §2.5): a hole proves nothing."""
    return EventShape(event, _Update, lambda m: (None, m.u, m.s))


def klines(event: str) -> EventShape:
    """Return the shape of bars; a closed one covers (t - interval, t], an open one has no id (docs/exchange.md §2.6).

    The opening time serves as the id, because consecutive bars differ by the interval.
    """
    return EventShape(event, _Kline, _kline_ids)


def force_orders(event: str) -> EventShape:
    """Return the shape of liquidations: without an id, the symbol within the order `o` (docs/exchange.md §2.8)."""
    return EventShape(event, _ForceOrder, lambda m: (None, None, m.o.s))


def plain(event: str) -> EventShape:
    """Return the shape of messages whose ids, if they have any, prove nothing: markPrice, tickers, indices."""
    return EventShape(event, _Plain, lambda m: (None, None, m.s))


def _kline_ids(message: _Kline) -> Ids:
    """Return the ids of a bar, None for both where it is open or lasts a month, whose length differs.

    Continuous klines have no `s`, but a pair `ps` in its place.
    """
    symbol = message.s if message.s is not None else message.ps
    interval_ms = INTERVAL_MS.get(message.k.i)
    if not message.k.x or interval_ms is None:
        return None, None, symbol
    return message.k.t - interval_ms, message.k.t, symbol
