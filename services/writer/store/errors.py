"""Which faults of a disk are conditions that pass, and which end the process."""

import errno


class BlockedError(Exception):
    """Nothing can be recorded for now; the text is the writer's state."""


class FileDamagedError(Exception):
    """A file is not as long as it was left, or not there."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path


_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_FINAL = frozenset({errno.EIO, errno.EBADF, errno.ENXIO, errno.ENODEV})


def blocked_by(error: OSError) -> BlockedError | None:
    """The condition that an error of open or write stands for; None where it is an error of the disk."""
    if error.errno in _FULL:
        return BlockedError("disk full")
    if error.errno in _FINAL or error.errno is None:
        return None
    return BlockedError(f"cannot write: {error.strerror}: {error.filename or 'data'}")


def blocked_by_sync(error: OSError) -> BlockedError | None:
    """Likewise for fdatasync: anything but a full disk may have cost bytes that the kernel had taken."""
    return BlockedError("disk full") if error.errno in _FULL else None
