"""Check `ids`: the exchange's ids prove that nothing is missing; each hole is kept, so that gap rows can be held to it.

| stream | a row covers | what is a hole |
|---|---|---|
| aggTrade, trade | its id | ids that no row has |
| depth, rpiDepth | (`prev_final_update_id`, `final_update_id`] | an update that does not hang on the one before |
| closed klines | its opening time | a bar that is not there |
| bookTicker, partial depth | its id, which only grows | not provable; the same row twice is a fault |
| all others | nothing | not provable |

Where the exchange began its ids anew (a gap `ids went back`), each count is looked at by itself: `counts_ns` are the
receive stamps at which a new count began.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from binance_streamer.days.checks.finding import Finding, FindingList
from binance_streamer.days.checks.order import flat, integers
from binance_streamer.days.checks.ranges import Range, RangeSet
from binance_streamer.exchange.messages import INTERVAL_MS
from binance_streamer.exchange.stream_types import STREAM_TYPES, Continuity, StreamType


class IdHole(NamedTuple):
    """Ids that are missing in (from_id, to_id], between rows received at `from_ns` and `to_ns`."""

    from_id: int
    to_id: int
    from_ns: int
    to_ns: int


def missing_ids(holes: Iterable[IdHole], raw: RangeSet) -> list[IdHole]:
    """Return the parts of holes whose ids are not those of raw rows: a message that became one is not missing."""
    return [
        hole._replace(from_id=low, to_id=high)
        for hole in holes
        for low, high in RangeSet([(hole.from_id, hole.to_id)]).minus(raw)
    ]


class IdColumns(NamedTuple):
    """The columns of a stream's ids. `previous` is empty where ids count by `step`; 0: they only grow."""

    last: str
    previous: str
    step: int


def stream_type_of(stem: str) -> StreamType | None:
    """Return the stream type of a daily file's stem (`depth_100ms`); None for what is no stream of the exchange."""
    return STREAM_TYPES.get(stem) or STREAM_TYPES.get(stem.partition("_")[0])


def id_columns(stem: str) -> IdColumns | None:
    """Return the columns that prove, or at least order, a stream's rows; None where its messages have no ids."""
    found = stream_type_of(stem)
    if found is None or found.row is None:
        return None
    if found.continuity is Continuity.KLINES:
        return IdColumns("open_time", "", INTERVAL_MS.get(stem.rpartition("_")[2]) or 0)
    names = {key: column for column, key in found.row.columns}
    keys = dict(found.ids)
    if found.continuity is Continuity.SEQUENCE:
        return IdColumns(names[keys["last_id"]], names[keys["previous_id"]] if "previous_id" in keys else "", 1)
    return IdColumns(names["u"], "", 0) if found.continuity is Continuity.GROWING else None


def is_provable(stem: str) -> bool:
    """Return True if ids prove that nothing is missing between two rows."""
    columns = id_columns(stem)
    return columns is not None and bool(columns.previous or columns.step)


class _Count:
    """One count of ids: what its rows cover, and the rows at the ends of each range."""

    def __init__(self) -> None:
        self.covered = RangeSet()
        self.last: int | None = None
        self.last_ns = 0
        self.stamps: dict[int, int] = {}
        """Receive stamps of the rows at which a hole may begin (by last id) or end (by minus previous id minus one)."""


class Chain:
    """Takes the rows of a stream in the order of their ids (klines in any): finds holes, and rows that are doubled."""

    name = "ids"

    def __init__(self, stream: str, file: str, counts_ns: Sequence[int] = ()) -> None:
        columns = id_columns(stream)
        assert columns is not None, f"{stream} has no ids"
        self._columns = columns
        self._is_kline = columns.last == "open_time"
        self._found = FindingList(self.name, stream, file)
        self._starts_ns = sorted(counts_ns)
        self._counts = [_Count() for _ in range(len(self._starts_ns) + 1)]
        self._bars: dict[int, list[Any]] = {}
        self._row: dict[str, Any] | None = None
        self.first_id: int | None = None
        self.last_id: int | None = None
        self.corrections = 0
        """Closed klines that the exchange sent again with another content."""
        self.duplicates = 0
        """Rows whose id another row has."""

    def take(self, table: Any) -> None:
        """Take the next rows, in the order of their ids."""
        if self._is_kline:
            self._take_bars(table)
            return
        for count, part in self._by_count(table):
            if len(part):
                self._take_ids(count, part)

    def findings(self) -> Sequence[Finding]:
        """Return the rows that are doubled, or do not fit into the chain; holes are no findings by themselves."""
        return self._found.all()

    def covered(self, count: int = -1) -> RangeSet:
        """Return the ids that rows of a count cover, by default of the newest."""
        return self._counts[count].covered

    def holes(self) -> list[IdHole]:
        """Return what is missing within each count of ids; nothing where ids only grow."""
        found = []
        if self._columns.previous or self._columns.step:
            for count in self._counts:
                for (_, low), (high, _) in pairwise(count.covered):
                    found.append(IdHole(low, high, count.stamps.get(low, 0), count.stamps.get(-high - 1, 0)))
        return found

    def _by_count(self, table: Any) -> list[tuple[_Count, Any]]:
        if not self._starts_ns:
            return [(self._counts[0], table)]
        stamps = flat(table["recv_ns"]).to_pylist()
        numbers = pa.array([bisect_right(self._starts_ns, stamp) for stamp in stamps])
        return [(count, table.filter(pc.equal(numbers, place))) for place, count in enumerate(self._counts)]

    def _take_ids(self, count: _Count, table: Any) -> None:
        lasts = flat(table[self._columns.last])
        stamps = flat(table["recv_ns"])
        least, most = lasts[0].as_py(), lasts[-1].as_py()
        self.first_id = least if self.first_id is None else min(self.first_id, least)
        self.last_id = most if self.last_id is None else max(self.last_id, most)
        if not (self._columns.previous or self._columns.step):
            self._take_growing(table, lasts)
            return
        previous = flat(table[self._columns.previous]) if self._columns.previous else pc.subtract(lasts, 1)
        joins = pc.equal(previous[1:], lasts[:-1])
        breaks = [] if not len(joins) or pc.all(joins).as_py() else pc.indices_nonzero(pc.invert(joins)).to_pylist()
        begins = [0, *(place + 1 for place in breaks)]
        ends = [*breaks, len(lasts) - 1]
        for begin, end in zip(begins, ends, strict=True):
            low, high = previous[begin].as_py(), lasts[end].as_py()
            begin_ns, end_ns = stamps[begin].as_py(), stamps[end].as_py()
            self._add(count, (low, high), (begin_ns, end_ns), lasts[begin].as_py())

    def _add(self, count: _Count, ids: Range, stamps_ns: tuple[int, int], first_id: int) -> None:
        """Take rows that hang on one another and cover `ids`: the id of the first one, and stamps of first and last."""
        (low, high), (begin_ns, end_ns) = ids, stamps_ns
        last = count.last
        if last is not None and first_id == last:
            self.duplicates += 1
            self._found.add(f"id {first_id} is there twice", id=first_id, recv_ns=begin_ns)
            low = last
        elif last is not None and low < last:
            self._found.add(
                f"id {first_id} hangs on {low}, and {last} is the row before", id=first_id, recv_ns=begin_ns
            )
            low = last
        elif low >= high:
            self._found.add(f"id {first_id} hangs on {low}, which is not below it", id=first_id, recv_ns=begin_ns)
        count.covered.add(low, high)
        count.stamps[-low - 1] = begin_ns
        count.stamps[high] = end_ns
        if last is None or high > last:
            count.last, count.last_ns = high, end_ns

    def _take_growing(self, table: Any, lasts: Any) -> None:
        """Look for rows that are the same but for event time and receipt: copies of one message."""
        with_row = [name for name in table.schema.names if name not in _OF_RECEIPT]
        if len(lasts) > 1:
            for place in pc.indices_nonzero(pc.equal(lasts[1:], lasts[:-1])).to_pylist():
                self._compare(_row(table, place, with_row), _row(table, place + 1, with_row), table, place + 1)
        if self._row is not None and self._row[self._columns.last] == lasts[0].as_py():
            self._compare(self._row, _row(table, 0, with_row), table, 0)
        self._row = _row(table, len(lasts) - 1, with_row)

    def _compare(self, one: dict[str, Any], other: dict[str, Any], table: Any, place: int) -> None:
        if one == other:
            self.duplicates += 1
            number = other[self._columns.last]
            self._found.add(f"id {number} is there twice", id=number, recv_ns=flat(table["recv_ns"])[place].as_py())

    def _take_bars(self, table: Any) -> None:
        """Take the closed bars; open ones prove nothing."""
        closed = table.filter(flat(table["is_closed"]))
        names = [name for name in closed.schema.names if name not in _NOT_OF_REST]
        step = self._columns.step
        count = self._counts[0]
        opened = integers(closed["open_time"]).to_pylist()
        stamps = flat(closed["recv_ns"]).to_pylist()
        for open_ms, recv_ns, row in zip(opened, stamps, _rows(closed, names), strict=True):
            known = self._bars.setdefault(open_ms, [])
            if row in known:
                self.duplicates += 1
                self._found.add(f"the closed bar of {open_ms} is there twice", id=open_ms, recv_ns=recv_ns)
                continue
            self.corrections += bool(known)
            known.append(row)
            self.first_id = open_ms if self.first_id is None else min(self.first_id, open_ms)
            self.last_id = open_ms if self.last_id is None else max(self.last_id, open_ms)
            if step:
                count.covered.add(open_ms - step, open_ms)
                count.stamps[-(open_ms - step) - 1] = recv_ns
                count.stamps[open_ms] = recv_ns


_OF_RECEIPT = frozenset({"event_time", "recv_ns", "epoch", "seq", "source"})
_NOT_OF_REST = _OF_RECEIPT | {"first_trade_id", "last_trade_id", "extra"}
"""Columns in which the same message may differ: over another connection, and as REST gives it."""


def _row(table: Any, place: int, names: Sequence[str]) -> dict[str, Any]:
    return {name: table[name][place].as_py() for name in names}


def _rows(table: Any, names: Sequence[str]) -> list[tuple[Any, ...]]:
    return list(zip(*(flat(table[name]).to_pylist() for name in names), strict=True))
