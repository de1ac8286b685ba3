"""The gaps of one stream: how they are listed, and the id holes that a straggler may still fill."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from binance_streamer.exchange import Stream
from services.runtime.gaps import Gap

OPEN, REPAIRED, UNREPAIRABLE = "open", "repaired", "unrepairable"
SEQUENCE, RESTART, DISCONNECTED, WENT_BACK = "sequence", "restart", "disconnected", "ids went back"
STALL, FRAME_ERROR, OVERSIZE = "stall", "frame error", "oversize"

_MOST_HOLES = 64
_BELOW_ALL = -2  # the first id is 0, and hangs on -1
_CAN_BE_ASKED_FOR = frozenset({"aggtrade", "kline", "continuouskline"})
"""What REST still has, for a while. What is missing of the others only a straggler can bring."""


@dataclass(frozen=True, slots=True)
class _Hole:
    gap_id: str | None  # None where it is not listed: what lies before the first row of all
    low: int
    high: int
    times_ns: tuple[int, int]
    reason: str


class Holes:
    """Lists gaps of one stream, and knows its newest id holes."""

    def __init__(self, stream: Stream, new_gap_id: Callable[[], str]) -> None:
        self._stream = stream
        self._new_gap_id = new_gap_id
        self._state = OPEN if stream.stream_type in _CAN_BE_ASKED_FOR else UNREPAIRABLE
        self._holes: list[_Hole] = []
        self.count = 0
        """Gaps listed so far."""

    def begin(self, first: int) -> None:
        """The first row covers what is behind this id. What a slower connection still brings from before it is
        recorded too; what is missing there is not listed, the record begins with the first row.
        """
        self._holes = [_Hole(None, _BELOW_ALL, first, (0, 0), SEQUENCE)]

    def open(self, bounds: tuple[int, int], times_ns: tuple[int, int], reason: str) -> Gap:
        """A hole (low, high] in the ids; the oldest one is forgotten when there are very many."""
        hole = _Hole(self._new_gap_id(), *bounds, times_ns, reason)
        self.count += 1
        self._holes = [*self._holes[1 - _MOST_HOLES :], hole]
        return self._gap(hole, self._state)

    def reset(self, bounds: tuple[int, int], times_ns: tuple[int, int]) -> Gap:
        """Ids went back. Older holes cannot be told from new ids any more.

        The bounds are the last id before, and the one that the first row behind hangs on, so that from_id > to_id:
        nobody knows what is missing between the two counts.
        """
        self._holes = []
        self.count += 1
        return self._gap(_Hole(self._new_gap_id(), *bounds, times_ns, WENT_BACK), UNREPAIRABLE)

    def outage(self, times_ns: tuple[int, int], reason: str) -> Gap:
        """A time for which nobody knows what is missing."""
        gap_id = self._new_gap_id()
        self.count += 1
        symbol, name = self._stream.symbol, self._stream.name
        return Gap(gap_id, symbol, name, UNREPAIRABLE, None, None, *times_ns, reason)

    def fill(self, previous: int, last: int) -> Sequence[Gap] | None:
        """What a straggler that covers (previous, last] changes; None where it lies in no hole.

        The parts of a hole that it splits keep the hole's times.
        """
        touched = [hole for hole in self._holes if hole.low < last and previous < hole.high]
        if not touched:
            return None
        rows: list[Gap] = []
        for hole in touched:
            parts = self._rest_of(hole, previous, last)
            at = self._holes.index(hole)
            self._holes[at : at + 1] = parts
            if hole.gap_id is not None:
                rows += [self._gap(part, self._state) for part in parts] or [self._gap(hole, REPAIRED)]
        return rows

    def _rest_of(self, hole: _Hole, previous: int, last: int) -> list[_Hole]:
        parts = []
        if previous > hole.low:
            parts.append(replace(hole, high=previous))
        if last < hole.high:
            gap_id = self._new_gap_id() if parts and hole.gap_id is not None else hole.gap_id
            parts.append(replace(hole, gap_id=gap_id, low=last))
        return parts

    def _gap(self, hole: _Hole, state: str) -> Gap:
        assert hole.gap_id is not None
        symbol, name = self._stream.symbol, self._stream.name
        repaired_by = "straggler" if state == REPAIRED else None
        return Gap(hole.gap_id, symbol, name, state, hole.low, hole.high, *hole.times_ns, hole.reason, repaired_by)
