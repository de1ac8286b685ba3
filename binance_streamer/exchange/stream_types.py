"""All stream types of the exchange, one record each: a new one is a record here (docs/adding-a-stream.md).

A record says how a configuration names the stream, the route that carries it, how its messages are read, whether they
prove that nothing is missing, how they become rows, and how long they may be silent. Sources: docs/exchange.md.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache

from binance_streamer.exchange import messages, rows
from binance_streamer.exchange.messages import INTERVAL_MS, EventShape
from binance_streamer.exchange.rest_series import REST_SERIES
from binance_streamer.exchange.rows import RowForm

PUBLIC, MARKET = "public", "market"
ROUTES = (PUBLIC, MARKET)
"""Paths of the websocket host since 2026-04-23; a stream on the wrong one is acknowledged and silent for ever."""

INTERVALS = tuple(interval for interval in INTERVAL_MS if interval != "1s")
"""All intervals of klines; continuous ones have one of a second beside them."""
_INTERVAL = "|".join(INTERVALS)
CONTRACTS = "perpetual|current_quarter|next_quarter|tradifi_perpetual"
"""All contracts of continuous klines, as alternatives of a regular expression."""


class Continuity(Enum):
    """The proof that nothing is missing between two messages of a stream.

    Only SEQUENCE and KLINES prove a loss; for the others a loss is bounded by the time without a connection
    (docs/exchange.md §7.3).
    """

    SEQUENCE = "each message covers (previous_id, last_id] and joins the one before"
    KLINES = "closed bars join by their times; open ones prove nothing"
    GROWING = "ids only grow; the same id again is a repeat"
    NONE = "no ids; losses are bounded by time"


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamType:
    """Everything that the recorder knows of one stream type.

    Immutable; the fields are asked instead of the name where behaviour differs, so that a new type is one record.
    """

    name: str
    """Our word: topic, file name, and `stream_type` of frames."""
    suffix: str
    """Regular expression of what follows the symbol in a stream's name, and in a configuration."""
    spelling: str
    """The same for people, in error messages."""
    route: str
    shape: EventShape
    row: RowForm | None = None
    """None: the whole message is one cell, as it came."""
    continuity: Continuity = Continuity.NONE
    ids: tuple[tuple[str, str], ...] = ()
    """Keys of `last_id` and, where a message names its predecessor, of `previous_id`; not of bars, which have times."""
    variant: Callable[["re.Match[str]"], str] = lambda _: ""
    """The part that tells streams of one type apart, from the match of `suffix`."""
    default_variant: str = ""
    """The variant that is left out of file names: `depth` for `depth@0ms`."""
    separator: str = "@"
    """Between symbol and suffix in the exchange's name: `btcusdt@depth`, `btcusdt_perpetual@continuousKline_1m`."""
    patience: float = 0.0
    """Silence that makes a stream stale, in units of `network.stale_timeout`; 0: silence proves nothing.

    1: pushed all the time on a liquid symbol. 5: pushed when somebody trades (a bar is closed every minute even so).
    """
    rest_row: RowForm | None = None
    """The row of what REST has of it (docs/exchange.md §4); None: what is missing stays missing."""
    builds_book: bool = False
    """True where an order book can be kept of it: every change of every level, with a chain of ids."""
    price_column: str = ""
    """The column that says best what the symbol costs; types that stand first are preferred."""

    @property
    def is_busy(self) -> bool:
        """True where messages come all the time while the symbol trades."""
        return self.patience == 1.0

    @property
    def has_consecutive_ids(self) -> bool:
        """True where ids count messages: the difference of two ids is how many lie between."""
        return self.continuity is Continuity.SEQUENCE and "previous_id" not in dict(self.ids)


_ALL = (
    StreamType(
        name="aggtrade",
        suffix="aggTrade",
        spelling="aggTrade",
        route=MARKET,
        shape=messages.aggregates("aggTrade"),
        row=rows.AGG_TRADE,
        continuity=Continuity.SEQUENCE,
        ids=(("last_id", "a"),),
        patience=5.0,
        rest_row=rows.REST_AGG_TRADE,
        price_column="price",
    ),
    StreamType(
        name="trade",
        suffix="trade",
        spelling="trade",
        route=PUBLIC,
        shape=messages.trades("trade"),
        row=rows.TRADE,
        continuity=Continuity.SEQUENCE,
        ids=(("last_id", "t"),),
        patience=5.0,
        price_column="price",
    ),
    StreamType(
        name="bookticker",
        suffix="bookTicker",
        spelling="bookTicker",
        route=PUBLIC,
        shape=messages.updates("bookTicker"),
        row=rows.BOOK_TICKER,
        continuity=Continuity.GROWING,
        ids=(("last_id", "u"),),
        patience=1.0,
    ),
    StreamType(
        name="depth",
        suffix="depth(?:@(0ms|100ms|500ms))?",
        spelling="depth[@0ms|@100ms|@500ms]",
        route=PUBLIC,
        shape=messages.chained_updates("depthUpdate"),
        row=rows.BOOK_UPDATE,
        continuity=Continuity.SEQUENCE,
        ids=(("last_id", "u"), ("previous_id", "pu")),
        variant=lambda match: match[1] or "250ms",
        default_variant="0ms",
        patience=1.0,
        builds_book=True,
    ),
    StreamType(
        name="partialdepth",
        suffix="depth(5|10|20)(?:@(100ms|500ms))?",
        spelling="depth<5|10|20>[@100ms|@500ms]",
        route=PUBLIC,
        shape=messages.updates("depthUpdate"),
        row=rows.BOOK_UPDATE,
        continuity=Continuity.GROWING,
        ids=(("last_id", "u"),),
        variant=lambda match: f"{match[1]}-{match[2] or '250ms'}",
        patience=1.0,
    ),
    StreamType(
        name="rpidepth",
        suffix="rpiDepth@500ms",
        spelling="rpiDepth@500ms",
        route=PUBLIC,
        shape=messages.chained_updates("depthUpdate"),
        row=rows.BOOK_UPDATE,
        continuity=Continuity.SEQUENCE,
        ids=(("last_id", "u"), ("previous_id", "pu")),
        variant=lambda _: "500ms",
        default_variant="500ms",
        patience=5.0,
    ),
    StreamType(
        name="markprice",
        suffix="markPrice(?:@(1s))?",
        spelling="markPrice[@1s]",
        route=MARKET,
        shape=messages.plain("markPriceUpdate"),
        row=rows.MARK_PRICE,
        variant=lambda match: match[1] or "3s",
        default_variant="1s",
        patience=1.0,
        price_column="mark_price",
    ),
    StreamType(
        name="ticker",
        suffix="ticker",
        spelling="ticker",
        route=MARKET,
        shape=messages.plain("24hrTicker"),
        row=rows.TICKER,
        price_column="last_price",
    ),
    StreamType(
        name="miniticker",
        suffix="miniTicker",
        spelling="miniTicker",
        route=MARKET,
        shape=messages.plain("24hrMiniTicker"),
        row=rows.MINI_TICKER,
        price_column="close",
    ),
    StreamType(
        name="kline",
        suffix=f"kline_({_INTERVAL})",
        spelling="kline_<interval>",
        route=MARKET,
        shape=messages.klines("kline"),
        row=rows.KLINE,
        continuity=Continuity.KLINES,
        variant=lambda match: match[1],
        patience=5.0,
        rest_row=rows.REST_KLINE,
        price_column="close",
    ),
    StreamType(
        name="continuouskline",
        suffix=f"({CONTRACTS})@continuousKline_(1s|{_INTERVAL})",
        spelling=f"<{CONTRACTS}>@continuousKline_<1s|interval>",
        route=MARKET,
        shape=messages.klines("continuous_kline"),
        row=rows.KLINE,
        continuity=Continuity.KLINES,
        variant=lambda match: f"{match[1]}_{match[2]}",
        separator="_",
        patience=5.0,
    ),
    StreamType(
        name="forceorder",
        suffix="forceOrder",
        spelling="forceOrder",
        route=MARKET,
        shape=messages.force_orders("forceOrder"),
        row=rows.FORCE_ORDER,
    ),
    StreamType(
        name="compositeindex",
        suffix="compositeIndex",
        spelling="compositeIndex",
        route=MARKET,
        shape=messages.plain("compositeIndex"),
    ),
    StreamType(
        name="assetindex",
        suffix="assetIndex",
        spelling="assetIndex",
        route=MARKET,
        shape=messages.plain("assetIndexUpdate"),
    ),
)

STREAM_TYPES = {one.name: one for one in _ALL}
"""The record of each stream type, by our word for it (`aggtrade`)."""
KNOWN_SUFFIXES = ", ".join(one.spelling for one in _ALL)
"""All spellings in one line, for error messages."""


def suffixes() -> list[str]:
    """Return names of streams as a configuration may have them: `aggTrade`, `depth@0ms`, `kline_1m`, …

    They are for hints such as "did you mean"; the test of a name is `stream_type_of`.
    """
    return [name for one in _ALL for name in _spelled(one.spelling)]


def _spelled(spelling: str) -> list[str]:
    """Return the names that `depth<5|10|20>[@100ms|@500ms]` stands for; what is in brackets may be left out."""
    found = re.search(r"<([^>]*)>|\[([^]]*)\]", spelling)
    if found is None:
        return [spelling]
    words = (found[1] or f"{found[2]}|").replace("interval", _INTERVAL)
    return [name for word in words.split("|") for name in _spelled(spelling.replace(found[0], word, 1))]


@lru_cache(maxsize=1024)  # some hundred suffixes exist; each is asked for once for every symbol
def stream_type_of(suffix: str) -> tuple[StreamType, str] | None:
    """Return the stream type and variant that a suffix names (`depth@0ms`); None where the exchange has no such stream.

    Upper and lower case differ, as at the exchange, which is silent for a name in the wrong case (docs/exchange.md
    §1.3).
    """
    for one in _ALL:
        match = re.fullmatch(one.suffix, suffix)
        if match:
            return one, one.variant(match)
    return None


def has_sequence_ids(stream_type: str) -> bool:
    """Return True where ids prove that nothing is missing; without them a loss can only be bounded by time."""
    found = STREAM_TYPES.get(stream_type)
    return found is not None and found.continuity is Continuity.SEQUENCE


def rest_row_form(stream_type: str) -> RowForm | None:
    """Return the columns of what REST has of a stream type; None where it has nothing."""
    found = STREAM_TYPES.get(stream_type)
    return found.rest_row if found is not None else None


def is_repairable(stream_type: str) -> bool:
    """Return True where REST has what was missed, for a while: aggTrades for 48 h (docs/exchange.md §4), klines, and
    the series that have a history.
    """
    series = REST_SERIES.get(stream_type)
    return series.history is not None if series else rest_row_form(stream_type) is not None


def row_form(stream_type: str) -> RowForm | None:
    """Return the columns of a stream type, a series of REST or depth snapshots; None where messages are kept whole."""
    if stream_type == rows.SNAPSHOT_TYPE:
        return rows.DEPTH_SNAPSHOT
    if stream_type in REST_SERIES:
        return REST_SERIES[stream_type].row
    found = STREAM_TYPES.get(stream_type)
    return found.row if found is not None else None


def event_name(stream_type: str) -> str | None:
    """Return the `e` that messages of this type carry, None for what is no stream of the exchange."""
    found = STREAM_TYPES.get(stream_type)
    return found.shape.event if found is not None else None


def file_stem(stream_type: str, variant: str) -> str:
    """Return the beginning of a daily file's name: `depth` at the default speed, `depth_100ms` at another, `kline_1m`.

    Every pair of type and variant has its own stem: otherwise two streams would write into one file.
    """
    if stream_type == rows.SNAPSHOT_TYPE:
        return rows.SNAPSHOT_STEM
    found = STREAM_TYPES.get(stream_type)
    if not variant or (found is not None and variant == found.default_variant):
        return stream_type
    return f"{stream_type}_{variant}"
