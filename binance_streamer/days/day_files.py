"""The recorded days in a place: daily files of a data folder, sealed files of a lake, and their rows in order.

In: paths of files and folders. Out: `DayFiles`, one for each symbol and UTC day, whose rows may be read again and again
in bounded memory. Names and places are all that is relied on: nothing that the recorder has written about its files.
"""

import contextlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq

from binance_streamer.compression import whole_frames_bytes
from binance_streamer.config.symbols import encode_name
from binance_streamer.days import rows, schema
from binance_streamer.days.checks.ranges import RangeSet
from binance_streamer.days.lake import Lake
from binance_streamer.days.parquet import Place
from binance_streamer.days.sort import sorted_batches
from binance_streamer.days.sources import EXCHANGE, source_at
from binance_streamer.exchange.messages import ExchangeError
from binance_streamer.exchange.readers import EventReader
from binance_streamer.exchange.stream_types import file_stem
from binance_streamer.exchange.streams import stem_of_stream, stream_from_name
from binance_streamer.health.gap_files import dashed_day, shifted_day

_BATCH_ROWS = 65_536

Watch = Callable[[Any], None]
"""Takes each batch of a file in the order of its rows."""


@dataclass(slots=True)
class StreamFiles:
    """The files of one stream on one day, and their rows; `is_sealed` where they are Parquet."""

    stem: str
    paths: list[Path]
    is_sealed: bool
    _spilled: Path | None = field(default=None, repr=False)

    @property
    def file(self) -> str:
        """The files' names, as findings have them."""
        return " + ".join(str(path) for path in self.paths)

    def read(self, spill: Path, watches: Sequence[tuple[Path, Watch]]) -> Iterator[pa.Table]:
        """Yield all rows in the order of `sort_key`, and keep them, so that `tables` can give them again.

        The watches take each file's batches as they stand there. Raises `NotSealable` where a file cannot be read as
        rows of this version.
        """
        if self.is_sealed:
            for path in self.paths:
                yield from _watched_tables(path, self.stem, [watch for one, watch in watches if one == path])
            return
        folder = spill / f"{self.stem}.runs"
        folder.mkdir(parents=True, exist_ok=True)
        kept = spill / f"{self.stem}.arrow"
        options = pa.ipc.IpcWriteOptions(compression="lz4")
        with pa.ipc.new_file(str(kept), schema.table_schema(self.stem), options=options) as writer:
            batches = (batch for path in self.paths for batch in self._watched(path, watches))
            for table in sorted_batches(batches, schema.sort_key(self.stem), folder):
                writer.write_table(table)
                yield table
        self._spilled = kept

    def tables(self) -> Iterator[pa.Table]:
        """Yield all rows in order again; only behind a `read` that came to its end."""
        if self.is_sealed:
            for path in self.paths:
                yield from _watched_tables(path, self.stem, [])
            return
        assert self._spilled is not None, f"{self.stem} was not read"
        with pa.OSFile(str(self._spilled)) as file, pa.ipc.open_file(file) as reader:
            for number in range(reader.num_record_batches):
                yield pa.Table.from_batches([reader.get_batch(number)])

    def unordered(self) -> Iterator[Any]:
        """Yield the rows in the order of the files, without keeping them: of small files, or for a look at columns."""
        for path in self.paths:
            yield from (
                _watched_tables(path, self.stem, [])
                if self.is_sealed
                else rows.batches(path, self.stem, checked_bytes(path))
            )

    def _watched(self, path: Path, watches: Sequence[tuple[Path, Watch]]) -> Iterator[pa.RecordBatch]:
        own = [watch for one, watch in watches if one == path]
        for batch in rows.batches(path, self.stem, checked_bytes(path)):
            for watch in own:
                watch(batch)
            yield batch


@dataclass(slots=True)
class DayFiles:
    """All streams of one symbol and UTC day (YYYYMMDD) in one place: a data folder or a lake."""

    symbol: str
    day: str
    root: Path
    streams: dict[str, StreamFiles]
    set_aside: list[Path] = field(default_factory=list)
    """Files of an older version of the columns, which this version cannot check."""

    @property
    def place(self) -> str:
        """The folder that the day lies in, as reports have it."""
        return str(self.root)

    @property
    def stems(self) -> Collection[str]:
        """The stems of the streams that there are files of."""
        return self.streams.keys()

    @property
    def is_lake(self) -> bool:
        """True where the files are sealed."""
        return any(stream.is_sealed for stream in self.streams.values())

    @property
    def size_bytes(self) -> int:
        """Return the size of all files together."""
        return sum(path.stat().st_size for stream in self.streams.values() for path in stream.paths)

    def ask_log(self) -> None:
        """Leave out sealed files that the lake's log does not have: a kill may have left an old one beside the new."""
        for stem, stream in self.streams.items():
            if stream.is_sealed and len(stream.paths) > 1:
                listed = {self.root / path for path in Lake(self.root).files(Place(stem, self.symbol, self.day))}
                stream.paths = [path for path in stream.paths if path in listed] or stream.paths

    @contextlib.contextmanager
    def here(self, wanted: Callable[[str], bool] = bool) -> Iterator["DayFiles"]:
        """Give the day itself: all of its files are on this machine."""
        del wanted
        yield self

    def beside(self, stem: str, distance: int) -> StreamFiles | None:
        """Return a stream of the same symbol so many days later (earlier, below 0) in the same place; None without."""
        return self.other(stem, symbol=self.symbol, day=shifted_day(self.day, distance))

    def other(self, stem: str, *, symbol: str, day: str) -> StreamFiles | None:
        """Return a stream of another symbol or day in the same place; None where there is none."""
        found = day_of(symbol, day, self.root)
        return None if found is None else found.streams.get(stem)

    def numbers_elsewhere(self, stem: str) -> Iterator[tuple[int, int]]:
        """Yield (epoch, seq) of a stream's rows that lie elsewhere: in the days beside, and among raw rows of this day.

        Files that cannot be read are left out.
        """
        for stream in (self.beside(stem, -1), self.beside(stem, 1)):
            if stream is not None:
                with contextlib.suppress(rows.NotSealable):
                    for table in stream.unordered():
                        yield from zip(table["epoch"].to_pylist(), table["seq"].to_pylist(), strict=True)
        for row in self._raw_rows():
            if stem_of_name(row["stream"] or "") == stem:
                yield row["epoch"], row["seq"]

    def raw_ids(self) -> dict[str, RangeSet]:
        """Return the exchange's ids of the day's raw rows, by the stem of their stream."""
        return ids_of_raw_rows(self._raw_rows())

    def _raw_rows(self) -> Iterator[dict[str, Any]]:
        """Yield the raw rows of this day; those behind a fault in their file are left out."""
        with contextlib.suppress(rows.NotSealable):
            for table in self.streams["raw"].unordered() if "raw" in self.streams else ():
                yield from table.to_pylist()


def days_in(places: Iterable[Path]) -> list[DayFiles]:
    """Return the days at these places: data folders, symbols' folders, daily files, lakes; by symbol and day."""
    found: dict[tuple[Path, str, str], DayFiles] = {}
    for place in places:
        for root, symbol, day, stem, path in _files_at(place):
            key = root, symbol, day
            files = found.setdefault(key, DayFiles(symbol, day, root, {}))
            if not stem:
                files.set_aside.append(path)
                continue
            is_sealed = path.suffix == ".parquet"
            stream = files.streams.setdefault(stem, StreamFiles(stem, [], is_sealed))
            if path not in stream.paths:
                stream.paths.append(path)
    for files in found.values():
        files.ask_log()
    return [found[key] for key in sorted(found, key=lambda key: (key[1], str(key[0]), key[2]))]


def day_of(symbol: str, day: str, root: Path) -> DayFiles | None:
    """Return one symbol's day in a data folder or lake; None where nothing of it is there."""
    name = encode_name(symbol)
    folder = root if symbol == EXCHANGE else root / name
    sealed = root.glob(f"*/symbol={name}/day={dashed_day(day)}/*.parquet")
    paths = sorted([*folder.glob(f"*_{day}.*"), *sealed])
    return next((files for files in days_in(paths) if (files.symbol, files.day) == (symbol, day)), None)


def ids_of_raw_rows(found_rows: Iterable[Mapping[str, Any]]) -> dict[str, RangeSet]:
    """Return the exchange's ids of raw rows, by the stem of their stream: messages with ids and without a row form.

    A message whose ids cannot be read has none; its hole is listed by a gap row.
    """
    found: dict[str, RangeSet] = {}
    for row in found_rows:
        with contextlib.suppress(ExchangeError):
            stream = stream_from_name(row["stream"] or "")
            reading = EventReader(stream).read((row["event"] or "").encode())
            if reading.previous_id is not None and reading.last_id is not None:
                stem = file_stem(stream.stream_type, stream.variant)
                found.setdefault(stem, RangeSet()).add(reading.previous_id, reading.last_id)
    return found


def stem_of_name(name: str) -> str:
    """Return the stem of the files of a stream, by its name at the exchange; empty where there is none such."""
    try:
        return stem_of_stream(name)
    except ExchangeError:
        return ""


def checked_bytes(path: Path) -> int:
    """Return the length that is verified: as `whole_bytes`, but all of a compressed file.

    Damage in its last frame may look like half a frame.
    """
    return path.stat().st_size if path.suffix == ".zst" else whole_bytes(path)


def whole_bytes(path: Path) -> int:
    """Return the length of a daily file up to the end of its last whole line, compressed up to its last whole frame.

    What stands behind is about to be completed by the writer, or was torn by a kill and comes again.
    """
    if path.suffix == ".zst":
        return whole_frames_bytes(path)
    size = path.stat().st_size
    with path.open("rb") as file:
        end = size
        while end:
            start = max(0, end - 65_536)
            file.seek(start)
            at = file.read(end - start).rfind(b"\n")
            if at >= 0:
                return start + at + 1
            end = start
    return 0


def _files_at(place: Path) -> Iterator[tuple[Path, str, str, str, Path]]:
    """Yield (root, symbol, day, stem, path) of each file; the stem is empty for files that were set aside."""
    paths = [place] if place.is_file() else sorted(path for path in place.rglob("*") if path.is_file())
    for path in paths:
        named = _sealed(path) if path.suffix == ".parquet" else _daily(path)
        if named is not None:
            yield (*named, path)


def _sealed(path: Path) -> tuple[Path, str, str, str] | None:
    """Return what the place of a sealed file says: `<stem>/symbol=BTCUSDT/day=2026-11-22/….parquet`."""
    day, symbol, stem = path.parent.name, path.parent.parent.name, path.parent.parent.parent.name
    if not day.startswith("day=") or not symbol.startswith("symbol=") or path.name.startswith((".", "_")):
        return None
    return path.parents[3], unquote(symbol[7:]), day[4:].replace("-", ""), stem


def _daily(path: Path) -> tuple[Path, str, str, str] | None:
    """Return what the name of a daily file says of it."""
    source = source_at(path)
    if source is None:
        return None
    folder = path.resolve().parent
    root = folder if source.symbol == EXCHANGE else folder.parent
    return root, source.symbol, source.day, "" if source.is_set_aside else source.stem


def _watched_tables(path: Path, stem: str, watches: Sequence[Watch]) -> Iterator[pa.Table]:
    """Yield the rows of a sealed file; raises `NotSealable` where a page's checksum or the file's form is wrong."""
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            there = {one.name: one.type for one in file.schema_arrow}
            wrong = next((one.name for one in schema.table_schema(stem) if there.get(one.name) != one.type), None)
            if wrong is not None:
                raise rows.NotSealable(path, 0, wrong, "is not in the file, or of another type")
            for batch in file.iter_batches(_BATCH_ROWS):
                for watch in watches:
                    watch(batch)
                yield pa.Table.from_batches([batch])
    except (OSError, pa.ArrowException) as error:
        raise rows.NotSealable(path, 0, "", f"cannot be read: {error}") from error
