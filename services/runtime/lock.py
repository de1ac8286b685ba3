"""One owner at a time, for a journal, a data directory or an endpoint; the kernel forgets the owner when it dies."""

import contextlib
import fcntl
import logging
import os
from pathlib import Path

from services.runtime.stop import Stop

_log = logging.getLogger(__name__)

_RETRY_S = 0.2


class FileLock:
    """An exclusive `flock` on a file, which also says who holds it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def try_acquire(self) -> bool:
        """Whether this process holds the lock now."""
        self._path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o640)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        with contextlib.suppress(OSError):  # a full disk: the lock is what counts, not what is told of its holder
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"pid {os.getpid()}\n".encode(), 0)
        self._descriptor = descriptor
        return True

    def holder(self) -> str:
        """What the holder wrote about itself: `pid 123`."""
        try:
            return self._path.read_text(encoding="utf-8").strip() or "an unknown process"
        except OSError:
            return "an unknown process"

    def release(self) -> None:
        """Let the next one in; the file stays."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def wait_for_lock(path: Path, what: str, stop: Stop) -> FileLock | None:
    """The lock, once its holder is gone; None when asked to stop before."""
    lock = FileLock(path)
    told = False
    while not lock.try_acquire():
        if not told:
            _log.warning("waiting for=%s held_by=%s lock=%s", what, lock.holder(), path)
            told = True
        if stop.wait(_RETRY_S):
            return None
    if told:
        _log.info("acquired what=%s", what)
    return lock


def endpoint_lock_path(endpoint: str) -> Path | None:
    """The lock beside an ipc socket, None for other transports, which refuse a second bind themselves."""
    path = endpoint.removeprefix("ipc://")
    return None if path == endpoint else Path(f"{path}.lock")
