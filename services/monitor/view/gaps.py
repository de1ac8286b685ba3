"""Today's gaps: from the recorded files, so that they outlive the monitor, and from the bus, so that they come at once.

A day is UTC, and that of `from_ns`, as in the files' names. The newest row of a `gap_id` counts.
"""

import csv
from collections.abc import Iterable, Mapping
from heapq import heappop, heappush
from typing import Any, NamedTuple

import msgspec

from binance_streamer.exchange.messages import ExchangeError
from binance_streamer.exchange.streams import Stream, missing_count, stream_from_name
from services.monitor.view.picture import GapPart

MAX_GAPS = 10_000
"""Of a day; beyond it the oldest ones are counted, and not kept."""
MAX_COUNTED = 2 * MAX_GAPS
"""Of which it is known by name that they were counted."""
SHOWN = 200
OTHER = "other"
"""The stream of a gap in what is no configured stream: rows of our own, or one that is configured no more."""
REPAIRED = "repaired"
_RANK = {"open": 0, "unrepairable": 1, REPAIRED: 2}
"""A state is never followed by one before it: files are read behind the bus."""
_DAY_NS = 86_400 * 10**9


class ListedGap(NamedTuple):
    """A row of a gap file, or a message."""

    gap_id: str
    symbol: str
    stream: str
    state: str
    from_ns: int
    to_ns: int | None
    reason: str
    missed: int | None


class _Row(msgspec.Struct, frozen=True, kw_only=True):
    gap_id: str
    symbol: str
    stream: str
    state: str
    from_ns: int
    to_ns: int | None = None
    from_id: int | None = None
    to_id: int | None = None
    reason: str = ""


class GapCount(NamedTuple):
    """Of today, of one symbol and stream; repaired ones are no longer missed."""

    gaps: int = 0
    missed: int = 0


class _CountedGap:
    """Which gaps were counted. Beyond `MAX_COUNTED` those that ended first count as such, and all that ended before."""

    def __init__(self, now_ns: int) -> None:
        self._before_ns = now_ns
        self._ids: set[str] = set()
        self._ends: list[tuple[int, str]] = []

    def is_new(self, gap: ListedGap) -> bool:
        """Once for each that ended since the start."""
        end_ns = gap.to_ns or gap.from_ns
        if end_ns < self._before_ns or gap.gap_id in self._ids:
            return False
        self._ids.add(gap.gap_id)
        heappush(self._ends, (end_ns, gap.gap_id))
        if len(self._ids) > MAX_COUNTED:
            first_ns, first = heappop(self._ends)
            self._ids.remove(first)
            self._before_ns = first_ns + 1
        return True


class TodaysGaps:
    """What is known of the gaps of a day, of the configured symbols."""

    def __init__(self, streams: Mapping[str, Iterable[Stream]], now_ns: int) -> None:
        self.since_ns = now_ns
        """Gaps are known from here on; the start of the day where its files could be read."""
        self.seen: dict[tuple[str, str], int] = {}
        """By symbol and stream: the gaps that ended since this process runs."""
        self._counted = _CountedGap(now_ns)
        self._names = {symbol: frozenset(stream.name for stream in streams[symbol]) for symbol in streams}
        self._day = now_ns // _DAY_NS
        self._gaps: dict[str, ListedGap] = {}

    def take(self, gap: ListedGap) -> bool:
        """A gap, or a change of one; whether it is one of today that was not known."""
        if gap.symbol not in self._names:
            return False
        if self._counted.is_new(gap):
            key = gap.symbol, self._label(gap)
            self.seen[key] = self.seen.get(key, 0) + 1
        if gap.from_ns // _DAY_NS != self._day:
            return False
        known = self._gaps.get(gap.gap_id)
        if known is not None and _RANK.get(gap.state, 0) < _RANK.get(known.state, 0):
            return False
        if known is None and len(self._gaps) >= MAX_GAPS:
            del self._gaps[next(iter(self._gaps))]
        self._gaps[gap.gap_id] = gap
        return known is None

    def roll(self, now_ns: int) -> None:
        """Forget yesterday."""
        day = now_ns // _DAY_NS
        if day != self._day:
            self._day = day
            self._gaps = {}
            self.since_ns = day * _DAY_NS

    def files_were_read(self) -> None:
        """From now on the day's gaps are known from its start."""
        self.since_ns = self._day * _DAY_NS

    @property
    def day(self) -> int:
        """Days since 1970."""
        return self._day

    def counts(self) -> dict[tuple[str, str], GapCount]:
        """By symbol and stream."""
        found: dict[tuple[str, str], GapCount] = {}
        for gap in self._gaps.values():
            key = gap.symbol, self._label(gap)
            gaps, missed = found.get(key, GapCount())
            found[key] = GapCount(gaps + 1, missed + (0 if gap.state == REPAIRED else gap.missed or 0))
        return found

    def newest(self) -> tuple[GapPart, ...]:
        """The newest ones, newest first."""
        ordered = sorted(self._gaps.values(), key=lambda gap: gap.from_ns, reverse=True)[:SHOWN]
        return tuple(_part(gap) for gap in ordered)

    def _label(self, gap: ListedGap) -> str:
        return gap.stream if gap.stream in self._names[gap.symbol] else OTHER


def gap_of(values: Mapping[str, Any]) -> ListedGap | None:
    """A gap out of a message, or a row of a file with its symbol; None where it is not what docs/wire.md says."""
    try:
        row = msgspec.convert({key: value for key, value in values.items() if value != ""}, _Row, strict=False)
    except msgspec.ValidationError:
        return None
    missed = _missed(row.stream, row.from_id, row.to_id)
    return ListedGap(row.gap_id, row.symbol, row.stream, row.state, row.from_ns, row.to_ns, row.reason, missed)


def gaps_of_rows(symbol: str, lines: Iterable[str]) -> list[ListedGap]:
    """The rows of a gap file, header first; half a row at its end is none."""
    found = (gap_of({**row, "symbol": symbol}) for row in csv.DictReader(lines, restkey="surplus", restval=""))
    return [gap for gap in found if gap is not None]


def _missed(name: str, from_id: int | None, to_id: int | None) -> int | None:
    """How many messages are missing, where the ids count them: those of the order book do not."""
    if from_id is None or to_id is None:
        return None
    try:
        stream = stream_from_name(name)
    except ExchangeError:
        return None
    return missing_count(stream, from_id, to_id)


def _part(gap: ListedGap) -> GapPart:
    return GapPart(
        symbol=gap.symbol,
        stream=gap.stream,
        from_ms=gap.from_ns // 1_000_000,
        to_ms=None if gap.to_ns is None else gap.to_ns // 1_000_000,
        reason=gap.reason,
        state=gap.state,
        missed=gap.missed,
    )
