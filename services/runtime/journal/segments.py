"""One segment of a journal: a file of records of one epoch, which begins with the last rows before it."""

import os
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import msgspec

from binance_streamer.wire import frames as wire
from binance_streamer.wire.frames import Position
from services.runtime.delivery.events import head_of, is_event_frame, stamp_and_event
from services.runtime.gaps.last_rows import LastRow, LastRows, fold_event, fold_message
from services.runtime.journal.records import DamagedBytes, JournalRecord, scan

SUFFIX = ".journal"
ENDED_NAME = "ended"
"""Beside the segments: the position behind the last record of a journal that was deleted once all of it was durable."""
_HEAD_READ_BYTES = 64 * 1024
MARK_BYTES = 64 * 1024


encode_last_rows = msgspec.msgpack.Encoder().encode
"""The payload of a segment's head: where each stream stands before it."""
_decode_rows = msgspec.msgpack.Decoder(dict[str, LastRow]).decode


@dataclass(slots=True)
class Segment:
    """A segment as the journal knows it; `size` counts whole records, `first` is the position of its first frame."""

    path: Path
    number: int
    epoch: int
    first: int
    size: int
    acknowledged_at_s: float | None = None
    marks: list[tuple[int, int]] = field(default_factory=list)
    """(position, offset) of a record every `MARK_BYTES`, so that a position is found without reading the whole file."""

    def mark(self, position: int, offset: int) -> None:
        """Note where a record begins, unless the last note is near enough."""
        if offset - (self.marks[-1][1] if self.marks else 0) >= MARK_BYTES:
            self.marks.append((position, offset))

    def nearest_mark(self, position: int) -> tuple[int, int]:
        """The last note at or before the position; the beginning of the file where there is none."""
        index = bisect_right(self.marks, (position, 1 << 62))
        return self.marks[index - 1] if index else (self.first, 0)

    def mark_behind(self, position: int) -> int:
        """The offset of the first note behind the position; the end of the file where there is none."""
        index = bisect_right(self.marks, (position, 1 << 62))
        return self.marks[index][1] if index < len(self.marks) else self.size


def segment_path(directory: Path, number: int) -> Path:
    """Numbers never repeat while the journal has a segment, and sort as text."""
    return directory / f"{number:012d}{SUFFIX}"


class Recovered(NamedTuple):
    """A journal as it is found at the start: its segments by number, where each stream stands, and what was cut off."""

    segments: list[Segment]
    last_rows: LastRows
    torn_bytes: int


def recover(directory: Path) -> Recovered:
    """Read the journal in a directory, and cut what a kill or a power cut has left of a last write.

    Rows are folded from the newest segment with a readable head, which says where each stream stood before it.
    """
    found: list[Segment] = []
    rows: LastRows = {}
    torn_bytes = 0
    for path in sorted(directory.glob(f"*{SUFFIX}")):
        segment = inspect(path)
        if segment is None:  # a crash between the creation of the file and its first whole record
            torn_bytes += path.stat().st_size
            path.unlink()
        else:
            found.append(segment)
    if found:
        found[-1].size = _fold(found, rows)
        torn_bytes += cut_tail(found[-1].path, found[-1].size)
    return Recovered(found, rows, torn_bytes)


def rows_in(directory: Path) -> LastRows:
    """Return where each stream of a journal stands that somebody else may be writing; nothing is cut or removed."""
    inspected = [inspect(path) for path in sorted(directory.glob(f"*{SUFFIX}"))]
    rows: LastRows = {}
    _fold([segment for segment in inspected if segment is not None], rows)
    return rows


def _fold(found: Sequence[Segment], rows: LastRows) -> int:
    """Bring `rows` up to date from the newest head on; return the size of the newest segment's whole records."""
    start = next((n for n in range(len(found) - 1, 0, -1) if _has_head(found[n].path)), 0)
    sizes = [read_rows(segment.path, rows) for segment in found[start:]]
    return sizes[-1] if sizes else 0


def inspect(path: Path) -> Segment | None:
    """Return a segment as its first good record describes it; None where it has none."""
    found = _first_of(path)
    if found is None:
        return None
    return Segment(path, int(path.stem), found.epoch, found.position, path.stat().st_size)


def read_rows(path: Path, rows: LastRows) -> int:
    """Bring `rows` up to date with the segment's records; return the size up to the last whole one.

    Behind its head `rows` holds nothing older.
    """
    whole = 0
    take = _RowFolder(rows).take
    for found in scan(path.read_bytes()):
        if isinstance(found, DamagedBytes):
            continue
        whole = found.end
        if found.is_head:
            rows.clear()
            rows.update(_rows_of_head(found))
        else:
            take(found.payload)
    return whole


def frames_in(path: Path) -> list[bytes]:
    """Return the frames of a segment, in their order."""
    return [
        found.payload for found in scan(path.read_bytes()) if isinstance(found, JournalRecord) and not found.is_head
    ]


def cut_tail(path: Path, size: int) -> int:
    """Cut a torn tail off; returns the number of its bytes."""
    torn = path.stat().st_size - size
    if torn > 0:
        os.truncate(path, size)
    return torn


def last_position(segment: Segment) -> Position | None:
    """The last frame, None where there is none; looked for behind the last mark first, so that little is read."""
    for offset in dict.fromkeys((segment.marks[-1][1] if segment.marks else 0, 0)):
        with segment.path.open("rb") as file:
            file.seek(offset)
            content = file.read(segment.size - offset)
        last = None
        for found in scan(content):
            if isinstance(found, JournalRecord) and not found.is_head:
                last = Position(found.epoch, found.position)
        if last is not None:
            return last
    return None


def _has_head(path: Path) -> bool:
    """Return True where the segment begins with a readable head, which says where each stream stood before it."""
    found = _first_of(path)
    return found is not None and found.is_head


def _first_of(path: Path) -> JournalRecord | None:
    with path.open("rb") as file:
        beginning = file.read(_HEAD_READ_BYTES)
        return _first_record(beginning) or _first_record(beginning + file.read())


def _first_record(buffer: bytes) -> JournalRecord | None:
    return next((found for found in scan(buffer) if isinstance(found, JournalRecord)), None)


def _rows_of_head(head: JournalRecord) -> LastRows:
    try:
        return _decode_rows(head.payload)
    except msgspec.DecodeError:  # of a version that wrote its heads otherwise
        return {}


class _FrameMessages(NamedTuple):
    """The messages of frames that begin with one head: those of connections, and of this stream."""

    name: str
    symbol: str
    stream_type: str


class _RowFolder:
    """Brings last rows up to date frame by frame.

    Nearly all frames are messages of connections, which differ behind their heads alone. So the stream is read from a
    head once, and a takeover of a worker waits half as long for it.
    """

    def __init__(self, rows: LastRows) -> None:
        self._rows = rows
        self._known: dict[bytes, _FrameMessages] = {}  # by the head of their frames

    def take(self, frame: bytes) -> None:
        """Take the next frame; one that is none says nothing."""
        head = head_of(frame)
        messages = self._known.get(head)
        if messages is not None:
            recv_ns, event = stamp_and_event(frame, len(head))
            fold_event(self._rows, *messages, recv_ns=recv_ns, event=event)
            return
        try:
            stream_type, data = wire.decode_frame(frame)
        except wire.WireError:
            return
        if data.get("source") == "ws" and stream_type not in ("gap", "raw") and is_event_frame(frame, head, data):
            self._known[head] = _FrameMessages(data["stream"], data["symbol"], stream_type)
        fold_message(self._rows, stream_type, data)


def ended_in(directory: Path) -> Position | None:
    """Return the position behind the last record of a journal that was deleted once all of it was durable."""
    try:
        epoch, number = (directory / ENDED_NAME).read_text(encoding="utf-8").split()
        return Position(int(epoch), int(number))
    except (OSError, ValueError):  # none, or torn by a power cut: a gap too many is listed then
        return None
