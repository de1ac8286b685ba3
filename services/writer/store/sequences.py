"""Sets of sequence numbers, kept as intervals: what the files hold already when the ledger is lost.

Numbers of a topic follow each other, so that a day of ten million rows is a handful of intervals.
"""

from bisect import bisect_right
from collections.abc import Iterator
from typing import NamedTuple


class Interval(NamedTuple):
    """Sequence numbers from `first` to `last`, both included, of one epoch of what `identity` names."""

    identity: str
    epoch: int
    first: int
    last: int


class Sequences:
    """Sets of sequence numbers by identity and epoch."""

    def __init__(self) -> None:
        self._intervals: dict[tuple[str, int], list[list[int]]] = {}
        self._epochs: set[int] = set()

    def __bool__(self) -> bool:
        return bool(self._intervals)

    def add(self, interval: Interval) -> None:
        """Add numbers; cheap where they follow each other, and right where they do not."""
        self._epochs.add(interval.epoch)
        intervals = self._intervals.setdefault((interval.identity, interval.epoch), [])
        if intervals and intervals[-1][0] <= interval.first <= intervals[-1][1] + 1:
            intervals[-1][1] = max(intervals[-1][1], interval.last)
            return
        in_order = not intervals or intervals[-1][1] < interval.first
        intervals.append([interval.first, interval.last])
        if not in_order:
            _merge(intervals)

    def has_epoch(self, epoch: int) -> bool:
        """Return True if there are numbers of this epoch at all."""
        return epoch in self._epochs

    def has(self, identity: str, epoch: int, number: int) -> bool:
        """Return True if the number is in the set."""
        intervals = self._intervals.get((identity, epoch))
        if intervals is None:
            return False
        place = bisect_right(intervals, number, key=lambda interval: interval[0]) - 1
        return place >= 0 and number <= intervals[place][1]

    def __iter__(self) -> Iterator[Interval]:
        for (identity, epoch), intervals in self._intervals.items():
            for first, last in intervals:
                yield Interval(identity, epoch, first, last)


def _merge(intervals: list[list[int]]) -> None:
    intervals.sort()
    merged = [intervals[0]]
    for first, last in intervals[1:]:
        if first <= merged[-1][1] + 1:
            merged[-1][1] = max(merged[-1][1], last)
        else:
            merged.append([first, last])
    intervals[:] = merged
