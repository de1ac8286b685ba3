"""One symbol's day to be exported: its rows, each one once, and files that appear whole or not at all.

In: the files of a day in one place or in several (a data folder, a lake). Out: typed tables in order.
"""

import contextlib
import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from binance_streamer.config.symbols import encode_name
from binance_streamer.days import rows
from binance_streamer.days.certificate import decoded, sealed_sources
from binance_streamer.days.day_files import DayFiles, whole_bytes
from binance_streamer.days.lake import Lake
from binance_streamer.days.recorded.digits import Digits, batch_digits, joined_digits
from binance_streamer.days.schema import stream_type_of_stem
from binance_streamer.days.seal import Part, batches_of, rows_in_order
from binance_streamer.health.gap_files import dashed_day
from binance_streamer.stores.folder import sync

Progressed = Callable[[int], None]
"""Takes the number of bytes of recorded files that were read since the last call."""


class Exported(NamedTuple):
    """A file that was made: its rows (events, lines), and what the user must know of it."""

    path: Path
    rows: int
    note: str = ""


class ExportDay:
    """All streams of one symbol and UTC day (20261122), wherever their rows are.

    `spill` is an empty folder for what is sorted on the disk: up to some times the day's compressed size.
    """

    def __init__(self, places: Sequence[DayFiles], spill: Path, progressed: Progressed = lambda _: None) -> None:
        self.symbol, self.day = places[0].symbol, places[0].day
        self.places = tuple(places)
        self._spill = spill
        self.progressed = progressed
        """Takes the bytes of recorded files that a format reads by itself."""
        self._digits: dict[str, dict[str, Digits]] = {}

    @property
    def name(self) -> str:
        """The symbol as folders and files have it: percent-encoded where it is not ASCII."""
        return encode_name(self.symbol)

    @property
    def dashed(self) -> str:
        """The day with dashes, as 2026-11-22."""
        return dashed_day(self.day)

    @cached_property
    def stems(self) -> list[str]:
        """The streams of which there are files, sorted."""
        return sorted({stem for files in self.places for stem in files.streams})

    def stem_of(self, *stream_types: str) -> str | None:
        """Return the first stem there is of these stream types, in their order; the quickest of several variants."""
        for stream_type in stream_types:
            found = [stem for stem in self.stems if stream_type_of_stem(stem) == stream_type]
            if found:
                return found[0]
        return None

    def room(self) -> Path:
        """Return a new empty folder on the disk that the day may fill."""
        return Path(tempfile.mkdtemp(dir=self._spill))

    def rows(self, stem: str | None) -> Iterator[pa.Table]:
        """Yield the rows of a stream in its order (`schema.sort_key`), in tables of some MiB; none without a stem.

        Raises `NotSealable` where a file holds something that the typed columns cannot, with file, line and column.
        """
        paths = [] if stem is None else self.paths(stem)
        if stem is not None and paths:
            yield from rows_in_order([self._batches(path, stem) for path in paths], stem, self.room())

    def paths(self, stem: str) -> list[Path]:
        """Return the files with a stream's rows: the sealed ones, and daily files that the lake lacks rows of."""
        found = [path for one in self.places if stem in one.streams for path in one.streams[stem].paths]
        sealed = [path for path in found if path.suffix == ".parquet"]
        open_ones = [path for path in found if path.suffix != ".parquet"]
        if sealed:
            open_ones = [path for path in open_ones if (path.name, path.stat().st_size) not in self._sealed_sizes]
        return sealed + open_ones

    @property
    def size_bytes(self) -> int:
        """Return the size of the files that hold the day's rows."""
        return sum(path.stat().st_size for stem in self.stems for path in self.paths(stem))

    @cached_property
    def _sealed_sizes(self) -> set[tuple[str, int]]:
        """Name and size of each daily file of which a lake has all rows, by the certificate of the day."""
        found: set[tuple[str, int]] = set()
        for root in {files.root for files in self.places if files.is_lake}:
            with contextlib.suppress(OSError, ValueError):
                listed = sealed_sources(decoded(Lake(root).certificate(self.symbol, self.day)))
                found.update((Path(name).name, size) for name, size in listed.items())
        return found

    def digits(self, stem: str) -> dict[str, Digits]:
        """Return how many digits the exchange wrote, by column, in the rows of a stream that have been read so far."""
        return self._digits.get(stem, {})

    def _batches(self, path: Path, stem: str) -> Iterator[pa.RecordBatch]:
        """Yield the rows of a file as they stand there, and tell how far it is read."""
        size = left = path.stat().st_size
        part = Part(path, size if path.suffix == ".parquet" else whole_bytes(path))
        for batch in batches_of(part, stem):
            self._digits[stem] = joined_digits(self.digits(stem), batch_digits(batch))
            read = min(left, rows.CHUNK_BYTES if path.suffix == ".csv" else size // 64)
            left -= read
            self.progressed(read)
            yield batch
        self.progressed(left)


class ExportFolder:
    """The folder that an export fills; a file in it has its name only when it is whole."""

    def __init__(self, path: Path) -> None:
        path.mkdir(parents=True, exist_ok=True)
        self.path = path

    @contextlib.contextmanager
    def file(self, name: str) -> Iterator[Path]:
        """Give a path to write to; when the block ends without an error, the file is durable and named `name`.

        The name may begin with folders, which are made. An older file of this name stays until then. What an exception
        or a signal leaves is removed; what a kill leaves is named `.NAME.part`, and written over by the next export.
        """
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.part")
        try:
            yield part
            sync(part)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
