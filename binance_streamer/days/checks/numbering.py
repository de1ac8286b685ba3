"""Checks `unique` and `numbers`: each row is there once, and the numbers of a run have no hole that nobody knows of.

Every row has the epoch of the process that received it and a `seq` that counts 1, 2, 3, … within epoch and topic. So a
row that is removed from a file leaves a hole, also in streams whose messages have no ids. Numbers that a neighbouring
day, the raw file or a gap row account for are no fault; who knows those asks for `holes`.
"""

from collections.abc import Iterable, Sequence, Set
from itertools import pairwise
from typing import Any, NamedTuple

import pyarrow.compute as pc

from binance_streamer.days.checks.finding import Finding, FindingList
from binance_streamer.days.checks.order import flat, integers
from binance_streamer.days.checks.ranges import Range, RangeSet


class NumberHole(NamedTuple):
    """Numbers in (low, high] of an epoch that no row has; the stamps are those of the rows beside them."""

    epoch: int
    low: int
    high: int
    from_ns: int
    to_ns: int


class RunFacts(NamedTuple):
    """One run of the recording process in this stream: its epoch, its rows, and the first and last receive stamp."""

    epoch: int
    rows: int
    first_ns: int
    last_ns: int


class _RunNumbers:
    """The numbers of one run that rows have."""

    __slots__ = ("first_ns", "last_ns", "numbers", "rows")

    def __init__(self, recv_ns: int) -> None:
        self.numbers = RangeSet()
        self.rows = 0
        self.first_ns = self.last_ns = recv_ns


class Numbering:
    """Takes the rows of a stream in any order, most quickly in that of their numbers."""

    name = "unique"

    def __init__(self, stream: str, file: str, id_column: str | None) -> None:
        self._found = FindingList(self.name, stream, file)
        self._id_column = id_column
        self._runs: dict[int, _RunNumbers] = {}
        self._stamps: dict[tuple[int, int], int] = {}
        """Receive stamps of the numbers at which a row did not follow the one before: ends of holes are among them."""

    def take(self, table: Any) -> None:
        """Take the next rows of the stream."""
        if len(table):
            epochs, seqs, stamps = (flat(table[name]) for name in ("epoch", "seq", "recv_ns"))
            epoch = epochs[0].as_py()
            is_one_run = pc.all(pc.equal(epochs, epoch)).as_py()
            if is_one_run and pc.all(pc.equal(seqs[1:], pc.add(seqs[:-1], 1))).as_py() is not False:
                self._take_run(epoch, seqs, stamps)
            else:
                self._take_rows(table)

    def findings(self) -> Sequence[Finding]:
        """Return the rows that are there twice."""
        return self._found.all()

    @property
    def duplicates(self) -> int:
        """Count the rows that have the numbers of another one."""
        return self._found.count

    def runs(self) -> list[RunFacts]:
        """Return the runs of the recording process, in the order of their first rows."""
        found = (RunFacts(epoch, run.rows, run.first_ns, run.last_ns) for epoch, run in self._runs.items())
        return sorted(found, key=lambda run: (run.first_ns, run.epoch))

    def holes(self) -> list[NumberHole]:
        """Return the numbers that are missing between the least and the greatest of each run."""
        found = []
        for epoch, run in self._runs.items():
            for (_, low), (high, _) in pairwise(run.numbers):
                from_ns, to_ns = (self._stamps.get((epoch, seq), 0) for seq in (low, high + 1))
                found.append(NumberHole(epoch, low, high, from_ns, to_ns))
        return found

    def _take_run(self, epoch: int, seqs: Any, stamps: Any) -> None:
        """Take rows of one epoch that count on one by one."""
        first, last = seqs[0].as_py(), seqs[-1].as_py()
        extremes = pc.min_max(stamps)
        run = self._run(epoch, extremes["min"].as_py(), extremes["max"].as_py())
        run.rows += len(seqs)
        new = run.numbers.add(first - 1, last)
        self._note(epoch, first, stamps[0].as_py())
        self._note(epoch, last, stamps[-1].as_py())
        if new < len(seqs):
            self._found.add(f"seq {first} to {last} of epoch {epoch}: rows that are there twice: {len(seqs) - new}")

    def _take_rows(self, table: Any) -> None:
        ids = integers(table[self._id_column]).to_pylist() if self._id_column else [None] * len(table)
        rows = zip(*(flat(table[name]).to_pylist() for name in ("epoch", "seq", "recv_ns")), ids, strict=True)
        expected: dict[int, tuple[int, int]] = {}
        for epoch, seq, recv_ns, number in rows:
            run = self._run(epoch, recv_ns, recv_ns)
            run.rows += 1
            if not run.numbers.add(seq - 1, seq):
                self._found.add(f"seq {seq} of epoch {epoch} is there twice", id=number, recv_ns=recv_ns)
            before, stamp = expected.get(epoch, (0, 0))
            if seq != before + 1:
                self._note(epoch, before, stamp)
                self._note(epoch, seq, recv_ns)
            expected[epoch] = seq, recv_ns
        for epoch, (seq, recv_ns) in expected.items():
            self._note(epoch, seq, recv_ns)

    def _run(self, epoch: int, least_ns: int, most_ns: int) -> _RunNumbers:
        run = self._runs.get(epoch)
        if run is None:
            run = self._runs[epoch] = _RunNumbers(least_ns)
        run.first_ns, run.last_ns = min(run.first_ns, least_ns), max(run.last_ns, most_ns)
        return run

    def _note(self, epoch: int, seq: int, recv_ns: int) -> None:
        if seq and recv_ns:
            self._stamps[epoch, seq] = recv_ns


def unexplained(holes: Iterable[NumberHole], known: dict[int, RangeSet]) -> list[tuple[NumberHole, list[Range]]]:
    """Return the holes of which numbers are left that are not in `known`, by epoch, with those numbers."""
    found = []
    for hole in holes:
        left = RangeSet([(hole.low, hole.high)]).minus(known.get(hole.epoch, RangeSet()))
        if len(left):
            found.append((hole, list(left)))
    return found


def ids_of_numbers(tables: Iterable[Any], column: str, wanted: Set[tuple[int, int]]) -> dict[tuple[int, int], int]:
    """Return the exchange's ids, in this column, of the rows with these numbers (epoch, seq)."""
    found: dict[tuple[int, int], int] = {}
    for table in tables:
        names = zip(table["epoch"].to_pylist(), table["seq"].to_pylist(), strict=True)
        ids = integers(table[column])
        found |= {name: ids[place].as_py() for place, name in enumerate(names) if name in wanted}
    return found
