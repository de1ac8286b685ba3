"""The table at the end of a run: a line per kind of fault."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from tests.chaos.recording import Judged


class Fault(NamedTuple):
    """One fault as it was made: its kind, when, and the symbol it hit, where it hit one."""

    kind: str
    from_ns: int
    symbol: str | None = None


class Line(NamedTuple):
    """All faults of one kind, and what was sent from each to the next fault."""

    fault: str
    times: int
    expected: int
    recorded: int
    lost: int
    doubled: int
    gaps: int
    true_gaps: int
    stall_ms: float
    """The longest time between sending and receiving, of symbols that the fault did not hit."""


_HEAD = ("fault", "times", "sent", "recorded", "lost", "doubled", "listed gaps", "true gaps", "slowest ms")
LEGEND = """\
sent, recorded: messages from each fault of the kind to the next fault, and those of them that are in the files
lost, doubled: not in the files and in no gap; in the files twice. Both must be 0
listed gaps: rows of the gap files; true gaps: holes in the recording
slowest ms: the longest time between sending and receiving, of symbols that the fault did not hit"""


class Table:
    """Counts stream by stream; everything sent belongs to the fault before it, or to none."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self._faults = [Fault("(before)", 0), *sorted(faults, key=lambda fault: fault.from_ns)]
        self._begins = [fault.from_ns for fault in self._faults]
        self._counts = {fault.kind: [0.0] * 7 for fault in self._faults}

    def add(self, stream: Judged) -> None:
        """One stream more."""
        counts, verdict = self._counts, stream.verdict
        faults = [self._fault_at(message.sent_ns) for message in stream.tape]
        for index, fault in enumerate(faults):
            count = counts[fault.kind]
            count[0] += 1
            if index in stream.recv_ns:
                count[1] += 1
                if fault.symbol != stream.stream.symbol:
                    count[6] = max(count[6], (stream.recv_ns[index] - stream.tape[index].sent_ns) / 1e6)
        for column, places in ((2, verdict.lost), (3, verdict.doubled), (5, verdict.true_gaps)):
            for index in places:
                counts[faults[index].kind][column] += 1
        for gap in verdict.gaps:
            counts[self._fault_at(gap.to_ns or gap.from_ns).kind][4] += 1

    def __str__(self) -> str:
        return _text(self.lines())

    def lines(self) -> list[Line]:
        """One per kind."""
        kinds = [fault.kind for fault in self._faults[1:]]
        return [_line(kind, kinds.count(kind), count) for kind, count in self._counts.items()]

    def _fault_at(self, stamp_ns: int) -> Fault:
        return self._faults[bisect_right(self._begins, stamp_ns) - 1]


def _line(kind: str, times: int, count: Sequence[float]) -> Line:
    expected, recorded, lost, doubled, gaps, true_gaps = map(int, count[:6])
    return Line(kind, times, expected, recorded, lost, doubled, gaps, true_gaps, count[6])


def _text(found: Iterable[Line]) -> str:
    cells = [_HEAD, *([*map(str, line[:-1]), f"{line.stall_ms:.0f}"] for line in found)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(_HEAD))]
    return "\n".join(_row(row, widths) for row in cells)


def _row(cells: Sequence[str], widths: Sequence[int]) -> str:
    """The kind of fault begins at the left, numbers end at the right."""
    kind, *numbers = (cell.rjust(width) for cell, width in zip(cells, widths, strict=True))
    return "  ".join([kind.strip().ljust(widths[0]), *numbers])
