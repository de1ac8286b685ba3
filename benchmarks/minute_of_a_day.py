"""Counts the bytes that a minute takes out of a sealed day of BTC: `./run python -m benchmarks.minute_of_a_day`.

The day lies in a bucket on loopback that counts what is read of each file, metadata included. Its streams have as many
rows as BTC had a day, at the pace of its recording of 2024-08-08; depth has 8 levels a side in place of 33, which is
quicker made and lets the metadata count for more. Arguments are stems, to count some streams alone.
"""

import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from binance_streamer.days import Recording
from binance_streamer.days.lake import Lake
from binance_streamer.days.schema import DECIMAL, TIME, table_schema
from tests.support.s3 import BUCKET, Bucket, served
from tests.support.synthetic_day import DAY_NS, LENGTH_NS, common, decimals, numbers, publish, trades, updates

_PIECE_ROWS = 20_000
_FROM, _TO = "2026-11-22T13:00", "2026-11-22T13:01"


def plain_rows(stem: str, first: int, count: int, total: int) -> pa.Table:
    """Rows of a stream without levels, at even distances: numbers that grow, prices that vary, one text."""
    ids = numbers(first, count)
    recv_ns = pc.add(DAY_NS, pc.multiply(ids, LENGTH_NS // total))
    spread = pc.bit_wise_and(pc.shift_right(pc.multiply(ids, 2654435761), 7), 1023)
    made: dict[Any, Callable[[], Any]] = {
        pa.int64(): lambda: ids,
        TIME: lambda: pc.divide(recv_ns, 1000).cast(TIME),
        DECIMAL: lambda: decimals(pc.multiply(pc.add(840_000, spread), 10_000_000)),
        pa.bool_(): lambda: pc.equal(pc.bit_wise_and(ids, 1), 1),
        pa.string(): lambda: pa.repeat("MARKET", count),
    }
    schema = table_schema(stem)
    return pa.table({field.name: made[field.type]() for field in schema} | common(recv_ns, ids), schema=schema)


STREAMS: dict[str, tuple[int, Callable[[int, int, int], pa.Table]]] = {
    "depth": (1_640_000, lambda *place: updates(*place, levels=8)),
    "bookticker": (5_000_000, lambda *place: plain_rows("bookticker", *place)),
    "trade": (4_000_000, lambda *place: plain_rows("trade", *place)),
    "aggtrade": (1_500_000, trades),
    "markprice": (86_400, lambda *place: plain_rows("markprice", *place)),
}


def seal_day(root: Path, stems: list[str]) -> dict[str, Path]:
    """Seal the streams into a lake; return their files."""
    lake, files = Lake(root), {}
    lake.begin()
    for stem in stems:
        total, rows = STREAMS[stem]
        pieces = (rows(at, min(_PIECE_ROWS, total - at), total) for at in range(0, total, _PIECE_ROWS))
        files[stem] = publish(lake, stem, pieces, total)
    return files


def count(bucket: Bucket, root: Path, files: dict[str, Path]) -> None:
    """Read a minute of each stream, and print what it took of its file, and of all."""
    read_bytes = size_bytes = 0
    for stem, path in files.items():
        bucket.take_read()
        rows = len(Recording(f"s3://{BUCKET}").scan(stem, "BTCUSDT", _FROM, _TO).collect())
        read, size = bucket.take_read()[str(path.relative_to(root))], path.stat().st_size
        print(f"{stem:10} {size / 1e6:8.2f} MB, {rows:5} rows of {STREAMS[stem][0]:8}: {100 * read / size:6.3f} % read")
        read_bytes, size_bytes = read_bytes + read, size_bytes + size
    print(f"all        {size_bytes / 1e6:8.2f} MB: {100 * read_bytes / size_bytes:.3f} % read")


def main() -> None:
    """Make the day, and count."""
    with tempfile.TemporaryDirectory(prefix="minute-of-a-day-") as name:
        root = Path(name)
        files = seal_day(root, sys.argv[1:] or list(STREAMS))
        with served(root) as bucket:
            os.environ.update(bucket.environment, AWS_EC2_METADATA_DISABLED="true")
            count(bucket, root, files)


if __name__ == "__main__":
    main()
