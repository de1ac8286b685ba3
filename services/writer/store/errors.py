"""Divides faults of a disk into conditions that pass, for which the writer waits, and those that end the process.

After a full or read-only disk everything that was acknowledged is still there. After an error of the disk itself (EIO)
nobody knows what is there: the kernel may drop pages that it could not write and report it once. Then only a new start,
which reads the files, is safe.
"""

import errno
from collections.abc import Iterator
from contextlib import contextmanager


class BlockedError(Exception):
    """Nothing can be recorded for now; the text is shown as the writer's state."""


class FileDamagedError(Exception):
    """A file is gone, another one, or not as long as it was left; somebody else has had his hands in it."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path


_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_FINAL = frozenset({errno.EIO, errno.EBADF, errno.ENXIO, errno.ENODEV})


def blocked_by(error: OSError) -> BlockedError | None:
    """Return the condition that an error of open or write stands for; None where it is an error of the disk."""
    if error.errno in _FULL:
        return BlockedError("disk full")
    if error.errno in _FINAL or error.errno is None:
        return None
    return BlockedError(f"cannot write: {error.strerror}: {error.filename or 'data'}")


def blocked_by_sync(error: OSError) -> BlockedError | None:
    """Return the condition behind an error of fdatasync; None for all but a full disk, as bytes may be lost then."""
    return BlockedError("disk full") if error.errno in _FULL else None


@contextmanager
def blocked_if_it_passes() -> Iterator[None]:
    """Turn errors of open and write into `BlockedError` where the condition passes; others stay as they are."""
    try:
        yield
    except OSError as error:
        raise (blocked_by(error) or error) from error
