"""Types of recorded columns: one type for a column's name, in every stream and for every symbol.

In: the stem of a daily file (`depth`, `kline_1m`, `gap`). Out: its columns, Arrow schema and sort key. All symbols of a
stream share one schema, because readers of a table refuse or misread files whose decimals differ in scale
(docs/decisions/0051).
"""

import pyarrow as pa

from binance_streamer.exchange.rows import (
    COMMON_COLUMNS,
    EVENT_COLUMNS,
    OWN_COLUMNS,
    RAW_COLUMNS,
    SNAPSHOT_STEM,
    SNAPSHOT_TYPE,
)
from binance_streamer.exchange.stream_types import row_form

DECIMAL = pa.decimal128(38, 8)
"""All prices, quantities, volumes and rates: 30 digits before the point, at most eight behind it at the exchange."""
TIME = pa.timestamp("us", "UTC")
"""Times of the exchange, which come in milliseconds; Delta tables and most readers know microseconds."""
LEVELS = pa.list_(pa.field("element", pa.struct([("price", DECIMAL), ("quantity", DECIMAL)])))
"""Levels of an order book, in the order of the message; quantity 0 removes a level."""

_TYPES: dict[str, pa.DataType] = {
    name: kind
    for kind, names in (
        (
            pa.int64(),
            "recv_ns epoch seq agg_trade_id id first_trade_id last_trade_id update_id first_update_id final_update_id "
            "prev_final_update_id last_update_id requested_ns count samples bid_levels ask_levels updates resyncs "
            "compared learnt different from_id to_id from_ns to_ns first_from_id first_to_id missing step_from_ns "
            "funding_interval_hours",
        ),
        (
            TIME,
            "transact_time event_time time transaction_time open_time close_time next_funding_time server_time "
            "funding_time",
        ),
        (
            DECIMAL,
            "price quantity qty normal_quantity best_bid_price best_bid_qty best_ask_price best_ask_qty open high low "
            "close volume quote_volume taker_buy_volume taker_buy_quote_volume mark_price mark_price_average "
            "index_price estimated_settle_price funding_rate original_quantity average_price last_filled_quantity "
            "accumulated_quantity price_change price_change_percent weighted_average_price last_price last_quantity "
            "best_bid best_ask spread open_interest interest_rate adjusted_funding_rate_cap "
            "adjusted_funding_rate_floor "
            "long_short_ratio long_account short_account buy_sell_ratio buy_volume sell_volume sum_open_interest "
            "sum_open_interest_value",
        ),
        (pa.float64(), "offset_ms error_ms round_trip_ms step_ms"),  # measured, and printed so that a double is exact
        (pa.bool_(), "is_buyer_maker is_closed synchronised"),
        (LEVELS, "bids asks"),
        (
            pa.string(),
            "source extra event order_type ignore side time_in_force order_status gap_id state stream reason "
            "repaired_by kind outcome differences rate_type stream_type encoding",
        ),
    )
    for name in names.split()
}
"""The type of each column of each daily file; a column that is not here has no place in the lake."""

TIME_COLUMNS = frozenset(name for name, kind in _TYPES.items() if kind == TIME)
"""Columns that hold times of the exchange."""

_ID_OF_TYPE = {
    "aggtrade": "agg_trade_id",
    "trade": "id",
    "bookticker": "update_id",
    "depth": "final_update_id",
    "partialdepth": "final_update_id",
    "rpidepth": "final_update_id",
}
"""The id that orders a stream's rows; rows of all others are in the order of their receipt."""
_FURTHER_KEYS = {"raw": ("stream_type", "stream", "event"), "gap": ("gap_id", "state")}
"""Files in which several topics meet, so that two rows may agree in recv_ns, epoch and seq."""


def stream_type_of_stem(stem: str) -> str:
    """Return our word for the stream type of a daily file: `depth` for the stem `depth_100ms`, `depth_snapshot` for
    `snapshot`."""
    if stem in (SNAPSHOT_STEM, SNAPSHOT_TYPE):
        return SNAPSHOT_TYPE
    head = stem.partition("_")[0]
    return head if row_form(head) is not None else stem


def columns(stem: str) -> tuple[str, ...]:
    """Return the columns of a daily file in their order, as its header has them."""
    stream_type = stream_type_of_stem(stem)
    form = row_form(stream_type)
    if form is not None:
        own = ("requested_ns",) if stream_type == SNAPSHOT_TYPE else ()
        return (*(column for column, _ in form.columns), *own, *COMMON_COLUMNS)
    if stream_type in OWN_COLUMNS:
        return (*OWN_COLUMNS[stream_type], *COMMON_COLUMNS)
    return RAW_COLUMNS if stream_type == "raw" else EVENT_COLUMNS


def table_schema(stem: str) -> pa.Schema:
    """Return the Arrow schema of a stream's rows, in the order of the CSV columns; every column may be null."""
    return pa.schema([(name, _TYPES[name]) for name in columns(stem)])


def sort_key(stem: str) -> tuple[str, ...]:
    """Return the columns that order a sealed file: the stream's id first where it has one, then those of receipt.

    The order is total and depends on the rows alone, so that the same rows have the same digest in whatever order they
    were recorded.
    """
    own_id = _ID_OF_TYPE.get(stream_type_of_stem(stem))
    if own_id is not None:
        return (own_id, "recv_ns", "epoch", "seq")
    return ("recv_ns", "seq", "epoch", *_FURTHER_KEYS.get(stem, ()))
