"""The append-only log in front of the writer: what a producer appended survives its death.

One thread appends, reads and trims; a second one calls `sync`. The directory belongs to the holder of its lock.
"""

import errno
import os
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from binance_streamer.wire.frames import MAX_BATCH_BYTES, Batch, Position
from services.runtime.files import free_and_total_bytes, replace_file, sync_directory, sync_file
from services.runtime.gaps.last_rows import LastRow, LastRows
from services.runtime.journal import segments
from services.runtime.journal.recent import Group, RecentRecords
from services.runtime.journal.records import DamagedBytes, encode_frames, encode_head, frames_at, scan
from services.runtime.journal.segments import Segment

SEGMENT_BYTES = 8 * 1024 * 1024
_LARGEST_RECORD_BYTES = 5 * 1024 * 1024
FULL_ERRNOS = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG, errno.ENOENT, errno.EMFILE, errno.ENFILE}
)
"""Conditions that pass: the disk has no room, or does not take writes now. Anything else is an error of the disk."""
_NO_ROOM_ERRNOS = frozenset({errno.ENOSPC, errno.EDQUOT})
_LOW_BYTES, _LOW_SHARE = 1024**3, 0.05
"""Less free than both on the disk is nearly full. A gigabyte is some minutes of 200 symbols: each producer looks every
few seconds, and can only give up segments of its own, so that all have to begin before one of them finds no room."""


_ENDED_NAME = "ended"
"""Beside the segments: the position behind the last record of a journal that was deleted once all of it was durable."""


class JournalFullError(Exception):
    """Nothing was appended; the journal is as it was before."""


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


class Journal:
    """Frames of one producer, in the order of their append, over all its runs that are not yet trimmed."""

    def __init__(
        self, directory: Path, producer: str, epoch: int, *, max_bytes: int, segment_bytes: int = SEGMENT_BYTES
    ):
        self.producer = producer
        self.epoch = epoch
        self.next_position = 0
        self.torn_bytes = 0
        self.last_rows: LastRows = {}
        self.fsync = True
        """Whether somebody calls `sync` all the time; else a full segment is left to the kernel."""
        self._directory = directory
        self._max_bytes = max_bytes
        self._segment_bytes = segment_bytes
        self._descriptor: int | None = None
        self._reading: tuple[int, int] | None = None
        self._damage: dict[tuple[int, int], int] = {}
        """Bytes by segment and offset: a reader that is wound back meets the same damage again."""
        self._recent = RecentRecords()
        self._unsynced: list[tuple[int, Path, bool]] = []
        self._unsynced_lock = threading.Lock()
        self._is_dirty = False
        directory.mkdir(mode=0o750, parents=True, exist_ok=True)
        self._ended = _ended_in(directory)
        self._durable: tuple[Position, float] | None = None
        self._segments = self._recovered()

    @property
    def size_bytes(self) -> int:
        """All segments together."""
        return sum(segment.size for segment in self._segments)

    @property
    def damaged_bytes(self) -> int:
        """Bytes that a reader has met and that are no record; zeros, or a record with a wrong checksum."""
        return sum(self._damage.values())

    def append(self, frames: Sequence[bytes], rows: Mapping[str, LastRow]) -> None:
        """Append frames with one write(2); `rows` are the last rows before them, for the head of a new segment.

        Raises `JournalFullError` when there is no room, and OSError when the disk fails.
        """
        records = encode_frames(self.epoch, self.next_position, frames)
        self._check_room(len(records))
        places = self._append_in_place_of_old(records, rows)
        self._is_dirty = True
        self._recent.add(self._segments[-1].number, places, Position(self.epoch, self.next_position), frames)
        self.next_position += len(frames)

    def _append_in_place_of_old(self, records: bytes, rows: Mapping[str, LastRow]) -> tuple[int, int]:
        """Append; where the disk has no room, remove acknowledged segments one by one, oldest first, until it has."""
        while True:
            try:
                return self._append_records(records, rows)
            except JournalFullError as error:
                cause = error.__cause__
                has_no_room = isinstance(cause, OSError) and cause.errno in _NO_ROOM_ERRNOS
                if not has_no_room or not self._remove_acknowledged():
                    raise

    def _append_records(self, records: bytes, rows: Mapping[str, LastRow]) -> tuple[int, int]:
        if self._descriptor is None or self._segments[-1].size + len(records) > self._segment_bytes:
            return self._begin_segment(rows, records)
        newest = self._segments[-1]
        offset = newest.size
        self._write(self._descriptor, records, offset)
        newest.mark(self.next_position, offset)
        newest.size += len(records)
        return offset, offset

    def oldest(self) -> Cursor:
        """Before the first record that the journal has."""
        number = self._segments[0].number if self._segments else 0
        ended = self._ended
        return Cursor(number, 0, Position(ended.epoch, ended.number - 1) if ended else None)

    def behind(self, next_position: Position) -> Cursor | None:
        """Before the first record at or behind this position; None where the journal knows no such epoch."""
        epoch, position = next_position
        if next_position == self._ended and all(segment.epoch != epoch for segment in self._segments):
            return self.oldest()
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

    def read(self, cursor: Cursor, *, max_bytes: int = MAX_BATCH_BYTES, max_frames: int = 1 << 30) -> Chunk | None:
        """The next frames behind the cursor, of one epoch and without a hole; None at the end."""
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

    def acknowledge(self, durable: Position, now_s: float) -> None:
        """Everything before this position is durable at the writer; segments wholly before it may go in time."""
        self._durable = durable, now_s
        if durable.epoch == self.epoch:
            self.forget_end()  # what may be missing from now on is missing behind this
        for index, segment in enumerate(self._segments[:-1]):
            following = self._segments[index + 1]
            if segment.acknowledged_at_s is None and self._is_before(following, durable, index + 1):
                segment.acknowledged_at_s = now_s

    def trim(self, now_s: float, retention_s: float) -> int:
        """Remove acknowledged segments after the retention time, oldest first, never the newest; returns how many.

        On a disk that is nearly full their time is over at once.
        """
        if self._is_low():
            retention_s = 0.0
        count = 0
        for segment in self._segments[:-1]:
            acknowledged = segment.acknowledged_at_s
            if acknowledged is None or now_s - acknowledged < retention_s:
                break
            count += 1
        self._remove_oldest(count)
        return count

    def unacknowledged_bytes(self, durable: Cursor | None) -> int:
        """What the writer has not made durable yet."""
        if durable is None:
            return self.size_bytes
        total = sum(segment.size for segment in self._segments if segment.number > durable.segment)
        own = next((segment.size for segment in self._segments if segment.number == durable.segment), durable.offset)
        return total + max(0, own - durable.offset)

    def sync(self) -> None:
        """Make everything appended so far durable; called by a thread of its own. An OSError is final."""
        with self._unsynced_lock:
            retired, self._unsynced = self._unsynced, []
            if self._is_dirty and self._descriptor is not None:
                self._is_dirty = False
                retired.append((os.dup(self._descriptor), self._segments[-1].path, False))
        for descriptor, path, is_new in retired:
            try:
                sync_file(descriptor, path)
                if is_new:
                    sync_directory(self._directory)
            finally:
                os.close(descriptor)

    def delete(self, durable: Position | None) -> None:
        """Remove all segments; nothing but `close` may follow.

        The next journal here says that nothing is missing behind this position, up to which the writer has everything.
        """
        self.sync()
        if durable is not None:
            path = self._directory / _ENDED_NAME
            replace_file(path, f"{durable.epoch} {durable.number}\n".encode())
            with path.open("rb") as file:
                sync_file(file.fileno(), path)
            sync_directory(self._directory)
        self._remove_oldest(len(self._segments))

    def forget_end(self) -> None:
        """The writer is beyond the end of the journal that was deleted here, or knows nothing of it."""
        if self._ended is not None:
            self._ended = None
            (self._directory / _ENDED_NAME).unlink(missing_ok=True)

    def close(self) -> None:
        """Sync, and give all descriptors back."""
        self.sync()
        for descriptor in (self._descriptor, self._reading and self._reading[1]):
            if descriptor is not None:
                os.close(descriptor)
        self._descriptor = self._reading = None

    def _recovered(self) -> list[Segment]:
        found: list[Segment] = []
        for path in sorted(self._directory.glob(f"*{segments.SUFFIX}")):
            segment = segments.inspect(path)
            if segment is None:  # a crash between the creation of the file and its first whole record
                self.torn_bytes += path.stat().st_size
                path.unlink()
            else:
                found.append(segment)
        if found:
            self._recover_rows(found)
            newest = found[-1]
            newest.size, _ = segments.read_rows(newest.path, {})
            self.torn_bytes += segments.cut_tail(newest.path, newest.size)
        return found

    def _recover_rows(self, found: list[Segment]) -> None:
        for start in range(len(found) - 1, -1, -1):
            rows: LastRows = {}
            _, has_head = segments.read_rows(found[start].path, rows)
            if has_head or start == 0:
                for segment in found[start + 1 :]:
                    segments.read_rows(segment.path, rows)
                self.last_rows = rows
                return

    def _check_room(self, needed: int) -> None:
        excess = self.size_bytes + needed - self._max_bytes
        if excess <= 0:
            return
        count = 0
        for segment in self._segments[:-1]:
            if excess <= 0 or segment.acknowledged_at_s is None:
                break
            excess -= segment.size
            count += 1
        self._remove_oldest(count)
        if excess > 0:
            raise JournalFullError(f"journal_max_bytes={self._max_bytes} reached")

    def _is_low(self) -> bool:
        free_bytes, total_bytes = free_and_total_bytes(self._directory)
        return (
            free_bytes is not None
            and total_bytes is not None
            and free_bytes < min(_LOW_BYTES, _LOW_SHARE * total_bytes)
        )

    def _remove_acknowledged(self) -> bool:
        """Remove the oldest segment if it is acknowledged, and not the newest."""
        if len(self._segments) < 2 or self._segments[0].acknowledged_at_s is None:
            return False
        self._remove_oldest(1)
        return True

    def _begin_segment(self, rows: Mapping[str, LastRow], records: bytes) -> tuple[int, int]:
        number = self._segments[-1].number + 1 if self._segments else 1
        path = segments.segment_path(self._directory, number)
        content = encode_head(self.epoch, self.next_position, segments.encode_last_rows(rows)) + records
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o640)
        except OSError as error:
            raise _translated(error) from error
        try:
            self._write(descriptor, content, 0)
        except (JournalFullError, OSError):
            os.close(descriptor)
            path.unlink()
            raise
        with self._unsynced_lock:
            if self.fsync:
                if self._descriptor is not None:
                    self._unsynced.append((self._descriptor, self._segments[-1].path, False))
                self._unsynced.append((os.dup(descriptor), path, True))
            elif self._descriptor is not None:
                os.close(self._descriptor)
            self._segments.append(Segment(path, number, self.epoch, self.next_position, len(content)))
            self._descriptor = descriptor
        if self._durable is not None:  # the segment before may be wholly durable; the next word may be long in coming
            self.acknowledge(*self._durable)
        return 0, len(content) - len(records)

    def _write(self, descriptor: int, content: bytes, size_before: int) -> None:
        view = memoryview(content)
        try:
            while view:
                view = view[os.write(descriptor, view) :]
        except OSError as error:
            os.ftruncate(descriptor, size_before)
            os.lseek(descriptor, size_before, os.SEEK_SET)
            raise _translated(error) from error

    def _remove_oldest(self, count: int) -> None:
        if count == 0:
            return
        removed = {segment.path for segment in self._segments[:count]}
        for path in removed:
            path.unlink(missing_ok=True)
        del self._segments[:count]
        self._drop_unsynced(removed)
        if self._reading is not None and all(segment.number != self._reading[0] for segment in self._segments):
            os.close(self._reading[1])
            self._reading = None
        sync_directory(self._directory)

    def _drop_unsynced(self, removed: set[Path]) -> None:
        """Close what is open of removed segments: the disk keeps their bytes as long."""
        with self._unsynced_lock:
            for descriptor, path, _ in self._unsynced:
                if path in removed:
                    os.close(descriptor)
            self._unsynced = [entry for entry in self._unsynced if entry[1] not in removed]

    def _index_of(self, cursor: Cursor) -> int:
        for index, segment in enumerate(self._segments):
            if segment.number >= cursor.segment:
                return index
        return len(self._segments)

    def _is_before(self, segment: Segment, durable: Position, index: int) -> bool:
        """Whether the segment begins at or before the durable position, so that all segments before it are durable."""
        if segment.epoch == durable.epoch:
            return segment.first <= durable.number
        return any(later.epoch == durable.epoch for later in self._segments[index + 1 :])

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
        batch = Batch(self.producer, epoch, first, cursor.previous, frames)
        return Chunk(batch, count, Cursor(cursor.segment, groups[-1].end, Position(epoch, first + count - 1)))

    def _read_segment(self, segment: Segment, cursor: Cursor, max_bytes: int, max_frames: int) -> Chunk | None:
        offset, want = cursor.offset, max_bytes
        while offset < segment.size:
            stop = self._recent.next_start(segment.number, offset) or segment.size  # from there on it is in memory
            buffer = self._bytes_of(segment, offset, min(want, stop - offset))
            frames, first, end = frames_at(buffer, max_bytes, max_frames)
            if frames:
                batch = Batch(self.producer, segment.epoch, first, cursor.previous, b"".join(frames))
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
        if self._reading is None or self._reading[0] != segment.number:
            if self._reading is not None:
                os.close(self._reading[1])
                self._reading = None
            self._reading = segment.number, os.open(segment.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        return os.pread(self._reading[1], length, offset)


def _ended_in(directory: Path) -> Position | None:
    try:
        epoch, number = (directory / _ENDED_NAME).read_text(encoding="utf-8").split()
        return Position(int(epoch), int(number))
    except (OSError, ValueError):  # none, or torn by a power cut: a gap too many is listed then
        return None


def _translated(error: OSError) -> Exception:
    return JournalFullError(str(error)) if error.errno in FULL_ERRNOS else error
