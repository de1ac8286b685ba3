"""Recorded files as a stranger would read them: the files there are, their latencies, and the clock of their days.

In: paths of files and folders, plain, gzip or zstd. Out: numbers; `CommandError` where a place does not exist.
It relies on nothing but file names and headers, and leaves out rows that are not complete, since the writer may be at
work.
"""

import csv
import re
import statistics
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from binance_streamer.cli.errors import CommandError, Exit
from binance_streamer.cli.recordings.opening import SUFFIXES, opened_lines
from binance_streamer.config.symbols import decode_name
from binance_streamer.exchange.rows import SNAPSHOT_STEM, SNAPSHOT_TYPE

_is_daily = re.compile(r"(?P<stem>.+)_(?P<day>\d{8})\.csv(\.gz|\.zst)?").fullmatch
_WANTED = ("event_time", "recv_ns", "source")
csv.field_size_limit(sys.maxsize)


class RecordedFile(NamedTuple):
    """A daily file of one stream, and what its path says of it; `day` is YYYYMMDD, empty where the name has none.

    Depth snapshots have one name, whatever name their file had in an older version.
    """

    path: Path
    symbol: str
    stream: str
    day: str


class ClockDay(msgspec.Struct, frozen=True):
    """The clock on one day: exchange clock minus ours in ms (median, least, most), and the largest error bound."""

    measurements: int
    offset_ms: float
    least_ms: float
    most_ms: float
    error_ms: float
    steps: int


def found(places: Sequence[Path]) -> list[RecordedFile]:
    """Return the files at these places, each a file or a folder that is searched for daily files, sorted by path."""
    paths: set[Path] = set()
    for place in places:
        if place.is_dir():
            paths.update(path for path in place.rglob("*.csv*") if _is_daily(path.name))
        elif place.is_file():
            paths.add(place)
        else:
            raise CommandError(f"{place} is not there: was anything recorded?", Exit.INCOMPLETE)
    return [_recorded(path) for path in sorted(paths)]


def _recorded(path: Path) -> RecordedFile:
    """Return what a path says: the symbol is its folder's name decoded, the stream the name without that folder's."""
    match = _is_daily(path.name)
    stem, day = (match["stem"], match["day"]) if match else (path.stem, "")
    folder = path.resolve().parent.name
    stream = stem.removesuffix(f"_{folder}")
    return RecordedFile(path, decode_name(folder), SNAPSHOT_STEM if stream == SNAPSHOT_TYPE else stream, day)


def latencies(recorded: RecordedFile, progressed: Callable[[int], None]) -> Iterator[float]:
    """Yield receive stamp minus event time, in ms, of every row that came over a websocket and has both."""
    with opened_lines(recorded.path, progressed) as lines:
        rows = csv.reader(lines)
        header = next(rows, [])
        if any(column not in header for column in _WANTED):
            return
        event_time, recv_ns, source = (header.index(column) for column in _WANTED)
        for row in rows:
            if len(row) == len(header) and row[source] == "ws" and row[event_time].isdigit() and row[recv_ns].isdigit():
                yield (int(row[recv_ns]) - int(row[event_time]) * 1_000_000) / 1e6


def clock_days(recorded: Iterable[RecordedFile]) -> dict[str, ClockDay]:
    """Return the clock of each day, read from the files `clock_<day>.csv` beside the symbols' folders."""
    days: dict[str, ClockDay] = {}
    for root, day in sorted({(one.path.resolve().parent.parent, one.day) for one in recorded if one.day}):
        paths = (root / f"clock_{day}.csv{suffix}" for suffix in SUFFIXES)
        path = next((path for path in paths if path.is_file()), None)
        clock = None if path is None else _clock_day(path)
        if clock is not None:
            days[day] = clock
    return days


def _clock_day(path: Path) -> ClockDay | None:
    """Return the clock of one daily file; None where it has no measurement."""
    with opened_lines(path) as lines:
        rows = [row for row in csv.DictReader(lines) if row.get("extra") is not None]
    measured = [row for row in rows if row.get("offset_ms")]
    if not measured:
        return None
    offsets = [float(row["offset_ms"]) for row in measured]
    errors = [float(row["error_ms"]) for row in measured]
    steps = sum(bool(row.get("step_ms")) for row in rows)
    return ClockDay(len(measured), statistics.median(offsets), min(offsets), max(offsets), max(errors), steps)
