"""`tardis`: the CSV files of Tardis.dev, gzip, for everything that reads those.

    incremental_book_L2   levels of depth updates, and all levels of a snapshot where the book begins (anew)
    book_snapshot_25      the best 25 levels of a side whenever one of them changes
    trades                the stream `trade` without records that are none, else aggTrades
    quotes                bookTicker
    derivative_ticker     mark price, with the last price and open interest received until then
    liquidations          forceOrder

Columns and names are theirs (docs.tardis.dev, "Data Types"), times are microseconds: `timestamp` is the exchange's
transaction time, `local_timestamp` that of our receipt, by which the rows are in order. Empty where nothing is known.
"""

import contextlib
import gzip
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from binance_streamer.days.export.best_levels import best_levels
from binance_streamer.days.export.book_messages import CLEAR, SNAPSHOT, BookFeed, Levels
from binance_streamer.days.export.days import ExportDay, Exported, ExportFolder
from binance_streamer.days.export.trades import STREAM_TYPES, market_trades
from binance_streamer.days.export.values import Integers, integers, pieces, texts
from binance_streamer.days.sort import sorted_batches

EXCHANGE = "binance-futures"
LEVELS_SHOWN = 25
_HEAD = "exchange,symbol,timestamp,local_timestamp"
_PIECE_ROWS = 8192
_ORDER = ("recv_ns", "epoch", "seq")
COLUMNS = {
    "incremental_book_L2": f"{_HEAD},is_snapshot,side,price,amount",
    "book_snapshot_25": ",".join(
        [
            _HEAD,
            *(
                f"{side}[{place}].{value}"
                for place in range(LEVELS_SHOWN)
                for side in ("asks", "bids")
                for value in ("price", "amount")
            ),
        ]
    ),
    "trades": f"{_HEAD},id,side,price,amount",
    "quotes": f"{_HEAD},ask_amount,ask_price,bid_price,bid_amount",
    "derivative_ticker": f"{_HEAD},funding_timestamp,funding_rate,predicted_funding_rate,open_interest,last_price,"
    "index_price,mark_price",
    "liquidations": f"{_HEAD},id,side,price,amount",
}
"""The header of each kind of file."""

Lines = Iterable[tuple[int, bytes]]
"""Numbers of lines, and their text."""


def export(day: ExportDay, folder: ExportFolder) -> Iterator[Exported]:
    """Write a file of each kind that there are rows for, such as `binance-futures_trades_2026-11-22_BTCUSDT.csv.gz`."""
    makers: dict[str, Callable[[ExportDay], Lines]] = {
        "incremental_book_L2": _incremental,
        "book_snapshot_25": _best,
        "trades": _trades,
        "quotes": _quotes,
        "derivative_ticker": _derivative,
        "liquidations": _liquidations,
    }
    for kind, maker in makers.items():
        if day.stem_of(*_SOURCES[kind]) is not None:
            yield _written(kind, maker(day), day, folder)


_SOURCES = {
    "incremental_book_L2": ("depth",),
    "book_snapshot_25": ("depth",),
    "trades": STREAM_TYPES,
    "quotes": ("bookticker",),
    "derivative_ticker": ("markprice",),
    "liquidations": ("forceorder",),
}
"""The stream types that a kind of file can be made of; the first that is recorded is taken."""


def _written(kind: str, lines: Lines, day: ExportDay, folder: ExportFolder) -> Exported:
    name = f"{EXCHANGE}_{kind}_{day.dashed}_{day.name}.csv.gz"
    count = 0
    with folder.file(name) as path, _compressed(path) as file:
        file.write(f"{COLUMNS[kind]}\n".encode())
        for number, text in lines:
            file.write(text)
            count += number
    return Exported(folder.path / name, count)


@contextlib.contextmanager
def _compressed(path: Path) -> Iterator[Any]:
    """Open a gzip file that is the same for the same lines."""
    with path.open("wb") as plain, gzip.GzipFile("", "wb", compresslevel=6, fileobj=plain, mtime=0) as file:
        yield file


def _lines(day: ExportDay, cells: Sequence[Any]) -> tuple[int, bytes]:
    """Return lines of columns of text, the first two columns before them."""
    joined = pc.binary_join_element_wise(EXCHANGE, day.symbol, *cells, ",")
    return len(joined), b"".join(f"{line}\n".encode() for line in joined.to_pylist())


def _by_receipt(day: ExportDay, stem: str | None) -> Iterator[pa.Table]:
    return _sorted_by_receipt(day, day.rows(stem))


def _sorted_by_receipt(day: ExportDay, tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Yield rows in the order of their receipt, some thousand at a time."""
    batches = (batch for table in tables for batch in table.to_batches())
    for table in sorted_batches(batches, _ORDER, day.room()):
        yield from pieces(table, _PIECE_ROWS)


def _times(rows: pa.Table, name: str) -> list[Any]:
    """Return the texts of `timestamp`, which is a column's time, and `local_timestamp`."""
    return [_text(integers(rows[name])), _text(integers(rows["recv_ns"]) // 1000)]


def _text(values: Integers) -> Any:
    return pc.cast(pa.array(values), pa.string())


def _trades(day: ExportDay) -> Lines:
    for rows in _sorted_by_receipt(day, market_trades(day)):
        side = pc.if_else(rows["is_buyer_maker"], "sell", "buy")
        cells = [pc.cast(rows["id"], pa.string()), side, texts(rows["price"]), texts(rows["quantity"])]
        yield _lines(day, [*_times(rows, "time"), *cells])


def _quotes(day: ExportDay) -> Lines:
    for rows in _by_receipt(day, "bookticker"):
        names = ("best_ask_qty", "best_ask_price", "best_bid_price", "best_bid_qty")
        yield _lines(day, [*_times(rows, "transaction_time"), *(texts(rows[name]) for name in names)])


def _liquidations(day: ExportDay) -> Lines:
    """The side is that of the order that liquidates: `buy` ends a short position. The amount is what was filled."""
    for rows in _by_receipt(day, "forceorder"):
        side = pc.ascii_lower(rows["side"])
        cells = ["", side, texts(rows["price"]), texts(rows["accumulated_quantity"])]
        yield _lines(day, [*_times(rows, "transact_time"), *cells])


def _derivative(day: ExportDay) -> Lines:
    stem = day.stem_of(*STREAM_TYPES)
    last_prices = _Newest(_by_receipt(day, stem), "price")
    interests = _Newest(_by_receipt(day, day.stem_of("openinterest")), "open_interest")
    for rows in _by_receipt(day, day.stem_of("markprice")):
        received_ns = integers(rows["recv_ns"])
        funding = pc.fill_null(pc.cast(rows["next_funding_time"].cast(pa.int64()), pa.string()), "")
        cells = [
            *_times(rows, "event_time"),
            *(funding, texts(rows["funding_rate"]), ""),
            *(interests.until(received_ns), last_prices.until(received_ns)),
            *(texts(rows[name]) for name in ("index_price", "mark_price")),
        ]
        yield _lines(day, cells)


class _Newest:
    """The newest value of a stream at instants that only go on."""

    def __init__(self, tables: Iterator[pa.Table], column: str) -> None:
        self._tables = tables
        self._column = column
        self._received = np.empty(0, np.int64)
        self._values: list[str] = [""]
        """One more than there are stamps: the value before them comes first."""

    def until(self, instants: Integers) -> Any:
        """Return the texts of the values that were the newest at these instants; empty before the first."""
        while not len(self._received) or self._received[-1] <= instants[-1]:
            table = next(self._tables, None)
            if table is None:
                break
            self._forget(int(instants[0]))
            self._received = np.concatenate([self._received, integers(table["recv_ns"])])
            self._values += texts(table[self._column]).to_pylist()
        places = np.searchsorted(self._received, instants, side="right")
        return pa.array([self._values[place] for place in places], pa.string())

    def _forget(self, instant: int) -> None:
        past = int(np.searchsorted(self._received, instant, side="right"))
        self._received, self._values = self._received[past:], self._values[past:]


def _pieces(book: BookFeed) -> Iterator[pa.Table]:
    """Yield the book's messages but clears, which these files have no row for, some thousand at a time."""
    for table in book:
        if table["kind"][0].as_py() != CLEAR:
            yield from pieces(table, _PIECE_ROWS)


def _incremental(day: ExportDay) -> Lines:
    for messages in _pieces(BookFeed(day)):
        levels = Levels(messages)
        is_snapshot = "true" if messages["kind"][0].as_py() == SNAPSHOT else "false"
        stamps = [_text(integers(messages[name])[levels.message] // 1000) for name in ("exchange_ns", "local_ns")]
        side = pc.if_else(pa.array(levels.is_bid), "bid", "ask")
        yield _lines(day, [*stamps, is_snapshot, side, texts(levels.price), texts(levels.quantity)])


def _best(day: ExportDay) -> Lines:
    head = f"{EXCHANGE},{day.symbol}"
    for exchange_ns, local_ns, cells in best_levels(BookFeed(day), LEVELS_SHOWN):
        yield 1, f"{head},{exchange_ns // 1000},{local_ns // 1000},{cells}\n".encode()
