"""Reading a journal: places are found by their position, and frames are taken from there, one batch after the other.

Frames that were appended a moment ago come from memory (`recent`), all others from the disk, where each is checked.
"""

import os
from collections.abc import Sequence
from typing import NamedTuple

from binance_streamer.wire.frames import Batch, Position
from services.runtime.journal import segments
from services.runtime.journal.recent import Group, RecentRecords
from services.runtime.journal.records import DamagedBytes, frames_at, scan
from services.runtime.journal.segments import Segment

_LARGEST_RECORD_BYTES = 5 * 1024 * 1024
"""A frame (4 MiB) and its header, with room to spare; a batch is smaller, and is read first."""


class Cursor(NamedTuple):
    """A place between two records: before the one at `offset`, behind the one at `previous`."""

    segment: int
    offset: int
    previous: Position | None


class Chunk(NamedTuple):
    """Consecutive frames out of the journal, and the cursor behind them."""

    batch: Batch
    frame_count: int
    behind: Cursor


class JournalReader:
    """Reads the segments in a list that the journal goes on changing; used by the thread that appends."""

    def __init__(self, producer: str, segments_now: Sequence[Segment], recent: RecentRecords) -> None:
        self._producer = producer
        self._segments = segments_now
        self._recent = recent
        self._open: tuple[int, int] | None = None  # the number of a segment, and a descriptor of its file
        self._damage: dict[tuple[int, int], int] = {}
        """Bytes by segment and offset: a reader that is wound back meets the same damage again."""

    @property
    def damaged_bytes(self) -> int:
        """Bytes that were met so far, and that are no record."""
        return sum(self._damage.values())

    def place_of(self, next_position: Position) -> Cursor | None:
        """Return the place before the first record at or behind a position; None where its epoch is unknown."""
        epoch, position = next_position
        indices = [index for index, segment in enumerate(self._segments) if segment.epoch == epoch]
        if not indices:
            return None
        index = max((i for i in indices if self._segments[i].first <= position), default=indices[0])
        segment = self._segments[index]
        marked, offset = segment.nearest_mark(position)
        previous = Position(epoch, marked - 1) if offset else self._last_before(index)
        end = segment.mark_behind(position)
        for found in scan(self._bytes_of(segment, offset, end - offset)):
            if isinstance(found, DamagedBytes) or found.is_head:
                continue
            if found.position >= position:
                return Cursor(segment.number, offset + found.start, previous)
            previous = Position(found.epoch, found.position)
        return Cursor(segment.number, end, previous)

    def read(self, cursor: Cursor, *, max_bytes: int, max_frames: int) -> Chunk | None:
        """Return the next frames behind the cursor, of one epoch and without a hole; None at the end.

        The first frame comes even if it is larger than `max_bytes`.
        """
        index = self._index_of(cursor)
        while index < len(self._segments):
            segment = self._segments[index]
            if cursor.segment != segment.number:
                cursor = Cursor(segment.number, 0, cursor.previous)
            groups = self._recent.following(*cursor[:2], max_bytes=max_bytes, max_frames=max_frames)
            if groups:
                return self._chunk_of(groups, cursor)
            chunk = self._read_segment(segment, cursor, max_bytes, max_frames)
            if chunk is not None:
                return chunk
            index += 1
        return None

    def close(self) -> None:
        """Close the file that is open; the next read opens it again if it is still there."""
        if self._open is not None:
            os.close(self._open[1])
            self._open = None

    def _index_of(self, cursor: Cursor) -> int:
        for index, segment in enumerate(self._segments):
            if segment.number >= cursor.segment:
                return index
        return len(self._segments)

    def _last_before(self, index: int) -> Position | None:
        for segment in reversed(self._segments[:index]):
            last = segments.last_position(segment)
            if last is not None:
                return last
        return None

    def _chunk_of(self, groups: Sequence[Group], cursor: Cursor) -> Chunk:
        epoch, first = groups[0].first
        count = sum(group.frame_count for group in groups)
        frames = groups[0].frames if len(groups) == 1 else b"".join(group.frames for group in groups)
        batch = Batch(self._producer, epoch, first, cursor.previous, frames)
        return Chunk(batch, count, Cursor(cursor.segment, groups[-1].end, Position(epoch, first + count - 1)))

    def _read_segment(self, segment: Segment, cursor: Cursor, max_bytes: int, max_frames: int) -> Chunk | None:
        offset, want = cursor.offset, max_bytes
        while offset < segment.size:
            stop = self._recent.next_start(segment.number, offset) or segment.size  # from there on it is in memory
            buffer = self._bytes_of(segment, offset, min(want, stop - offset))
            frames, first, end = frames_at(buffer, max_bytes, max_frames)
            if frames:
                batch = Batch(self._producer, segment.epoch, first, cursor.previous, b"".join(frames))
                last = Position(segment.epoch, first + len(frames) - 1)
                return Chunk(batch, len(frames), Cursor(segment.number, offset + end, last))
            found = next(scan(buffer))  # a head, or damage
            is_cut = (
                isinstance(found, DamagedBytes) and found.end == len(buffer) and offset + len(buffer) < segment.size
            )
            if is_cut and want < _LARGEST_RECORD_BYTES:
                want = _LARGEST_RECORD_BYTES
                continue
            if isinstance(found, DamagedBytes):
                self._damage[segment.number, offset] = found.end - found.start
            offset += found.end
        return None

    def _bytes_of(self, segment: Segment, offset: int, length: int) -> bytes:
        if self._open is None or self._open[0] != segment.number:
            self.close()
            self._open = segment.number, os.open(segment.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        return os.pread(self._open[1], length, offset)
