"""The append-only log in front of the writer: what a producer appended survives its death.

One thread appends, reads and trims; a second one calls `sync`. The directory belongs to the holder of its lock.
"""

import errno
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from binance_streamer.wire.frames import MAX_BATCH_BYTES, Position
from services.runtime.files import is_nearly_full, replace_file, sync_directory, sync_file
from services.runtime.gaps.last_rows import LastRow
from services.runtime.journal import segments
from services.runtime.journal.reader import Chunk, Cursor, JournalReader
from services.runtime.journal.recent import RecentRecords
from services.runtime.journal.records import encode_frames, encode_head
from services.runtime.journal.segments import Segment

SEGMENT_BYTES = 8 * 1024 * 1024
FULL_ERRNOS = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG, errno.ENOENT, errno.EMFILE, errno.ENFILE}
)
"""Conditions that pass: the disk has no room, or does not take writes now. Anything else is an error of the disk."""
_NO_ROOM_ERRNOS = frozenset({errno.ENOSPC, errno.EDQUOT})


class JournalFullError(Exception):
    """Nothing was appended; the journal is as it was before."""


class Journal:
    """Frames of one producer, in the order of their append, over all its runs that are not yet trimmed."""

    def __init__(
        self, directory: Path, producer: str, epoch: int, *, max_bytes: int, segment_bytes: int = SEGMENT_BYTES
    ):
        self.producer = producer
        self.epoch = epoch
        self.next_position = 0
        self.fsync = True
        """True where somebody calls `sync` all the time; else a full segment is left to the kernel."""
        self._directory = directory
        self._max_bytes = max_bytes
        self._segment_bytes = segment_bytes
        self._descriptor: int | None = None
        self._recent = RecentRecords()
        self._unsynced: list[tuple[int, Path, bool]] = []
        self._unsynced_lock = threading.Lock()
        self._is_dirty = False
        self._has_lost_newest = False
        directory.mkdir(mode=0o750, parents=True, exist_ok=True)
        self._ended = segments.ended_in(directory)
        self._durable: tuple[Position, float] | None = None
        self._segments, self.last_rows, self.torn_bytes = segments.recover(directory)
        self._reader = JournalReader(producer, self._segments, self._recent)

    @property
    def size_bytes(self) -> int:
        """The size of all segments together."""
        return sum(segment.size for segment in self._segments)

    @property
    def damaged_bytes(self) -> int:
        """Bytes that a reader has met and that are no record; zeros, or a record with a wrong checksum."""
        return self._reader.damaged_bytes

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

    def begin_segment(self, rows: Mapping[str, LastRow]) -> None:
        """Begin a segment with these rows in its head, durably. Errors as of `append`."""
        self._begin_segment(rows, b"")
        if self.fsync and self._descriptor is not None:
            sync_file(self._descriptor, self._segments[-1].path)
            sync_directory(self._directory)

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
        if (
            self._descriptor is None
            or self._has_lost_newest
            or self._segments[-1].size + len(records) > self._segment_bytes
        ):
            return self._begin_segment(rows, records)
        newest = self._segments[-1]
        offset = newest.size
        self._write(self._descriptor, records, offset)
        newest.mark(self.next_position, offset)
        newest.size += len(records)
        return offset, offset

    def frames_backwards(self) -> Iterator[list[bytes]]:
        """Yield the frames of each segment in their order, the newest segment first."""
        for segment in reversed(self._segments):
            yield segments.frames_in(segment.path)

    def oldest(self) -> Cursor:
        """Return the place before the first record that the journal has."""
        number = self._segments[0].number if self._segments else 0
        return Cursor(number, 0, Position(self._ended.epoch, self._ended.number - 1) if self._ended else None)

    def behind(self, next_position: Position) -> Cursor | None:
        """Return the place before the first record at or behind this position; None where its epoch is unknown."""
        if next_position == self._ended and all(segment.epoch != next_position.epoch for segment in self._segments):
            return self.oldest()
        return self._reader.place_of(next_position)

    def read(self, cursor: Cursor, *, max_bytes: int = MAX_BATCH_BYTES, max_frames: int = 1 << 30) -> Chunk | None:
        """Return the next frames behind the cursor, of one epoch and without a hole; None at the end."""
        return self._reader.read(cursor, max_bytes=max_bytes, max_frames=max_frames)

    def acknowledge(self, durable: Position, now_s: float) -> None:
        """Note that everything before this position is durable at the writer.

        Segments that lie wholly before it may be removed from now on.
        """
        self._durable = durable, now_s
        if durable.epoch == self.epoch:
            self.forget_end()  # what may be missing from now on is missing behind this
        for index, segment in enumerate(self._segments[:-1]):
            following = self._segments[index + 1]
            if segment.acknowledged_at_s is None and self._is_before(following, durable, index + 1):
                segment.acknowledged_at_s = now_s

    def trim(self, now_s: float, retention_s: float) -> int:
        """Remove acknowledged segments after the retention time, oldest first, never the newest; returns how many.

        On a disk that is nearly full their time is over. A newest segment that somebody has deleted is given up.
        """
        self._has_lost_newest = self._descriptor is not None and not self._segments[-1].path.exists()
        if is_nearly_full(self._directory):
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
        """Return the size of all that the writer has not made durable yet, heads of segments included."""
        durable = durable or Cursor(-1, 0, None)
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
            path = self._directory / segments.ENDED_NAME
            replace_file(path, f"{durable.epoch} {durable.number}\n".encode())
            with path.open("rb") as file:
                sync_file(file.fileno(), path)
            sync_directory(self._directory)
        self._remove_oldest(len(self._segments))

    def forget_end(self) -> None:
        """Forget where a deleted journal ended: the writer is beyond it, or knows nothing of it."""
        if self._ended is not None:
            self._ended = None
            (self._directory / segments.ENDED_NAME).unlink(missing_ok=True)

    def close(self) -> None:
        """Sync, and give all descriptors back."""
        self.sync()
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
        self._reader.close()

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
            self._directory.mkdir(mode=0o750, parents=True, exist_ok=True)  # it may have been deleted, as any segment
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
            self._has_lost_newest = False
        if self._durable is not None:  # the segment before may be wholly durable, and the next one long in coming
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
        self._reader.close()
        sync_directory(self._directory)

    def _drop_unsynced(self, removed: set[Path]) -> None:
        """Close what is open of removed segments: the disk keeps their bytes as long."""
        with self._unsynced_lock:
            for descriptor, path, _ in self._unsynced:
                if path in removed:
                    os.close(descriptor)
            self._unsynced = [entry for entry in self._unsynced if entry[1] not in removed]

    def _is_before(self, segment: Segment, durable: Position, index: int) -> bool:
        """Return True if the segment begins at or before the durable position: all segments before it are durable."""
        if segment.epoch == durable.epoch:
            return segment.first <= durable.number
        return any(later.epoch == durable.epoch for later in self._segments[index + 1 :])


def _translated(error: OSError) -> Exception:
    return JournalFullError(str(error)) if error.errno in FULL_ERRNOS else error
