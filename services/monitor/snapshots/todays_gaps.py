"""Today's gaps: from the recorded files, so that they outlive the monitor, and from the bus, so that they come
at once.

A day is UTC, and that of `from_ns`, as in the files' names. The newest state of a `gap_id` counts. Rows
come twice, from a file and from the bus, and in any order: taking one in again changes nothing.

In: gap rows. Out: totals of the day, a list for the page, and a counter of ended gaps. Main thread only.
"""

from collections.abc import Iterable, Mapping
from heapq import heappop, heappush

from binance_streamer.exchange.streams import Stream
from binance_streamer.health.gaps import NO_GAPS, FoldedGap, GapRow, GapSummary, fold, summary_of
from services.monitor.snapshots.page import PageGap

MAX_GAPS = 10_000
"""Of a day, some 10 MB; beyond it the oldest ones are forgotten."""
MAX_COUNTED = 2 * MAX_GAPS
"""Gaps that are remembered by their ids, so that none is counted twice."""
SHOWN = 200
"""Gaps in the list of the page; it goes to every client each second, and the files have all of them."""
OTHER = "other"
"""The stream of a gap in what is no configured stream: rows of our own, or a stream that is configured no more."""
_DAY_NS = 86_400 * 10**9


class _CountedGaps:
    """The gaps that were counted already. Beyond `MAX_COUNTED` everything up to the end of the earliest one
    counts.

    A gap has a row per change of its state, and comes from files again each hour, but the counter must grow by
    one for it. Only ids are kept, with the end of each in a heap, so that the earliest is found at once when
    the memory is full. A gap that is told later than that and ended before is not counted: too few is better
    than one gap counted twice, which would alert again.
    """

    def __init__(self, now_ns: int) -> None:
        self._before_ns = now_ns
        self._ids: set[str] = set()
        self._ends: list[tuple[int, str]] = []

    def count_once(self, row: GapRow) -> bool:
        """Return True the first time that a gap is given which ended since the start, and remember it."""
        end_ns = row.to_ns or row.from_ns
        if end_ns < self._before_ns or row.gap_id in self._ids:
            return False
        self._ids.add(row.gap_id)
        heappush(self._ends, (end_ns, row.gap_id))
        if len(self._ids) > MAX_COUNTED:
            first_ns, first = heappop(self._ends)
            self._ids.remove(first)
            self._before_ns = first_ns + 1
        return True


class TodaysGaps:
    """The gaps of a day, of the configured symbols. `streams` are those that are configured, by symbol.

    Gaps of other symbols are ignored, and of one day `MAX_GAPS` are kept: anybody may publish on the bus, and
    memory stays bounded.
    """

    def __init__(self, streams: Mapping[str, Iterable[Stream]], now_ns: int) -> None:
        self.since_ns = now_ns
        """Gaps are known from here on; the start of the day where its files could be read."""
        self.ended: dict[tuple[str, str], int] = {}
        """By symbol and stream: the gaps that ended since this process runs."""
        self._counted = _CountedGaps(now_ns)
        self._names: dict[str, frozenset[str]] = {}
        self.follow(streams)
        self._day = now_ns // _DAY_NS
        self._gaps: dict[str, FoldedGap] = {}
        self._summary: GapSummary | None = NO_GAPS

    def follow(self, streams: Mapping[str, Iterable[Stream]]) -> None:
        """Take the gaps of these symbols from now on, as members of groups come and go."""
        self._names = {symbol: frozenset(stream.name for stream in streams[symbol]) for symbol in streams}

    def take(self, row: GapRow) -> None:
        """Take in a gap, or a change of one, from the bus or from a file, however often it comes.

        A change counts for a gap that is known, even one of another day's `from_ns`: the bounds of a gap shrink as
        it is repaired, and its begin may move over midnight. Of too many gaps the one that came first is forgotten.
        """
        if row.symbol not in self._names:
            return
        if self._counted.count_once(row):
            key = row.symbol, row.stream if row.stream in self._names[row.symbol] else OTHER
            self.ended[key] = self.ended.get(key, 0) + 1
        if row.from_ns // _DAY_NS != self._day and row.gap_id not in self._gaps:
            return
        if row.gap_id not in self._gaps and len(self._gaps) >= MAX_GAPS:
            del self._gaps[next(iter(self._gaps))]
        self._gaps[row.gap_id] = fold(self._gaps.get(row.gap_id), row)
        self._summary = None

    def roll(self, now_ns: int) -> None:
        """Forget yesterday once a day has ended; `now_ns` is the wall clock. Call it before each snapshot.

        The counter of ended gaps goes on: it is since the start of the process.
        """
        day = now_ns // _DAY_NS
        if day != self._day:
            self._day = day
            self._gaps = {}
            self._summary = None
            self.since_ns = day * _DAY_NS

    def mark_files_read(self) -> None:
        """Note that the day's files have been taken in: its gaps are known from its start."""
        self.since_ns = self._day * _DAY_NS

    @property
    def day(self) -> int:
        """The UTC day, in days since 1970."""
        return self._day

    def summary(self) -> GapSummary:
        """Total the day's gaps; computed anew only when one has changed.

        A snapshot is made each second, and a day may have 10,000 gaps: most seconds no gap changes.
        """
        if self._summary is None:
            self._summary = summary_of(self._gaps.values())
        return self._summary

    def newest(self) -> tuple[PageGap, ...]:
        """List the newest gaps by the begin of their widest bounds, newest first, at most `SHOWN`."""
        ordered = sorted(self._gaps.values(), key=lambda gap: gap.first.from_ns, reverse=True)[:SHOWN]
        return tuple(_page_gap(gap) for gap in ordered)


def _page_gap(gap: FoldedGap) -> PageGap:
    """Make the page's form: times and first count of the widest bounds, state and reason of the newest row; ns
    become ms.
    """
    first, newest = gap
    return PageGap(
        symbol=first.symbol,
        stream=first.stream,
        from_ms=first.from_ns // 1_000_000,
        to_ms=None if first.to_ns is None else first.to_ns // 1_000_000,
        reason=newest.reason,
        state=newest.state,
        first_messages=gap.first_messages,
        missing_messages=gap.missing_messages,
    )
