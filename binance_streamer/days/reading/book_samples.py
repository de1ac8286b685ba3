"""Order books at regular instants, in one pass over the updates.

The levels are kept as integers in dictionaries (`days.checks.levels`), and begun anew wherever another snapshot leads
to the book, so that a book here is the one that `BookReader.at` gives for its instant.
"""

from collections.abc import Iterator
from typing import Any

import polars as pl
import pyarrow as pa

from binance_streamer.days.checks.levels import LevelSide, level_rows
from binance_streamer.days.reading.book_levels import BEYOND, CROSSED
from binance_streamer.days.reading.book_times import BookTime, book_times
from binance_streamer.days.reading.books import BookReader, wider
from binance_streamer.days.rows import Span
from binance_streamer.days.schema import DECIMAL, LEVELS

_FRAME_ROWS = 4096
_SCHEMA = pa.schema(
    [("ns", pa.int64()), ("why", pa.string()), ("update_id", pa.int64()), ("bids", LEVELS), ("asks", LEVELS)]
)
_Cells = tuple[int, str, int | None, list[tuple[int, int]], list[tuple[int, int]]]


def sampled(reader: BookReader, span: Span, every_ns: int, *, depth: int) -> Iterator[pl.DataFrame]:
    """Yield frames with a row for each instant `span.start_ns + n * every_ns` below the end, in order.

    Columns: `ns`, `why` (empty where the book is known), `update_id`, and `bids` and `asks`, lists of the best `depth`
    levels that are known, best first.
    """
    chain = reader.chain(span)
    instants = _Instants(span, every_ns, book_times(chain, span))
    waiting: list[_Cells] = []
    for at_ns, book in _books(reader, chain, span):
        waiting += instants.before(at_ns)  # the book is as before; it changes when the loop goes on
        if len(waiting) >= _FRAME_ROWS:
            yield _frame(waiting)
            waiting = []
        instants.show(book, depth)
    waiting += instants.before(span.end_ns)
    yield _frame(waiting)


class _Book:
    """The book behind the last update that was applied."""

    def __init__(self) -> None:
        self.update_id = 0
        self.sides: tuple[LevelSide, LevelSide] | None = None

    def top(self, depth: int) -> tuple[str, list[tuple[int, int]], list[tuple[int, int]]]:
        """Return why the book is not known, empty where it is, and its best known levels."""
        assert self.sides is not None
        bids, asks = self.sides
        bid, ask = bids.best(), asks.best()
        if bid is None or ask is None:
            is_whole = bids.known_to is None and asks.known_to is None
            return ("" if is_whole else BEYOND), _best(bids, depth), _best(asks, depth)
        if bid >= ask:
            return CROSSED, [], []
        return "", _best(bids, depth), _best(asks, depth)


def _best(side: LevelSide, depth: int) -> list[tuple[int, int]]:
    prices = sorted(side.levels, reverse=side.sign < 0)[:depth]
    return [(price, side.levels[price]) for price in prices if side.knows(price)]


class _Instants:
    """The instants that are asked for, and what the book is at each."""

    def __init__(self, span: Span, every_ns: int, times: list[BookTime]) -> None:
        self._next, self._every_ns = span.start_ns, every_ns
        self._times = times
        self._time = 0
        self._book: _Book | None = None
        self._depth = 0

    def show(self, book: _Book, depth: int) -> None:
        """Take this as the book from the instants on that were not returned before."""
        self._book, self._depth = book, depth

    def before(self, ns: int) -> list[_Cells]:
        """Return the rows of the instants below `ns` that were not returned before."""
        found: list[_Cells] = []
        cells: _Cells | None = None
        while self._next < ns:
            why = self._why(self._next)
            if why or self._book is None or self._book.sides is None:
                found.append((self._next, why, None, [], []))
            else:
                if cells is None:
                    fault, bids, asks = self._book.top(self._depth)
                    cells = (0, fault, None if fault else self._book.update_id, bids, asks)
                found.append((self._next, *cells[1:]))
            self._next += self._every_ns
        return found

    def _why(self, ns: int) -> str:
        while self._times[self._time].to_ns <= ns:
            self._time += 1
        return self._times[self._time].why


def _books(reader: BookReader, chain: pl.DataFrame, span: Span) -> Iterator[tuple[int, _Book]]:
    """Yield from when on an update counts, and the one book, in order; it is applied when the next is asked for."""
    first = chain.filter(pl.col("at_ns") <= span.start_ns).tail(1)["base_id"].drop_nulls()
    rows = chain.filter(pl.col("at_ns") < span.end_ns, pl.col("base_id").is_not_null())
    rows = rows.filter(pl.col("base_id") >= first.item()) if len(first) else rows
    if not len(rows):
        return
    wide = wider(span)
    found = _levels(reader.snapshots_by_id(rows["base_id"].unique(), wide), "last_update_id")
    snapshots = {number: (list(zip(*bids, strict=True)), list(zip(*asks, strict=True))) for number, bids, asks in found}
    ids = rows["final_update_id"]
    frames = reader.changes(ids.item(0), ids.item(-1), wide)
    updates = (update for frame in frames for update in _levels(frame, "final_update_id"))
    facts = {number: (at_ns, base) for number, at_ns, base in rows.select("final_update_id", "at_ns", "base_id").rows()}
    book, base = _Book(), -1
    for number, bids, asks in updates:
        fact = facts.pop(number, None)
        if fact is None:
            continue  # no snapshot leads there, or it is the same update again
        yield fact[0], book
        if fact[1] != base or book.sides is None:
            base = fact[1]
            book.sides = LevelSide(-1, snapshots[base][0]), LevelSide(1, snapshots[base][1])
        if number > base:
            book.sides[0].apply(*bids)
            book.sides[1].apply(*asks)
        book.update_id = number


def _frame(rows: list[_Cells]) -> pl.DataFrame:
    columns: list[Any] = [list(column) for column in zip(*rows, strict=True)] or [[] for _ in _SCHEMA]
    arrays = [pa.array(values, field.type) for values, field in zip(columns[:3], _SCHEMA, strict=False)]
    arrays += [_lists(levels) for levels in columns[3:]]
    frame = pl.from_arrow(pa.table(arrays, schema=_SCHEMA))
    assert isinstance(frame, pl.DataFrame)
    return frame


def _lists(rows: list[list[tuple[int, int]]]) -> Any:
    """Return lists of levels; their integers are the unscaled values of decimals, so that nothing is computed."""
    members = []
    for place in (0, 1):
        plain = pa.array([level[place] for row in rows for level in row], pa.decimal128(38, 0))
        members.append(pa.Array.from_buffers(DECIMAL, len(plain), plain.buffers()))
    offsets = [0]
    for row in rows:
        offsets.append(offsets[-1] + len(row))
    levels = pa.StructArray.from_arrays(members, fields=list(LEVELS.value_type))
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), levels, type=LEVELS)


_Side = tuple[list[int], list[int]]


def _levels(frame: pl.DataFrame, name: str) -> Iterator[tuple[int, _Side, _Side]]:
    """Yield the id, and prices and quantities of bids and asks, of each row."""
    table = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
    table = table.cast(pa.schema([(name, pa.int64()), ("bids", LEVELS), ("asks", LEVELS)]))
    sides = zip(level_rows(table["bids"]), level_rows(table["asks"]), strict=True)
    for number, (bids, asks) in zip(table[name].to_pylist(), sides, strict=True):
        yield number, bids, asks
