"""The gaps of one stream: how they are listed, and the id holes that a straggler may still fill."""

from collections.abc import Callable, Sequence

from binance_streamer.exchange.stream_types import is_repairable
from binance_streamer.exchange.streams import Stream
from services.runtime.gaps.drafts import Gap, GapChange
from services.runtime.gaps.open_gaps import OpenGap, outside

OPEN, REPAIRED, UNREPAIRABLE = "open", "repaired", "unrepairable"
SEQUENCE, RESTART, DISCONNECTED, WENT_BACK = "sequence", "restart", "disconnected", "ids went back"
STALL, FRAME_ERROR, OVERSIZE = "stall", "frame error", "oversize"
STRAGGLER, REST, UNKNOWN = "straggler", "rest", "straggler or rest"

_MOST_HOLES, _MOST_REPAIRABLE = 64, 256
_BELOW_ALL = -2  # the first id is 0, and hangs on -1
_UNLISTED = ""
"""The name of what lies before the first row of all: stragglers fill it, but nobody is told that it is missing."""


class StreamGaps:
    """Lists gaps of one stream, and knows its newest id holes, in the order of their ids."""

    def __init__(self, stream: Stream, new_gap_id: Callable[[], str], open_gaps: Sequence[OpenGap] = ()) -> None:
        self._stream = stream
        self._new_gap_id = new_gap_id
        self._is_repairable = is_repairable(stream.stream_type)
        self._state = OPEN if self._is_repairable else UNREPAIRABLE  # what only a straggler can bring nobody asks for
        self._gaps: list[OpenGap] = []
        self.count = 0
        """Gaps listed so far."""
        self.late_rows = 0
        """Rows so far that lie behind younger ones, in a hole."""
        self.filled: list[GapChange] = []
        """Those that are filled, and of which a kill has cut off the row that says so."""
        self.restore(open_gaps)

    def restore(self, open_gaps: Sequence[OpenGap]) -> None:
        """Go on from the gaps that the journal has, in place of those that were listed here."""
        unlisted = [gap for gap in self._gaps if not gap.gap_id]
        self._gaps = unlisted + [gap for gap in open_gaps if gap.from_id < gap.to_id]
        self.filled = [
            GapChange(*self._row(gap, REPAIRED)._replace(repaired_by=UNKNOWN))
            for gap in open_gaps
            if gap.from_id == gap.to_id
        ]

    @property
    def open_gaps(self) -> list[OpenGap]:
        """The gaps that REST is to be asked for, in the order of their ids."""
        return [gap for gap in self._gaps if gap.gap_id] if self._is_repairable else []

    def begin(self, first: int) -> None:
        """Begin with a first row that covers what is behind this id.

        What a slower connection still brings from before it is recorded too; what is missing there is not listed, since
        the record begins with the first row.
        """
        self._gaps = [OpenGap(_UNLISTED, _BELOW_ALL, first, 0, 0, SEQUENCE)]

    def open(self, bounds: tuple[int, int], times_ns: tuple[int, int], reason: str) -> list[Gap]:
        """List a hole (low, high] in the ids; the oldest one is forgotten when there are very many."""
        gap = OpenGap(self._new_gap_id(), *bounds, *times_ns, reason)
        self.count += 1
        most = _MOST_REPAIRABLE if self._is_repairable else _MOST_HOLES
        forgotten, self._gaps = self._gaps[: 1 - most], [*self._gaps[1 - most :], gap]
        return [*self._ended(forgotten, "too many gaps"), self._row(gap, self._state)]

    def reset(self, bounds: tuple[int, int], times_ns: tuple[int, int]) -> list[Gap]:
        """List that the ids went back; older holes cannot be told from new ids any more, and are forgotten.

        The bounds are the last id before, and the one that the first row behind hangs on, so that from_id > to_id:
        nobody knows what is missing between the two counts.
        """
        forgotten, self._gaps = self._gaps, []
        self.count += 1
        gap = self._row(OpenGap(self._new_gap_id(), *bounds, *times_ns, WENT_BACK), UNREPAIRABLE)
        return [*self._ended(forgotten, WENT_BACK), gap]

    def undo_reset(self, gap: Gap) -> list[GapChange]:
        """Close a gap of `reset`, and those behind it: the ids had not gone back."""
        listed = [self._row(one, REPAIRED) for one in self._gaps if one.gap_id]
        self._gaps = []
        return [GapChange(*one._replace(state=REPAIRED, repaired_by=STRAGGLER)) for one in [gap, *listed]]

    def outage(self, times_ns: tuple[int, int], reason: str) -> Gap:
        """List a time for which nobody knows what is missing."""
        gap_id = self._new_gap_id()
        self.count += 1
        symbol, name = self._stream.symbol, self._stream.name
        return Gap(gap_id, symbol, name, UNREPAIRABLE, None, None, *times_ns, reason)

    def take_over(self, gap: OpenGap, present: Sequence[tuple[int, int]]) -> list[Gap]:
        """List a gap that the writer has listed, and go on with it like with one of our own.

        Not missing are the ids in `present`, and not to be listed twice those that are listed here already: another gap
        has them. What is left keeps the name, further parts get new ones.
        """
        listed = [(one.from_id, one.to_id) for one in self._gaps if one.gap_id]
        parts = [gap]
        for low, high in [*present, *listed]:
            parts = [rest for part in parts for rest in outside(part, low, high, new_gap_id=self._new_gap_id)]
        if not parts:
            why = "it is there, or in other gaps"
            return [self._row(gap, REPAIRED)._replace(repaired_by=UNKNOWN, why=why)]
        self._gaps = sorted([*self._gaps, *parts], key=lambda one: one.from_id)
        return [self._row(part, self._state) for part in parts]

    def fill(self, previous: int, last: int) -> Sequence[Gap] | None:
        """Take the ids of a straggler, (previous, last], out of their holes; None where it lies in none.

        The parts of a hole that it splits keep the hole's times.
        """
        touched = [gap for gap in self._gaps if gap.from_id < last and previous < gap.to_id]
        return self._take_out(touched, previous, last, STRAGGLER) if touched else None

    def repair(self, previous: int, last: int) -> Sequence[Gap] | None:
        """Take out what REST has brought; None where it is not listed as missing, and so is not wanted."""
        touched = self._listed(previous, last)
        return self._take_out(touched, previous, last, REST) if touched else None

    def give_up(self, low: int, high: int, why: Callable[[OpenGap], str]) -> list[Gap]:
        """List what is still missing in (low, high] as unrepairable; `why` says it of each gap."""
        rows: list[Gap] = []
        for gap in self._listed(low, high):
            bounds = max(low, gap.from_id), min(high, gap.to_id)
            lost = gap
            if bounds != (gap.from_id, gap.to_id):  # the rest keeps the name
                lost = OpenGap(self._new_gap_id(), *bounds, gap.from_ns, gap.to_ns, gap.reason)
                self.count += 1
            rows.append(GapChange(*self._row(lost, UNREPAIRABLE)._replace(why=why(gap))))
            rows += [row for row in self._take_out([gap], low, high, REST) if row.state == OPEN]
        return rows

    def end(self, why: str) -> list[Gap]:
        """List all that is open as unrepairable: the stream is recorded no more, and nobody will ask for it."""
        ended, self._gaps = self._gaps, []
        return [*self.filled, *self._ended(ended, why)]

    def given_up(self, gap: OpenGap, why: str) -> Gap:
        """Return the row that ends a gap which is not listed here, because nobody can be asked for it."""
        return self._row(gap, UNREPAIRABLE)._replace(why=why)

    def _listed(self, low: int, high: int) -> list[OpenGap]:
        if low >= high:
            return []
        return [gap for gap in self._gaps if gap.gap_id and gap.from_id < high and low < gap.to_id]

    def _take_out(self, touched: list[OpenGap], previous: int, last: int, by: str) -> list[Gap]:
        rows: list[Gap] = []
        self.late_rows += 1
        for gap in touched:
            parts = outside(gap, previous, last, new_gap_id=self._new_gap_id if gap.gap_id else lambda: _UNLISTED)
            at = self._gaps.index(gap)
            self._gaps[at : at + 1] = parts
            if gap.gap_id:
                filled = self._row(gap, REPAIRED)._replace(repaired_by=by)
                rows += [GapChange(*row) for row in [self._row(part, self._state) for part in parts] or [filled]]
        return rows

    def _ended(self, gaps: Sequence[OpenGap], why: str) -> list[Gap]:
        """Return the rows of gaps that could have been asked for, and that nobody will ask for any more."""
        if not self._is_repairable:
            return []
        return [self._row(gap, UNREPAIRABLE)._replace(why=why) for gap in gaps if gap.gap_id]

    def _row(self, gap: OpenGap, state: str) -> Gap:
        symbol, name = self._stream.symbol, self._stream.name
        row = Gap(gap.gap_id, symbol, name, state, gap.from_id, gap.to_id, gap.from_ns, gap.to_ns, gap.reason)
        return row._replace(first_from_id=gap.first_from_id, first_to_id=gap.first_to_id)
