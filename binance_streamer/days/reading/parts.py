"""The files that the rows of one stream and symbol are in, day by day: sealed ones, daily ones, or both.

A day comes from the lake where the certificate says that all of its daily files are sealed as they are now, and from
the daily files where nothing is sealed. Otherwise from both, and rows that both have count once, as if the day were
sealed again.
"""

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

import pyarrow as pa
from deltalake import DeltaTable
from pyarrow import fs

from binance_streamer.days import certificate
from binance_streamer.days.checks.ids import stream_type_of
from binance_streamer.days.lake import Lake
from binance_streamer.days.reading.instants import DAY_NS, FOREVER_NS, day_of_ns
from binance_streamer.days.reading.location import Location
from binance_streamer.days.rows import Span
from binance_streamer.days.sources import CERTIFICATES, Source, sources, sources_of_symbol
from binance_streamer.stores.opening import is_url

ALWAYS = Span(-(2**63), FOREVER_NS)
"""All receive stamps."""
_OF_FAULTS = ("gap", "raw", "status", "audit")
"""Streams of ours that say what went wrong, or that it was looked for."""
CLOCK_SLACK_NS = 3600 * 10**9
"""A file was changed after its last row was received, by the same clock, which may have been set back in between."""


def _is_seldom(stem: str) -> bool:
    """Return True for a stream that has a file only on days on which something happened."""
    stream_type = stream_type_of(stem)
    return stem in _OF_FAULTS or (stream_type is not None and not stream_type.patience)


class DayParts(NamedTuple):
    """The files of one day: the sealed one, empty where there is none, and the daily files that it lacks rows of."""

    day: str
    sealed: str
    files: tuple[Path, ...]


class RowFiles:
    """Looks for the files of a recording, anew at each call."""

    def __init__(self, location: Location) -> None:
        self._location = location

    def of(self, stem: str, symbol: str, span: Span = ALWAYS) -> list[DayParts]:
        """Return the days that may have rows received within the span, in order.

        Days are cut by the exchange's time, and late rows and those of REST go into their own day, so that earlier days
        count unless it is known that nothing was received later.
        """
        sealed = dict(self._sealed(stem, symbol, span))
        files: dict[str, list[Path]] = {}
        for source in self._open(stem, symbol, span):
            files.setdefault(source.day, []).append(source.path)
        days = sorted(sealed.keys() | files.keys())
        return [DayParts(day, sealed.get(day, ""), tuple(files.get(day, ()))) for day in days]

    def check_recorded(self, symbol: str, stem: str) -> None:
        """Raise `LookupError`, which says what is there, where a symbol is not recorded, or not this stream of it.

        A stream that may have nothing to say for a day (gaps, liquidations) is taken for recorded if its symbol is.
        """
        stems = self.stems(symbol)
        if stem in stems or (stems and _is_seldom(stem)):
            return
        if stems:
            raise LookupError(f"no {stem} of {symbol} is recorded: its stems are {', '.join(sorted(stems))}")
        symbols = sorted({one for one, *_ in self.names()})
        raise LookupError(f"nothing of {symbol} is recorded: there is {', '.join(symbols) or 'nothing at all'}")

    def names(self) -> set[tuple[str, str, str]]:
        """Return (symbol, stem, day) of all that is recorded."""
        data = self._location.data
        found = {(one.symbol, one.stem, one.day) for one in sources(data)} if data and data.is_dir() else set()
        for stem in self._tables():
            for row in self._rows(stem):
                found.add((row["partition.symbol"], stem, f"{row['partition.day']:%Y%m%d}"))
        return found

    def stems(self, symbol: str) -> set[str]:
        """Return the stems of which anything of a symbol is recorded."""
        data = self._location.data
        found = {one.stem for one in sources_of_symbol(data, symbol)} if data else set()
        sealed = (stem for stem in self._tables() if any(row["partition.symbol"] == symbol for row in self._rows(stem)))
        return found.union(sealed)

    def _open(self, stem: str, symbol: str, span: Span) -> Iterator[Source]:
        data = self._location.data
        if data is None:
            return
        first = day_of_ns(span.start_ns - 2 * DAY_NS)
        last = day_of_ns(min(span.end_ns, FOREVER_NS - DAY_NS) + DAY_NS)
        for source in sources_of_symbol(data, symbol):
            if source.stem != stem or source.day > last:
                continue
            stat = source.path.stat()
            if source.day < first and stat.st_mtime_ns < span.start_ns - CLOCK_SLACK_NS:
                continue
            if not self._is_sealed(source, stat.st_size):
                yield source

    def _is_sealed(self, source: Source, size: int) -> bool:
        """Return True if the lake has all rows of a daily file, by the certificate of its day."""
        if self._lake is None or self._location.data is None:
            return False
        try:
            found = certificate.decoded(self._lake.certificate(source.symbol, source.day))
        except (FileNotFoundError, ValueError):
            return False
        return certificate.sealed_sources(found).get(str(source.path.relative_to(self._location.data))) == size

    @cached_property
    def _lake(self) -> Lake | None:
        """The lake, for its certificates; None where there is none."""
        return Lake(self._location.lake) if self._location.lake else None

    def _sealed(self, stem: str, symbol: str, span: Span) -> Iterator[tuple[str, str]]:
        """Yield (day, file) of the sealed days with rows received within the span, by the log's bounds."""
        last = day_of_ns(min(span.end_ns, FOREVER_NS - DAY_NS) + DAY_NS)
        for row in self._rows(stem):
            least, most = row["min.recv_ns"], row["max.recv_ns"]
            is_outside = least is not None and most is not None and (most < span.start_ns or least >= span.end_ns)
            day = f"{row['partition.day']:%Y%m%d}"
            if row["partition.symbol"] == symbol and not is_outside and day <= last:
                yield day, f"{self._location.lake}/{stem}/{unquote(row['path'])}"  # a log has paths as URLs have them

    def _rows(self, stem: str) -> list[dict[str, Any]]:
        """Return the files of a stream's table as its log has them now, none where there is no such table."""
        uri = f"{self._location.lake}/{stem}"
        if not self._location.lake or not DeltaTable.is_deltatable(uri):
            return []
        actions = pa.table(DeltaTable(uri).get_add_actions(flatten=True))
        names = ["path", "min.recv_ns", "max.recv_ns", "partition.symbol", "partition.day"]
        rows: list[dict[str, Any]] = actions.select(names).to_pylist()
        return rows

    def _tables(self) -> list[str]:
        """Return the names in the lake that may be those of tables: of stems, and `certificates`."""
        lake = self._location.lake
        if not lake:
            return []
        system, path = fs.FileSystem.from_uri(lake) if is_url(lake) else (fs.LocalFileSystem(), lake)
        found = system.get_file_info(fs.FileSelector(path, allow_not_found=True))
        names = {one.base_name for one in found if one.type == fs.FileType.Directory}
        return sorted(name for name in names if name != CERTIFICATES and not name.startswith("."))
