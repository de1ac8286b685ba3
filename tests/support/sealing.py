"""Small days to seal: rows of trades as the writer writes them, in a data folder, and a lake beside it."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from binance_streamer.compression import zstd
from binance_streamer.config.symbols import encode_name
from binance_streamer.days.lake import Lake
from binance_streamer.days.parquet import Place
from binance_streamer.days.schema import columns
from binance_streamer.days.seal import Part, SealedFile, seal
from binance_streamer.days.sources import certificate_path
from services.archiver.day import DaySealer, Progress
from services.archiver.due import Times, days_of
from services.archiver.removal import try_remove

DAY = "20261122"
DAY_MS = 1_795_305_600_000
"""The beginning of that day, in milliseconds."""
LATER = Times(now_ns=2 * 10**18, grace_ns=0, quiet_ns=0)
"""All days are over, and all files have stopped growing."""
QUIET = Progress(lambda _: None, lambda: None, lambda _: None)


def trade(number: int, *, price: str = "84551.10", epoch: int = 77) -> str:
    """The row of a trade; a later one has a later time."""
    at_ms = DAY_MS + number
    return f"{number},{price},0.030,{at_ms},true,{at_ms + 150},MARKET,{at_ms}000000,{epoch},{number},ws,"


def write(data: Path, rows: Iterable[str], *, symbol: str = "BTCUSDT", stem: str = "trade", day: str = DAY) -> Path:
    """Write, or add to, a daily file."""
    name = encode_name(symbol)
    path = data / name / f"{stem}_{name}_{day}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = list(rows) if path.exists() else [",".join(columns(stem)), *rows]
    with path.open("a", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in lines)
    return path


def compress(path: Path, *, lines: int) -> Path:
    """Replace a daily file by a compressed one, with so many lines a frame."""
    text = path.read_bytes().splitlines(keepends=True)
    frames = (zstd.compress(b"".join(text[start : start + lines])) for start in range(0, len(text), lines))
    new = path.with_name(f"{path.name}.zst")
    new.write_bytes(b"".join(frames))
    path.unlink()
    return new


def parts(paths: Sequence[Path]) -> list[Part]:
    """All bytes of these files."""
    return [Part(path, path.stat().st_size) for path in paths]


def begun(root: Path) -> Lake:
    """A lake that is ready to take files."""
    lake = Lake(root)
    lake.begin()
    return lake


def certificate_file(place: Path, symbol: str = "BTCUSDT", day: str = DAY) -> Path:
    """The certificate of a day in a lake at this place."""
    return place / certificate_path(symbol, day)


def sealed(lake: Lake, *paths: Path, symbol: str = "BTCUSDT", stem: str = "trade") -> SealedFile:
    """Seal the files of a stream's day."""
    return seal(parts(paths), Place(stem, symbol, DAY), lake)


def seal_days(data: Path, lake: Lake, times: Times = LATER) -> None:
    """Seal all days of a data folder that are due, with their certificates."""
    for due in days_of(data, lake, times).due:
        DaySealer(data, lake).seal(due, QUIET, now=datetime(2026, 11, 23, tzinfo=UTC))


def skip_without_leases(folder: Path) -> None:
    """Skip a test of removals where the file system of this folder has no leases: nothing is removed there."""
    probe = folder / "probe"
    probe.touch()
    if not try_remove(probe, 0):
        pytest.skip("the file system of the tests has no leases")
