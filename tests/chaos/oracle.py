"""The oracle of recordings, given what the exchange sent: rows and listed gaps together are the tape, none in both.

Pure, and slow on purpose where that makes it obvious. One stream at a time; indices are places on the stream's tape.
"""

from bisect import bisect_left, bisect_right
from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

_END = 1 << 62
_OUR_LOSSES = frozenset({"journal full", "oversize", "lost in the journal", "file damaged"})
_LATENESS_NS = 1_000_000_000
"""From sending to receiving, where the receive stamp went with the row."""


class Message(NamedTuple):
    """One message on the tape. `key` is its content, digit by digit; ids cover (previous_id, last_id].

    `rest_key` is what REST says of it, None where REST does not have it.
    """

    sent_ns: int
    copies: int
    key: bytes
    previous_id: int | None = None
    last_id: int | None = None
    rest_key: bytes | None = None


class Row(NamedTuple):
    """One recorded row; epoch and seq number the rows of a stream, 1, 2, 3, … in each run of its producer.

    `is_repaired`: REST brought it, and its key is a `rest_key`.
    """

    key: bytes
    recv_ns: int
    epoch: int
    seq: int
    is_repaired: bool = False


class Gap(NamedTuple):
    """A listed gap in its last state."""

    gap_id: str
    state: str
    from_id: int | None
    to_id: int | None
    from_ns: int
    to_ns: int | None
    reason: str


class Rules(NamedTuple):
    """The deviations that a fault excuses."""

    gaps_may_cover_rows: bool = False
    """After a power cut a gap may be wider than its hole."""
    any_order: bool = False
    """The exchange sent in another order, or several connections did: stragglers stand where they arrived."""
    times_may_differ: bool = False
    """The parts of a hole that stragglers split may keep the times of the whole hole."""


STRICT = Rules()


@dataclass
class Verdict:
    """The faults of a recording, as indices of the tape unless said otherwise; `is_right` where there are none."""

    expected: int = 0
    recorded: int = 0
    repaired: set[int] = field(default_factory=set)
    """Recorded, from REST."""
    missing: list[int] = field(default_factory=list)
    """Not recorded, listed or not."""
    lost: list[int] = field(default_factory=list)
    """Neither recorded nor listed: between two rows, or handed over before the first or behind the last one."""
    doubled: list[int] = field(default_factory=list)
    in_both: list[int] = field(default_factory=list)
    """Recorded, and listed as missing."""
    foreign: int = 0
    """Rows that the tape does not have, a wrong digit is enough."""
    disordered: int = 0
    """Rows that stand behind one that was sent later."""
    misnumbered: int = 0
    """Rows whose seq is not the one after that of the row before, within a run that has no gap of our own making."""
    true_gaps: list[int] = field(default_factory=list)
    """The first rows behind holes."""
    gaps: list[Gap] = field(default_factory=list)
    misplaced: list[str] = field(default_factory=list)
    """Gaps that do not begin and end at the rows beside a hole."""
    gap_ns: int = 0
    """All gaps together."""

    @property
    def is_right(self) -> bool:
        """Rows and gaps are the tape."""
        return not self.faults

    @property
    def faults(self) -> list[str]:
        """One text per kind of fault."""
        counts = {
            "lost": len(self.lost),
            "doubled": len(self.doubled),
            "recorded and listed as missing": len(self.in_both),
            "not on the tape": self.foreign,
            "out of order": self.disordered,
            "misnumbered": self.misnumbered,
        }
        found = [f"{count} {what}" for what, count in counts.items() if count]
        for what, indices in (("lost", self.lost), ("doubled", self.doubled), ("in both", self.in_both)):
            if indices:
                found.append(f"{what}: {indices[:5]}… of {self.expected}")
        return found + self.misplaced[:5]


def judge(tape: Sequence[Message], rows: Sequence[Row], gaps: Iterable[Gap], rules: Rules = STRICT) -> Verdict:
    """Compare one stream. Gaps must be those of this stream, each in its last state, in the order of their listing."""
    verdict = Verdict(expected=len(tape), gaps=[gap for gap in gaps if gap.state != "repaired"])
    has_ids = any(message.previous_id is not None for message in tape)
    recv_ns = _placed(tape, rows, verdict, rules)
    verdict.recorded = len(recv_ns)
    verdict.misnumbered = _misnumbered(rows, verdict.gaps)
    verdict.missing = [index for index in range(len(tape)) if index not in recv_ns]
    verdict.gap_ns = sum(max(0, (gap.to_ns or gap.from_ns) - gap.from_ns) for gap in verdict.gaps)
    # what REST brought stands where it was missing; a time that nobody listened to stays one
    places = sorted(recv_ns if has_ids else recv_ns.keys() - verdict.repaired)
    first, last = (places[0], places[-1]) if places else (len(tape), len(tape))
    own = [gap for gap in verdict.gaps if not has_ids or gap.from_id is not None]
    bare = [gap for gap in verdict.gaps if has_ids and gap.from_id is None]
    stamps = _Stamps(recv_ns, verdict.repaired)
    listed = _Listed(tape, stamps, has_ids=has_ids, by_id=own if has_ids else [], by_time=bare if has_ids else own)
    outside = [index for index in verdict.missing if not first < index < last and tape[index].copies]
    verdict.lost += [index for index in outside if index > last or not listed.covers_beginning(index, first)]
    matched = listed.beginnings(first)
    for before, behind in pairwise(places):
        is_hole = tape[behind].previous_id != tape[before].last_id if has_ids else behind != before + 1
        inside = [index for index in range(before + 1, behind) if index not in verdict.repaired]
        if not is_hole and not inside:
            continue
        verdict.true_gaps.append(behind)
        covering = listed.between(before, behind)
        matched.update(gap.gap_id for gap in covering)
        verdict.lost += [index for index in inside if not listed.covers(index, before, behind)]
        verdict.misplaced += _misplaced(tape, stamps, (before, behind), covering, rules)
    _check_unmatched(tape, verdict, listed, recv_ns, matched, rules)
    verdict.lost.sort()
    return verdict


class _Stamps:
    """The receive stamps of rows, by place; in place of those that REST brought, the rows of connections beside them:
    these are what a gap names.
    """

    def __init__(self, recv_ns: dict[int, int], repaired: set[int]) -> None:
        self._recv_ns = {index: stamp for index, stamp in recv_ns.items() if index not in repaired}
        self._places = sorted(self._recv_ns)

    def all(self) -> set[int]:
        return set(self._recv_ns.values())

    def up_to(self, place: int) -> int:
        """Of the last row at or before the place."""
        at = bisect_right(self._places, place)
        return self._recv_ns[self._places[at - 1]] if at else 0

    def from_on(self, place: int) -> int:
        """Of the first row at or behind the place."""
        at = bisect_left(self._places, place)
        return self._recv_ns[self._places[at]] if at < len(self._places) else _END


class _Listed:
    """The gaps, looked up by id or by the stamps of the rows beside them."""

    def __init__(
        self, tape: Sequence[Message], stamps: _Stamps, *, has_ids: bool, by_id: list[Gap], by_time: list[Gap]
    ) -> None:
        self.has_ids = has_ids
        self.by_id = [gap for gap in by_id if gap.to_id is not None]
        self.by_time = [gap for gap in by_time if gap.to_ns is not None]
        self._tape = tape
        self._stamps = stamps

    def between(self, before: int, behind: int) -> list[Gap]:
        """The gaps that lie between two rows, in the order of their ids or times."""
        found = []
        if self.has_ids:
            low, high = self._tape[before].last_id, self._tape[behind].previous_id
            assert low is not None
            assert high is not None
            if high < low:  # ids went back: the gap says so by its bounds
                found = [gap for gap in self.by_id if (gap.from_id, gap.to_id) == (low, high)]
            else:
                found = [gap for gap in self.by_id if _overlap(gap, low, high)]
            found.sort(key=lambda gap: gap.from_id or 0)
        low_ns, high_ns = self._stamps.up_to(before), self._stamps.from_on(behind)
        times = [gap for gap in self.by_time if gap.from_ns < high_ns and low_ns < (gap.to_ns or 0)]
        return found + sorted(times, key=lambda gap: gap.from_ns)

    def beginnings(self, first: int) -> set[str]:
        """The gaps that end at the first row that is left: of a file that was damaged or taken away."""
        stamp, known = self._stamps.from_on(first), self._stamps.all()
        return {gap.gap_id for gap in self.by_time if gap.to_ns == stamp and gap.from_ns not in known}

    def covers_beginning(self, index: int, first: int) -> bool:
        """Return True if a message in front of the first row that is left is listed, by time."""
        own = self.beginnings(first)
        sent_ns = self._tape[index].sent_ns
        return any(gap.gap_id in own and gap.from_ns - _LATENESS_NS <= sent_ns for gap in self.by_time)

    def covers(self, index: int, before: int, behind: int) -> bool:
        """Return True if a message between these rows that was not recorded is listed."""
        low_ns, high_ns = self._stamps.up_to(before), self._stamps.from_on(behind)
        if any(gap.from_ns <= low_ns and high_ns <= (gap.to_ns or 0) for gap in self.by_time):
            return True
        number = self._tape[index].last_id
        if number is None:
            return False
        low, high = self._tape[before].last_id, self._tape[behind].previous_id
        if any(gap.from_id == low and gap.to_id == high for gap in self.by_id):
            return True
        return any((gap.from_id or 0) < number <= (gap.to_id or 0) for gap in self.by_id)


def _placed(tape: Sequence[Message], rows: Sequence[Row], verdict: Verdict, rules: Rules) -> dict[int, int]:
    """Find the message of each row; return the receive stamps by place."""
    places: dict[tuple[bytes, bool], deque[int]] = defaultdict(deque)
    for index, message in enumerate(tape):
        places[message.key, False].append(index)
        if message.rest_key is not None:
            places[message.rest_key, True].append(index)
    known = {key: waiting[0] for key, waiting in places.items()}
    recv_ns: dict[int, int] = {}
    newest = -1
    for row in rows:
        key = row.key, row.is_repaired
        if key not in known:
            verdict.foreign += 1
            continue
        waiting = places[key]
        while waiting and waiting[0] in recv_ns:
            waiting.popleft()
        if not waiting:
            verdict.doubled.append(known[key])
            continue
        index = waiting.popleft()
        recv_ns[index] = row.recv_ns
        if row.is_repaired:
            verdict.repaired.add(index)
            continue
        verdict.disordered += index < newest and not rules.any_order
        newest = max(newest, index)
    return recv_ns


def _misnumbered(rows: Sequence[Row], gaps: Sequence[Gap]) -> int:
    """Numbers that our own losses took are missing; none is ever used twice."""
    may_miss = any(gap.reason in _OUR_LOSSES for gap in gaps)
    count = 0
    last: dict[int, int] = {}
    for row in rows:
        step = row.seq - last.get(row.epoch, 0)
        count += step < 1 or (step > 1 and not may_miss)
        last[row.epoch] = row.seq
    return count


def _overlap(gap: Gap, low: int, high: int) -> bool:
    assert gap.from_id is not None
    assert gap.to_id is not None
    return (gap.from_id < high and low < gap.to_id) or (gap.from_id, gap.to_id) == (low, high)


def _misplaced(
    tape: Sequence[Message], stamps: _Stamps, hole: tuple[int, int], covering: list[Gap], rules: Rules
) -> list[str]:
    """Return the faults in the bounds of the gaps in one hole."""
    before, behind = hole
    if not covering:
        return []  # its messages are lost, or it is none
    found = []
    ids = [gap for gap in covering if gap.from_id is not None and gap.to_id is not None]
    if ids and tape[before].last_id is not None and not rules.gaps_may_cover_rows:
        bounds = (ids[0].from_id, ids[-1].to_id)
        if bounds != (tape[before].last_id, tape[behind].previous_id):
            found.append(f"ids {bounds} of {ids[0].reason} for {(tape[before].last_id, tape[behind].previous_id)}")
    times = (covering[0].from_ns, covering[-1].to_ns)
    exact = (stamps.up_to(before), stamps.from_on(behind))
    if not rules.times_may_differ and not rules.gaps_may_cover_rows and times != exact:
        found.append(f"times {times} of {covering[0].reason} for {exact}, places {hole}")
    return found


def _check_unmatched(
    tape: Sequence[Message], verdict: Verdict, listed: _Listed, recv_ns: dict[int, int], matched: set[str], rules: Rules
) -> None:
    """Nothing that is recorded may be listed; a gap that lists nothing is only excused where time is all it has."""
    if rules.gaps_may_cover_rows:
        return
    stamps = sorted((stamp, index) for index, stamp in recv_ns.items() if index not in verdict.repaired)
    ids = sorted((number, index) for index in recv_ns if (number := tape[index].last_id) is not None)
    inside: set[int] = set()
    for gap in listed.by_time:
        assert gap.to_ns is not None
        inside.update(
            index
            for _, index in stamps[bisect_right(stamps, (gap.from_ns, _END)) : bisect_left(stamps, (gap.to_ns, -1))]
        )
    for gap in listed.by_id:
        assert gap.from_id is not None
        assert gap.to_id is not None
        inside.update(
            index for _, index in ids[bisect_right(ids, (gap.from_id, _END)) : bisect_right(ids, (gap.to_id, _END))]
        )
    verdict.in_both = sorted(inside)
    beside = {(one[0], other[0]) for one, other in pairwise(stamps)}
    for gap in verdict.gaps:
        if gap.gap_id in matched:
            continue
        is_empty_outage = not listed.has_ids and (gap.from_ns, gap.to_ns) in beside
        if not is_empty_outage:
            verdict.misplaced.append(f"nothing is missing there: {gap}")
