"""Files that are made durable, and small ones that are replaced as a whole.

In one place, so that a test can see what a power cut would have spared, and what an error leads to.
"""

import errno
import os
import resource
from pathlib import Path

TEST_SYNC_LOG_VARIABLE = "BINANCE_STREAMER_TEST_SYNC_LOG"
"""Test mode: names a file that gets a line `<length> <path>` after every fdatasync."""

TEST_SYNC_FAULT_VARIABLE = "BINANCE_STREAMER_TEST_SYNC_FAULT"
"""Test mode: names a file; while it is there, no file below the directory that it holds can be made durable (EIO)."""

_LOW_BYTES, _LOW_SHARE = 1024**3, 0.05
"""Less free than both on the disk is nearly full. A gigabyte is some minutes of 200 symbols: each producer looks every
few seconds, and can only give up segments of its own, so that all have to begin before one of them finds no room."""

_sync_log = os.environ.get(TEST_SYNC_LOG_VARIABLE)
_sync_fault = os.environ.get(TEST_SYNC_FAULT_VARIABLE)


def sync_file(descriptor: int, path: Path) -> None:
    """Make the file's bytes durable. An OSError is final: what the kernel could not write it may have forgotten."""
    length = os.fstat(descriptor).st_size
    if _sync_fault and Path(_sync_fault).exists() and path.is_relative_to(Path(_sync_fault).read_text("utf-8")):
        raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))
    os.fdatasync(descriptor)
    _note(length, path)


def replace_file(path: Path, content: bytes) -> None:
    """Write a small file in one step: whenever the process is killed, it is the old one or the new one.

    OSError where the disk refuses. A power cut may leave it empty, unless the caller syncs it.
    """
    new = path.with_name(f"{path.name}.new")
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o640)
    with open(descriptor, "wb") as file:  # noqa: PTH123 (of a descriptor)
        file.write(content)
    new.replace(path)


def raise_descriptor_limit() -> None:
    """Let this process open as many files as the hard limit allows."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def note_synced(path: Path) -> None:
    """The file has been made durable, as it is now, by somebody else: SQLite syncs its own."""
    if _sync_log:
        _note(path.stat().st_size, path)


def free_and_total_bytes(path: Path) -> tuple[int | None, int | None]:
    """Room on the disk of this path for a process like ours, and its size; None where the disk does not say."""
    try:
        found = os.statvfs(path)
    except OSError:
        return None, None
    return found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize


def is_nearly_full(path: Path) -> bool:
    """Return True if little room is left on the disk of this path; False where the disk does not say."""
    free_bytes, total_bytes = free_and_total_bytes(path)
    if free_bytes is None or total_bytes is None:
        return False
    return free_bytes < min(_LOW_BYTES, _LOW_SHARE * total_bytes)


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable: of new files, and of those that are gone."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _note(length: int, path: Path) -> None:
    if _sync_log:
        with Path(_sync_log).open("a", encoding="utf-8") as log:
            log.write(f"{length} {path}\n")
