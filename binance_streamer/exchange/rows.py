"""The columns of recorded rows, by the exchange's keys; those of its daily archive come first (docs/exchange.md §6).

In: nothing but these tables. Out: `RowForm` for each kind of row; the writer adds columns of its own behind them.
"""

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class RowForm:
    """The way in which a message becomes a row of a recorded file.

    `columns` are (column, key); a key `k.t` is the member t of the object `inner`, k. Their values are numbers, in JSON
    or as text, but for `flags` (true or false), `texts` (words of the exchange) and `levels` (lists of [price,
    quantity]); a message with anything else is no row. `optional` keys leave an empty cell where they are missing or
    null. `day` is the key of the millisecond time that decides the UTC day. A message that is an array has the keys
    of `array` in their order; `constants` are what its place says of it.
    """

    columns: tuple[tuple[str, str], ...]
    day: str
    levels: frozenset[str] = frozenset()
    flags: frozenset[str] = frozenset()
    texts: frozenset[str] = frozenset()
    optional: frozenset[str] = frozenset()
    inner: str = ""
    array: tuple[str, ...] = ()
    constants: tuple[tuple[str, bytes], ...] = ()


def columns(text: str) -> tuple[tuple[str, str], ...]:
    """Split `column=key column=key …` into pairs (column, key), in their order; `ValueError` where a `=` is missing."""
    pairs = [word.split("=") for word in text.split()]
    return tuple((column, key) for column, key in pairs)


IMPLIED_BY_FILE = frozenset({"e", "s"})
"""Event type and symbol: left out of a row where they are what the file's place says."""

# Names as in the archive (`agg_trade_id`, `is_buyer_maker`); event_time and nq, which it lacks, stand behind them. The
# day is cut by `T`, as there: cut by `E`, 150 ms later, trades around midnight would lie in the other day's file.
AGG_TRADE = RowForm(
    columns(
        "agg_trade_id=a price=p quantity=q first_trade_id=f last_trade_id=l transact_time=T is_buyer_maker=m "
        "event_time=E normal_quantity=nq"
    ),
    day="T",
    flags=frozenset("m"),
    optional=frozenset({"nq"}),
)
# Undocumented stream; `X` is MARKET, or NA, ADL, INSURANCE_FUND for records that are no trade (docs/exchange.md §2.9).
TRADE = RowForm(
    columns("id=t price=p qty=q time=T is_buyer_maker=m event_time=E order_type=X"),
    day="T",
    flags=frozenset("m"),
    texts=frozenset("X"),
    optional=frozenset({"X"}),
)
BOOK_UPDATE = RowForm(
    columns("first_update_id=U final_update_id=u prev_final_update_id=pu transact_time=T event_time=E bids=b asks=a"),
    day="T",
    levels=frozenset("ba"),
)
BOOK_TICKER = RowForm(
    columns(
        "update_id=u best_bid_price=b best_bid_qty=B best_ask_price=a best_ask_qty=A transaction_time=T event_time=E"
    ),
    day="T",
)
# The day is that of the opening time, as in the archive: the bar that ends at midnight belongs to the day before.
KLINE = RowForm(
    columns(
        "open_time=k.t open=k.o high=k.h low=k.l close=k.c volume=k.v close_time=k.T quote_volume=k.q count=k.n "
        "taker_buy_volume=k.V taker_buy_quote_volume=k.Q ignore=k.B is_closed=k.x first_trade_id=k.f "
        "last_trade_id=k.L event_time=E"
    ),
    day="k.t",
    flags=frozenset({"k.x"}),
    texts=frozenset({"k.B"}),  # "ignore": the exchange may put there what it likes
    inner="k",
)
# `T` is the next funding time and no time of the message (docs/exchange.md §2.7), so `E` decides the day.
MARK_PRICE = RowForm(
    columns(
        "event_time=E mark_price=p mark_price_average=ap index_price=i estimated_settle_price=P funding_rate=r "
        "next_funding_time=T"
    ),
    day="E",
    optional=frozenset({"ap"}),
)
FORCE_ORDER = RowForm(
    columns(
        "side=o.S order_type=o.o time_in_force=o.f original_quantity=o.q price=o.p average_price=o.ap "
        "order_status=o.X last_filled_quantity=o.l accumulated_quantity=o.z transact_time=o.T event_time=E"
    ),
    day="o.T",
    texts=frozenset({"o.S", "o.o", "o.f", "o.X"}),
    inner="o",
)
MINI_TICKER = RowForm(columns("event_time=E close=c open=o high=h low=l volume=v quote_volume=q"), day="E")
TICKER = RowForm(
    columns(
        "event_time=E price_change=p price_change_percent=P weighted_average_price=w last_price=c last_quantity=Q "
        "open=o high=h low=l volume=v quote_volume=q open_time=O close_time=C "
        "first_trade_id=F last_trade_id=L count=n"
    ),
    day="E",
)

SNAPSHOT_TYPE = "depth_snapshot"
"""Our word for depth snapshots: an answer of REST, and no stream of the exchange."""
SNAPSHOT_STEM = "snapshot"
"""The beginning of their file names; until version 0.1 `depth_snapshot`, which the pattern `depth_*.csv` finds too."""
DEPTH_SNAPSHOT = RowForm(
    columns("last_update_id=lastUpdateId transact_time=T event_time=E bids=bids asks=asks"),
    day="T",
    levels=frozenset({"bids", "asks"}),
)

# REST lacks the event type, the symbol and the event time, and a kline is an array (docs/exchange.md §4). The columns
# are those of the stream's own rows; what REST does not say is an empty cell.
REST_AGG_TRADE = replace(AGG_TRADE, optional=frozenset({"nq", "E"}))
REST_KLINE = replace(
    KLINE,
    optional=frozenset({"k.f", "k.L", "E"}),
    inner="",
    array=tuple(f"k.{key}" for key in ("t", "o", "h", "l", "c", "v", "T", "q", "n", "V", "Q", "B")),
    constants=(("k.x", b"true"),),
)

# Columns that the writer adds, and those of messages that are not the exchange's.
COMMON_COLUMNS = ("recv_ns", "epoch", "seq", "source", "extra")
"""The last columns of every row of a message in columns."""
EVENT_COLUMNS = ("recv_ns", "epoch", "seq", "source", "event")
"""All columns where the whole message is one cell."""
RAW_COLUMNS = ("stream_type", "stream", "reason", "encoding", "event", "recv_ns", "epoch", "seq", "source")
"""Columns of what has no row form."""
OWN_COLUMNS = {
    "gap": (
        *("gap_id", "state", "stream", "from_id", "to_id", "from_ns", "to_ns", "reason", "repaired_by"),
        *("first_from_id", "first_to_id", "missing"),
    ),
    "clock": ("offset_ms", "error_ms", "round_trip_ms", "samples", "server_time", "step_ms", "step_from_ns"),
    "orderbook": (
        *("stream", "synchronised", "state", "last_update_id", "transact_time", "event_time"),
        *("best_bid", "best_ask", "spread", "bid_levels", "ask_levels", "updates", "resyncs", "bids", "asks"),
    ),
    "audit": ("stream", "kind", "outcome", "last_update_id", "compared", "learnt", "different", "differences"),
}
"""Stream types of ours that have columns, each named like the field of the frame that it holds."""
