"""Names daily files: one for each symbol, kind of rows and UTC day.

Symbols, producers and stream types come from the wire and may hold anything, `../` included. So every part of a path is
percent-encoded or checked here, and nowhere else; a property test pushes all kinds of text through it.
"""

import re
from datetime import date
from typing import NamedTuple

from binance_streamer.config.symbols import encode_name, symbol_fault
from binance_streamer.exchange.rows import SNAPSHOT_STEM, SNAPSHOT_TYPE
from binance_streamer.exchange.stream_types import STREAM_TYPES

COMPRESSED = ".zst"
"""The end of the name of a file whose rows are in zstd frames."""

DAY_NS = 86_400 * 10**9
DAY_MS = 86_400_000
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_FIRST_DAY = date(2019, 1, 1).toordinal() - _EPOCH_DAY
_LAST_DAY = date(2100, 1, 1).toordinal() - _EPOCH_DAY - 1
_PLAIN_TYPES = frozenset({"gap", "audit", "status"})
"""Stream types whose files stay plain: a few rows a day, looked at by people and read by others while they grow."""
_is_own_type = re.compile(r"[a-z][a-z0-9_]{0,39}").fullmatch


class DailyFile(NamedTuple):
    """A file: its path below the data directory, its first line, and the series of daily files that it is one of."""

    path: str
    header: bytes
    series: str

    @property
    def is_compressed(self) -> bool:
        """Return True if its rows are written as zstd frames."""
        return self.path.endswith(COMPRESSED)


def daily_file(folder: str, stem: str, day_number: int, header: bytes, *, suffix: str = "csv") -> DailyFile:
    """Return the file of one kind of rows of one symbol; `day_number` counts days since 1970."""
    return DailyFile(f"{folder}/{stem}_{folder}_{day_text(day_number)}.{suffix}", header, _series(folder, stem))


def suffix_of(stream_type: str, file_format: str) -> str:
    """Return how the names of a stream type's files end where `storage.file_format` is this one: `csv`, `csv.zst`."""
    return "csv" if stream_type in _PLAIN_TYPES else file_format


def series_of(path: str) -> str:
    """Return the series of a daily file: `BTCUSDT/depth` for the path `BTCUSDT/depth_BTCUSDT_20261122.csv`.

    Depth snapshots of an older version, whose files began with `depth_snapshot_`, are of the same series as new ones.
    """
    folder, _, name = path.rpartition("/")
    stem = name.rpartition("_")[0]
    return _series(folder, stem.removesuffix(f"_{folder}")) if folder else stem


def _series(folder: str, stem: str) -> str:
    """The ledger names a series by this for ever, so that a file may get another name and stay in its series."""
    return f"{folder}/{SNAPSHOT_TYPE if stem == SNAPSHOT_STEM else stem}"


def root_file(stem: str, day_number: int, suffix: str, header: bytes) -> DailyFile:
    """Return the file of one kind of rows that belong to no symbol; `day_number` counts days since 1970."""
    return DailyFile(f"{stem}_{day_text(day_number)}.{suffix}", header, stem)


def day_text(day_number: int) -> str:
    """Return a day as file names have it: `20261122` for 20779 days since 1970."""
    return date.fromordinal(_EPOCH_DAY + day_number).strftime("%Y%m%d")


def day_of(day_ms: int | None, recv_ns: int) -> int:
    """Return the day in days since 1970: of the exchange's time if that is one, else of the receipt, else 0.

    Both must lie between 2019, when the exchange began, and 2099: a time of year 5138 would make a file that nobody
    finds.
    """
    number = day_ms // DAY_MS if day_ms is not None else -1
    if not _FIRST_DAY <= number <= _LAST_DAY:
        number = recv_ns // DAY_NS
    return number if _FIRST_DAY <= number <= _LAST_DAY else 0


def is_free_stem(stream_type: str) -> bool:
    """Return True if a stream type of ours gives file names that no other stream type can have."""
    return (
        _is_own_type(stream_type) is not None
        and stream_type != SNAPSHOT_STEM
        and not any(stream_type.startswith(f"{known}_") for known in STREAM_TYPES)
    )


def raw_folder(producer: str, symbol: str) -> str:
    """Return the folder for raw rows: the symbol's, or one with the producer's name where the symbol is none."""
    if symbol_fault(symbol) is None:
        return encode_name(symbol)
    name = encode_name(producer)
    return name if len(name) <= 120 else "_unknown"
