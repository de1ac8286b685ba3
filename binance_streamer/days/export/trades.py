"""The trades of the market of a day, for formats that take one kind of them."""

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from binance_streamer.days.export.days import ExportDay

STREAM_TYPES = ("trade", "aggtrade")
"""The stream types that trades are taken of; the first that is recorded."""
_COLUMNS = {
    "trade": {"id": "id", "qty": "quantity", "time": "time"},
    "aggtrade": {"agg_trade_id": "id", "quantity": "quantity", "transact_time": "time"},
}
_COMMON = ("price", "is_buyer_maker", "recv_ns", "epoch", "seq")


def market_trades(day: ExportDay) -> Iterator[pa.Table]:
    """Yield `id`, `price`, `quantity`, `is_buyer_maker`, `time`, `recv_ns`, `epoch` and `seq` of a day's trades, by id.

    They are single trades where these are recorded, without records that are none of the market (ADL, insurance fund),
    and else aggregates.
    """
    stem = day.stem_of(*STREAM_TYPES)
    for rows in day.rows(stem):
        is_single = stem == "trade"
        if is_single:
            rows = rows.filter(pc.equal(pc.fill_null(rows["order_type"], "MARKET"), "MARKET"))  # noqa: PLW2901
        names = _COLUMNS["trade" if is_single else "aggtrade"]
        yield rows.select([*names, *_COMMON]).rename_columns([*names.values(), *_COMMON])
