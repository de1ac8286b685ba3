"""The exchange's daily archive as files: found by name, proven by `.CHECKSUM`, and read into the types of our rows.

In: a folder or URL in the exchange's layout, `data/futures/um/daily/<type>/<SYMBOL>/…zip`. Out: Arrow batches of the
columns that the archive has of a stream, in whatever order it has its rows. Headers may be absent, as in old files.
"""

import hashlib
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import pyarrow as pa
import requests
from pyarrow import csv

from binance_streamer.days.rows import NotSealable
from binance_streamer.days.schema import table_schema
from binance_streamer.health.gap_files import dashed_day

_BLOCK_BYTES = 1 << 20
_TIMEOUT_S = 30
_TYPES = {
    "aggtrade": "aggTrades",
    "trade": "trades",
    "bookticker": "bookTicker",
    "kline": "klines",
}
"""The archive's word for what it has of our streams (docs/exchange.md §6)."""
_COLUMNS = {
    "aggtrade": "agg_trade_id price quantity first_trade_id last_trade_id transact_time is_buyer_maker",
    "trade": "id price qty quote_qty time is_buyer_maker",
    "bookticker": "update_id best_bid_price best_bid_qty best_ask_price best_ask_qty transaction_time event_time",
    "kline": "open_time open high low close volume close_time quote_volume count taker_buy_volume "
    "taker_buy_quote_volume ignore",
}
"""Columns in their order, for files without a header; each has the name that it has in our rows."""
_NOT_COMPARED = frozenset({"quote_qty", "ignore"})


class ArchiveError(Exception):
    """A file of the archive that cannot be had, or is not what its checksum says; the text says which and why."""


class ArchiveFile(NamedTuple):
    """One file of the archive: its name below the root, and its columns that are compared."""

    path: str
    columns: tuple[str, ...]


def archive_file(stem: str, symbol: str, day: str) -> ArchiveFile | None:
    """Return the archive's file of a stream and day (YYYYMMDD); None where it has no such stream."""
    kind, _, interval = stem.partition("_")
    if kind not in _TYPES or (interval and kind != "kline"):
        return None
    date = dashed_day(day)
    # months have a name of their own there, since file systems do not tell `1M` from `1m`
    word = "1mo" if interval == "1M" else interval
    folder = f"{_TYPES[kind]}/{symbol}" + (f"/{word}" if word else "")
    name = f"{symbol}-{word or _TYPES[kind]}-{date}.zip"
    columns = tuple(column for column in _COLUMNS[kind].split() if column not in _NOT_COMPARED)
    return ArchiveFile(f"data/futures/um/daily/{folder}/{name}", columns)


def fetched(file: ArchiveFile, root: str, folder: Path) -> Path | None:
    """Return the zip file, downloaded into `folder` where the root is a URL; None where the archive does not have it.

    Its SHA-256 must be that of the `.CHECKSUM` beside it, else `ArchiveError`.
    """
    if "://" in root:
        path = folder / file.path.rpartition("/")[2]
        url = f"{root.rstrip('/')}/{quote(file.path)}"
        if not _download(url, path):
            return None
        checksum = path.with_name(f"{path.name}.CHECKSUM")
        if not _download(f"{url}.CHECKSUM", checksum):
            raise ArchiveError(f"{url} has no .CHECKSUM")
    else:
        path = Path(root) / file.path
        if not path.is_file():
            return None
        checksum = path.with_name(f"{path.name}.CHECKSUM")
        if not checksum.is_file():
            raise ArchiveError(f"{path} has no .CHECKSUM")
    wanted = checksum.read_text(encoding="utf-8").split()
    if not wanted or _sha256(path) != wanted[0].lower():
        raise ArchiveError(f"{path}: SHA-256 is not that of its .CHECKSUM")
    return path


def archive_batches(path: Path, stem: str, columns: tuple[str, ...]) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a zip file in its order, in the types that our rows have; raises `ArchiveError`."""
    try:
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                with archive.open(name) as first:
                    header = first.readline().decode("utf-8", errors="replace").strip()
                with archive.open(name) as file:
                    yield from _batches(pa.PythonFile(file, mode="r"), header, stem, columns=columns)
    except (zipfile.BadZipFile, OSError, pa.ArrowException, NotSealable) as error:
        raise ArchiveError(f"{path}: {error}") from error


def _batches(file: pa.NativeFile, header: str, stem: str, *, columns: tuple[str, ...]) -> Iterator[pa.RecordBatch]:
    """Yield typed batches of one CSV file; a first line whose first cell is no number is its header."""
    has_header = not header.partition(",")[0].isdigit()
    names = header.split(",") if has_header else _COLUMNS[stem.partition("_")[0]].split()
    missing = set(columns) - set(names)
    if missing:
        raise ArchiveError(f"the columns {', '.join(sorted(missing))} are missing: {header[:120]}")
    schema = table_schema(stem)
    reader = csv.open_csv(
        file,
        csv.ReadOptions(column_names=names, skip_rows=1 if has_header else 0, block_size=16 * _BLOCK_BYTES),
        convert_options=csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()), include_columns=list(columns), true_values=[]
        ),
    )
    for batch in reader:
        yield pa.RecordBatch.from_arrays(
            [_typed(batch.column(name), schema.field(name).type) for name in columns],
            schema=pa.schema([schema.field(name) for name in columns]),
        )


def _typed(texts: pa.Array, kind: pa.DataType) -> pa.Array:
    """Return cells in the type of our column; times are milliseconds there."""
    if pa.types.is_timestamp(kind):
        return texts.cast(pa.int64()).cast(pa.timestamp("ms")).cast(kind)
    return texts.cast(kind)


def _download(url: str, path: Path) -> bool:
    """Download a file; False where the server has none."""
    try:
        with requests.get(url, stream=True, timeout=_TIMEOUT_S) as answer:
            if answer.status_code == 404:
                return False
            answer.raise_for_status()
            with path.open("wb") as file:
                for block in answer.iter_content(_BLOCK_BYTES):
                    file.write(block)
    except requests.RequestException as error:
        raise ArchiveError(f"{url}: {error}") from error
    return True


def _sha256(path: Path) -> str:
    found = hashlib.sha256()
    with path.open("rb") as file:
        read: Callable[[], bytes] = lambda: file.read(_BLOCK_BYTES)  # noqa: E731
        for block in iter(read, b""):
            found.update(block)
    return found.hexdigest()
