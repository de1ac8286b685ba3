"""Rows of a stream that were received about a time, of a daily file without reading the rest of it.

The writer appends rows as they come, so that receive stamps grow from one end of a daily file to the other, but for
rows that come late. So the part of a file is found by halving: a place in it, the next line (in `.csv.zst` the next
frame), its receive stamp. Cells stay text until it is known which ones matter, since converting them takes longest.

A row that came late may be elsewhere and is then not among the rows. Whoever asks here proves that none is missing, as
the ids of depth updates do, and otherwise asks `rows_of_days.lazy_rows`.
"""

import io
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import polars as pl
import pyarrow as pa

from binance_streamer.compression import FRAME_MAGIC, frame_ends, zstd
from binance_streamer.days.day_files import whole_bytes
from binance_streamer.days.reading.parts import DayParts
from binance_streamer.days.reading.rows_of_days import lazy_rows
from binance_streamer.days.rows import Span
from binance_streamer.days.schema import columns, table_schema

_PIECE_BYTES = 128 * 2**10
"""Read at once in search of a place: the writer closes a frame at 64 KiB of text."""
_READ_BYTES = 2**20
_TEXT_BYTES = 4 * 2**20
"""Of lines that are made rows at once: more than fits the processor's caches takes twice the CPU, much of it for pages
of memory that are used for the first time."""
_STAMP_BYTES = 4096
"""Of the end of a line, in which the receive stamp is looked for at first: `extra` behind it is mostly empty."""
_CLOSE_BYTES = 2**16
"""Halving ends here: so many bytes are read sooner than they are asked for."""
_is_tail = re.compile(rb',(\d+),\d+,\d+,[a-z]*,(?:"(?:[^"]|"")*"|[^",]*)\Z').search
"""The columns that end every row: recv_ns, epoch, seq, source, extra."""


class _Line(NamedTuple):
    """Where a line, or a frame of lines, begins, and its receive stamp."""

    start: int
    recv_ns: int


class _UnknownForm(Exception):  # noqa: N818 (never leaves this module: such a file is read as a whole)
    """A daily file is not as this version writes it."""


def near_frames(days: Sequence[DayParts], stem: str, span: Span, names: Sequence[str]) -> list[pl.LazyFrame]:
    """Return the columns `names` of rows that were received within the span, in frames one behind the other.

    Frames of sealed days are typed, and have all rows. Those of daily files have integers and text, and may lack rows
    that came late; their rows are in the order of the file.
    """
    found: list[pl.LazyFrame] = []
    for day in days:
        try:
            if day.sealed:  # and perhaps late rows in daily files, a few
                raise _UnknownForm
            found += [frame.lazy() for path in day.files for frame in _near(path, stem, span, names)]
        except (_UnknownForm, pl.exceptions.PolarsError):
            found.append(lazy_rows([day], stem, span).select(names))
    return found


def _near(path: Path, stem: str, span: Span, names: Sequence[str]) -> Iterator[pl.DataFrame]:
    """Yield the rows of a daily file in the part that a span covers, some thousand at a time."""
    every = columns(stem)
    is_integer = {field.name: field.type == pa.int64() for field in table_schema(stem)}
    schema = {name: pl.Int64() if is_integer[name] else pl.String() for name in every}
    places = [every.index(name) for name in names]
    for text in _texts(path, ",".join(every).encode() + b"\n", span):
        rows = pl.read_csv(text, has_header=False, schema=schema, columns=places)
        yield rows.filter(pl.col("recv_ns") >= span.start_ns, pl.col("recv_ns") < span.end_ns).select(names)


def _texts(path: Path, header: bytes, span: Span) -> Iterator[bytes]:
    """Yield the lines of the part of a file that a span covers, without the header, in pieces of some MiB."""
    with path.open("rb", buffering=0) as file:
        if path.suffix == ".zst":
            places: _Places = _Frames(file, path.stat().st_size, path)
        else:
            places = _Lines(file, whole_bytes(path))
            if places.size and (places.read(0, len(header)) != header or path.suffix != ".csv"):
                raise _UnknownForm
        start, end = _part(places, span)
        before_rows = b"" if start else header
        for text in _whole_lines(places.texts(start, end)):
            if not text.startswith(before_rows):
                raise _UnknownForm
            lines = text.removeprefix(before_rows)
            before_rows = b""
            if lines:
                yield lines


def _whole_lines(texts: Iterable[bytes]) -> Iterator[bytes]:
    """Join texts that follow each other to pieces of whole lines."""
    waiting: list[bytes] = []
    for text in texts:
        waiting.append(text)
        if sum(map(len, waiting)) >= _TEXT_BYTES:
            lines, line_break, rest = b"".join(waiting).rpartition(b"\n")
            waiting = [rest]
            if line_break:
                yield lines + line_break
    if any(waiting):
        yield b"".join(waiting)


def _part(places: "_Places", span: Span) -> tuple[int, int]:
    """Return two places between which a span lies, as far as stamps grow, with some rows before and behind it."""
    low, high = 0, places.size
    while high - low > _CLOSE_BYTES:
        middle = (low + high) // 2
        place = places.following(middle, high)
        if place is None or place.recv_ns >= span.start_ns:
            high = middle
        else:
            low = place.start
    first, high, end = low, places.size, places.size
    while high - low > _CLOSE_BYTES:
        middle = (low + high) // 2
        place = places.following(middle, high)
        if place is None:
            high = middle
        elif place.recv_ns >= span.end_ns:
            high, end = middle, place.start
        else:
            low = place.start
    return first, end


class _Places:
    """The places in a file from which rows can be read. It is read and never mapped: the writer may shorten it."""

    def __init__(self, file: io.FileIO, size: int) -> None:
        self._file = file
        self.size = size

    def read(self, start: int, end: int) -> bytes:
        """Return the bytes from `start` to `end`, fewer where the file ends before."""
        return os.pread(self._file.fileno(), max(end - start, 0), start)

    def find(self, wanted: bytes, start: int, end: int) -> int:
        """Return where these bytes begin first, from `start` on and before `end`; -1 where nowhere."""
        while start < end:
            piece = self.read(start, min(start + _PIECE_BYTES, end + len(wanted) - 1))
            place = piece.find(wanted)
            if place >= 0:
                return start + place
            if len(piece) < len(wanted):
                return -1
            start += len(piece) - len(wanted) + 1
        return -1

    def texts(self, start: int, end: int) -> Iterator[bytes]:
        """Yield the text from one place to another, up to where it can be read."""
        raise NotImplementedError

    def following(self, at: int, end: int) -> _Line | None:
        """Return the first place behind `at` and before `end`; None without one."""
        raise NotImplementedError


class _Lines(_Places):
    """The lines of a plain file."""

    def texts(self, start: int, end: int) -> Iterator[bytes]:
        """Yield the text."""
        for at in range(start, end, _READ_BYTES):
            yield self.read(at, min(at + _READ_BYTES, end))

    def following(self, at: int, end: int) -> _Line | None:
        """Return the first line that begins there."""
        start = self.find(b"\n", at, end) + 1
        if not 0 < start < end:
            return None
        return _Line(start, _stamp(self.read(start, self.find(b"\n", start, self.size))))


class _Frames(_Places):
    """The frames of a compressed file, each of which has whole lines."""

    def __init__(self, file: io.FileIO, size: int, path: Path) -> None:
        super().__init__(file, size)
        self._path = path

    def texts(self, start: int, end: int) -> Iterator[bytes]:
        """Yield the text of frame after frame, up to the first one that is damaged or not whole."""
        for frame_end in frame_ends(self._path, start):
            text = self._text(start, frame_end) if start < end else None
            if text is None:
                return
            yield text
            start = frame_end

    def following(self, at: int, end: int) -> _Line | None:
        """Return the first whole frame that begins there."""
        start = self.find(FRAME_MAGIC, at, end)
        while start >= 0:
            text = self._text(start, next(frame_ends(self._path, start), start))
            if text is not None and b"\n" in text:
                return _Line(start, _stamp(text.partition(b"\n")[0]))
            start = self.find(FRAME_MAGIC, start + 1, end)
        return None

    def _text(self, start: int, end: int) -> bytes | None:
        """Return the text of the frame between two places; None where it is damaged, or none."""
        try:
            return zstd.decompress(self.read(start, end)) if start < end else None
        except zstd.ZstdError:
            return None


def _stamp(line: bytes) -> int:
    found = _is_tail(line[-_STAMP_BYTES:]) or _is_tail(line)
    if found is None:
        raise _UnknownForm
    return int(found[1])
