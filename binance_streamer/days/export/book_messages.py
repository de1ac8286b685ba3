"""Messages that build an order book, as a backtest or a reader of incremental books takes them, across holes.

In: the rows of a day's depth updates and depth snapshots. Out: tables of messages in the order of their ids:

    SNAPSHOT    all levels of the book; from here on it is known
    UPDATE      levels that changed; quantity 0 removes one
    CLEAR       updates are missing: nothing is known of the book until the next snapshot

The state between two tables is whether the book is known, and the last id. An update that does not hang on the one
before it (its `prev_final_update_id`) ends the known book; the first snapshot that the following updates join begins it
anew (docs/exchange.md §5.2). Updates that a snapshot has, or that none leads to, are left out and counted; so
are snapshots that nobody needs.

A message counts from when it and all before it were received: a snapshot comes later than the updates that it joins,
which had to be held back until then. So both times never go back.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from binance_streamer.days.export.days import ExportDay
from binance_streamer.days.export.values import Integers, integers
from binance_streamer.days.schema import LEVELS
from binance_streamer.days.sort import sorted_batches
from binance_streamer.exchange.rows import SNAPSHOT_STEM

UPDATE, TRADE, CLEAR, SNAPSHOT = 1, 2, 3, 4
"""Kinds of messages; the numbers are those of hftbacktest's events."""
MESSAGE = pa.schema(
    [
        *((name, pa.int64()) for name in ("kind", "exchange_ns", "local_ns", "number")),
        *((name, LEVELS) for name in ("bids", "asks")),
    ]
)
"""`exchange_ns` and `local_ns`: when it happened and when it was received; `number` counts the messages of a stream."""
_SNAPSHOT_COLUMNS = ["last_update_id", "recv_ns", "seq", "transact_time", "bids", "asks"]


class BookFeed:
    """The book's messages of a day: iterate once. `skipped` counts updates that were left out, `holes` the clears."""

    def __init__(self, day: ExportDay) -> None:
        self.stem = day.stem_of("depth")
        self.skipped = self.holes = self.snapshots = 0
        self._day = day
        self._last_id = -1
        self._is_known = False
        self._number = self._exchange_ns = self._local_ns = 0
        self._waiting: Iterator[pa.Table] = iter(())
        self._snapshot: pa.Table | None = None

    def __iter__(self) -> Iterator[pa.Table]:
        """Yield tables with the columns of `MESSAGE`, in order, one kind in each."""
        self._waiting = _snapshots(self._day, self._day.room())
        self._snapshot = next(self._waiting, None)
        for table in self._day.rows(self.stem):
            yield from self._take(table)

    def _take(self, rows: pa.Table) -> Iterator[pa.Table]:
        """Yield the messages of the next rows by id."""
        rows = rows.combine_chunks()
        ids = integers(rows["final_update_id"])
        is_new = np.diff(ids, prepend=self._last_id) > 0  # the same update from two connections counts once
        if not is_new.all():
            rows, ids = rows.filter(pa.array(is_new)), ids[is_new]
        if not len(ids):
            return
        previous = integers(rows["prev_final_update_id"])
        is_hung = previous == np.concatenate(([self._last_id], ids[:-1]))
        starts = [0, *(int(place) for place in np.flatnonzero(~is_hung) if place)]
        self._last_id = int(ids[-1])
        for start, end in zip(starts, [*starts[1:], len(ids)], strict=True):
            if not is_hung[start] and self._is_known:
                self._is_known = False
                self.holes += 1
                yield self._messages(CLEAR, rows.slice(start, 1))
            yield from self._run(rows.slice(start, end - start), ids[start:end], int(previous[start]))

    def _run(self, rows: pa.Table, ids: Integers, before: int) -> Iterator[pa.Table]:
        """Yield the messages of updates that hang together, the first of them on the id `before`."""
        if not self._is_known:
            snapshot = self._snapshot_between(before, int(ids[-1]))
            if snapshot is None:
                self.skipped += len(rows)
                return
            self._is_known = True
            self.snapshots += 1
            yield self._messages(SNAPSHOT, snapshot)
            known = int(np.searchsorted(ids, snapshot["last_update_id"][0].as_py(), side="right"))
            self.skipped += known
            rows = rows.slice(known)
        if len(rows):
            yield self._messages(UPDATE, rows)

    def _snapshot_between(self, least: int, most: int) -> pa.Table | None:
        """Return the first snapshot with an id from `least` to `most`; those below are of no use any more."""
        while self._snapshot is not None:
            number = self._snapshot["last_update_id"][0].as_py()
            if number > most:
                return None
            found, self._snapshot = self._snapshot, next(self._waiting, None)
            if number >= least:
                return found
        return None

    def _messages(self, kind: int, rows: pa.Table) -> pa.Table:
        """Return rows as messages of one kind, with times that do not go back."""
        count = len(rows)
        exchange_ns = np.maximum(integers(rows["transact_time"]) * 1000, self._exchange_ns)
        local_ns = np.maximum(integers(rows["recv_ns"]), self._local_ns)
        exchange_ns, local_ns = np.maximum.accumulate(exchange_ns), np.maximum.accumulate(local_ns)
        self._exchange_ns, self._local_ns = int(exchange_ns[-1]), int(local_ns[-1])
        numbers = np.arange(self._number, self._number + count)
        self._number += count
        no_levels = pa.nulls(count, LEVELS)
        levels = [no_levels, no_levels] if kind == CLEAR else [rows["bids"], rows["asks"]]
        kinds = np.full(count, kind)
        return pa.table([*map(pa.array, (kinds, exchange_ns, local_ns, numbers)), *levels], schema=MESSAGE)


def _snapshots(day: ExportDay, room: Path) -> Iterator[pa.Table]:
    """Yield the depth snapshots of a day one by one, by id."""
    if SNAPSHOT_STEM not in day.stems:
        return
    batches = (
        batch
        for table in day.rows(SNAPSHOT_STEM)
        for batch in table.filter(pc.is_valid(table["last_update_id"])).select(_SNAPSHOT_COLUMNS).to_batches()
    )
    for table in sorted_batches(batches, ("last_update_id", "recv_ns", "seq"), room):
        yield from (table.slice(place, 1) for place in range(len(table)))


class Levels:
    """The levels of a table of messages one below the other: bids before asks, as each message has them.

    `message` is the place of each level's message in the table, `is_bid` its side.
    """

    def __init__(self, messages: pa.Table) -> None:
        sides = [messages[name].combine_chunks() for name in ("bids", "asks")]
        lengths = [np.asarray(pc.fill_null(pc.list_value_length(side), 0), np.int64) for side in sides]
        places = np.concatenate([np.repeat(np.arange(len(messages)), length) for length in lengths])
        order = np.argsort(places, kind="stable")
        self.message = places[order]
        self.is_bid = (np.arange(len(places)) < lengths[0].sum())[order]
        levels = pa.concat_arrays([side.flatten() for side in sides]).take(pa.array(order))
        self.price, self.quantity = levels.field("price"), levels.field("quantity")
