"""The exchange's messages: stream names, ids, times and row forms. Binance's one-letter names stop here.

Sources: the exchange's documentation and frames recorded live in 2026, collected in docs/exchange.md (read 2026-11-22).
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NamedTuple, Protocol, cast

import msgspec

PUBLIC = "public"
MARKET = "market"
ROUTES = (PUBLIC, MARKET)
"""Paths of the websocket host since 2026-04-23; a stream on the wrong one is acknowledged and silent for ever."""

_MINUTE_MS = 60_000
INTERVAL_MS = {
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
_INTERVAL = "|".join(INTERVAL_MS)


class ExchangeError(ValueError):
    """A stream that the exchange does not have, or a message that is not what the stream carries."""


UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What a decoder of JSON raises."""


class Stream(NamedTuple):
    """One stream of one symbol: its full name at the exchange, and our words for it."""

    name: str
    symbol: str
    stream_type: str
    variant: str
    route: str


class _Form(NamedTuple):
    pattern: re.Pattern[str]
    stream_type: str
    route: str
    variant: Callable[["re.Match[str]"], str]


def _none(_: "re.Match[str]") -> str:
    return ""


_FORMS = (
    _Form(re.compile("aggTrade"), "aggtrade", MARKET, _none),
    _Form(re.compile("trade"), "trade", PUBLIC, _none),
    _Form(re.compile("bookTicker"), "bookticker", PUBLIC, _none),
    _Form(re.compile("depth(?:@(0ms|100ms|500ms))?"), "depth", PUBLIC, lambda m: m[1] or "250ms"),
    _Form(
        re.compile("depth(5|10|20)(?:@(100ms|500ms))?"),
        "partialdepth",
        PUBLIC,
        lambda m: f"{m[1]}-{m[2] or '250ms'}",
    ),
    _Form(re.compile("rpiDepth@500ms"), "rpidepth", PUBLIC, lambda _: "500ms"),
    _Form(re.compile(f"kline_({_INTERVAL})"), "kline", MARKET, lambda m: m[1]),
    _Form(
        re.compile(f"(perpetual|current_quarter|next_quarter)@continuousKline_({_INTERVAL})"),
        "continuouskline",
        MARKET,
        lambda m: f"{m[1]}_{m[2]}",
    ),
    _Form(re.compile("markPrice(?:@(1s))?"), "markprice", MARKET, lambda m: m[1] or "3s"),
    _Form(re.compile("forceOrder"), "forceorder", MARKET, _none),
    _Form(re.compile("miniTicker"), "miniticker", MARKET, _none),
    _Form(re.compile("ticker"), "ticker", MARKET, _none),
    _Form(re.compile("compositeIndex"), "compositeindex", MARKET, _none),
    _Form(re.compile("assetIndex"), "assetindex", MARKET, _none),
)

KNOWN_SUFFIXES = (
    "aggTrade, trade, bookTicker, depth[@0ms|@100ms|@500ms], depth<5|10|20>[@100ms|@500ms], rpiDepth@500ms, "
    "kline_<interval>, perpetual@continuousKline_<interval>, markPrice[@1s], forceOrder, miniTicker, ticker, "
    "compositeIndex, assetIndex"
)

_CONTRACT = re.compile("_(perpetual|current_quarter|next_quarter)$")

_LOWER = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz")
UPPER = str.maketrans("abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ")


def stream_of(symbol: str, suffix: str) -> Stream:
    """The stream that a configuration names by symbol and suffix (`depth@0ms`).

    Only ASCII letters are put into lower case, as the exchange does for symbols like 币安人生USDT.
    """
    if suffix.startswith("!"):
        raise ExchangeError(f"stream {suffix!r}: streams of all symbols together are not recorded yet; name symbols")
    for form in _FORMS:
        match = form.pattern.fullmatch(suffix)
        if match:
            separator = "_" if form.stream_type == "continuouskline" else "@"
            name = f"{symbol.translate(_LOWER)}{separator}{suffix}"
            return Stream(name, symbol, form.stream_type, form.variant(match), form.route)
    raise ExchangeError(f"stream {suffix!r}: expected one of {KNOWN_SUFFIXES}; intervals {', '.join(INTERVAL_MS)}")


def stream_from_name(name: str) -> Stream:
    """The stream of a full name (`btcusdt@depth@0ms`), as it stands in the combined form."""
    if name.startswith("!"):
        return stream_of("", name)
    lower, suffix = _split(name)
    return stream_of(lower.translate(UPPER), suffix)


def suffix_of(name: str) -> str:
    """The stream of a full name as a configuration names it (`depth@0ms`); another name as it is."""
    return _split(name)[1] or name


def _split(name: str) -> tuple[str, str]:
    lower, _, suffix = name.partition("@")
    contract = _CONTRACT.search(lower) if suffix.startswith("continuousKline_") else None
    return (lower[: contract.start()], f"{contract[1]}@{suffix}") if contract else (lower, suffix)


class Reading(NamedTuple):
    """What continuity needs of a message.

    Messages of a stream with ids cover the half-open interval (previous_id, last_id]. `previous_id` is None where ids
    only grow (bookTicker); both are None where the message has no id. `event_time_ms` is `E`.
    """

    previous_id: int | None
    last_id: int | None
    event_time_ms: int


_Number = Annotated[int, msgspec.Meta(ge=0, le=2**62)]
"""Times and ids; a larger one is not the exchange's, and would not fit where it is kept."""


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


class EventReader:
    """Reads, and thereby checks as JSON, the messages of one stream."""

    def __init__(self, stream: Stream) -> None:
        self._symbol = stream.symbol
        self._event, shape, self._ids = _READINGS[stream.stream_type]
        self._decode: Callable[[bytes], Any] = msgspec.json.Decoder(shape).decode

    def read(self, event: bytes) -> Reading:
        """Ids and event time; `ExchangeError` where the message is not one of this stream and this symbol."""
        try:
            message = self._decode(event)
        except UNREADABLE as error:
            raise ExchangeError(f"expected {self._event}: {error}") from error
        if message.e != self._event:
            raise ExchangeError(f"expected the event {self._event}, got {message.e!r:.60}")
        previous_id, last_id, symbol = self._ids(message)
        if symbol != self._symbol:
            raise ExchangeError(f"expected the symbol {self._symbol}, got {symbol!r:.60}")
        return Reading(previous_id, last_id, message.E)


class _Transaction(msgspec.Struct):
    T: _Number | None = None


_decode_transaction = msgspec.json.Decoder(_Transaction).decode


def transact_time_ms(event: bytes) -> int | None:
    """The `T` of a trade or an update of the book, which is the same in all its copies; None where it has none."""
    try:
        return _decode_transaction(event).T
    except UNREADABLE:
        return None


LARGEST_ID = 2**53
"""The exchange's ids are for clients whose integers are doubles; the largest seen is 1.2e13."""
_Plausible = Annotated[int, msgspec.Meta(ge=0, le=LARGEST_ID)]


class SequenceIds(Protocol):
    """What a message of a gapless stream covers, (previous_id, last_id], and its `E`."""

    @property
    def previous_id(self) -> int: ...
    @property
    def last_id(self) -> int: ...
    @property
    def event_time_ms(self) -> int: ...


class _SingleId(msgspec.Struct, gc=False):
    """Of a stream whose messages have one id each."""

    last_id: int

    @property
    def previous_id(self) -> int:
        return self.last_id - 1


class _Chained(msgspec.Struct, gc=False):
    last_id: int
    previous_id: int


_LINK_KEYS: dict[str, tuple[type[msgspec.Struct], dict[str, str]]] = {
    "aggtrade": (_SingleId, {"last_id": "a"}),
    "trade": (_SingleId, {"last_id": "t"}),
    "depth": (_Chained, {"last_id": "u", "previous_id": "pu"}),
    "rpidepth": (_Chained, {"last_id": "u", "previous_id": "pu"}),
}


def link_reader(stream: Stream) -> Callable[[bytes], SequenceIds] | None:
    """Reads, and checks as JSON, the messages of a stream whose ids prove that nothing is missing; None for others.

    The same as `EventReader.read` at two thirds of the cost. It refuses what is implausible too, and does not say why.
    """
    if stream.stream_type not in _LINK_KEYS:
        return None
    base, keys = _LINK_KEYS[stream.stream_type]
    literal: Any = Literal
    renamed = {**keys, "event_time_ms": "E"}
    numbers = [(name, _Plausible, msgspec.field(name=key)) for name, key in renamed.items()]
    texts = [("e", literal[event_name(stream.stream_type)]), ("s", literal[stream.symbol])]
    shape = msgspec.defstruct("Link", [*texts, *numbers], bases=(base,), gc=False)
    decode: Any = msgspec.json.Decoder(shape).decode
    return cast("Callable[[bytes], SequenceIds]", decode)


_Ids = tuple[int | None, int | None, str | None]


def _kline_ids(message: _Kline) -> _Ids:
    symbol = message.s if message.s is not None else message.ps
    interval_ms = INTERVAL_MS.get(message.k.i)
    if not message.k.x or interval_ms is None:
        return None, None, symbol
    return message.k.t - interval_ms, message.k.t, symbol


def _plain_ids(message: _Plain) -> _Ids:
    return None, None, message.s


_READINGS: dict[str, tuple[str, type, Callable[..., _Ids]]] = {
    "aggtrade": ("aggTrade", _Aggregate, lambda m: (m.a - 1, m.a, m.s)),
    "trade": ("trade", _Trade, lambda m: (m.t - 1, m.t, m.s)),
    "depth": ("depthUpdate", _Depth, lambda m: (m.pu, m.u, m.s)),
    "rpidepth": ("depthUpdate", _Depth, lambda m: (m.pu, m.u, m.s)),
    "partialdepth": ("depthUpdate", _Update, lambda m: (None, m.u, m.s)),
    "bookticker": ("bookTicker", _Update, lambda m: (None, m.u, m.s)),
    "kline": ("kline", _Kline, _kline_ids),
    "continuouskline": ("continuous_kline", _Kline, _kline_ids),
    "markprice": ("markPriceUpdate", _Plain, _plain_ids),
    "forceorder": ("forceOrder", _ForceOrder, lambda m: (None, None, m.o.s)),
    "miniticker": ("24hrMiniTicker", _Plain, _plain_ids),
    "ticker": ("24hrTicker", _Plain, _plain_ids),
    "compositeindex": ("compositeIndex", _Plain, _plain_ids),
    "assetindex": ("assetIndexUpdate", _Plain, _plain_ids),
}


def has_ids(stream_type: str) -> bool:
    """Whether ids prove that nothing is missing; without them a loss can only be bounded by time."""
    return stream_type in {"aggtrade", "trade", "depth", "rpidepth"}


@dataclass(frozen=True, slots=True)
class RowForm:
    """How a message becomes a row of a recorded file.

    `columns` are (column, key); a key `k.t` is the member t of the object `inner`, k. `levels` are the keys whose value
    is a list of [price, quantity]. `optional` keys leave an empty cell where an older message lacks them. `day` is the
    key of the millisecond time that decides the UTC day. A message that is an array has the keys of `array` in their
    order; `constants` are what its place says of it.
    """

    columns: tuple[tuple[str, str], ...]
    day: str
    levels: frozenset[str] = frozenset()
    optional: frozenset[str] = frozenset()
    inner: str = ""
    array: tuple[str, ...] = ()
    constants: tuple[tuple[str, bytes], ...] = ()


def _columns(text: str) -> tuple[tuple[str, str], ...]:
    pairs = [word.split("=") for word in text.split()]
    return tuple((column, key) for column, key in pairs)


_BAR = (
    "open_time=k.t open=k.o high=k.h low=k.l close=k.c volume=k.v close_time=k.T quote_volume=k.q count=k.n "
    "taker_buy_volume=k.V taker_buy_quote_volume=k.Q ignore=k.B is_closed=k.x first_trade_id=k.f last_trade_id=k.L "
    "event_time=E"
)
_BOOK_UPDATE = RowForm(
    _columns("first_update_id=U final_update_id=u prev_final_update_id=pu transact_time=T event_time=E bids=b asks=a"),
    day="T",
    levels=frozenset("ba"),
)

ROW_FORMS: dict[str, RowForm] = {
    "aggtrade": RowForm(
        _columns(
            "agg_trade_id=a price=p quantity=q first_trade_id=f last_trade_id=l transact_time=T is_buyer_maker=m "
            "event_time=E normal_quantity=nq"
        ),
        day="T",
        optional=frozenset({"nq"}),
    ),
    "trade": RowForm(
        _columns("id=t price=p qty=q time=T is_buyer_maker=m event_time=E order_type=X"),
        day="T",
        optional=frozenset({"X"}),
    ),
    "depth": _BOOK_UPDATE,
    "rpidepth": _BOOK_UPDATE,
    "partialdepth": _BOOK_UPDATE,
    "bookticker": RowForm(
        _columns(
            "update_id=u best_bid_price=b best_bid_qty=B best_ask_price=a best_ask_qty=A transaction_time=T "
            "event_time=E"
        ),
        day="T",
    ),
    "kline": RowForm(_columns(_BAR), day="k.t", inner="k"),
    "continuouskline": RowForm(_columns(_BAR), day="k.t", inner="k"),
    "markprice": RowForm(
        _columns(
            "event_time=E mark_price=p mark_price_average=ap index_price=i estimated_settle_price=P funding_rate=r "
            "next_funding_time=T"
        ),
        day="E",
        optional=frozenset({"ap"}),
    ),
    "forceorder": RowForm(
        _columns(
            "side=o.S order_type=o.o time_in_force=o.f original_quantity=o.q price=o.p average_price=o.ap "
            "order_status=o.X last_filled_quantity=o.l accumulated_quantity=o.z transact_time=o.T event_time=E"
        ),
        day="o.T",
        inner="o",
    ),
    "miniticker": RowForm(
        _columns("event_time=E close=c open=o high=h low=l volume=v quote_volume=q"),
        day="E",
    ),
    "ticker": RowForm(
        _columns(
            "event_time=E price_change=p price_change_percent=P weighted_average_price=w last_price=c last_quantity=Q "
            "open=o high=h low=l volume=v quote_volume=q open_time=O close_time=C "
            "first_trade_id=F last_trade_id=L count=n"
        ),
        day="E",
    ),
    "depth_snapshot": RowForm(
        _columns("last_update_id=lastUpdateId transact_time=T event_time=E bids=bids asks=asks"),
        day="T",
        levels=frozenset({"bids", "asks"}),
    ),
}

IMPLIED_BY_FILE = frozenset({"e", "s"})
"""Event type and symbol: left out of a row where they are what the file's place says."""

_DEFAULT_VARIANT = {"depth": "0ms", "rpidepth": "500ms", "markprice": "1s"}


def file_stem(stream_type: str, variant: str) -> str:
    """`depth` for the default speed, `depth_100ms` for another one, `kline_1m` always."""
    if not variant or variant == _DEFAULT_VARIANT.get(stream_type):
        return stream_type
    return f"{stream_type}_{variant}"


def event_name(stream_type: str) -> str | None:
    """The `e` that messages of this type carry, None for REST answers."""
    reading = _READINGS.get(stream_type)
    return reading[0] if reading else None


def stream_variant(stream_type: str, name: str) -> str:
    """The variant in a full stream name, empty for REST answers and for names that are not the exchange's."""
    if stream_type not in _READINGS:
        return ""
    try:
        return stream_from_name(name).variant
    except ExchangeError:
        return ""
