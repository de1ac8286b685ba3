"""Reads the sockets of a worker in place of its recorder while that is away.

| who reads | until |
|---|---|
| the recorder, behind `come_back` | `leave`: nobody |
| nobody: what has come is being recorded | `come_back`: the recorder; after 50 ms: the thread |
| the thread | `come_back`: the recorder, as soon as the thread has let go |

Whoever reads holds a lock. The thread looks every 50 ms whether the recorder is away, and sleeps while it reads on.
"""

import math
import threading
from collections.abc import Callable

from services.runtime.clock import monotonic_s

_AWAY_S = 0.05
"""A turn of the recorder takes a millisecond or two: for longer it waits for its disk."""


class StandIn(threading.Thread):
    """The thread; `read` reads for a while, and `interrupt` has that end at once."""

    def __init__(self, read: Callable[[], None], *, interrupt: Callable[[], None]) -> None:
        super().__init__(name="reader", daemon=True)
        self.fault: Exception | None = None
        """The error that has ended the thread."""
        self._read = read
        self._interrupt = interrupt
        self._reading = threading.Lock()
        self._away_since_s = monotonic_s()
        self._is_back = False  # the recorder waits for the thread to let go
        self._turns = 0  # how often the recorder has left
        self._has_left = threading.Event()
        self._stopping = threading.Event()

    @property
    def is_stopping(self) -> bool:
        """Return True from `stop` on."""
        return self._stopping.is_set()

    def come_back(self) -> None:
        """Take over the reading; to be called by the recorder alone."""
        if not self._reading.acquire(blocking=False):
            self._is_back = True
            self._interrupt()
            self._reading.acquire()
            self._is_back = False
        self._away_since_s = math.inf

    def leave(self) -> None:
        """Give up the reading, until `come_back`."""
        self._away_since_s = monotonic_s()
        self._reading.release()
        self._turns += 1
        if not self._has_left.is_set():
            self._has_left.set()

    def stop(self, timeout_s: float) -> None:
        """End the thread, where it has been started; RuntimeError where it does not end in that time."""
        self._stopping.set()
        self._has_left.set()
        self._interrupt()
        self.join(timeout_s)
        if self.is_alive():
            raise RuntimeError("the reader does not end")

    def run(self) -> None:
        """Stand in for the recorder until `stop`; an error ends the thread, and is in `fault` then."""
        turns = -1
        try:
            while not self._stopping.wait(_AWAY_S):
                if monotonic_s() - self._away_since_s >= _AWAY_S and self._reading.acquire(blocking=False):
                    self._stand_in()
                elif turns == self._turns:
                    self._has_left.clear()
                    if turns == self._turns:  # else it has left before it could see that the thread sleeps
                        self._has_left.wait()
                turns = self._turns
        except Exception as error:
            self.fault = error

    def _stand_in(self) -> None:
        try:
            while not (self._is_back or self._stopping.is_set()):
                self._read()
        finally:
            self._reading.release()
