"""Reads the day's gap files at the start, soon after, and once an hour; between them gaps come over the bus.

Each time a thread of its own reads them: the disk may stand still, and the bus must not wait for it. In: a
day and the data directory. Out: its gap rows, handed over through a queue.
"""

import logging
import queue
import threading
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from binance_streamer.health.gap_files import ReadGaps, gaps_of_day

_SECOND_READ_S = 30.0
"""A gap that was published before the monitor subscribed may not be in a file yet: the writer flushes in seconds."""
_INTERVAL_S = 3600.0
"""For what the bus has lost: it drops messages for a subscriber that is too slow."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_log = logging.getLogger(__name__)


class DayGaps(NamedTuple):
    """The gap rows of a day, in days since 1970, with the fault that reading met, if any."""

    day: int
    found: ReadGaps


class GapReader:
    """Hands out what was read. Where there is no data directory (that of another host) nothing ever comes.

    `read_if_due` and `take` are called by the main thread and never wait. Times are of one monotonic clock.
    """

    def __init__(self, data_directory: Path, symbols: Iterable[str], now_s: float) -> None:
        self._data_directory = data_directory
        self.symbols = tuple(symbols)
        """The symbols whose files the next read takes."""
        self._results: queue.SimpleQueue[DayGaps] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._next_s = now_s
        self._interval_s = _SECOND_READ_S

    def read_if_due(self, day: int, now_s: float) -> None:
        """Begin to read the files of a day where it is time to; one read at a time, and a stuck one holds nobody.

        While a read is stuck no other one begins, so that a dead disk costs one thread and not one per hour. The
        thread is a daemon: the process can end without it.
        """
        if now_s < self._next_s or (self._thread is not None and self._thread.is_alive()):
            return
        self._next_s, self._interval_s = now_s + self._interval_s, _INTERVAL_S
        self._thread = threading.Thread(target=self._read, args=(day,), name="gap-files", daemon=True)
        self._thread.start()

    def take(self) -> DayGaps | None:
        """Return what was read since the last call, once and in the order of reading; None where nothing was."""
        try:
            return self._results.get_nowait()
        except queue.Empty:
            return None

    def _read(self, day: int) -> None:
        """Read in the thread; log a fault, and hand out what could be read in spite of it."""
        try:
            if not self._data_directory.is_dir():
                return
        except OSError as error:
            _log.warning("gap files cannot be read: %s", error)
            return
        found = gaps_of_day(self._data_directory, self.symbols, f"{_EPOCH + timedelta(days=day):%Y%m%d}")
        if found.fault:
            _log.warning("gap files cannot be read: %s", found.fault)
        self._results.put(DayGaps(day, found))
