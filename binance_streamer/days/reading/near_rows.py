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
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import polars as pl
import pyarrow as pa

from binance_streamer.compression import FRAME_MAGIC, zstd
from binance_streamer.days.day_files import whole_bytes
from binance_streamer.days.reading.parts import DayParts
from binance_streamer.days.reading.rows_of_days import lazy_rows
from binance_streamer.days.rows import Span
from binance_streamer.days.schema import columns, table_schema

_PIECE_BYTES = 128 * 2**10
"""Read at once in search of a place: the writer closes a frame at 64 KiB of text."""
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
            found += [_near(path, stem, span, names).lazy() for path in day.files]
        except (_UnknownForm, pl.exceptions.PolarsError):
            found.append(lazy_rows([day], stem, span).select(names))
    return found


def _near(path: Path, stem: str, span: Span, names: Sequence[str]) -> pl.DataFrame:
    """Return the rows of a daily file in the part that a span covers."""
    every = columns(stem)
    is_integer = {field.name: field.type == pa.int64() for field in table_schema(stem)}
    schema = {name: pl.Int64() if is_integer[name] else pl.String() for name in every}
    text = _text(path, ",".join(every).encode(), span)
    if not text:
        return pl.DataFrame(schema={name: schema[name] for name in names})
    places = [every.index(name) for name in names]
    rows = pl.read_csv(text, has_header=False, schema=schema, columns=places)
    return rows.filter(pl.col("recv_ns") >= span.start_ns, pl.col("recv_ns") < span.end_ns).select(names)


def _text(path: Path, header: bytes, span: Span) -> bytes:
    """Return the lines of the part of a file that a span covers, without the header."""
    with path.open("rb", buffering=0) as file:
        if path.suffix == ".zst":
            return _compressed_part(_Frames(file, path.stat().st_size), header, span)
        lines = _Lines(file, whole_bytes(path))
        begin = len(header) + 1
        if lines.size and (lines.read(0, begin) != header + b"\n" or path.suffix != ".csv"):
            raise _UnknownForm
        return lines.read(*_part(lines, begin, span))


def _compressed_part(frames: "_Frames", header: bytes, span: Span) -> bytes:
    first, last = _part(frames, 0, span)
    texts = []
    at = first
    while at < last and (found := frames.frame(at)) is not None:
        text, at = found
        texts.append(text)
    text = b"".join(texts)
    if first or not text:
        return text
    if not text.startswith(header + b"\n"):
        raise _UnknownForm
    return text[len(header) + 1 :]


def _part(places: "_Places", begin: int, span: Span) -> tuple[int, int]:
    """Return two places between which a span lies, as far as stamps grow, with some rows before and behind it."""
    low, high = begin, places.size
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

    def following(self, at: int, end: int) -> _Line | None:
        """Return the first place behind `at` and before `end`; None without one."""
        raise NotImplementedError


class _Lines(_Places):
    """The lines of a plain file."""

    def following(self, at: int, end: int) -> _Line | None:
        """Return the first line that begins there."""
        start = self.find(b"\n", at, end) + 1
        if not 0 < start < end:
            return None
        return _Line(start, _stamp(self.read(start, self.find(b"\n", start, self.size))))


class _Frames(_Places):
    """The frames of a compressed file, each of which has whole lines."""

    def following(self, at: int, end: int) -> _Line | None:
        """Return the first whole frame that begins there."""
        start = self.find(FRAME_MAGIC, at, end)
        while start >= 0:
            found = self.frame(start)
            if found is not None and b"\n" in found[0]:
                return _Line(start, _stamp(found[0].partition(b"\n")[0]))
            start = self.find(FRAME_MAGIC, start + 1, end)
        return None

    def frame(self, start: int) -> tuple[bytes, int] | None:
        """Return the text of the frame at a place, and where it ends; None where there is no whole one."""
        taken = _PIECE_BYTES
        while True:
            decoder = zstd.ZstdDecompressor()
            piece = self.read(start, start + taken)
            try:
                text = decoder.decompress(piece)
            except zstd.ZstdError:
                return None
            if decoder.eof:
                return text, start + len(piece) - len(decoder.unused_data)
            if len(piece) < taken:
                return None
            taken *= 4


def _stamp(line: bytes) -> int:
    found = _is_tail(line[-_STAMP_BYTES:]) or _is_tail(line)
    if found is None:
        raise _UnknownForm
    return int(found[1])
