"""Tells the worker that records whether another one waits that could go on at once: by a lock that the other one holds.

A lock and no message: it is there without the bus, and gone the moment that its holder is.
"""

import contextlib
from pathlib import Path

from binance_streamer.deploy.lock_files import is_held
from services.ingest.streams.stream import OVERLAP_S
from services.runtime.delivery.producer import lock_path
from services.runtime.lock import FileLock
from services.runtime.process import Shell

WARM_S = 2 * OVERLAP_S
"""A connection is open, or a stream subscribed to, for so long before anybody is stopped because of it: so long may
what the other one has still not received be on its way to it."""


def warm_lock_path(shell: Shell, producer: str) -> Path:
    """Return the path of the lock that a warm worker holds, beside that of the journal for which it waits."""
    return lock_path(shell, producer).with_name("warm")


class WarmSign:
    """The lock in the hands of the worker that waits."""

    def __init__(self, path: Path) -> None:
        self._lock = FileLock(path)

    def show(self, *, is_warm: bool) -> None:
        """Hold the lock while this worker is warm; a disk that takes no lock file leaves the other one alone."""
        if not is_warm:
            self._lock.release()
        elif not self._lock.is_ours:
            with contextlib.suppress(OSError):
                self._lock.try_acquire()


def is_relieved(path: Path) -> bool:
    """Return True where another worker is warm."""
    return is_held(path) is True
