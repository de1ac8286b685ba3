"""Measures the disk space that recorded rows need: `./run python -m benchmarks.disk FOLDER…`, folders of symbols.

Without a folder it prints what a row of the captures in $MARKET_DATA or ../shared/data takes in `csv` and `csv.zst`.
Rates are by the exchange's time in the rows, so that a replay at any speed counts like the recording it came from.
`zst` is the bytes of a row in `csv.zst`, `parquet` is the bytes of a sealed row, `CSV/this` how many times smaller a
sealed file is, `CPU s/M` what sealing takes of the processor per million rows.
"""

import csv
import gzip
import itertools
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from benchmarks.capture_rows import rows as rows_of_capture
from binance_streamer.days.lake import Lake
from binance_streamer.days.parquet import Place
from binance_streamer.days.seal import Part, seal
from binance_streamer.days.sources import sources
from services.writer.rows.daily_files import series_of
from services.writer.store.zstd_frames import FRAME_TEXT_BYTES, frames_of

DAY_S = 86_400
TIMES = ("event_time", "transact_time", "time", "transaction_time")
CAPTURES = ("usdm-btceth-20240808", "usdm-4sym-20210722")


def compressed_bytes(lines: Sequence[bytes]) -> int:
    """The size of rows in frames as the writer closes them at 64 KiB."""
    total = start = size_bytes = 0
    for end, line in enumerate(lines, 1):
        size_bytes += len(line)
        if size_bytes >= FRAME_TEXT_BYTES or end == len(lines):
            total += len(frames_of(lines[start:end], size_bytes))
            start, size_bytes = end, 0
    return total


def print_capture(capture: str) -> None:
    """The table of one capture: messages, and bytes a message, by stream type."""
    by_type: dict[str, list[list[bytes]]] = defaultdict(list)
    for path, lines in rows_of_capture(capture).items():
        by_type[series_of(path).rpartition("/")[2]].append(lines)
    print(f"{capture:24} {'messages':>9} {'csv':>8} {'csv.zst':>8} {'csv/zst':>8}")
    for stream_type, files in sorted(by_type.items()):
        count = sum(map(len, files))
        plain = sum(len(line) for lines in files for line in lines) / count
        small = sum(map(compressed_bytes, files)) / count
        print(f"{stream_type:24} {count:9} {plain:8.1f} {small:8.1f} {plain / small:8.2f}")


def measure(path: Path) -> str:
    """A line of the table: rows, bytes a row, rows a second, MB a day, and the share that gzip leaves."""
    text = path.read_bytes()
    with path.open(newline="", encoding="utf-8") as file:
        header = next(reader := csv.reader(file))
        column = next((header.index(name) for name in TIMES if name in header), None)
        times = [int(row[column]) for row in reader if column is not None and row[column]]
    rows = text.count(b"\n") - 1
    size = (len(text) - text.index(b"\n") - 1) / max(rows, 1)
    span_s = (max(times) - min(times)) / 1000 if len(times) > 1 else 0
    rate = rows / span_s if span_s else 0
    packed = len(gzip.compress(text, 6)) / len(text)
    small = compressed_bytes(text.splitlines(keepends=True)) / max(rows, 1)
    sealed = seal_one(path, len(text))
    a_day = f"{rate:10.1f} {rate * size * DAY_S / 1e6:10.0f}"
    return f"{path.stem:40} {rows:8} {size:10.0f} {a_day} {packed:8.2f} {small:8.1f} {sealed}"


def seal_one(path: Path, size: int) -> str:
    """The columns of sealing: bytes a row, how many times smaller than the CSV, and CPU seconds per million rows."""
    (source,) = (one for one in sources(path.parent.parent) if one.path == path)
    with tempfile.TemporaryDirectory() as folder:
        lake = Lake(Path(folder))
        lake.begin()
        began_s = time.process_time()
        found = seal([Part(path, size)], Place(source.stem, source.symbol, source.day), lake)
        cpu_s = time.process_time() - began_s
        rows = max(found.facts.rows, 1)
        return f"{found.size / rows:10.1f} {size / found.size:9.1f} {cpu_s / rows * 1e6:8.1f}"


def main() -> None:
    """The table of all CSV files below the folders, or those of the captures."""
    if not sys.argv[1:]:
        for capture in CAPTURES:
            print_capture(capture)
        return
    csv.field_size_limit(sys.maxsize)
    columns = ["rows", "bytes/row", "rows/s", "MB/day", "gzip", "zst", "parquet", "CSV/this", "CPU s/M"]
    print(
        f"{'file':40}",
        *(f"{name:>{width}}" for name, width in zip(columns, (8, 10, 10, 10, 8, 8, 10, 9, 8), strict=True)),
    )
    for path in itertools.chain.from_iterable(sorted(Path(name).rglob("*.csv")) for name in sys.argv[1:]):
        print(measure(path))


if __name__ == "__main__":
    main()
