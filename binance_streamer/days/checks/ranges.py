"""Sets of half-open ranges of ids, (low, high]: covered by rows, listed by gaps, in one but not in the other.

Ranges rather than ids: a whole day of a stream without a hole is one range, however many rows it has.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator

Range = tuple[int, int]
"""(low, high]: `low` is not in it, `high` is."""


class RangeSet:
    """Disjoint ranges in order; those that touch are one."""

    def __init__(self, ranges: Iterable[Range] = ()) -> None:
        self._lows: list[int] = []
        self._highs: list[int] = []
        for low, high in ranges:
            self.add(low, high)

    def __iter__(self) -> Iterator[Range]:
        return iter(zip(self._lows, self._highs, strict=True))

    def __len__(self) -> int:
        return len(self._lows)

    def add(self, low: int, high: int) -> int:
        """Add (low, high], and return how many of its ids were not there before."""
        if low >= high:
            return 0
        if not self._highs or low > self._highs[-1]:
            self._lows.append(low)
            self._highs.append(high)
            return high - low
        if low == self._highs[-1]:
            self._highs[-1] = high
            return high - low
        first = bisect_left(self._highs, low)
        last = first
        known = 0
        new_low, new_high = low, high
        while last < len(self._lows) and self._lows[last] <= high:
            known += max(0, min(high, self._highs[last]) - max(low, self._lows[last]))
            new_low, new_high = min(new_low, self._lows[last]), max(new_high, self._highs[last])
            last += 1
        self._lows[first:last] = [new_low]
        self._highs[first:last] = [new_high]
        return high - low - known

    def within(self, low: int, high: int) -> "RangeSet":
        """Return the parts that lie in (low, high]."""
        return RangeSet((max(low, one), min(high, other)) for one, other in self if one < high and low < other)

    def minus(self, other: "RangeSet") -> "RangeSet":
        """Return the parts that are not in the other set."""
        left = RangeSet()
        taken = list(other)
        at = 0
        for low, high in self:
            while at and taken[at - 1][1] > low:
                at -= 1
            while at < len(taken) and taken[at][0] < high:
                one, end = taken[at]
                if end > low:
                    left.add(low, min(one, high))
                    low = max(low, end)  # noqa: PLW2901 (what is left of this range)
                at += 1
            left.add(low, high)
        return left
