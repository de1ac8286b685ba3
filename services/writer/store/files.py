"""Appends to the recorded files, and never where a file is not as it was left.

Before each write the file is compared with what we made of it: same inode, same length. A row behind somebody else's
bytes could be cut off again at the next start, or make half a row whole; so a difference is `FileDamagedError`, and
recovery decides. Files are opened without following links, because the data directory may be writable to others.
"""

import os
import stat
from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from services.runtime import files as disk
from services.writer.rows.daily_files import COMPRESSED
from services.writer.store import zstd_frames
from services.writer.store.errors import FileDamagedError, blocked_by_sync, blocked_if_it_passes
from services.writer.store.ledger import FileRecord

_MAX_OPEN = 512
"""Open files: 100 symbols with 5 streams. The one unused for the longest time is closed, and opened again later."""
_FLAGS = os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
_DIRECTORY_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_ROW_BYTES = 200
"""Of a trade, with room to spare."""
_LONGEST_ROW_BYTES = 16 * 2**20
"""A frame of the largest size, base64-encoded or with every quote doubled."""


@dataclass(slots=True)
class DataFile:
    """One file: its length as we made it, and whether that is durable yet."""

    path: str
    length: int
    first_ns: int
    descriptor: int = -1
    inode: int = 0
    is_dirty: bool = False
    is_syncing: bool = False


class SyncWork(NamedTuple):
    """Files and directories that one commit makes durable, for the thread that waits for the disk."""

    files: tuple[DataFile, ...]
    directories: tuple[Path, ...]


class DataFiles:
    """The open and the known files below the data directory."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._files: dict[str, DataFile] = {}
        self._open: OrderedDict[str, DataFile] = OrderedDict()
        self._new_directories: set[Path] = set()
        disk.raise_descriptor_limit()

    def get(self, path: str) -> DataFile | None:
        """Return a file that is known already; None where it has to be looked up in the ledger."""
        return self._files.get(path)

    def know(self, record: FileRecord) -> DataFile:
        """Take over a file as the ledger has it."""
        file = self._files[record.path] = DataFile(record.path, record.length, record.first_ns)
        return file

    def size(self, path: str) -> int | None:
        """Return the length on the disk in bytes; None where there is no regular file."""
        try:
            status = os.lstat(self.root / path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        return status.st_size if stat.S_ISREG(status.st_mode) else None

    def append(self, file: DataFile, content: bytes) -> None:
        """Write whole rows or frames at the end of the file; `FileDamagedError` where that is not where we left it."""
        with blocked_if_it_passes():
            self._open_file(file)
            self._check(file)
            self._write(file, content)

    def begin_sync(self) -> SyncWork:
        """Return everything written since the last time; the files stay open until `end_sync`."""
        files = tuple(file for file in self._files.values() if file.is_dirty)
        for file in files:
            file.is_dirty = False
            file.is_syncing = True
        work = SyncWork(files, tuple(self._new_directories))
        self._new_directories.clear()
        return work

    def end_sync(self, work: SyncWork) -> None:
        """Close and forget files, now that the work is done: those that were deleted, and those beyond the limits."""
        for file in work.files:
            file.is_syncing = False
        for file in [file for file in self._open.values() if _is_idle(file) and not os.fstat(file.descriptor).st_nlink]:
            self._close(file)  # its owner removed it: while it is open here, the disk keeps its bytes
        while len(self._open) > _MAX_OPEN:
            idle = next(filter(_is_idle, self._open.values()), None)
            if idle is None:
                break
            self._close(idle)
        if len(self._files) > 2 * _MAX_OPEN:
            self._files = {path: file for path, file in self._files.items() if file.descriptor >= 0 or file.is_dirty}

    def cut(self, path: str, length: int) -> None:
        """Shorten a file to a length in bytes, and make that durable.

        A compressed one of which nothing is left is removed: to a decoder an empty file is a torn one.
        """
        with blocked_if_it_passes():
            if path.endswith(COMPRESSED) and not length:
                (self.root / path).unlink()
                disk.sync_directory((self.root / path).parent)
                return
            descriptor = self._descriptor(path, _FLAGS)
            try:
                os.ftruncate(descriptor, length)
                disk.sync_file(descriptor, self.root / path)
            finally:
                os.close(descriptor)

    def whole_rows(self, path: str) -> tuple[int, bytes]:
        """Return the length of a file without a torn last line, and its last whole line: empty if it is the header.

        Of a compressed file it is the length of its whole frames.
        """
        if path.endswith(COMPRESSED):
            return zstd_frames.whole_part(self.root / path)
        with (self.root / path).open("rb") as stream:
            size = stream.seek(0, os.SEEK_END)
            start = max(0, size - 2 * _LONGEST_ROW_BYTES)
            stream.seek(start)
            tail = stream.read(size - start)
        end = tail.rfind(b"\n") + 1
        begin = tail.rfind(b"\n", 0, max(0, end - 1)) + 1
        is_header = start == 0 and begin == 0 and not path.endswith(".jsonl")
        return start + end if end else 0, b"" if is_header else tail[begin:end]

    def first_line(self, path: str) -> bytes:
        """Return the first line of a file, with its line break."""
        if path.endswith(COMPRESSED):
            return zstd_frames.first_line(self.root / path)
        with (self.root / path).open("rb") as stream:
            return stream.readline(_LONGEST_ROW_BYTES)

    def lines(self, path: str) -> Iterator[str]:
        """Yield all lines of a file, with their line breaks."""
        if path.endswith(COMPRESSED):
            yield from zstd_frames.text_lines(self.root / path)
            return
        with (self.root / path).open(encoding="utf-8", errors="replace", newline="") as stream:
            yield from stream

    def last_lines(self, path: str, count: int) -> Iterable[str]:
        """Return the last whole lines of a file, this many at most; all of a compressed one is decoded for that."""
        if path.endswith(COMPRESSED):
            return deque(zstd_frames.text_lines(self.root / path), count)
        with (self.root / path).open("rb") as stream:
            start = max(0, stream.seek(0, os.SEEK_END) - count * _ROW_BYTES)
            stream.seek(start)
            lines = stream.read().decode(errors="replace").splitlines(keepends=True)
        return lines[1 if start else 0 :][-count:]

    def close(self) -> None:
        """Close all files, and forget them."""
        for file in list(self._open.values()):
            self._close(file)
        self._files.clear()
        self._new_directories.clear()

    def _write(self, file: DataFile, content: bytes) -> None:
        view = memoryview(content)
        file.is_dirty = True
        try:
            while view:
                view = view[os.write(file.descriptor, view) :]
        except OSError:
            os.ftruncate(file.descriptor, file.length)  # nobody shall read half a row until there is room again
            raise
        file.length += len(content)

    def _open_file(self, file: DataFile) -> None:
        if file.descriptor >= 0:
            self._open.move_to_end(file.path)
            return
        if file.length == 0:
            self._make_folder(file.path)
            self._new_directories.add((self.root / file.path).parent)
            descriptor = self._descriptor(file.path, _FLAGS | os.O_CREAT)
        else:
            try:
                descriptor = self._descriptor(file.path, _FLAGS)
            except FileNotFoundError as error:
                raise FileDamagedError(file.path) from error
        file.descriptor, file.inode = descriptor, os.fstat(descriptor).st_ino
        self._open[file.path] = file

    def _check(self, file: DataFile) -> None:
        try:
            status = os.lstat(self.root / file.path)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise FileDamagedError(file.path) from error
        if (status.st_ino, status.st_size) != (file.inode, file.length):
            raise FileDamagedError(file.path)

    def _make_folder(self, path: str) -> None:
        folder = (self.root / path).parent
        if folder != self.root and not folder.exists():
            folder.mkdir(mode=0o750, exist_ok=True)
            self._new_directories.add(self.root)

    def _descriptor(self, path: str, flags: int) -> int:
        folder = os.open((self.root / path).parent, _DIRECTORY_FLAGS)
        try:
            return os.open(Path(path).name, flags, 0o640, dir_fd=folder)
        finally:
            os.close(folder)

    def _close(self, file: DataFile) -> None:
        self._open.pop(file.path, None)
        os.close(file.descriptor)
        file.descriptor = -1


def _is_idle(file: DataFile) -> bool:
    return not file.is_dirty and not file.is_syncing


def make_durable(root: Path, work: SyncWork) -> None:
    """Wait for the disk; for a thread of its own. Raises `BlockedError`, or `OSError` where bytes may be lost."""
    try:
        for file in work.files:
            disk.sync_file(file.descriptor, root / file.path)
        for directory in work.directories:
            disk.sync_directory(directory)
    except OSError as error:
        raise (blocked_by_sync(error) or error) from error


def probe(root: Path, room_bytes: int) -> None:
    """Raise `BlockedError` unless so many bytes can be written."""
    path = root / ".writer.probe"
    with blocked_if_it_passes():
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o640)
        try:
            os.posix_fallocate(descriptor, 0, room_bytes)
        finally:
            os.close(descriptor)
            path.unlink()


def check_root(root: Path) -> None:
    """Make the data directory, or raise `BlockedError`."""
    with blocked_if_it_passes():
        root.mkdir(mode=0o750, parents=True, exist_ok=True)
