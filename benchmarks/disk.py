"""Measures the disk space that recorded rows need: `./run python benchmarks/disk.py FOLDER…`, folders of symbols.

Rates are by the exchange's time in the rows, so that a replay at any speed counts like the recording it came from.
"""

import csv
import gzip
import itertools
import sys
from pathlib import Path

DAY_S = 86_400
TIMES = ("event_time", "transact_time", "time", "transaction_time")


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
    return f"{path.stem:40} {rows:8} {size:10.0f} {rate:10.1f} {rate * size * DAY_S / 1e6:10.0f} {packed:8.2f}"


def main() -> None:
    """The table of all CSV files below the folders."""
    csv.field_size_limit(sys.maxsize)
    print(f"{'file':40} {'rows':>8} {'bytes/row':>10} {'rows/s':>10} {'MB/day':>10} {'gzip':>8}")
    for path in itertools.chain.from_iterable(sorted(Path(name).rglob("*.csv")) for name in sys.argv[1:]):
        print(measure(path))


if __name__ == "__main__":
    main()
