"""The wish to end, as a flag and as a descriptor that a poller can wait for."""

import os
import select


class Stop:
    """Set once, by a signal or by a test; never cleared."""

    def __init__(self) -> None:
        self._requested = False
        self.fault = ""
        """Why the process has to end though nobody asked for it."""
        self._event = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    @property
    def requested(self) -> bool:
        """Whether the process has been asked to end."""
        return self._requested

    def request(self) -> None:
        """Ask; safe in a signal handler."""
        self._requested = True
        os.eventfd_write(self._event, 1)

    def fail(self, fault: str) -> None:
        """Ask, because of a fault; the first one is kept."""
        self.fault = self.fault or fault
        self.request()

    def fileno(self) -> int:
        """Readable from the moment of the request on."""
        return self._event

    def wait(self, timeout_s: float) -> bool:
        """Sleep, but no longer than until the request; returns `requested`."""
        if not self._requested:
            poller = select.poll()
            poller.register(self._event, select.POLLIN)
            poller.poll(timeout_s * 1000)
        return self._requested

    def close(self) -> None:
        """Give the descriptor back."""
        os.close(self._event)
