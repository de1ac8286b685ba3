"""Trades, quotes and bars out of rows: fewer columns, with the names of the field.

In: rows as `scan` gives them. Out: lazy frames in the same order.
"""

import polars as pl

from binance_streamer.days.reading.gap_frames import SEGMENT

BAR_COLUMNS = (
    *("open", "high", "low", "close", "volume", "quote_volume", "trades", "taker_buy_volume"),
    *("taker_buy_quote_volume", "first_trade_id", "last_trade_id"),
)
"""Columns of a bar behind `open_time`: of bars of trades, and with `kline_` before the name of the exchange's."""


def trades_of(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Return aggTrades as trades: what one taker took at one price. `side` is the taker's: `buy` or `sell`."""
    side = pl.when("is_buyer_maker").then(pl.lit("sell")).otherwise(pl.lit("buy"))
    return rows.select(
        "recv_ns",
        pl.col("transact_time").alias("time"),
        "agg_trade_id",
        "price",
        "quantity",
        side.alias("side"),
        "first_trade_id",
        "last_trade_id",
        *_segment(rows),
    )


def quotes_of(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Return rows of bookTicker as best bids and asks."""
    return rows.select(
        "recv_ns",
        pl.col("transaction_time").alias("time"),
        "update_id",
        pl.col("best_bid_price").alias("bid_price"),
        pl.col("best_bid_qty").alias("bid_quantity"),
        pl.col("best_ask_price").alias("ask_price"),
        pl.col("best_ask_qty").alias("ask_quantity"),
        *_segment(rows),
    )


def bars_of_trades(rows: pl.LazyFrame, interval: str) -> pl.LazyFrame:
    """Return a bar for each interval with trades, by `open_time`, of aggTrades in the order of their ids.

    An aggregate counts in the bar of its time. `quote_volume` is exact: price and quantity have eight decimals together
    at most.
    """
    quote = pl.col("price") * pl.col("quantity")
    is_buy = ~pl.col("is_buyer_maker")
    return (
        rows.with_columns(pl.col("transact_time").dt.truncate(interval).alias("open_time"))
        .group_by("open_time")
        .agg(
            pl.col("price").first().alias("open"),
            pl.col("price").max().alias("high"),
            pl.col("price").min().alias("low"),
            pl.col("price").last().alias("close"),
            pl.col("quantity").sum().alias("volume"),
            quote.sum().alias("quote_volume"),
            (pl.col("last_trade_id") - pl.col("first_trade_id") + 1).sum().alias("trades"),
            pl.col("quantity").filter(is_buy).sum().alias("taker_buy_volume"),
            quote.filter(is_buy).sum().alias("taker_buy_quote_volume"),
            pl.col("first_trade_id").min(),
            pl.col("last_trade_id").max(),
        )
        .sort("open_time")
    )


def closed_bars(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Return the closed bars among rows of a kline stream, the last received of each `open_time`."""
    names = {"trades": "count"}
    return (
        rows.filter("is_closed")
        .sort("open_time", "recv_ns", maintain_order=True)
        .unique("open_time", keep="last", maintain_order=True)
        .select("open_time", *(pl.col(names.get(name, name)).alias(f"kline_{name}") for name in BAR_COLUMNS))
    )


def _segment(rows: pl.LazyFrame) -> list[str]:
    return [SEGMENT] if SEGMENT in rows.collect_schema() else []
