"""What a run says at its end: a line per kind of fault."""

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


_HEAD = ("fault", "times", "expected", "recorded", "lost", "doubled", "gaps", "true gaps", "stall of others ms")


def lines(faults: Sequence[Fault], streams: Iterable[Judged]) -> list[Line]:
    """Everything sent belongs to the fault before it, or to none."""
    faults = [Fault("(before)", 0), *sorted(faults, key=lambda fault: fault.from_ns)]
    begins = [fault.from_ns for fault in faults]
    counts = {fault.kind: [0.0] * 7 for fault in faults}
    for stream in streams:
        kinds = [faults[bisect_right(begins, message.sent_ns) - 1] for message in stream.tape]
        for index, message in enumerate(stream.tape):
            count = counts[kinds[index].kind]
            count[0] += 1
            if index in stream.recv_ns:
                count[1] += 1
                if kinds[index].symbol != stream.stream.symbol:
                    count[6] = max(count[6], (stream.recv_ns[index] - message.sent_ns) / 1e6)
        verdict = stream.verdict
        for column, places in ((2, verdict.lost), (3, verdict.doubled), (5, verdict.true_gaps)):
            for index in places:
                counts[kinds[index].kind][column] += 1
        for gap in verdict.gaps:
            counts[faults[bisect_right(begins, gap.to_ns or gap.from_ns) - 1].kind][4] += 1
    return [_line(kind, sum(fault.kind == kind for fault in faults[1:]), count) for kind, count in counts.items()]


def _line(kind: str, times: int, count: Sequence[float]) -> Line:
    expected, recorded, lost, doubled, gaps, true_gaps = map(int, count[:6])
    return Line(kind, times, expected, recorded, lost, doubled, gaps, true_gaps, count[6])


def text(found: Iterable[Line]) -> str:
    """The table, aligned."""
    cells = [_HEAD, *([*map(str, line[:-1]), f"{line.stall_ms:.0f}"] for line in found)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(_HEAD))]
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in cells)
