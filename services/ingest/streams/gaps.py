"""The gaps of one stream: how they are listed, and the id holes that a straggler may still fill."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from binance_streamer.exchange.stream_types import is_repairable
from binance_streamer.exchange.streams import Stream
from services.runtime.gaps.drafts import Gap, GapChange
from services.runtime.gaps.open_gaps import OpenGap

OPEN, REPAIRED, UNREPAIRABLE = "open", "repaired", "unrepairable"
SEQUENCE, RESTART, DISCONNECTED, WENT_BACK = "sequence", "restart", "disconnected", "ids went back"
STALL, FRAME_ERROR, OVERSIZE = "stall", "frame error", "oversize"
STRAGGLER, REST, UNKNOWN = "straggler", "rest", "straggler or rest"

_MOST_HOLES, _MOST_REPAIRABLE = 64, 256
_BELOW_ALL = -2  # the first id is 0, and hangs on -1


@dataclass(frozen=True, slots=True)
class _Hole:
    gap_id: str | None  # None where it is not listed: what lies before the first row of all
    low: int
    high: int
    times_ns: tuple[int, int]
    reason: str


class StreamGaps:
    """Lists gaps of one stream, and knows its newest id holes, in the order of their ids."""

    def __init__(self, stream: Stream, new_gap_id: Callable[[], str], open_gaps: Sequence[OpenGap] = ()) -> None:
        self._stream = stream
        self._new_gap_id = new_gap_id
        self._is_repairable = is_repairable(stream.stream_type)
        self._state = OPEN if self._is_repairable else UNREPAIRABLE  # what only a straggler can bring nobody asks for
        self._holes: list[_Hole] = []
        self.count = 0
        """Gaps listed so far."""
        self.filled: list[GapChange] = []
        """Those of which a kill has cut off what was told of them last."""
        self.restore(open_gaps)

    def restore(self, open_gaps: Sequence[OpenGap]) -> None:
        """What the journal says is listed and not filled, in place of what we thought of it."""
        unlisted = [hole for hole in self._holes if hole.gap_id is None]
        listed = [_Hole(gap.gap_id, gap.from_id, gap.to_id, (gap.from_ns, gap.to_ns), gap.reason) for gap in open_gaps]
        self._holes = unlisted + [hole for hole in listed if hole.low < hole.high]
        self.filled = [
            GapChange(*self._gap(hole, REPAIRED)._replace(repaired_by=UNKNOWN))
            for hole in listed
            if hole.low == hole.high
        ]

    @property
    def open_gaps(self) -> list[OpenGap]:
        """What REST is to be asked for."""
        if not self._is_repairable:
            return []
        return [
            OpenGap(hole.gap_id, hole.low, hole.high, *hole.times_ns, hole.reason)
            for hole in self._holes
            if hole.gap_id is not None
        ]

    def begin(self, first: int) -> None:
        """The first row covers what is behind this id. What a slower connection still brings from before it is
        recorded too; what is missing there is not listed, the record begins with the first row.
        """
        self._holes = [_Hole(None, _BELOW_ALL, first, (0, 0), SEQUENCE)]

    def open(self, bounds: tuple[int, int], times_ns: tuple[int, int], reason: str) -> list[Gap]:
        """A hole (low, high] in the ids; the oldest one is forgotten when there are very many."""
        hole = _Hole(self._new_gap_id(), *bounds, times_ns, reason)
        self.count += 1
        most = _MOST_REPAIRABLE if self._is_repairable else _MOST_HOLES
        forgotten, self._holes = self._holes[: 1 - most], [*self._holes[1 - most :], hole]
        return [*self._ended(forgotten, "too many gaps"), self._gap(hole, self._state)]

    def reset(self, bounds: tuple[int, int], times_ns: tuple[int, int]) -> list[Gap]:
        """Ids went back. Older holes cannot be told from new ids any more.

        The bounds are the last id before, and the one that the first row behind hangs on, so that from_id > to_id:
        nobody knows what is missing between the two counts.
        """
        forgotten, self._holes = self._holes, []
        self.count += 1
        gap = self._gap(_Hole(self._new_gap_id(), *bounds, times_ns, WENT_BACK), UNREPAIRABLE)
        return [*self._ended(forgotten, WENT_BACK), gap]

    def undo_reset(self, gap: Gap) -> list[GapChange]:
        """The ids had not gone back: nothing is missing by that gap, nor in those among what was taken for new ids."""
        listed = [self._gap(hole, REPAIRED) for hole in self._holes if hole.gap_id is not None]
        self._holes = []
        return [GapChange(*one._replace(state=REPAIRED, repaired_by=STRAGGLER)) for one in [gap, *listed]]

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
        if not self._holes or previous >= self._holes[-1].high:
            return None
        touched = [hole for hole in self._holes if hole.low < last and previous < hole.high]
        return self._taken_out(touched, previous, last, STRAGGLER) if touched else None

    def repair(self, previous: int, last: int) -> Sequence[Gap] | None:
        """The same for what REST has brought: wanted only where it is listed as missing."""
        touched = self._listed(previous, last)
        return self._taken_out(touched, previous, last, REST) if touched else None

    def give_up(self, low: int, high: int, why: Callable[[OpenGap], str]) -> list[Gap]:
        """Nobody has what is still missing in (low, high]: that part of each hole is unrepairable."""
        rows: list[Gap] = []
        for hole in self._listed(low, high):
            assert hole.gap_id is not None
            lost = replace(hole, low=max(low, hole.low), high=min(high, hole.high))
            if (lost.low, lost.high) != (hole.low, hole.high):  # the rest keeps the name
                lost = replace(lost, gap_id=self._new_gap_id())
                self.count += 1
            gap = OpenGap(hole.gap_id, hole.low, hole.high, *hole.times_ns, hole.reason)
            rows.append(GapChange(*self._gap(lost, UNREPAIRABLE)._replace(why=why(gap))))
            rows += [row for row in self._taken_out([hole], low, high, REST) if row.state == OPEN]
        return rows

    def _listed(self, low: int, high: int) -> list[_Hole]:
        if low >= high:
            return []
        return [hole for hole in self._holes if hole.gap_id is not None and hole.low < high and low < hole.high]

    def _taken_out(self, touched: list[_Hole], previous: int, last: int, by: str) -> list[Gap]:
        rows: list[Gap] = []
        for hole in touched:
            parts = self._rest_of(hole, previous, last)
            at = self._holes.index(hole)
            self._holes[at : at + 1] = parts
            if hole.gap_id is not None:
                filled = self._gap(hole, REPAIRED)._replace(repaired_by=by)
                changed = [self._gap(part, self._state) for part in parts] or [filled]
                rows += [GapChange(*gap) for gap in changed]
        return rows

    def _rest_of(self, hole: _Hole, previous: int, last: int) -> list[_Hole]:
        parts = []
        if previous > hole.low:
            parts.append(replace(hole, high=previous))
        if last < hole.high:
            gap_id = self._new_gap_id() if parts and hole.gap_id is not None else hole.gap_id
            parts.append(replace(hole, gap_id=gap_id, low=last))
        return parts

    def _ended(self, holes: Sequence[_Hole], why: str) -> list[Gap]:
        """Of what could have been asked for, nobody will ask any more."""
        if not self._is_repairable:
            return []
        return [self._gap(hole, UNREPAIRABLE)._replace(why=why) for hole in holes if hole.gap_id is not None]

    def _gap(self, hole: _Hole, state: str) -> Gap:
        assert hole.gap_id is not None
        symbol, name = self._stream.symbol, self._stream.name
        return Gap(hole.gap_id, symbol, name, state, hole.low, hole.high, *hole.times_ns, hole.reason)
