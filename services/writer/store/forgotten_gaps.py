"""Finds gaps in the gap files that are open, and that nobody knows of any more.

Who lists a gap remembers it until it is filled or given up: a worker in its journal, the writer in its ledger. Where
that is lost, the gap files alone still tell of it. Its rows cannot be fetched then, because nobody knows which of them
have come meanwhile; so the writer ends such a gap as `unrepairable`.
"""

import contextlib
import csv
from collections.abc import Iterator, Sequence

from binance_streamer.config.symbols import decode_name, encode_name
from binance_streamer.deploy.supervisord import symbol_of
from binance_streamer.exchange.messages import INTERVAL_MS, ExchangeError
from binance_streamer.exchange.streams import stream_from_name
from binance_streamer.health.gaps import OPEN, REPAIRED, GapRow, gap_row
from binance_streamer.wire.frames import Topic
from services.runtime.gaps.drafts import Gap
from services.writer.store.files import DataFiles

_WRITER = "writer"
_MOST_FILES = 3
"""Newest gap files of a symbol that are read. The exchange keeps two days: of what is older a worker had given up."""
_WHY = "what knew of it is lost: a journal, or the ledger"

Listed = Sequence[tuple[str, GapRow]]
"""The newest row of each gap of a symbol, behind the epoch of whoever wrote it."""


def listed_of(files: DataFiles, producer: str) -> Listed:
    """Return the gaps of a worker's symbol, as the files have them; none for another kind of producer."""
    symbol = symbol_of(producer)
    return _newest_rows(files, symbol) if symbol is not None else ()


def of_worker(listed: Listed) -> Iterator[Gap]:
    """Yield the open gaps that a worker has listed or taken over."""
    yield from (_ended(row) for epoch, row in listed if row.state == OPEN and not _is_of_writer(epoch, row))


def of_writer(files: DataFiles) -> Iterator[Gap]:
    """Yield the open gaps that the writer has listed, and that no worker has taken over."""
    for folder in sorted({path.parent.name for path in files.root.glob("*/gap_*.csv")}):
        listed = _newest_rows(files, decode_name(folder))
        yield from (_ended(row) for epoch, row in listed if row.state == OPEN and _is_of_writer(epoch, row))


def missing_in(listed: Listed) -> dict[Topic, tuple[tuple[int, int], ...]]:
    """Return the ids that are missing in the files, (from, to], by the topics of their streams."""
    found: dict[Topic, tuple[tuple[int, int], ...]] = {}
    for _, row in listed:
        with contextlib.suppress(ExchangeError):  # a series of REST, which no worker records
            stream = stream_from_name(row.stream)
            ids = None if row.state == REPAIRED else _ids_of(row, INTERVAL_MS.get(stream.variant))
            if ids is not None:
                topic = Topic(stream.stream_type, stream.symbol, stream.variant)
                found[topic] = (*found.get(topic, ()), ids)
    return found


def _ids_of(row: GapRow, interval_ms: int | None) -> tuple[int, int] | None:
    """Return the ids that may be missing in a gap; None where that is bounded by time, and ids are no times.

    The ids of closed klines are times. What the writer has lost of them it lists by time; what a worker lists so has to
    do with open ones alone.
    """
    if row.from_id is not None and row.to_id is not None:
        return row.from_id, row.to_id
    if interval_ms is None or row.to_ns is None or not row.gap_id.startswith(f"{_WRITER}-"):
        return None
    return row.from_ns // 1_000_000 - 2 * interval_ms, row.to_ns // 1_000_000


def _is_of_writer(epoch: str, row: GapRow) -> bool:
    """Return True if the writer wrote the row: a worker that takes the gap over has another epoch."""
    return row.gap_id.startswith(f"{_WRITER}-{epoch}-")


def _ended(row: GapRow) -> Gap:
    bounds = row.from_id, row.to_id, row.from_ns, row.to_ns
    gap = Gap(row.gap_id, row.symbol, row.stream, "unrepairable", *bounds, row.reason, why=_WHY)
    return gap._replace(first_from_id=row.first_from_id, first_to_id=row.first_to_id)


def _newest_rows(files: DataFiles, symbol: str) -> Listed:
    folder = encode_name(symbol)
    newest: dict[str, tuple[str, GapRow]] = {}
    paths = sorted(files.root.glob(f"{folder}/gap_{folder}_{'[0-9]' * 8}.csv"))
    for path in paths[-_MOST_FILES:]:
        for cells in csv.DictReader(files.lines(str(path.relative_to(files.root))), restkey="surplus", restval=""):
            row = gap_row({**cells, "symbol": symbol})
            if row is not None:
                newest[row.gap_id] = cells.get("epoch") or "", row
    return list(newest.values())
