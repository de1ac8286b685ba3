"""Order books of a recording at any instant, exactly: a snapshot, and all updates from it on.

The nearest snapshot before the instant begins the book (the recorder takes one an hour, and after each hole; see
`_BASES`). The last quantity of each price, of the snapshot and the updates behind it, is the book: no update is applied
alone, so that an hour of updates is some hundred milliseconds.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

import polars as pl

from binance_streamer.days.checks.levels import LEVELS_OF_SNAPSHOT
from binance_streamer.days.reading.book_times import ID_COLUMNS, NOT_RECORDED, BookTime, book_times, chained
from binance_streamer.days.rows import Span
from binance_streamer.exchange.rows import SNAPSHOT_STEM

_BASES = (SNAPSHOT_STEM,)
"""Stems of rows that a book can begin with. Checkpoints of the archiver are to be one more, with the same columns."""
_SIDES = (("bids", True), ("asks", False))
_SIDE_NAMES = ("bids", "asks")
_CHUNK_ROWS = 4096
_LEVEL_COLUMNS = ("price", "quantity")
_AROUND_NS = 60 * 10**9
"""An update behind the instant, and one before the snapshot's receipt, are looked for so far away at first."""
_BACK_NS = 2 * 86_400 * 10**9
"""Snapshots are looked for so far back."""
CROSSED = "crossed"
BEYOND = "beyond the levels of the snapshot"


class RowSource(Protocol):
    """Gives the rows of a stream and symbol that were received within a span."""

    def __call__(self, stem: str, symbol: str, span: Span) -> pl.LazyFrame:
        """Return the rows in the order of `scan`."""


@dataclass(frozen=True, slots=True)
class RecordedBook:
    """The book of a symbol at an instant, as the exchange had sent it until then.

    `bids` and `asks` have columns `price` and `quantity` (Decimal), best first, and are empty where the book is not
    known; then `why` says why, and `unknown_from_ns` and `unknown_to_ns` bound the time in which it is not. `update_id`
    and `recv_ns` are of the last update in it. Beyond the prices `bids_known_to` and `asks_known_to` levels may be
    missing; None: all are there.
    """

    symbol: str
    ns: int
    why: str
    bids: pl.DataFrame
    asks: pl.DataFrame
    update_id: int | None = None
    recv_ns: int | None = None
    bids_known_to: Decimal | None = None
    asks_known_to: Decimal | None = None
    unknown_from_ns: int | None = None
    unknown_to_ns: int | None = None

    @property
    def is_known(self) -> bool:
        """Return True if this is the exchange's book."""
        return not self.why


class BookReader:
    """Reads books of one symbol and one stream of depth updates."""

    def __init__(self, rows: RowSource, symbol: str, stem: str) -> None:
        self._rows = rows
        self._symbol = symbol
        self._stem = stem

    def at(self, ns: int) -> RecordedBook:
        """Return the book at an instant; one that is not known says so."""
        found = self._nearest_snapshot(ns)
        if found is not None:
            snapshot_id, recv_ns = found
            book = self._from(snapshot_id, Span(min(recv_ns, ns) - _AROUND_NS, ns + _AROUND_NS), ns)
            if book is not None:
                return book
        return self._by_all_ids(ns)

    def times(self, span: Span) -> list[BookTime]:
        """Return the times of a span in which the book is known and in which it is not, without a hole."""
        return book_times(self.chain(span), span)

    def chain(self, span: Span) -> pl.DataFrame:
        """Return the updates around a span, as `chained` makes them."""
        wide = wider(span)
        updates = self._rows(self._stem, self._symbol, wide).select(ID_COLUMNS).collect()
        snapshots = self._bases(wide).select("last_update_id").collect()
        return chained(updates, snapshots)

    def snapshots_by_id(self, ids: pl.Series, span: Span) -> pl.DataFrame:
        """Return `last_update_id`, `bids` and `asks` of snapshots received within a span, each id once."""
        found = self._bases(span).filter(pl.col("last_update_id").is_in(ids.implode()))
        return found.select("last_update_id", *_SIDE_NAMES).collect().unique("last_update_id")

    def changes(self, first_id: int, last_id: int, span: Span) -> Iterator[pl.DataFrame]:
        """Yield `final_update_id`, `bids` and `asks` of updates received within a span, some thousand at a time."""
        rows = self._rows(self._stem, self._symbol, span)
        wanted = rows.filter(pl.col("final_update_id").is_between(first_id, last_id))
        return wanted.select("final_update_id", *_SIDE_NAMES).collect_batches(
            maintain_order=True, chunk_size=_CHUNK_ROWS
        )

    def _bases(self, span: Span) -> pl.LazyFrame:
        return pl.concat([self._rows(stem, self._symbol, span) for stem in _BASES])

    def _nearest_snapshot(self, ns: int) -> tuple[int, int] | None:
        """Return (last_update_id, recv_ns) of the snapshot nearest before the last update until an instant.

        If that one does not lead to the book, an earlier one does not either: the hole is between the two, or behind.
        """
        updates = self._rows(self._stem, self._symbol, Span(ns - _AROUND_NS, ns + 1))
        last_id = updates.select(pl.col("final_update_id").max()).collect().item()
        if last_id is None:
            return None
        snapshots = self._bases(Span(ns - _BACK_NS, ns + _AROUND_NS)).filter(pl.col("last_update_id") <= last_id)
        found = snapshots.select("last_update_id", "recv_ns").collect().sort("last_update_id").rows()
        return found[-1] if found else None

    def _from(self, snapshot_id: int, near: Span, ns: int) -> RecordedBook | None:
        """Return the book that a snapshot leads to; None where it does not, as far as the rows of a span say."""
        behind = self._rows(self._stem, self._symbol, near).filter(pl.col("final_update_id") >= snapshot_id)
        rows = chained(
            behind.select(ID_COLUMNS).collect(),
            pl.DataFrame({"last_update_id": [snapshot_id]}, schema={"last_update_id": pl.Int64}),
        )
        times = book_times(rows, Span(ns, ns + 1))
        last = rows.filter(pl.col("at_ns") <= ns).tail(1)
        if not len(last) or times[0].why or last["base_id"].item() != snapshot_id:
            return None
        return self._built(snapshot_id, behind, last["final_update_id"].item(), ns)

    def _by_all_ids(self, ns: int) -> RecordedBook:
        """Return the book of an instant of which near rows do not show that it is known: mostly it is not."""
        rows = self.chain(Span(ns, ns + 1))
        times = book_times(rows, Span(ns - _BACK_NS, ns + _BACK_NS))
        now = next((time for time in times if time.from_ns <= ns < time.to_ns), BookTime(ns, ns + 1, NOT_RECORDED))
        if now.why:
            return self._unknown(ns, now)
        last = rows.filter(pl.col("at_ns") <= ns).tail(1)
        base = last["base_id"].item()
        wide = Span(ns - 2 * _BACK_NS, ns + _BACK_NS)
        behind = self._rows(self._stem, self._symbol, wide).filter(pl.col("final_update_id") >= base)
        return self._built(base, behind, last["final_update_id"].item(), ns)

    def _built(self, snapshot_id: int, behind: pl.LazyFrame, last_id: int, ns: int) -> RecordedBook:
        bases = self._bases(Span(ns - 2 * _BACK_NS, ns + _BACK_NS))
        base = bases.filter(pl.col("last_update_id") == snapshot_id).head(1).collect()
        updates = behind.filter(pl.col("final_update_id") > snapshot_id, pl.col("final_update_id") <= last_id)
        changes = updates.select("bids", "asks", "recv_ns").collect()
        sides = {name: _side(base, changes, name, is_bid=is_bid) for name, is_bid in _SIDES}
        known_to = {name: _known_to(base[name].item()) for name, _ in _SIDES}
        why = _fault(sides["bids"], sides["asks"], known_to["bids"], known_to["asks"])
        if why:
            return self._unknown(ns, BookTime(ns, ns + 1, why))
        recv_ns = changes["recv_ns"].item(-1) if len(changes) else base["recv_ns"].item()
        return RecordedBook(
            symbol=self._symbol,
            ns=ns,
            why="",
            bids=sides["bids"],
            asks=sides["asks"],
            update_id=last_id,
            recv_ns=recv_ns,
            bids_known_to=known_to["bids"],
            asks_known_to=known_to["asks"],
        )

    def _unknown(self, ns: int, time: BookTime) -> RecordedBook:
        empty = pl.DataFrame(schema=dict.fromkeys(_LEVEL_COLUMNS, pl.Decimal(38, 8)))
        return RecordedBook(
            self._symbol, ns, time.why, empty, empty, unknown_from_ns=time.from_ns, unknown_to_ns=time.to_ns
        )


def wider(span: Span) -> Span:
    """Return a span with two days on either side, in which lies all that a book of the span is made of."""
    return Span(max(span.start_ns, 0) - _BACK_NS, min(span.end_ns, 2**62) + _BACK_NS)


def _side(base: pl.DataFrame, changes: pl.DataFrame, name: str, *, is_bid: bool) -> pl.DataFrame:
    """Return the last quantity of each price, best price first; levels with quantity 0 are none."""
    levels = pl.concat([base.select(name), changes.select(name)]).explode(name).drop_nulls().unnest(name)
    last = levels.unique("price", keep="last", maintain_order=False)
    return last.filter(pl.col("quantity") > 0).sort("price", descending=is_bid)


def _known_to(levels: pl.Series) -> Decimal | None:
    """Return the price up to which a snapshot has every level; None where it has them all."""
    worst: Decimal | None = levels.struct.field("price").item(-1) if len(levels) >= LEVELS_OF_SNAPSHOT else None
    return worst


def _fault(bids: pl.DataFrame, asks: pl.DataFrame, bid_edge: Decimal | None, ask_edge: Decimal | None) -> str:
    """Return why the levels that updates lead to are no book that is known; empty where they are."""
    if not len(bids) or not len(asks):
        return "" if bid_edge is None and ask_edge is None else BEYOND
    bid, ask = bids["price"].item(0), asks["price"].item(0)
    if bid >= ask:
        return CROSSED
    is_beyond = (bid_edge is not None and bid < bid_edge) or (ask_edge is not None and ask > ask_edge)
    return BEYOND if is_beyond else ""
