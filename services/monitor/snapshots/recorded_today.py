"""Counts the rows and bytes that the writer has recorded today, UTC, from the counters in its status.

A writer counts since its own start. What it had counted before midnight, or before this monitor first heard it where it
has run since yesterday, is taken off; what an earlier run of today wrote before the monitor began is not known, and
`since_ms` says so. Main thread only.
"""

from binance_streamer.wire.statuses import WriterStatus
from services.monitor.snapshots.page import RecordedToday

_DAY_MS = 86_400_000


class RecordedCounter:
    """Fed with the writer's status once a second; one run of the writer follows the other."""

    def __init__(self) -> None:
        self._day = -1
        self._since_ms = 0
        self._epoch: int | None = None
        self._seen = (0, 0)
        self._today = (0, 0)

    def of(self, writer: WriterStatus | None, now_ms: int) -> RecordedToday | None:
        """Return what has been recorded today until `now_ms`; None before a writer was heard.

        A writer that is not heard has recorded what it had said before.
        """
        if self._day != now_ms // _DAY_MS:
            self._day = now_ms // _DAY_MS
            self._since_ms = self._day * _DAY_MS
            self._today = (0, 0)
        if writer is not None:
            self._take(writer)
        if self._epoch is None:
            return None
        rows, size = self._today
        return RecordedToday(rows=rows, bytes=size, since_ms=self._since_ms)

    def _take(self, writer: WriterStatus) -> None:
        """Add what was written since the last status; of a run that began today, everything."""
        counts = writer.rows, writer.bytes
        if writer.epoch != self._epoch:
            started_ms = writer.started_ns // 1_000_000
            is_of_today = started_ms >= self._day * _DAY_MS
            self._seen = (0, 0) if is_of_today else counts
            if self._epoch is None:
                self._since_ms = started_ms if is_of_today else writer.recv_ns // 1_000_000
            self._epoch = writer.epoch
        self._today = (
            self._today[0] + max(0, counts[0] - self._seen[0]),
            self._today[1] + max(0, counts[1] - self._seen[1]),
        )
        self._seen = counts
