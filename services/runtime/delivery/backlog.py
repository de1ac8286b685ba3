"""How old the oldest record is that the writer has not made durable."""

from typing import NamedTuple

from binance_streamer.wire.frames import Position

_MAX_MARKS = 4096
"""At one a second more than an hour; beyond that two become one, and the age is known less exactly."""


class _Mark(NamedTuple):
    """The records before `position` (and behind the mark before this one) are no older than this."""

    position: int
    since_s: float


class BacklogAge:
    """Told every second or so how far the journal has grown and how much of it is durable."""

    def __init__(self, epoch: int, now_s: float) -> None:
        self._epoch = epoch
        self._looked_s = now_s
        self._noted = 0
        self._earlier_since_s: float | None = now_s  # None once nothing of earlier runs is left
        self._marks: list[_Mark] = []

    def age_s(self, next_position: int, durable: Position | None, *, backlog_bytes: int, now_s: float) -> float:
        """At most so long ago was the oldest record appended that is not durable; 0 where all is.

        What earlier runs left is as old as this run.
        """
        self._note(next_position, now_s)
        if not backlog_bytes:
            self._marks.clear()
        elif durable is not None and durable.epoch == self._epoch:
            self._marks = [mark for mark in self._marks if mark.position > durable.number]
        elif self._earlier_since_s is not None:
            return now_s - self._earlier_since_s
        self._earlier_since_s = None
        return now_s - self._marks[0].since_s if self._marks else 0.0

    def _note(self, next_position: int, now_s: float) -> None:
        if next_position > self._noted:
            self._marks.append(_Mark(next_position, self._looked_s))
            self._noted = next_position
        self._looked_s = now_s
        if len(self._marks) >= _MAX_MARKS:
            pairs = zip(self._marks[::2], self._marks[1::2], strict=True)
            self._marks = [_Mark(later.position, earlier.since_s) for earlier, later in pairs]
