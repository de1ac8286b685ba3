"""`nautilus`: a Parquet catalog of nautilus_trader: order book deltas, trades, quotes, and the instrument.

| folder | made of |
|---|---|
| `nautilus/data/order_book_delta/BTCUSDT-PERP.BINANCE` | the book's messages (`book_messages`), a row a level |
| `…/trade_tick/…` | single trades of the market where they are recorded, else aggTrades |
| `…/quote_tick/…` | bookTicker |
| `…/crypto_perpetual/…` | the instrument, as far as rows say (`nautilus_files.instrument`) |

`ts_event` is the exchange's transaction time, `ts_init` our receipt, by which rows are in order. Numbers are its
fixed-point ones: 128 bits, 16 decimals. All files of a symbol name the same precision, which is found before the first
is written: rows are sorted on the disk first (`_Sorted`), and each price and quantity on the way makes the common step
smaller.
"""

import contextlib
import itertools
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from binance_streamer.days.certificate import day_bounds_ns
from binance_streamer.days.export.book_messages import CLEAR, SNAPSHOT, BookFeed, Levels
from binance_streamer.days.export.days import ExportDay, Exported, ExportFolder
from binance_streamer.days.export.nautilus_files import NUMBER, SCHEMAS, Steps, instrument_id
from binance_streamer.days.export.nautilus_files import instrument as instrument_of
from binance_streamer.days.export.trades import market_trades
from binance_streamer.days.export.values import Integers, integers, pieces, units
from binance_streamer.days.rows import Span
from binance_streamer.days.sort import sorted_batches

_ADD, _UPDATE, _DELETE, _CLEAR = 1, 2, 3, 4
_BUYER, _SELLER = 1, 2
"""Of an aggressor, and of the sides of an order: whoever buys, whoever sells."""
_SNAPSHOT_FLAG, _LAST_FLAG = 32, 128
"""The delta is one of a snapshot; it is the last one of its message."""
_PIECE_ROWS = 8192


def export(day: ExportDay, folder: ExportFolder) -> Iterator[Exported]:
    """Write the files of one symbol and day; the name of each says the time that it covers."""
    steps = Steps()
    makers: dict[str, Callable[[ExportDay, Steps], Iterator[pa.Table]]] = {
        "order_book_delta": _deltas,
        "trade_tick": _trades,
        "quote_tick": _quotes,
    }
    with contextlib.ExitStack() as stack:
        found = {kind: _Sorted(maker(day, steps), day) for kind, maker in makers.items()}
        for tables in found.values():
            stack.callback(tables.close)
        there = {kind: tables for kind, tables in found.items() if tables.begin()}
        if not there:
            return
        span = _span(day, there.values())
        for kind, tables in there.items():
            yield _written(kind, tables, day, folder, steps=steps, span=span)
        instrument = instrument_of(day.symbol, steps, span.start_ns)
        if instrument is not None:
            yield _write_table("crypto_perpetual", [instrument], instrument.schema, folder, name=_name(day, span))


class _Sorted:
    """Rows of a file in the order of `ts_init`, on the disk; all have been seen when `begin` returns."""

    def __init__(self, tables: Iterable[pa.Table], day: ExportDay) -> None:
        self.span = Span(2**63 - 1, 0)
        batches = (batch for table in tables for batch in self._seen(table).to_batches())
        self._tables = sorted_batches(batches, ("ts_init", "number"), day.room())
        self._first: pa.Table | None = None

    def begin(self) -> bool:
        """Sort; return False where there are no rows."""
        self._first = next(self._tables, None)
        return self._first is not None

    def close(self) -> None:
        """Give back the room on the disk."""
        self._tables.close()

    def __iter__(self) -> Iterator[pa.Table]:
        return itertools.chain([self._first], self._tables)

    def _seen(self, table: pa.Table) -> pa.Table:
        stamps = integers(table["ts_init"])
        if len(stamps):
            self.span = Span(min(self.span.start_ns, int(stamps.min())), max(self.span.end_ns, int(stamps.max())))
        return table


def _deltas(day: ExportDay, steps: Steps) -> Iterator[pa.Table]:
    """Yield the levels of the book's messages; a snapshot begins with a clear, and a hole is one."""
    if day.stem_of("depth") is None:
        return
    for messages in BookFeed(day):
        kind = messages["kind"][0].as_py()
        for piece in pieces(messages, _PIECE_ROWS):
            if kind in (CLEAR, SNAPSHOT):
                yield _clear(piece, _LAST_FLAG if kind == CLEAR else _SNAPSHOT_FLAG)
            if kind != CLEAR:
                yield _changes(piece, steps, is_snapshot=kind == SNAPSHOT)


def _clear(message: pa.Table, flag: int) -> pa.Table:
    zero = pa.array([bytes(16)], NUMBER)
    columns = {"action": [_CLEAR], "side": [0], "price": zero, "size": zero, "order_id": [0], "flags": [flag]}
    return _table(columns, message, np.zeros(1, np.int64))


def _changes(messages: pa.Table, steps: Steps, *, is_snapshot: bool) -> pa.Table:
    levels = Levels(messages)
    is_last = np.append(np.diff(levels.message) != 0, True) if len(levels.message) else np.empty(0, bool)
    is_gone = units(levels.quantity) == 0
    action = np.where(is_gone, _DELETE, _ADD if is_snapshot else _UPDATE)
    columns = {
        "action": action,
        "side": np.where(levels.is_bid, _BUYER, _SELLER),
        "price": steps.price_of(levels.price),
        "size": steps.size_of(levels.quantity),
        "order_id": np.zeros(len(action), np.int64),
        "flags": np.where(is_last, _LAST_FLAG, 0) | (_SNAPSHOT_FLAG if is_snapshot else 0),
    }
    return _table(columns, messages, levels.message)


def _table(columns: dict[str, Any], messages: pa.Table, places: Integers) -> pa.Table:
    """Return rows of the book with the stamps of the messages at these places."""
    stamps = {"sequence": "number", "ts_event": "exchange_ns", "ts_init": "local_ns", "number": "number"}
    found = {name: integers(messages[column])[places] for name, column in stamps.items()}
    return pa.table({name: pa.array(values) for name, values in {**columns, **found}.items()})


def _trades(day: ExportDay, steps: Steps) -> Iterator[pa.Table]:
    for rows in market_trades(day):
        yield _stamped(
            {
                "price": steps.price_of(rows["price"].combine_chunks()),
                "size": steps.size_of(rows["quantity"].combine_chunks()),
                "aggressor_side": pc.if_else(rows["is_buyer_maker"], _SELLER, _BUYER),
                "trade_id": pc.cast(rows["id"], pa.string()),
            },
            rows,
        )


def _quotes(day: ExportDay, steps: Steps) -> Iterator[pa.Table]:
    for rows in day.rows(day.stem_of("bookticker")):
        names = ("best_bid_price", "best_ask_price", "best_bid_qty", "best_ask_qty")
        bid, ask, bids, asks = (rows[name].combine_chunks() for name in names)
        prices = {"bid_price": steps.price_of(bid), "ask_price": steps.price_of(ask)}
        sizes = {"bid_size": steps.size_of(bids), "ask_size": steps.size_of(asks)}
        yield _stamped({**prices, **sizes}, rows.rename_columns({"transaction_time": "time"}))


def _stamped(columns: dict[str, Any], rows: pa.Table) -> pa.Table:
    stamps = {
        "ts_event": pa.array(integers(rows["time"]) * 1000),
        "ts_init": rows["recv_ns"],
        "number": rows["seq"],
    }
    return pa.table({**columns, **stamps})


def _span(day: ExportDay, files: Iterable[_Sorted]) -> Span:
    """Return the time that the files are named after: the day, and what was received of it before or later."""
    start_ns, end_ns = day_bounds_ns(day.day)
    spans = [one.span for one in files]
    return Span(min(start_ns, *(one.start_ns for one in spans)), max(end_ns - 1, *(one.end_ns for one in spans)))


def _name(day: ExportDay, span: Span) -> str:
    return f"{instrument_id(day.name)}/{_iso(span.start_ns)}_{_iso(span.end_ns)}.parquet"


def _iso(ns: int) -> str:
    whole = datetime.fromtimestamp(ns // 10**9, UTC)
    return f"{whole:%Y-%m-%dT%H-%M-%S}-{ns % 10**9:09}Z"


def _written(  # noqa: PLR0913 (rows, what they are called, and where they go)
    kind: str, tables: Iterable[pa.Table], day: ExportDay, folder: ExportFolder, *, steps: Steps, span: Span
) -> Exported:
    schema = SCHEMAS[kind].with_metadata({"instrument_id": instrument_id(day.symbol), **steps.precisions})
    return _write_table(kind, tables, schema, folder, name=_name(day, span))


def _write_table(
    kind: str, tables: Iterable[pa.Table], schema: pa.Schema, folder: ExportFolder, *, name: str
) -> Exported:
    name, count = f"nautilus/data/{kind}/{name}", 0
    with folder.file(name) as path, pq.ParquetWriter(path, schema, compression="zstd") as file:
        for table in tables:
            file.write_table(table.select(schema.names).cast(schema))
            count += len(table)
    return Exported(folder.path / name, count)
