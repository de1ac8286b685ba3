"""One owner at a time, for a journal, a data directory or an endpoint; the kernel forgets the owner when it dies.

A process that waits for a lock says so: in its log once for each reason, and on the bus every second. Without it nobody
could tell a process that waits from one that does not run, since `up` and `status` listen to the bus.
"""

import contextlib
import fcntl
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import zmq

from binance_streamer.transport.sockets import bus_pub
from binance_streamer.wire.statuses import BLOCKED, Status
from services.runtime.clock import monotonic_s
from services.runtime.process import Shell, StopRequestedError
from services.runtime.status import StatusPublisher

_RETRY_S = 0.2


class FileLock:
    """An exclusive `flock` on a file, which also says who holds it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def try_acquire(self) -> bool:
        """Take the lock if it is free; return True if this process holds it now. OSError where no file can be made."""
        descriptor = self._opened()
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        self._hold(descriptor)
        return True

    def acquire(self) -> None:
        """Take the lock as soon as it is free, however long that takes. OSError where no file can be made.

        The kernel gives it to whoever has waited longest, at the moment at which its holder ends.
        """
        while True:
            descriptor = self._opened()
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(descriptor), self._path.stat()):
                    self._hold(descriptor)
                    return
            os.close(descriptor)  # somebody has deleted the file meanwhile: the next one is not kept out by this one

    def _opened(self) -> int:
        self._path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        return os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o640)

    def _hold(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.tell(f"pid {os.getpid()}")

    def tell(self, text: str) -> None:
        """Write into the file what others are to know of this process, as long as it holds the lock."""
        if self._descriptor is None:
            return
        with contextlib.suppress(OSError):  # a full disk: the lock is what counts, not what is told of its holder
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, f"{text}\n".encode(), 0)

    @property
    def is_ours(self) -> bool:
        """Return True where this process holds it."""
        return self._descriptor is not None

    @property
    def is_on_disk(self) -> bool:
        """Return True where the file that this process has locked is the one that others would lock."""
        if self._descriptor is None:
            return False
        try:
            return os.path.samestat(os.fstat(self._descriptor), self._path.stat())
        except OSError:
            return False

    def holder(self) -> str:
        """Read what the holder wrote about itself: `pid 123`."""
        try:
            return self._path.read_text(encoding="utf-8").strip() or "an unknown process"
        except OSError:
            return "an unknown process"

    def release(self) -> None:
        """Give the lock to the next one; the file stays."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


class LockWait(threading.Thread):
    """Waits for a lock while its process does other work; the moment it is ours, `fileno` becomes readable."""

    def __init__(self, lock: FileLock) -> None:
        super().__init__(name="lock", daemon=True)  # it ends with the process, also while it waits
        self._lock = lock
        self._event = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.is_over = False
        """True once the lock is ours."""
        self.acquired_s = 0.0
        """When that was, by the monotonic clock."""

    def fileno(self) -> int:
        """Return the descriptor to poll."""
        return self._event

    def run(self) -> None:
        """Try until the lock is ours."""
        while True:
            try:
                self._lock.acquire()
            except OSError:  # no lock file can be made now
                time.sleep(_RETRY_S)
            else:
                self.acquired_s = monotonic_s()
                self.is_over = True
                os.eventfd_write(self._event, 1)
                return


class Blockage:
    """Entered while a process tries to begin; it opens no socket before there is something to tell."""

    def __init__(self, shell: Shell) -> None:
        self._shell = shell
        self._pub: zmq.Socket[bytes] | None = None
        self._status: StatusPublisher | None = None
        self._reason = ""

    def tell(self, reason: str) -> None:
        """Tell why nothing goes on; to be called again and again, a status goes out once a second."""
        if reason != self._reason:
            self._shell.log.error("waiting state=%s", reason)
            self._reason = reason
        if self._pub is None or self._status is None:
            self._pub = bus_pub(self._shell.context, self._shell.config.endpoints.bus_publish)
            self._status = StatusPublisher(self._shell, self._pub)
        if self._status.due(monotonic_s()):
            self._status.publish(Status(state=f"{BLOCKED}{reason}"))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        if self._pub is not None:
            self._pub.close(linger=0)
            self._shell.log.info("goes on after=%s", self._reason)


def wait_for_lock(shell: Shell, path: Path, *, what: str) -> FileLock:
    """Return the lock once it is ours, and tell on the bus why it is not; `StopRequestedError` if asked to end before.

    A folder that takes no lock file (not writable, full, away) is waited for like a lock that somebody holds.
    """
    lock = FileLock(path)
    with Blockage(shell) as blockage:
        while not shell.stop.requested:
            try:
                if lock.try_acquire():
                    return lock
                blockage.tell(f"{what} is held by {lock.holder()}")
            except OSError as error:
                blockage.tell(f"{what} takes no lock: {error.strerror}: {path}")
            shell.stop.wait(_RETRY_S)
    raise StopRequestedError


@contextlib.contextmanager
def held_endpoint(shell: Shell, endpoint: str) -> Iterator[None]:
    """Hold the lock beside an ipc socket; none is needed for tcp, which refuses a second bind itself."""
    path = endpoint.removeprefix("ipc://")
    if path == endpoint:
        yield
        return
    lock = wait_for_lock(shell, Path(f"{path}.lock"), what=f"the endpoint {endpoint}")
    try:
        yield
    finally:
        lock.release()
