"""Gaps, folded from their rows: the newest state of each, the bounds that it had at first, and totals of many.

A gap has a row for each change of its state, in the gap files and on the bus (docs/files.md, docs/wire.md). Rows of one
`gap_id` may come in any order, because files are read behind the bus; a state never goes back.
"""

import csv
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import msgspec

from binance_streamer.exchange.messages import ExchangeError
from binance_streamer.exchange.rows import SNAPSHOT_STEM, SNAPSHOT_TYPE
from binance_streamer.exchange.streams import missing_messages, stem_of_stream

OPEN = "open"
UNREPAIRABLE = "unrepairable"
REPAIRED = "repaired"
_STATE_RANK = {OPEN: 0, UNREPAIRABLE: 1, REPAIRED: 2}


class GapRow(msgspec.Struct, frozen=True, kw_only=True):
    """One row of a gap. Missing are the messages with ids in `(from_id, to_id]`, received from `from_ns` to `to_ns`;
    at first those in `(first_from_id, first_to_id]`.
    """

    gap_id: str
    symbol: str
    stream: str
    state: str
    from_ns: int
    to_ns: int | None = None
    from_id: int | None = None
    to_id: int | None = None
    first_from_id: int | None = None
    first_to_id: int | None = None
    reason: str = ""

    @property
    def seconds(self) -> float:
        """The length in seconds; 0 while the end is not known, and never below it."""
        return 0.0 if self.to_ns is None else max(0, self.to_ns - self.from_ns) / 1e9


class FoldedGap(NamedTuple):
    """`newest` is what is still missing, `first` the same gap with the widest bounds that any of its rows had."""

    first: GapRow
    newest: GapRow

    @property
    def first_messages(self) -> int | None:
        """Count the messages that were missing at first; None where ids do not count messages (order books)."""
        return _messages(self.first)

    @property
    def missing_messages(self) -> int | None:
        """Count the messages that are missing now: 0 once repaired; None where ids do not count messages."""
        return 0 if self.newest.state == REPAIRED else _messages(self.newest)


class GapTotals(msgspec.Struct, frozen=True):
    """Numbers of gaps by their newest state, and what they miss.

    `missing_messages` are those of open and unrepairable gaps, `unrepairable_messages` of the latter alone, each where
    ids count messages. `unrepairable_s` is the time that unrepairable gaps cover; where they overlap it counts once.
    """

    listed: int = 0
    open: int = 0
    repaired: int = 0
    unrepairable: int = 0
    missing_messages: int = 0
    unrepairable_messages: int = 0
    unrepairable_s: float = 0.0


class GapSummary(NamedTuple):
    """Totals of all gaps, and the same by symbol, and by symbol and stream name (`btcusdt@aggTrade`)."""

    total: GapTotals
    by_symbol: Mapping[str, GapTotals]
    by_stream: Mapping[tuple[str, str], GapTotals]


NO_GAPS = GapSummary(GapTotals(), {}, {})


def fold(known: FoldedGap | None, row: GapRow) -> FoldedGap:
    """Add a row to what is known of its gap. A row with an earlier state than the known one can only widen `first`."""
    if known is None:
        return FoldedGap(_as_listed(row), row)
    is_behind = _STATE_RANK.get(row.state, 0) < _STATE_RANK.get(known.newest.state, 0)
    return FoldedGap(_widest(known.first, _as_listed(row)), known.newest if is_behind else row)


def folded(rows: Iterable[GapRow]) -> list[FoldedGap]:
    """Fold rows into gaps, one for each `gap_id` of a symbol."""
    found: dict[tuple[str, str], FoldedGap] = {}
    for row in rows:
        key = row.symbol, row.gap_id
        found[key] = fold(found.get(key), row)
    return list(found.values())


def summary_of(gaps: Iterable[FoldedGap]) -> GapSummary:
    """Total the gaps, all together, by symbol, and by symbol and stream."""
    listed = list(gaps)
    by_symbol: dict[str, list[FoldedGap]] = {}
    by_stream: dict[tuple[str, str], list[FoldedGap]] = {}
    for gap in listed:
        by_symbol.setdefault(gap.newest.symbol, []).append(gap)
        by_stream.setdefault((gap.newest.symbol, gap.newest.stream), []).append(gap)
    return GapSummary(
        totals_of(listed),
        {symbol: totals_of(some) for symbol, some in by_symbol.items()},
        {key: totals_of(some) for key, some in by_stream.items()},
    )


def totals_of(gaps: Iterable[FoldedGap]) -> GapTotals:
    """Total the gaps; a state that is none of ours counts as open, so that nothing is called well by mistake."""
    listed = list(gaps)
    unrepairable = [gap for gap in listed if gap.newest.state == UNREPAIRABLE]
    repaired = sum(gap.newest.state == REPAIRED for gap in listed)
    return GapTotals(
        listed=len(listed),
        open=len(listed) - len(unrepairable) - repaired,
        repaired=repaired,
        unrepairable=len(unrepairable),
        missing_messages=sum(gap.missing_messages or 0 for gap in listed),
        unrepairable_messages=sum(gap.missing_messages or 0 for gap in unrepairable),
        unrepairable_s=_covered_s(gap.newest for gap in unrepairable),
    )


def stem_of_gap(gap: GapRow) -> str:
    """Return the stem of the files of a gap's stream; its own name where it is a topic of ours."""
    try:
        return stem_of_stream(gap.stream)
    except ExchangeError:
        name = gap.stream.partition(".")[0]
        return SNAPSHOT_STEM if name == SNAPSHOT_TYPE else name


def gap_row(values: Mapping[str, Any]) -> GapRow | None:
    """Read a gap out of a message, or out of a row of a file with its symbol; None where it is not of docs/wire.md."""
    try:
        return msgspec.convert({key: value for key, value in values.items() if value != ""}, GapRow, strict=False)
    except msgspec.ValidationError:
        return None


def rows_of_lines(symbol: str, lines: Iterable[str]) -> list[GapRow]:
    """Read the lines of a gap file, header first. Half a row at the end is left out; raises `csv.Error`."""
    found = csv.DictReader(lines, restkey="surplus", restval="")
    rows = (gap_row({**row, "symbol": symbol}) for row in found)
    return [row for row in rows if row is not None]


def _messages(row: GapRow) -> int | None:
    return missing_messages(row.stream, row.from_id, row.to_id)


def _as_listed(row: GapRow) -> GapRow:
    """The row with the ids that its gap had at first; rows of older files do not say them."""
    if row.first_from_id is None or row.first_to_id is None:
        return row
    return msgspec.structs.replace(row, from_id=row.first_from_id, to_id=row.first_to_id)


def _widest(one: GapRow, other: GapRow) -> GapRow:
    return msgspec.structs.replace(
        one,
        from_ns=min(one.from_ns, other.from_ns),
        to_ns=_extreme(max, one.to_ns, other.to_ns),
        from_id=_extreme(min, one.from_id, other.from_id),
        to_id=_extreme(max, one.to_id, other.to_id),
    )


def _extreme(choose: Any, one: int | None, other: int | None) -> int | None:
    known = [value for value in (one, other) if value is not None]
    return choose(known) if known else None


def _covered_s(rows: Iterable[GapRow]) -> float:
    """The length of all intervals together, in seconds; where some overlap they count once."""
    covered_ns, end_ns = 0, 0
    for from_ns, to_ns in sorted((row.from_ns, row.to_ns) for row in rows if row.to_ns is not None):
        covered_ns += max(0, to_ns - max(from_ns, end_ns))
        end_ns = max(end_ns, to_ns)
    return covered_ns / 1e9
