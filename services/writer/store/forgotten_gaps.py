"""Finds gaps in the gap files that are open, and that nobody knows of any more.

Who lists a gap remembers it until it is filled or given up: a worker in its journal, the writer in its ledger. Where
that is lost, the gap files alone still tell of it. Its rows cannot be fetched then, because nobody knows which of them
have come meanwhile; so the writer ends such a gap as `unrepairable`.
"""

import csv
from collections.abc import Iterator

from binance_streamer.config.symbols import decode_name, encode_name
from binance_streamer.deploy.supervisord import symbol_of
from binance_streamer.exchange.streams import stream_from_name
from binance_streamer.health.gaps import OPEN, REPAIRED, GapRow, gap_row
from binance_streamer.wire.frames import Topic
from services.runtime.gaps.drafts import Gap
from services.writer.store.files import DataFiles

_MOST_FILES = 3
"""Newest gap files of a symbol that are read. The exchange keeps two days: of what is older a worker had given up."""
_WHY = "what knew of it is lost: a journal, or the ledger"


def of_worker(files: DataFiles, producer: str) -> Iterator[Gap]:
    """Yield the open gaps that the worker of this name has listed or taken over; none for another kind of producer."""
    symbol = symbol_of(producer)
    if symbol is not None:
        yield from (_ended(row) for epoch, row in _open_gaps(files, symbol) if not _is_of_writer(epoch, row))


def of_writer(files: DataFiles) -> Iterator[Gap]:
    """Yield the open gaps that the writer has listed, and that no worker has taken over."""
    for folder in sorted({path.parent.name for path in files.root.glob("*/gap_*.csv")}):
        yield from (_ended(row) for epoch, row in _open_gaps(files, decode_name(folder)) if _is_of_writer(epoch, row))


def missing_of_worker(files: DataFiles, producer: str) -> dict[Topic, tuple[tuple[int, int], ...]]:
    """Return the ids that are missing in the files of a worker's symbol, (from, to], by the topics of its streams."""
    found: dict[Topic, tuple[tuple[int, int], ...]] = {}
    symbol = symbol_of(producer)
    for _, row in _newest_rows(files, symbol) if symbol is not None else ():
        if row.state != REPAIRED and row.from_id is not None and row.to_id is not None:
            stream = stream_from_name(row.stream)
            topic = Topic(stream.stream_type, stream.symbol, stream.variant)
            found[topic] = (*found.get(topic, ()), (row.from_id, row.to_id))
    return found


def _is_of_writer(epoch: str, row: GapRow) -> bool:
    """Return True if the writer wrote the row: a worker that takes the gap over has another epoch."""
    return row.gap_id.startswith(f"writer-{epoch}-")


def _ended(row: GapRow) -> Gap:
    bounds = row.from_id, row.to_id, row.from_ns, row.to_ns
    gap = Gap(row.gap_id, row.symbol, row.stream, "unrepairable", *bounds, row.reason, why=_WHY)
    return gap._replace(first_from_id=row.first_from_id, first_to_id=row.first_to_id)


def _open_gaps(files: DataFiles, symbol: str) -> list[tuple[str, GapRow]]:
    return [(epoch, row) for epoch, row in _newest_rows(files, symbol) if row.state == OPEN]


def _newest_rows(files: DataFiles, symbol: str) -> list[tuple[str, GapRow]]:
    """Return the newest row of each gap, behind the epoch of whoever wrote it."""
    folder = encode_name(symbol)
    newest: dict[str, tuple[str, GapRow]] = {}
    paths = sorted(files.root.glob(f"{folder}/gap_{folder}_{'[0-9]' * 8}.csv"))
    for path in paths[-_MOST_FILES:]:
        for cells in csv.DictReader(files.lines(str(path.relative_to(files.root))), restkey="surplus", restval=""):
            row = gap_row({**cells, "symbol": symbol})
            if row is not None:
                newest[row.gap_id] = cells.get("epoch") or "", row
    return list(newest.values())
