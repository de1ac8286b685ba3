"""Check `gaps`: every hole in the rows is listed by a gap row, and every gap row names a hole, in both directions.

| a gap row | must agree with |
|---|---|
| with ids, not repaired | a hole in the ids: no row lies in (`from_id`, `to_id`] |
| with ids, `repaired` | rows that cover (`from_id`, `to_id`] |
| without ids, not repaired | no row received between `from_ns` and `to_ns`, and one received at either bound |

After a power cut the journal may have lost two seconds that the files have: a gap `restart` may begin that much before
the last row (docs/faults.md).
"""

from collections.abc import Iterable, Sequence, Set
from itertools import pairwise
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from binance_streamer.days.checks.finding import Finding, FindingList
from binance_streamer.days.checks.ids import IdHole, id_columns, is_provable
from binance_streamer.days.checks.numbering import RunFacts
from binance_streamer.days.checks.order import flat, integers
from binance_streamer.days.checks.ranges import RangeSet
from binance_streamer.health.gaps import REPAIRED, GapRow, folded, gap_row

WENT_BACK, RESTART = "ids went back", "restart"
_POWER_CUT_NS = 2_000_000_000
"""A journal is made durable at least every two seconds."""
_MOST_WINDOWS = 4096


def newest_gaps(symbol: str, tables: Iterable[Any]) -> list[GapRow]:
    """Return the gaps in the rows of `gap` tables, each in its newest state; rows come in any order."""
    rows = [gap_row({**row, "symbol": symbol}) for table in tables for row in _named(table)]
    return [gap.newest for gap in folded(row for row in rows if row is not None)]


def _named(table: Any) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = table.to_pylist()
    return [{key: value for key, value in row.items() if value is not None} for row in rows]


def new_counts_ns(gaps: Iterable[GapRow]) -> list[int]:
    """Return the receive stamps from which on the exchange counted anew, of the gaps of one stream."""
    return sorted(gap.to_ns for gap in gaps if gap.reason == WENT_BACK and gap.state != REPAIRED and gap.to_ns)


class GapWindows:
    """Looks for rows in the times that gap rows without ids list as missing; part of the check `gaps`."""

    name = "gaps"

    def __init__(self, stream: str, file: str, gaps: Sequence[GapRow]) -> None:
        self._found = FindingList(self.name, stream, file)
        columns = id_columns(stream)
        self._id_column = columns.last if columns else None
        bare = [gap for gap in gaps if gap.state != REPAIRED and gap.from_id is None and gap.to_ns is not None]
        self._gaps = sorted(bare, key=lambda gap: gap.from_ns)[:_MOST_WINDOWS]
        self._touched: set[str] = set()
        self.least_ns: int | None = None
        self.most_ns: int | None = None

    def take(self, table: Any) -> None:
        """Take the next rows, in any order."""
        if not len(table):
            return
        stamps = flat(table["recv_ns"])
        extremes = pc.min_max(stamps)
        least, most = extremes["min"].as_py(), extremes["max"].as_py()
        self.least_ns = least if self.least_ns is None else min(self.least_ns, least)
        self.most_ns = most if self.most_ns is None else max(self.most_ns, most)
        for gap in self._gaps:
            assert gap.to_ns is not None
            if gap.from_ns > most or gap.to_ns < least:
                continue
            bounds = pa.array([gap.from_ns, gap.to_ns], pa.int64())
            if pc.any(pc.is_in(stamps, value_set=bounds)).as_py():
                self._touched.add(gap.gap_id)
            self._look_inside(gap, table, stamps)

    def findings(self) -> Sequence[Finding]:
        """Return the gaps in whose time there are rows, and those that touch no row although they lie among rows."""
        for gap in self._gaps:
            assert gap.to_ns is not None
            is_among_rows = (self.least_ns or 0) < gap.from_ns and gap.to_ns < (self.most_ns or 0)
            if is_among_rows and gap.gap_id not in self._touched:
                text = f"gap {gap.gap_id} ({gap.reason}): no row was received at its bounds"
                self._found.add(text, recv_ns=gap.from_ns)
        self._gaps = []
        return self._found.all()

    def _look_inside(self, gap: GapRow, table: Any, stamps: Any) -> None:
        low = gap.from_ns + (_POWER_CUT_NS if gap.reason == RESTART else 0)
        inside = pc.and_(pc.greater(stamps, low), pc.less(stamps, gap.to_ns))
        inside = pc.and_(inside, pc.not_equal(flat(table["source"]), "rest"))
        places = pc.indices_nonzero(inside).to_pylist()
        if places:
            recv_ns = stamps[places[0]].as_py()
            number = integers(table[self._id_column])[places[0]].as_py() if self._id_column else None
            text = f"gap {gap.gap_id} ({gap.reason}) lists a time in which rows were received: {len(places)}"
            self._found.add(text, id=number, recv_ns=recv_ns)


def compare_ids(  # noqa: PLR0913
    stream: str, file: str, holes: Sequence[IdHole], *, covered: RangeSet, gaps: Sequence[GapRow], raw: RangeSet
) -> list[Finding]:
    """Compare the holes of a stream of one day with its gap rows.

    `covered` are the ids that its rows cover, `raw` those of messages that became raw rows: these are not missing.

    Ids in front of the first row and behind the last one are those of other days, and not looked at.
    """
    found = FindingList("gaps", stream, file)
    if not is_provable(stream) or not len(covered):
        return found.all()
    ranges = list(covered)
    first, last = ranges[0][0], ranges[-1][1]
    numbered = [gap for gap in gaps if gap.from_id is not None and gap.to_id is not None and gap.reason != WENT_BACK]
    listed = RangeSet(_sorted_ids(gap for gap in numbered if gap.state != REPAIRED))
    for hole in holes:
        for low, high in RangeSet([(hole.from_id, hole.to_id)]).minus(listed).minus(raw):
            if not _excused_by_time(hole, gaps):
                text = f"ids {low + 1} to {high} are missing, and no gap row lists them"
                found.add(text, id=high, recv_ns=hole.to_ns)
    for gap in numbered:
        assert gap.from_id is not None
        assert gap.to_id is not None
        clipped = RangeSet([(gap.from_id, gap.to_id)]).within(first, last)
        if gap.state == REPAIRED:
            first_ids = RangeSet([(gap.first_from_id or gap.from_id, gap.first_to_id or gap.to_id)])
            for low, high in first_ids.within(first, last).minus(covered).minus(listed):
                text = f"gap {gap.gap_id} is repaired, and ids {low + 1} to {high} are not there"
                found.add(text, id=high, recv_ns=gap.to_ns)
            continue
        for low, high in clipped.minus(clipped.minus(covered)):
            if gap.reason != RESTART or low != max(gap.from_id, first):
                text = f"gap {gap.gap_id} ({gap.reason}) lists ids {low + 1} to {high}, and rows have them"
                found.add(text, id=low + 1, recv_ns=gap.from_ns)
    return found.all()


def compare_days(stream: str, file: str, before: int, covered: RangeSet, gaps: Sequence[GapRow]) -> list[Finding]:
    """Compare the last id of the day before with what the first row of this one hangs on."""
    found = FindingList("gaps", stream, file)
    if len(covered):
        first = next(iter(covered))[0]
        listed = RangeSet(_sorted_ids(gap for gap in gaps if gap.state != REPAIRED and gap.reason != WENT_BACK))
        for low, high in RangeSet([(before, first)]).minus(listed):
            found.add(
                f"ids {low + 1} to {high} are missing at the beginning of the day, and no gap row lists them", id=high
            )
    return found.all()


def compare_runs(
    stream: str, file: str, runs: Sequence[RunFacts], gaps: Sequence[GapRow], takeovers: Set[int] = frozenset()
) -> list[Finding]:
    """Look for a gap row between the runs of the process that received a stream without ids: it missed something.

    One that went on in place of another one (`takeovers`, by epoch) was connected before, and need not have.
    """
    found = FindingList("gaps", stream, file)
    if is_provable(stream):
        return []
    for before, behind in pairwise(runs):
        between = [gap for gap in gaps if gap.from_ns <= behind.first_ns and (gap.to_ns or 0) >= before.last_ns]
        if before.last_ns < behind.first_ns and not between and behind.epoch not in takeovers:
            text = f"the process was restarted (epoch {before.epoch} to {behind.epoch}), and no gap row lists it"
            found.add(text, recv_ns=behind.first_ns)
    return found.all()


def _sorted_ids(gaps: Iterable[GapRow]) -> list[tuple[int, int]]:
    return sorted((gap.from_id, gap.to_id) for gap in gaps if gap.from_id is not None and gap.to_id is not None)


def _excused_by_time(hole: IdHole, gaps: Sequence[GapRow]) -> bool:
    """Return True where a gap without ids lists the whole time between the two rows."""
    return any(
        gap.from_id is None and gap.state != REPAIRED and gap.from_ns <= hole.from_ns and hole.to_ns <= (gap.to_ns or 0)
        for gap in gaps
    )
