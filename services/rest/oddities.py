"""Entries of answers that are not understood: what surrounds them is taken, and each is counted and named once."""

import logging
from collections import Counter

from services.rest.answers import Odd

_log = logging.getLogger(__name__)

_MOST_REMEMBERED = 1000


class Oddities:
    """Counts each different entry once, by its place in the answers, and logs the first of a place."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._seen: set[tuple[str, bytes]] = set()

    def note(self, odd: Odd) -> bool:
        """Count an entry; return False for one that was counted before, and for all beyond 1000 different ones."""
        key = odd.place, odd.raw
        if key in self._seen or len(self._seen) >= _MOST_REMEMBERED:
            return False
        self._seen.add(key)
        self.counts[odd.place] += 1
        if self.counts[odd.place] == 1:
            _log.warning("not understood, further ones are counted in status in=%s: %.200s", odd.place, odd.why)
        return True
