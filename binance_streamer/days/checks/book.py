"""Checks `book` and `tops`: the book that a day's depth updates lead to, from its first snapshot on.

Updates come in the order of their ids, snapshots, best quotes and summaries beside them. At each snapshot behind the
first the book must equal it; at each best quote with the id of an update, the top must; at each summary row of the
recorder, every level that it names. After each update the best bid must be below the best ask.

| the book | becomes |
|---|---|
| absent | built from the next snapshot, if the first update behind it hangs on it or before (docs/exchange.md §5.1) |
| built | absent, where an update does not hang on the one before, or the book is crossed, until the next snapshot |

The price may leave the levels that a snapshot knows (1,000 a side). Then the top is unknown, and not compared.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import pyarrow.compute as pc

from binance_streamer.days.checks.finding import Finding, FindingList
from binance_streamer.days.checks.levels import Level, LevelSide, level_rows, shown, unscaled
from binance_streamer.days.checks.order import flat

Levels = tuple[list[int], list[int]]
"""Prices and quantities of one side, in the order of the message."""


class BookSnapshot(NamedTuple):
    """The best levels of each side as REST gave them, as of `id`."""

    id: int
    recv_ns: int
    bids: list[Level]
    asks: list[Level]


class Update(NamedTuple):
    """Changed levels, in (previous, id]."""

    id: int
    previous: int
    recv_ns: int
    bids: Levels
    asks: Levels


class QuotedTop(NamedTuple):
    """Best bid, its quantity, best ask, its quantity, after the update `id`."""

    id: int
    recv_ns: int
    best: tuple[int, int, int, int]


class SummaryRow(NamedTuple):
    """Levels of the recorder's own book, after the update `id`."""

    id: int
    recv_ns: int
    bids: Levels
    asks: Levels


class BookCounts(NamedTuple):
    """Comparisons that were made, and how often the book was built."""

    updates: int
    built: int
    snapshots: int
    tops: int
    summaries: int


class BookReplay:
    """Replays one stream of depth updates; `run` once, then ask for findings and counts."""

    def __init__(self, stream: str, files: dict[str, str]) -> None:
        """`files` names the file of each stem that is read: of the updates, `snapshot`, `bookticker`, `orderbook`."""
        self._book = FindingList("book", stream, files.get(stream, ""))
        self._snapshots = FindingList("book", stream, files.get("snapshot", ""))
        self._summaries = FindingList("book", stream, files.get("orderbook", ""))
        self._tops = FindingList("tops", stream, files.get("bookticker", ""))
        self._sides: tuple[LevelSide, LevelSide] | None = None
        self._at = 0
        self._is_first = False
        self._counted = dict.fromkeys(BookCounts._fields, 0)

    def run(
        self,
        updates: Iterable[Update],
        snapshots: Iterable[BookSnapshot],
        tops: Iterable[QuotedTop],
        summaries: Iterable[SummaryRow],
    ) -> None:
        """Replay all; each of these comes in the order of its ids."""
        waiting, quotes, rows = (_Ahead(iter(one)) for one in (snapshots, tops, summaries))
        for update in updates:
            for snapshot in waiting.below(update.id):
                self._meet(snapshot, update)
            self._apply(update)
            self._compare_tops(list(quotes.at(update.id)))
            for row in rows.at(update.id):
                self._compare_summary(row)

    def findings(self) -> list[Finding]:
        """Return what is wrong, by the file in which it lies."""
        return [*self._book.all(), *self._snapshots.all(), *self._tops.all(), *self._summaries.all()]

    @property
    def counts(self) -> BookCounts:
        """Return how much was compared, and how often the book was built."""
        return BookCounts(**self._counted)

    def _meet(self, snapshot: BookSnapshot, update: Update) -> None:
        """Compare the book with a snapshot, or build it; `update` is the next one behind the snapshot."""
        if update.previous > snapshot.id:
            return  # there is a hole behind it
        if self._sides is not None and update.previous == self._at:
            is_within = update.previous < snapshot.id
            changed = (update.bids[0], update.asks[0]) if is_within else ([], [])
            self._compare_snapshot(snapshot, changed)
        if self._sides is None:
            self._sides = LevelSide(-1, snapshot.bids), LevelSide(1, snapshot.asks)
            self._at, self._is_first = snapshot.id, True
            self._counted["built"] += 1

    def _compare_snapshot(self, snapshot: BookSnapshot, touched: tuple[list[int], list[int]]) -> None:
        """Compare both sides but for prices that are touched by the update in which the snapshot lies."""
        assert self._sides is not None
        self._counted["snapshots"] += 1
        for side, levels, left_out, word in zip(
            self._sides, (snapshot.bids, snapshot.asks), touched, ("bid", "ask"), strict=True
        ):
            different = side.differences(levels, frozenset(left_out))
            for price, here, there in different[:3]:
                quantities = f"has {shown(there)}, the updates say {shown(here)}"
                text = f"snapshot {snapshot.id}: {word} {shown(price)} {quantities}"
                self._snapshots.add(text, id=snapshot.id, recv_ns=snapshot.recv_ns)
            side.learn(levels)
            if different:
                self._sides = None
                return

    def _apply(self, update: Update) -> None:
        if self._sides is None:
            return
        is_next = update.previous <= self._at < update.id if self._is_first else update.previous == self._at
        if not is_next:
            self._sides = None  # the checks `ids` and `gaps` say whether the hole is listed
            return
        self._counted["updates"] += 1
        bids, asks = self._sides
        bids.apply(*update.bids)
        asks.apply(*update.asks)
        self._at, self._is_first = update.id, False
        bid, ask = bids.best(), asks.best()
        if bid is not None and ask is not None and bid >= ask:
            text = f"the book is crossed after update {update.id}: bid {shown(bid)}, ask {shown(ask)}"
            self._book.add(text, id=update.id, recv_ns=update.recv_ns)
            self._sides = None

    def _compare_tops(self, tops: list[QuotedTop]) -> None:
        """Compare best quotes of one id; where several have it, one that agrees is enough."""
        if self._sides is None or not tops or self._at != tops[0].id:
            return
        bids, asks = self._sides
        bid, ask = bids.best(), asks.best()
        if bid is None or ask is None:
            return
        self._counted["tops"] += 1
        best = bid, bids.levels[bid], ask, asks.levels[ask]
        if all(top.best != best for top in tops):
            here, there = (" ".join(map(shown, one)) for one in (best, tops[-1].best))
            text = f"the top after update {self._at} is {here} by the updates, {there} by bookTicker"
            self._tops.add(text, id=self._at, recv_ns=tops[-1].recv_ns)

    def _compare_summary(self, row: SummaryRow) -> None:
        if self._sides is None or self._at != row.id:
            return
        self._counted["summaries"] += 1
        for side, (prices, quantities), word in zip(self._sides, (row.bids, row.asks), ("bid", "ask"), strict=True):
            for price, quantity in zip(prices, quantities, strict=True):
                here = side.levels.get(price, 0)
                if here != quantity and side.knows(price):
                    quantities_of = f"has {shown(quantity)}, the updates say {shown(here)}"
                    text = f"summary of {row.id}: {word} {shown(price)} {quantities_of}"
                    self._summaries.add(text, id=row.id, recv_ns=row.recv_ns)
                    return


class _Ahead:
    """Rows in the order of their ids, taken up to an id at a time; what stands behind a greater one is left out."""

    def __init__(self, rows: Iterator[Any]) -> None:
        self._rows = rows
        self._head = next(rows, None)

    def below(self, limit: int) -> Iterator[Any]:
        """Yield the next rows with ids below the limit."""
        while self._head is not None and self._head.id < limit:
            yield self._head
            self._head = next(self._rows, None)

    def at(self, number: int) -> Iterator[Any]:
        """Yield the rows with this id; those below it are dropped."""
        for _ in self.below(number):
            pass
        yield from self.below(number + 1)


def updates_of(tables: Iterable[Any]) -> Iterator[Update]:
    """Yield the updates in tables of a depth stream."""
    for table in tables:
        names = ("final_update_id", "prev_final_update_id", "recv_ns")
        ids = zip(*(flat(table[name]).to_pylist() for name in names), strict=True)
        for (last, previous, recv_ns), bids, asks in zip(
            ids, level_rows(table["bids"]), level_rows(table["asks"]), strict=True
        ):
            yield Update(last, previous, recv_ns, bids, asks)


def snapshots_of(tables: Iterable[Any]) -> list[BookSnapshot]:
    """Return the snapshots in tables of `snapshot` files, in the order of their ids."""
    found = [
        BookSnapshot(number, recv_ns, list(zip(*bids, strict=True)), list(zip(*asks, strict=True)))
        for table in tables
        for number, recv_ns, bids, asks in _level_table(table)
    ]
    return sorted(found, key=lambda snapshot: (snapshot.id, snapshot.recv_ns))


def tops_of(tables: Iterable[Any]) -> Iterator[QuotedTop]:
    """Yield the best quotes in tables of bookTicker."""
    names = ("best_bid_price", "best_bid_qty", "best_ask_price", "best_ask_qty")
    for table in tables:
        numbers = zip(*(unscaled(table[name]) for name in names), strict=True)
        ids = zip(flat(table["update_id"]).to_pylist(), flat(table["recv_ns"]).to_pylist(), strict=True)
        for (number, recv_ns), best in zip(ids, numbers, strict=True):
            yield QuotedTop(number, recv_ns, best)


def summaries_of(tables: Iterable[Any], is_wanted: Callable[[str], bool]) -> Iterator[SummaryRow]:
    """Yield the summary rows of books that were known to be right, and kept of a stream whose name is wanted."""
    for table in tables:
        is_right = pc.and_(flat(table["synchronised"]), pc.is_valid(flat(table["last_update_id"])))
        rows = table.filter(is_right)
        is_named = [is_wanted(name) for name in flat(rows["stream"]).to_pylist()]
        for named, row in zip(is_named, _level_table(rows), strict=True):
            if named:
                yield SummaryRow(*row)


def _level_table(table: Any) -> Iterator[tuple[int, int, Levels, Levels]]:
    ids = zip(flat(table["last_update_id"]).to_pylist(), flat(table["recv_ns"]).to_pylist(), strict=True)
    for (number, recv_ns), bids, asks in zip(ids, level_rows(table["bids"]), level_rows(table["asks"]), strict=True):
        yield number, recv_ns, bids, asks
