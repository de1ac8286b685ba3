"""`hftbacktest`: one `.npz` of events for the backtester of that name: the book, and aggTrades as trades.

Its exchange sees events at their exchange time, its strategies at the time of their receipt, and it reads one array in
which each of them finds its events in order. An event that both see at its place has both flags. One that was received
behind events that happened later, such as a trade that took 200 ms more than the updates around it, has two rows: one
for the exchange where it happened, one for the strategies where it was received.

    both flags      it is not older than any event received before it
    exchange only   older ones, before the first event that happened later
    local only      the same ones, where they were received

Two sorts on the disk: by receipt, which shows the events that came late; then by exchange time with those inserted.
Where the clock of the recording host was behind the exchange's, all receive times are shifted by what makes the
smallest delay zero, as its own converters do, since it refuses events that are received before they happen.
"""

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from binance_streamer.days.export.book_messages import CLEAR, MESSAGE, TRADE, BookFeed, Levels
from binance_streamer.days.export.days import ExportDay, Exported, ExportFolder
from binance_streamer.days.export.values import Integers, doubles, integers, pieces
from binance_streamer.days.schema import LEVELS
from binance_streamer.days.sort import sorted_batches

EVENT = np.dtype(
    [
        *(("ev", "u8"), ("exch_ts", "i8"), ("local_ts", "i8")),
        *(("px", "f8"), ("qty", "f8"), ("order_id", "u8"), ("ival", "i8"), ("fval", "f8")),
    ],
    align=True,
)
"""One event, as the backtester has it: times in ns, what it is in `ev`."""
EXCHANGE, LOCAL, BUY, SELL = 1 << 31, 1 << 30, 1 << 29, 1 << 28
"""Flags of `ev`; the kind is below them. For a trade, BUY says that the taker bought; for a level, that it is a bid."""
_PIECE_ROWS = 4096
_COPY_BYTES = 2**20


def export(day: ExportDay, folder: ExportFolder) -> Iterator[Exported]:
    """Write one file of events, `BTCUSDT_20261122.npz`; none where neither depth updates nor aggTrades are recorded."""
    book = BookFeed(day)
    delays = _Delays()
    name = f"{day.name}_{day.day}.npz"
    with (day.room() / "events").open("w+b") as events:
        messages = _with_late_ones(_by_receipt(day, book), delays)
        count = 0
        for table in sorted_batches(messages, ("key_ns", "place", "flags"), day.room()):
            for piece in pieces(table, _PIECE_ROWS):
                array = _events(piece, delays.shift_ns)
                events.write(array.tobytes())
                count += len(array)
        if not count:
            return
        with folder.file(name) as path:
            _zip(events, count, path)
    note = [f"{book.holes} holes, {book.snapshots} snapshots, {book.skipped} updates left out"]
    if delays.shift_ns:
        note.append(f"receive times shifted by {delays.shift_ns} ns")
    yield Exported(folder.path / name, count, "; ".join(note))


class _Delays:
    """The smallest time between an event and its receipt, when all have been seen."""

    def __init__(self) -> None:
        self.least_ns = 0

    @property
    def shift_ns(self) -> int:
        """Nanoseconds to add to receive times, so that none is before the event."""
        return -self.least_ns

    def take(self, exchange_ns: Integers, local_ns: Integers) -> None:
        """Take times of the next messages into account."""
        self.least_ns = min(self.least_ns, int((local_ns - exchange_ns).min()))


def _by_receipt(day: ExportDay, book: BookFeed) -> Iterator[pa.Table]:
    """Yield the messages of book and trades in the order of their receipt."""

    def batches() -> Iterator[pa.RecordBatch]:
        for table in book:
            yield from table.to_batches(max_chunksize=_PIECE_ROWS)
        number = 0
        for rows in day.rows(day.stem_of("aggtrade")):
            yield from trade_messages(rows, number).to_batches()
            number += len(rows)

    yield from sorted_batches(batches(), ("local_ns", "number", "kind"), day.room())


def trade_messages(rows: pa.Table, number: int) -> pa.Table:
    """Return aggTrades as messages: one level each, a buyer's in `bids`; `number` is that of the first."""
    rows = rows.combine_chunks()
    is_buy = np.asarray(pc.invert(rows["is_buyer_maker"]).to_numpy(), bool)
    exchange_ns = integers(rows["transact_time"]) * 1000
    members = [rows["price"].combine_chunks(), rows["quantity"].combine_chunks()]
    levels = pa.StructArray.from_arrays(members, fields=list(LEVELS.value_type))
    numbers = np.arange(number, number + len(rows))
    kinds = np.full(len(rows), TRADE)
    sides = [_one_each(levels, is_buy), _one_each(levels, ~is_buy)]
    times = (kinds, exchange_ns, integers(rows["recv_ns"]), numbers)
    return pa.table([*map(pa.array, times), *sides], schema=MESSAGE)


def _one_each(levels: pa.StructArray, is_there: Any) -> pa.ListArray:
    """Return a list for each level, with it or empty."""
    offsets = np.concatenate(([0], np.cumsum(is_there)))
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), levels.filter(pa.array(is_there)), type=LEVELS)


def _with_late_ones(messages: Iterator[pa.Table], delays: _Delays) -> Iterator[pa.RecordBatch]:
    """Yield messages with what places them: `key_ns` and `place`, their order, and `flags`, who sees them there.

    `key_ns` is the newest exchange time of all messages received so far. One that is older comes twice.
    """
    newest, place = -(2**63), 0
    for table in messages:
        exchange_ns = integers(table["exchange_ns"])
        delays.take(exchange_ns, integers(table["local_ns"]))
        key_ns = np.maximum(np.maximum.accumulate(exchange_ns), newest)
        newest = int(key_ns[-1])
        places = np.arange(place, place + len(table))
        place += len(table)
        is_late = exchange_ns < key_ns
        flags = np.where(is_late, LOCAL, EXCHANGE | LOCAL)
        yield from _placed(table, key_ns, places, flags)
        if is_late.any():
            late = table.filter(pa.array(is_late))
            only = np.full(len(late), EXCHANGE)
            yield from _placed(late, exchange_ns[is_late], places[is_late], only)


def _placed(table: pa.Table, key_ns: Integers, places: Integers, flags: Integers) -> list[pa.RecordBatch]:
    for name, values in (("key_ns", key_ns), ("place", places), ("flags", flags)):
        table = table.append_column(name, pa.array(values, pa.int64()))
    batches: list[pa.RecordBatch] = table.combine_chunks().to_batches()
    return batches


def _events(messages: pa.Table, shift_ns: int) -> Any:
    """Return the events of messages: one for each level, and one for a clear, which has none and is for both sides."""
    levels = Levels(messages)
    kinds = integers(messages["kind"])
    clears = np.flatnonzero(kinds == CLEAR)
    at = np.concatenate([levels.message, clears])
    order = np.argsort(at, kind="stable")
    at = at[order]
    events = np.zeros(len(at), EVENT)
    sides = np.concatenate([np.where(levels.is_bid, BUY, SELL), np.zeros(len(clears), np.int64)])[order]
    events["ev"] = kinds[at] | integers(messages["flags"])[at] | sides
    events["exch_ts"] = integers(messages["exchange_ns"])[at]
    events["local_ts"] = integers(messages["local_ns"])[at] + shift_ns
    for name, column in (("px", levels.price), ("qty", levels.quantity)):
        events[name] = np.concatenate([doubles(column), np.zeros(len(clears))])[order]
    return events


def _zip(events: Any, count: int, path: Path) -> None:
    """Write events that lie in a file as an array named `data`, as `numpy.savez_compressed` would."""
    events.seek(0)
    with zipfile.ZipFile(path, "w") as archive:
        member = zipfile.ZipInfo("data.npy")
        member.compress_type = zipfile.ZIP_DEFLATED
        with archive.open(member, "w", force_zip64=True) as file:
            header = {"descr": np.lib.format.dtype_to_descr(EVENT), "fortran_order": False, "shape": (count,)}
            np.lib.format.write_array_header_1_0(file, header)
            while piece := events.read(_COPY_BYTES):
                file.write(piece)
