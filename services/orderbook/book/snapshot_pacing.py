"""Requests of one book for a snapshot: their reasons, and when the next one may be sent.

A request is repeated after the retry time, spread so that the books of a machine do not ask together. A book that
begins anew with snapshots, and never stays valid for `_STABLE_S`, waits twice as long before each further one: a
snapshot costs 20 of the 2,400 weight that all programs at this address share in a minute (docs/exchange.md §4).
"""

from typing import NamedTuple

from services.runtime.retry import RandomSource, doubled_s, spread_s

RANGE = "range"
"""Reason of a valid book that asks because its price nears the end of the levels that it knows."""
DOUBT = "doubt"
"""Reason of a doubted book whose stream should come again, and does not."""
_STABLE_S = 60.0
"""A book that was valid for so long may ask for its next snapshot at once."""
_LONGEST_PAUSE_ROUNDS = 16
"""The longest pause between two snapshots of a book that is never stable, in retry times: 80 s with the usual 5 s."""


class SnapshotNeed(NamedTuple):
    """A book's request for a snapshot: one helps when its id is at least `last_update_id`."""

    last_update_id: int
    reason: str


class SnapshotPacing:
    """The times of one book's requests; `now_s` is monotonic."""

    def __init__(self, *, retry_s: float, rng: RandomSource) -> None:
        self._retry_s = retry_s
        self._rng = rng
        self._next_s = 0.0
        self._next_range_s = 0.0
        self._valid_since_s = 0.0
        self._reloads = -1  # snapshots that the book began anew with since it was stable; the first one does not count

    def try_request(self, now_s: float) -> bool:
        """Return True if a book that is not valid may ask now; it may then ask again after the retry time."""
        if now_s < self._next_s:
            return False
        self._next_s = now_s + spread_s(self._retry_s, self._rng)
        return True

    def try_range_request(self, now_s: float) -> bool:
        """Return True if a valid book may ask now for a snapshot that reaches further; it may again after that time."""
        if now_s < self._next_range_s:
            return False
        self._next_range_s = now_s + spread_s(self._retry_s, self._rng)
        return True

    def count_reload(self) -> None:
        """The book has begun anew with a snapshot."""
        self._reloads += 1

    def start_valid(self, now_s: float) -> None:
        """The book is valid from now on."""
        self._valid_since_s = now_s

    def end_valid(self, now_s: float) -> None:
        """The book is valid no more: earlier reloads are forgotten if it was stable until now."""
        if now_s - self._valid_since_s >= _STABLE_S:
            self._reloads = 0

    def delay_next(self, now_s: float) -> None:
        """Put the next request off after a failure, the longer the more snapshots have not helped."""
        if self._reloads > 0:
            longest_s = _LONGEST_PAUSE_ROUNDS * self._retry_s
            pause_s = doubled_s(self._reloads, first_s=self._retry_s, ceiling_s=longest_s)
            self._next_s = max(self._next_s, now_s + spread_s(pause_s, self._rng))
