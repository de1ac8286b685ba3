"""The gap files of a data directory, read: those of a day, or all of them."""

import csv
import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from binance_streamer.config.symbols import decode_name, encode_name
from binance_streamer.health.gaps import GapRow, rows_of_lines

DAY_S = 86_400
MAX_READ_BYTES = 4 * 2**20
"""Of each file its end is read, some 25,000 rows: a file that grows without bounds must not fill the memory."""


class ReadGaps(NamedTuple):
    """The rows that were found; `fault` says of the last file that could not be read why, and is empty otherwise."""

    rows: list[GapRow]
    fault: str = ""


def day_text(wall_s: float) -> str:
    """Write the UTC day of a time as file names do: `20261126`."""
    return time.strftime("%Y%m%d", time.gmtime(wall_s))


def dashed_day(day: str) -> str:
    """Write a day of file names (`20261126`) with dashes: `2026-11-26`."""
    return f"{day[:4]}-{day[4:6]}-{day[6:]}"


def day_start(day: str) -> datetime:
    """Return the beginning of a UTC day (`20261126`)."""
    return datetime.strptime(day, "%Y%m%d").replace(tzinfo=UTC)


def shifted_day(day: str, days: int) -> str:
    """Return the UTC day so many days later, earlier where `days` is below 0; both as `20261126`."""
    return (day_start(day) + timedelta(days=days)).strftime("%Y%m%d")


def gaps_of_day(data_directory: Path, symbols: Iterable[str], day: str) -> ReadGaps:
    """Read the gaps of a UTC day (`20261126`) of these symbols; a symbol without a file has none."""
    names = {symbol: encode_name(symbol) for symbol in symbols}
    return _read({data_directory / name / f"gap_{name}_{day}.csv": symbol for symbol, name in names.items()})


def gaps_of_all_days(data_directory: Path) -> ReadGaps:
    """Read the gaps of all days and symbols that lie in the directory."""
    return _read({path: decode_name(path.parent.name) for path in sorted(data_directory.glob("*/gap_*.csv"))})


def _read(paths: dict[Path, str]) -> ReadGaps:
    """A file that cannot be read hides no other one."""
    rows: list[GapRow] = []
    fault = ""
    for path, symbol in paths.items():
        try:
            rows += rows_of_lines(symbol, _lines(path))
        except FileNotFoundError:
            continue
        except (OSError, csv.Error) as error:
            fault = f"{path}: {error}"
    return ReadGaps(rows, fault)


def _lines(path: Path) -> Iterable[str]:
    """The header, and the whole rows at the end of the file."""
    with path.open("rb") as file:
        header = file.readline()
        size_bytes = file.seek(0, 2)
        start = max(len(header), size_bytes - MAX_READ_BYTES)
        file.seek(start)
        if start > len(header):
            file.readline()
        rows = file.read(MAX_READ_BYTES)
    return (header + rows[: rows.rfind(b"\n") + 1]).decode("utf-8", errors="replace").splitlines()
