"""Recorded files, read without any code of ours: by the csv module and a standard decoder, as a stranger would."""

import contextlib
import csv
import io
import json
import sys
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from urllib.parse import quote

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

csv.field_size_limit(sys.maxsize)

_PATIENCE_S = 10.0
"""A reader may see a write half done, for as long as the writer is kept waiting in it, and what a killed writer has
left until the next one cuts it. Half a row that stays is a fault."""


def recorded_files(data_directory: Path, symbol: str, stem: str) -> list[Path]:
    """The days of one stream: stem `depth`, `kline_1m`, `snapshot` (whose files were `depth_snapshot_…` before 0.1).

    Of a day in both formats the plain file comes first.
    """
    folder = quote(symbol, safe="")
    stems = ("depth_snapshot", stem) if stem == "snapshot" else (stem,)
    names = [f"{one}_{folder}_{'[0-9]' * 8}.csv" for one in stems]
    found = [[*(data_directory / folder).glob(name), *(data_directory / folder).glob(f"{name}.zst")] for name in names]
    return [path for paths in found for path in sorted(paths)]


def recorded_text(path: Path) -> str:
    """The text of a plain or compressed file, to its last byte; half a frame or half a last line is an error here."""
    content = path.read_bytes()
    if path.suffix == ".zst":
        content = b"".join(_frames(content))
    assert not content or content.endswith(b"\n"), f"{path} ends in half a row"  # empty: begun, and cut to nothing
    return content.decode()


def readable_text(path: Path) -> bytes:
    """The text of a file that grows, without half a frame at its end."""
    content = path.read_bytes()
    if path.suffix != ".zst":
        return content
    found: list[bytes] = []
    with contextlib.suppress(AssertionError):
        for text in _frames(content):
            found.append(text)
    return b"".join(found)


def _frames(content: bytes) -> Iterator[bytes]:
    """Yield the text of each frame; what is no frame, or half of one, is an error (`ZstdFile` would overlook some)."""
    while True:
        decoder = zstd.ZstdDecompressor()
        text = decoder.decompress(content)
        assert decoder.eof, "half a frame"
        yield text
        content = decoder.unused_data
        if not content:
            return


def recorded_rows(data_directory: Path, symbol: str, stem: str) -> list[dict[str, str]]:
    """All rows of all days, in order; half a last line that does not become a whole one is an error here."""
    rows: list[dict[str, str]] = []
    for path in recorded_files(data_directory, symbol, stem):
        for row in csv.DictReader(io.StringIO(_whole_text(path), newline=""), strict=True):
            assert None not in row, f"{path}: a row is longer than the header: {row}"
            assert None not in row.values(), f"{path}: a row is shorter than the header: {row}"
            rows.append(row)
    return rows


def _whole_text(path: Path) -> str:
    """The text of a file that may grow, once it ends with a whole row; none where it has been taken away meanwhile."""
    end_s = time.monotonic() + _PATIENCE_S
    while True:
        try:
            return recorded_text(path)
        except FileNotFoundError:  # a writer that starts removes a file of which nothing was durable
            return ""
        except AssertionError:
            if time.monotonic() >= end_s:
                raise
        time.sleep(0.02)


def levels_of(cell: str) -> list[tuple[Decimal, Decimal]]:
    """(price, quantity) pairs of a `bids` or `asks` cell."""
    pairs = json.loads(cell, parse_float=Decimal, parse_int=Decimal)
    return [(price, quantity) for price, quantity in pairs]
