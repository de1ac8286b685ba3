"""Recorded messages in the order of their receipt, of any number of files and symbols, as they went over the bus.

In: days (`day_files`), and the span of receive stamps that is wanted. Out: `Recorded` messages. Memory does not grow
with the days: the rows of each file are sorted on the disk, as text, in a folder that takes as much room as they have.
"""

import heapq
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from binance_streamer.config.symbols import symbol_fault
from binance_streamer.days.day_files import DayFiles, whole_bytes
from binance_streamer.days.parquet import metadata_of, read
from binance_streamer.days.recorded.digits import digits_of
from binance_streamer.days.recorded.events import EventWriter, fields_of, kept_event, stream_name, type_of_stem
from binance_streamer.days.recorded.places import ReadableDay
from binance_streamer.days.recorded.texts import as_texts
from binance_streamer.days.rows import Span, text_tables
from binance_streamer.days.schema import columns
from binance_streamer.days.sort import ORIGIN, FirstCopies, marked, sorted_batches
from binance_streamer.days.sources import EXCHANGE
from binance_streamer.exchange.rest_series import REST_SERIES
from binance_streamer.exchange.rows import SNAPSHOT_TYPE
from binance_streamer.exchange.stream_types import STREAM_TYPES, row_form
from binance_streamer.exchange.streams import stream_variant

_SEALED = ".parquet"
_STAMPS = ("recv_ns", "epoch", "seq")
_PIECE_ROWS = 512
"""Read back at once, of each file: there may be thousands."""
OF_PROCESSES = frozenset({"status"})
"""Says how processes were that do not run any more: no message of a market, and never replayed."""
_EXCHANGE_SYMBOL = "EXCHANGE"
"""The symbol in topics and frames of what concerns all symbols."""
_PATHS = {"clock": "/fapi/v1/time", "exchange_info": "/fapi/v1/exchangeInfo"}
"""The name of the stream, where the rows do not say it."""


class Recorded(NamedTuple):
    """A message as it was recorded. `data` are the fields of its frame but producer, epoch and seq."""

    recv_ns: int
    topic: tuple[str, str, str]
    data: dict[str, Any]
    epoch: int
    seq: int


def received(
    days: Iterable[ReadableDay],
    span: Span,
    spill: Path,
    *,
    wanted: Callable[[str], bool],
    progressed: Callable[[int], None],
) -> Iterator[Recorded]:
    """Return the messages of these days in the order of their receipt; the folder `spill` is filled before it returns.

    `wanted` says of a stem if it takes part, `progressed` gets the bytes of each file when it has been read. Raises
    `NotSealable` where a file does not hold rows of this version. Rows that are no message (bytes that were no frame)
    are left out.
    """
    sources: list[Iterator[Recorded]] = []
    by_day = sorted(days, key=_symbol_and_day)
    for (symbol, _), places in itertools.groupby(by_day, key=_symbol_and_day):
        with ExitStack() as stack:
            files = [stack.enter_context(place.here(wanted)) for place in places]
            for stem, paths in sorted(_files(files, wanted).items()):
                kept = _kept(paths, stem, span, spill, name=f"{len(sources)}.arrow")
                if kept is not None:
                    sources.append(_messages(kept, stem, symbol))
                progressed(sum(path.stat().st_size for path in paths))
    return heapq.merge(*sources, key=itemgetter(0))


def sealed_messages(sealed: Path, stem: str, symbol: str, span: Span, spill: Path) -> Iterator[Recorded]:
    """Return the messages of a sealed file in the order of their receipt; the folder `spill` is filled before."""
    kept = _kept([sealed], stem, span, spill, name="sealed.arrow")
    return iter(()) if kept is None else _messages(kept, stem, symbol)


def _symbol_and_day(day: ReadableDay) -> tuple[str, str]:
    return day.symbol, day.day


def _files(day: Iterable[DayFiles], wanted: Callable[[str], bool]) -> dict[str, list[Path]]:
    """Return the files of a day in all its places, by stem; those not sealed first: their digits are as recorded.

    A row may be in several: where a sealed day's CSV is still there, or a late row has begun it anew.
    """
    found: dict[str, list[Path]] = {}
    for files in day:
        for stem, stream in files.streams.items():
            if stem not in OF_PROCESSES and wanted(stem):
                found.setdefault(stem, []).extend(stream.paths)
    return {key: sorted(paths, key=lambda path: (path.suffix == _SEALED, path)) for key, paths in found.items()}


def _kept(paths: Sequence[Path], stem: str, span: Span, spill: Path, *, name: str) -> Path | None:
    """Return a file with the rows of a stream's day within the span, in the order of their receipt; None without any.

    It is not compressed, so that what is read of it is mapped, and takes no memory that could not be given back.
    """
    runs = spill / "runs"
    runs.mkdir(parents=True, exist_ok=True)
    kept = spill / name
    batches = (batch for table in _texts(paths, stem) for batch in within(with_stamps(table), span).to_batches())
    writer: pa.RecordBatchFileWriter | None = None
    copies = FirstCopies(_STAMPS)
    for table in sorted_batches(batches, (*_STAMPS, ORIGIN), runs):
        rows = copies.kept(table) if len(paths) > 1 else table
        writer = writer or pa.ipc.new_file(str(kept), rows.schema)
        writer.write_table(rows, max_chunksize=_PIECE_ROWS)
    if writer is None:
        return None
    writer.close()
    return kept


def _texts(paths: Iterable[Path], stem: str) -> Iterator[pa.Table]:
    """Yield the rows of files as text, each with the number of its file."""
    for number, path in enumerate(paths):
        if path.suffix == _SEALED:
            digits = digits_of(metadata_of(path))
            tables: Iterator[pa.Table] = (as_texts(pa.Table.from_batches([batch]), digits) for batch in read(path))
        else:
            tables = text_tables(path, stem, whole_bytes(path))
        for table in tables:
            yield marked(table, number)


def with_stamps(rows: pa.Table) -> pa.Table:
    """Return rows of text with receive stamp, epoch and seq as numbers."""
    for name in _STAMPS:
        rows = rows.set_column(rows.column_names.index(name), name, pc.cast(rows.column(name), pa.int64()))
    return rows


def within(rows: pa.Table, span: Span) -> pa.Table:
    """Return the rows of the span."""
    stamps = rows.column("recv_ns")
    return rows.filter(pc.and_(pc.greater_equal(stamps, span.start_ns), pc.less(stamps, span.end_ns)))


def _messages(kept: Path, stem: str, symbol: str) -> Iterator[Recorded]:
    """Yield the messages of sorted rows."""
    with pa.memory_map(str(kept)) as file, pa.ipc.open_file(file) as reader:
        for number in range(reader.num_record_batches):
            yield from messages_of(reader.get_batch(number), stem, symbol)


def topic_of_stem(stem: str, symbol: str) -> tuple[str, str, str]:
    """Return the topic of a daily file's messages; those of `raw` have the topics of their streams."""
    stream_type, variant = type_of_stem(stem)
    variant = "summary" if stem == "orderbook" else variant
    return stream_type, _EXCHANGE_SYMBOL if symbol == EXCHANGE else symbol, variant


def messages_of(rows: pa.Table | pa.RecordBatch, stem: str, symbol: str) -> Iterator[Recorded]:
    """Yield the messages of rows of a daily file, which are text but for their stamps (`with_stamps`)."""
    names = columns(stem)
    place = _Place(stem, *topic_of_stem(stem, symbol))
    cells = zip(*(rows.column(name).to_pylist() for name in names), strict=True)
    if row_form(place.stream_type) is not None:
        yield from _of_columns(place, names, cells)
    else:
        yield from filter(None, (_whole(place, dict(zip(names, row, strict=True))) for row in cells))


class _Place(NamedTuple):
    """Where rows come from, and with it what is the same for all of them."""

    stem: str
    stream_type: str
    symbol: str
    variant: str


def _of_columns(place: _Place, names: Sequence[str], rows: Iterable[tuple[Any, ...]]) -> Iterator[Recorded]:
    """Yield the exchange's messages of rows with its values in columns."""
    stem, stream_type, symbol, _ = place
    topic, name = place[1:], stream_name(stem, symbol)
    writers = {is_rest: EventWriter(stem, symbol, is_rest=is_rest) for is_rest in (False, True)}
    count = len(writers[False].columns)
    has_request = stream_type == SNAPSHOT_TYPE
    source_at, recv_at = names.index("source"), names.index("recv_ns")
    for row in rows:
        source = row[source_at]
        recv_ns, epoch, seq = row[recv_at : recv_at + 3]
        event = writers[source == "rest"].event(row[:count], row[-1])
        data = {"symbol": symbol, "stream": name, "recv_ns": recv_ns, "source": source or "", "connection": 0}
        if has_request and row[count] is not None:
            data["requested_ns"] = int(row[count])
        data["event"] = event
        yield Recorded(recv_ns, topic, data, epoch, seq)


def _whole(place: _Place, row: dict[str, Any]) -> Recorded | None:
    """Return the message of a row that keeps it whole, or of one of ours; None where it was none."""
    stem, stream_type, symbol, _ = place
    recv_ns, epoch, seq = (row[name] for name in _STAMPS)
    data = {"symbol": symbol, "recv_ns": recv_ns, "source": row["source"] or ""}
    if stem == "raw":
        return _raw(data, row)
    if stream_type in STREAM_TYPES or stream_type in REST_SERIES or stem == "exchange_info":
        name = stream_name(stem, symbol) or _PATHS.get(stem, "")
        data |= {"stream": name, "connection": 0, "event": kept_event(row["event"] or "", None)}
    else:
        data = {"stream": _PATHS.get(stem, ""), **fields_of(stem, row), **data}
    return Recorded(recv_ns, place[1:], data, epoch, seq)


def _raw(data: dict[str, Any], row: dict[str, Any]) -> Recorded | None:
    """Return a message that had no row form, as it came."""
    stream_type, stream = row["stream_type"] or "", row["stream"] or ""
    if not stream_type or "." in stream_type or symbol_fault(data["symbol"]) is not None:
        return None
    data |= {"stream": stream, "connection": 0, "event": kept_event(row["event"] or "", row["encoding"])}
    if stream_type == "raw":
        data["reason"] = row["reason"] or ""
    topic = stream_type, data["symbol"], stream_variant(stream_type, stream)
    return Recorded(data["recv_ns"], topic, data, row["epoch"], row["seq"])


def numbered(messages: Iterable[Recorded], producer: str, epoch: int) -> Iterator[tuple[Recorded, dict[str, Any]]]:
    """Yield each message with the whole data of its frame: numbered from 1 in each topic, as every producer does."""
    numbers: dict[tuple[str, str, str], itertools.count[int]] = {}
    for message in messages:
        seq = next(numbers.setdefault(message.topic, itertools.count(1)))
        yield message, {**message.data, "producer": producer, "epoch": epoch, "seq": seq}


def wants(names: Sequence[str]) -> Callable[[str], bool]:
    """Return a function that says of a stem if these names mean it; without names all are meant.

    A name is a stream as a configuration has it (`depth@0ms`), a stem (`depth_100ms`), or a stream type (`depth`).
    """
    chosen = {name.lower() for name in names}

    def is_wanted(stem: str) -> bool:
        stream_type, _ = type_of_stem(stem)
        suffix = stream_name(stem, "X").partition("@")[2].lower()
        return not chosen or bool(chosen & {stem, stream_type, suffix})

    return is_wanted
