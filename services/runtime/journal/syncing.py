"""The thread that makes a journal durable, once a second."""

import threading

from msgspec.structs import replace

from binance_streamer.wire.status_parts import JournalStatus
from services.runtime.clock import monotonic_s
from services.runtime.journal.journal import Journal
from services.runtime.process import EXIT_IO_ERROR

_INTERVAL_S = 1.0
"""A power cut costs what came within it. Each sync takes the disk some milliseconds, whatever there is to write."""
_CLOSE_S = 10.0


class JournalSyncing:
    """Calls `Journal.sync` until it is closed; an error of the disk ends it, and is raised by `raise_error`."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._error: OSError | None = None
        self._count = 0
        self._total_s = 0.0
        self._longest_s = 0.0
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="journal-sync", daemon=True)
        if journal.fsync:
            self._thread.start()

    def raise_error(self) -> None:
        """Raise the OSError that the thread has met: what the kernel could not write it may have forgotten."""
        if self._error is not None:
            raise OSError(EXIT_IO_ERROR, f"journal could not be made durable: {self._error}")

    def describe(self, status: JournalStatus) -> JournalStatus:
        """Return the status with the times that syncing has taken."""
        return replace(status, syncs=self._count, sync_s=self._total_s, longest_sync_s=self._longest_s)

    def close(self) -> None:
        """End the thread; a sync that is under way is waited for, 10 s at most."""
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join(_CLOSE_S)

    def _run(self) -> None:
        while not self._closing.wait(_INTERVAL_S):
            started_s = monotonic_s()
            try:
                self._journal.sync()
            except OSError as error:
                self._error = error
                return
            taken_s = monotonic_s() - started_s
            self._longest_s = max(self._longest_s, taken_s)
            self._count += 1
            self._total_s += taken_s
