"""Recorded files, read without any code of ours: by the csv module, as a stranger would."""

import csv
import json
import sys
from decimal import Decimal
from pathlib import Path
from urllib.parse import quote

csv.field_size_limit(sys.maxsize)


def recorded_files(data_directory: Path, symbol: str, stem: str) -> list[Path]:
    """The days of one stream: stem `depth`, `kline_1m`, `snapshot` (whose files were `depth_snapshot_…` before 0.1)."""
    folder = quote(symbol, safe="")
    stems = ("depth_snapshot", stem) if stem == "snapshot" else (stem,)
    return [
        path for one in stems for path in sorted((data_directory / folder).glob(f"{one}_{folder}_{'[0-9]' * 8}.csv"))
    ]


def recorded_rows(data_directory: Path, symbol: str, stem: str) -> list[dict[str, str]]:
    """All rows of all days, in order; half a last line is an error here."""
    rows: list[dict[str, str]] = []
    for path in recorded_files(data_directory, symbol, stem):
        text = path.read_bytes().decode()
        assert text.endswith("\n"), f"{path} ends in half a row"
        with path.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file, strict=True):
                assert None not in row, f"{path}: a row is longer than the header: {row}"
                assert None not in row.values(), f"{path}: a row is shorter than the header: {row}"
                rows.append(row)
    return rows


def levels_of(cell: str) -> list[tuple[Decimal, Decimal]]:
    """(price, quantity) pairs of a `bids` or `asks` cell."""
    pairs = json.loads(cell, parse_float=Decimal, parse_int=Decimal)
    return [(price, quantity) for price, quantity in pairs]
