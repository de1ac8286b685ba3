"""Delays between attempts at something that failed."""

from random import Random


class Backoff:
    """Growing delays with full jitter: each uniform between 0 and a bound that doubles from `first_s` to `ceiling_s`.

    Full jitter spreads the symbols that one cut took down at the same moment.
    """

    def __init__(self, *, first_s: float, ceiling_s: float, rng: Random) -> None:
        self._first_s = min(first_s, ceiling_s)
        self._ceiling_s = ceiling_s
        self._rng = rng
        self._bound_s = self._first_s

    def next_delay_s(self, lasted_s: float = 0.0) -> float:
        """Seconds to wait after something that worked for `lasted_s`, 0 where it did not work at all.

        Only what worked for as long as the ceiling ends the doubling: a success of a moment proves nothing.
        """
        if self.has_lasted(lasted_s):
            self.reset()
        delay_s = self._rng.uniform(0.0, self._bound_s)
        self._bound_s = min(self._ceiling_s, self._bound_s * 2)
        return delay_s

    def has_lasted(self, lasted_s: float) -> bool:
        """Return True if this is long enough to forget the failures before it."""
        return lasted_s >= self._ceiling_s

    def reset(self) -> None:
        """Forget earlier failures."""
        self._bound_s = self._first_s
