"""Seals one stream's day: rows of its daily files, sorted, written as Parquet, read back, compared, published.

In: the daily files and how many bytes of each count. Out: one file in the lake and what is known of it. Nothing of the
day changes in the lake before the new file has been read back and found equal; a kill at any moment leaves the lake as
it was, or as it is to be.
"""

import contextlib
import itertools
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import pyarrow as pa

from binance_streamer.days import rows
from binance_streamer.days.lake import Lake
from binance_streamer.days.parquet import FileFacts, ParquetFile, Place, digest_of, metadata_of, read
from binance_streamer.days.recorded.digits import Digits, batch_digits, digits_metadata, digits_of, joined_digits
from binance_streamer.days.schema import sort_key
from binance_streamer.days.sort import ORIGIN, FirstCopies, marked, sorted_batches


class Watcher(Protocol):
    """Sees every sorted table of a seal once, in order: the checks of a certificate."""

    def take(self, rows: pa.Table) -> None:
        """Take the next rows of the stream's day."""


class Part(NamedTuple):
    """A daily file, or a sealed one, and how many of its bytes count."""

    path: Path
    end: int


class SealedFile(NamedTuple):
    """A sealed stream's day: its file in the lake, the facts of its rows, and what it was made of.

    `path` is below the lake. `read` counts the rows of all sources, `repeated` those of a later source that an earlier
    one has too.
    """

    place: Place
    path: str
    size: int
    sha256: str
    facts: FileFacts
    read: int
    repeated: int


class ReadBackError(Exception):
    """A file read back differs from the rows that were written into it: the disk, the memory or a library is faulty."""


class WrittenFile(NamedTuple):
    """A file that has been written and compared, and is not yet in the lake; `read` as in `SealedFile`."""

    path: Path
    facts: FileFacts
    read: int


def seal(
    parts: Sequence[Part],
    place: Place,
    lake: Lake,
    *,
    watchers: Sequence[Watcher] = (),
    progressed: Callable[[], None] = lambda: None,
) -> SealedFile:
    """Seal a stream's day: `write` and `publish` in one."""
    written = write(parts, place, lake, watchers=watchers, progressed=progressed)
    return publish(written, place, lake, progressed=progressed)


def write(
    parts: Sequence[Part],
    place: Place,
    lake: Lake,
    *,
    watchers: Sequence[Watcher] = (),
    progressed: Callable[[], None] = lambda: None,
) -> WrittenFile:
    """Write the rows of a stream's day into a file beside the lake's, and compare it; the next call overwrites it.

    One of the parts may be the file that lies in the lake already: where a daily file was removed after an earlier
    seal, and a late row has begun it anew. `progressed` is called every some MiB, and may raise to give up.
    Raises `NotSealable` where the files hold something that has no place in the schema, `ReadBackError` and `OSError`.
    """
    origins = [batches_of(part, place.stem) for part in parts]
    written = lake.workplace() / "sealing.parquet"
    counted = _Counted(origins, progressed)
    facts = _written(counted, place, written, (*watchers, _Progress(progressed)))
    _compare(written, place, facts, progressed)
    return WrittenFile(written, facts, counted.rows)


def publish(
    written: WrittenFile, place: Place, lake: Lake, *, progressed: Callable[[], None] = lambda: None
) -> SealedFile:
    """Make a written file the one of its partition; return what is known of it."""
    found = lake.publish(place, written.path, written.facts, progressed=progressed)
    return SealedFile(place, *found, written.facts, written.read, written.read - written.facts.rows)


def rows_in_order(origins: Sequence[Iterable[pa.RecordBatch]], stem: str, spill: Path) -> Iterator[pa.Table]:
    """Yield the rows of several sources of a stream in its order, each one once, as a seal of them would have them.

    `spill` is an empty folder for runs, which are gone when the last table has been taken.
    """
    return _in_order(_Counted(origins, lambda: None), stem, spill)


def _in_order(counted: "_Counted", stem: str, spill: Path) -> Generator[pa.Table]:
    """Yield the rows sorted, each one once; all of them have been counted when the first table comes.

    Two sources share rows where somebody put back a file that had been sealed and removed, or where the writer, after a
    crash, wrote rows again that had been sealed before they were durable.
    """
    key = sort_key(stem)
    if counted.origins < 2:
        with contextlib.closing(sorted_batches(counted, key, spill)) as tables:
            yield from tables
        return
    with contextlib.closing(sorted_batches(counted, (*key, ORIGIN), spill)) as tables:
        yield from map(FirstCopies(key).kept, tables)


def _written(counted: "_Counted", place: Place, path: Path, watchers: Sequence[Watcher]) -> FileFacts:
    """Write the rows in order, each one once, and show them to the watchers; return the facts of the file."""
    spill = path.with_name("runs")
    spill.mkdir(exist_ok=True)
    with contextlib.closing(_in_order(counted, place.stem, spill)) as tables:
        first = next(tables, None)  # from here on it is known how many rows there are
        with ParquetFile(path, place, counted.rows) as file:
            for table in itertools.chain([] if first is None else [first], tables):
                file.take(table)
                for watcher in watchers:
                    watcher.take(table)
            return file.finish(counted.digits)


def batches_of(part: Part, stem: str) -> Iterator[pa.RecordBatch]:
    """Return the rows of a daily file or a sealed one as they stand there, with their digits (`batch_digits`)."""
    if part.path.suffix != ".parquet":
        return rows.batches(part.path, stem, part.end)
    metadata = digits_metadata(digits_of(metadata_of(part.path)))
    return (batch.replace_schema_metadata(metadata) for batch in read(part.path))


def _compare(written: Path, place: Place, facts: FileFacts, progressed: Callable[[], None]) -> None:
    """Raise `ReadBackError` where the file does not hold the rows that were put in."""
    found = digest_of(written, place.stem, progressed)
    wrote = (facts.rows, facts.digest)
    if found != wrote:
        raise ReadBackError(f"{written}: (rows, digest) read back are {found}, written were {wrote}")


class _Progress:
    """Calls a function at every table."""

    def __init__(self, progressed: Callable[[], None]) -> None:
        self._progressed = progressed

    def take(self, _: pa.Table) -> None:
        """Say that the next rows have been written."""
        self._progressed()


class _Counted:
    """The batches of several sources, one after another, counted; with several, each row says which it is from."""

    def __init__(self, origins: Sequence[Iterable[pa.RecordBatch]], progressed: Callable[[], None]) -> None:
        self.rows = 0
        self.origins = len(origins)
        self.digits: dict[str, Digits] = {}
        self._origins = origins
        self._progressed = progressed

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        for number, batches in enumerate(self._origins):
            for batch in batches:
                self.rows += batch.num_rows
                self.digits = joined_digits(self.digits, batch_digits(batch))
                self._progressed()
                yield from marked(pa.Table.from_batches([batch]), number).to_batches() if self.origins > 1 else (batch,)
