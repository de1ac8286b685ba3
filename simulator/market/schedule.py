"""The order of events in time: seeded pacing with bursts, and catching up after a pause of the process."""

import heapq
import random
from collections.abc import Callable
from typing import NamedTuple

_BURST_SHARE = 0.3  # of the events follow their predecessor at once


class ScheduledEvent(NamedTuple):
    """One kind of event: its mean distance in time, and what happens."""

    interval_s: float
    is_random: bool  # follows events; else a timer
    action: Callable[[float], None]


class Schedule:
    """A queue of events by the time when they are due. Times are monotonic seconds.

    Average rates hold as long as the process keeps up to within `max_lag_s`; beyond it events are dropped, and
    `skipped_s` counts the time. Otherwise a paused process would send a flood that no exchange sends.
    """

    def __init__(self, rng: random.Random, *, max_lag_s: float = 1.0) -> None:
        self._rng = rng
        self._heap: list[tuple[float, int, ScheduledEvent]] = []  # due, order, what
        self._max_lag_s = max_lag_s
        self.skipped_s = 0.0

    def add(self, rate: float, action: Callable[[float], None], now_s: float, *, is_random: bool) -> None:
        """Add a kind of event with so many a second; the first one comes at a random part of its interval."""
        due_s = now_s + self._rng.random() / rate
        heapq.heappush(self._heap, (due_s, len(self._heap), ScheduledEvent(1 / rate, is_random, action)))

    def clear(self) -> None:
        """Forget all kinds of events."""
        self._heap.clear()

    def run(self, now_s: float, most: int) -> int:
        """Run up to `most` events that are due; return how many ran."""
        self._skip_lag(now_s)
        heap, rng = self._heap, self._rng
        for count in range(most):
            if not heap or heap[0][0] > now_s:
                return count
            due_s, order, entry = heap[0]
            if not entry.is_random:
                due_s += entry.interval_s
            elif rng.random() >= _BURST_SHARE:
                due_s += rng.expovariate(1 - _BURST_SHARE) * entry.interval_s
            heapq.heapreplace(heap, (due_s, order, entry))
            entry.action(now_s)
        return most

    def seconds_to_next(self, now_s: float) -> float:
        """Return how long nothing is due; an hour where there is nothing at all."""
        return max(self._heap[0][0] - now_s, 0.0) if self._heap else 3600.0

    def _skip_lag(self, now_s: float) -> None:
        """Move everything forward where the first event is later than the limit: those events never happen."""
        lag_s = now_s - self._heap[0][0] if self._heap else 0.0
        if lag_s > self._max_lag_s:
            self.skipped_s += lag_s
            self._heap = [(due_s + lag_s, order, entry) for due_s, order, entry in self._heap]
