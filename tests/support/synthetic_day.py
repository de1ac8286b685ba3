"""A sealed day as large as one of BTC, made of Arrow columns in seconds; its values follow from the row's number."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from binance_streamer.days.lake import Lake
from binance_streamer.days.parquet import ParquetFile, Place
from binance_streamer.days.schema import DECIMAL, LEVELS, TIME, table_schema

DAY, DAY_NS = "20261122", 1_795_305_600_000_000_000
LENGTH_NS = 86_400_000_000_000


def decimals(units: Any) -> Any:
    """Decimals from integers in units of 10^-8."""
    plain = pc.cast(pc.cast(units, pa.int64()), pa.decimal128(19, 0)).cast(pa.decimal128(38, 0))
    return pa.Array.from_buffers(DECIMAL, len(plain), plain.buffers(), offset=plain.offset)


def numbers(first: int, count: int) -> Any:
    """The integers from `first` on."""
    return pa.array(range(first, first + count), pa.int64())


def trades(first: int, count: int, total: int) -> pa.Table:
    """Rows `first` … of a day with `total` aggTrades at even distances."""
    ids = numbers(first, count)
    recv_ns = pc.add(DAY_NS, pc.multiply(ids, LENGTH_NS // total))
    times = pc.divide(recv_ns, 1000).cast(TIME)
    spread = pc.bit_wise_and(pc.shift_right(pc.multiply(ids, 2654435761), 7), 1023)
    columns = {
        "agg_trade_id": ids,
        "price": decimals(pc.multiply(pc.add(840_000, spread), 10_000_000)),
        "quantity": decimals(
            pc.multiply(pc.add(1, pc.bit_wise_and(pc.shift_right(pc.multiply(ids, 2246822519), 11), 4095)), 100_000)
        ),
        "first_trade_id": pc.multiply(ids, 2),
        "last_trade_id": pc.add(1, pc.multiply(ids, 2)),
        "transact_time": times,
        "is_buyer_maker": pc.equal(pc.bit_wise_and(ids, 1), 1),
        "event_time": times,
        "normal_quantity": pa.nulls(count, DECIMAL),
        **common(recv_ns, ids),
    }
    return pa.table(columns, schema=table_schema("aggtrade"))


def updates(first: int, count: int, total: int, *, levels: int) -> pa.Table:
    """Rows `first` … of a day with `total` depth updates of `levels` levels a side; each hangs on the one before."""
    ids = numbers(first, count)
    recv_ns = pc.add(DAY_NS, pc.multiply(ids, LENGTH_NS // total))
    times = pc.divide(recv_ns, 1000).cast(TIME)
    columns = {
        "first_update_id": pc.add(1, pc.multiply(ids, 10)),
        "final_update_id": pc.multiply(pc.add(ids, 1), 10),
        "prev_final_update_id": pc.multiply(ids, 10),
        "transact_time": times,
        "event_time": times,
        "bids": _levels(first, count, levels, base=84_000, sign=-1),
        "asks": _levels(first, count, levels, base=84_001, sign=1),
        **common(recv_ns, ids),
    }
    return pa.table(columns, schema=table_schema("depth"))


def snapshot(at: int, total: int, *, levels: int) -> pa.Table:
    """A snapshot of the book behind the update `at`, of so many levels a side."""
    recv_ns = pa.array([DAY_NS + at * (LENGTH_NS // total) + 1], pa.int64())
    times = pc.divide(recv_ns, 1000).cast(TIME)
    columns = {
        "last_update_id": pa.array([(at + 1) * 10], pa.int64()),
        "transact_time": times,
        "event_time": times,
        "bids": _levels(0, 1, levels, base=84_000, sign=-1),
        "asks": _levels(0, 1, levels, base=84_001, sign=1),
        "requested_ns": recv_ns,
        **common(recv_ns, pa.array([at], pa.int64())),
    }
    return pa.table(columns, schema=table_schema("snapshot"))


def common(recv_ns: Any, numbers: Any) -> dict[str, Any]:
    """The columns that end every row."""
    count = len(recv_ns)
    return {
        "recv_ns": recv_ns,
        "epoch": pa.repeat(pa.scalar(77, pa.int64()), count),
        "seq": pc.add(1, numbers),
        "source": pa.repeat("ws", count),
        "extra": pa.nulls(count, pa.string()),
    }


def _levels(first: int, count: int, levels: int, *, base: int, sign: int) -> Any:
    """Lists of levels at the best prices behind `base`, with quantities that change from row to row."""
    places = numbers(first * levels, count * levels)
    steps = pc.subtract(places, pc.multiply(pc.divide(places, levels), levels))
    prices = decimals(pc.add(base * 10**8, pc.multiply(steps, sign * 10_000_000)))
    quantities = decimals(
        pc.multiply(pc.add(1, pc.bit_wise_and(pc.shift_right(pc.multiply(places, 2246822519), 7), 0xFFFFFF)), 100_000)
    )
    members = pa.StructArray.from_arrays([prices, quantities], fields=list(LEVELS.value_type))
    offsets = pa.array(range(0, (count + 1) * levels, levels), pa.int32())
    return pa.ListArray.from_arrays(offsets, members, type=LEVELS)


def publish(lake: Lake, stem: str, tables: Iterable[pa.Table], rows: int) -> Path:
    """Seal tables that are in order as the day of BTCUSDT."""
    place = Place(stem, "BTCUSDT", DAY)
    written = lake.workplace() / "synthetic.parquet"
    with ParquetFile(written, place, rows) as file:
        for table in tables:
            file.take(table)
        facts = file.finish()
    return lake.local(lake.publish(place, written, facts).path)
