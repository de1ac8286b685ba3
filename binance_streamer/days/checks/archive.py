"""Check `archive`: our rows of a day against the exchange's own daily file, row by row, in both directions.

| | |
|---|---|
| a row that they have and we do not | a finding, unless a gap row lists it: then it is known to be missing |
| a row that we have and they do not | a finding, unless it is no trade of the market (`NA`, `ADL`, `INSURANCE_FUND`) |
| a value that differs | a finding; values are compared as numbers, because the archive drops trailing zeros |

Both sides are sorted by id, of klines by opening time, and merged a table at a time.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from binance_streamer.days.checks.archive_files import ArchiveFile, archive_batches, archive_file, fetched
from binance_streamer.days.checks.finding import Finding, FindingList
from binance_streamer.days.checks.ids import id_columns
from binance_streamer.days.checks.order import flat, integers
from binance_streamer.days.checks.ranges import RangeSet
from binance_streamer.days.day_files import StreamFiles
from binance_streamer.days.sort import sorted_batches
from binance_streamer.health.gaps import REPAIRED, GapRow

_NO_TRADES = frozenset({"NA", "ADL", "INSURANCE_FUND"})
_ID_AS_NUMBER = "archive_id"


class ArchiveCounts(NamedTuple):
    """Rows by the outcome of their comparison."""

    same: int = 0
    different: int = 0
    missing_here: int = 0
    listed: int = 0
    """Missing here, and in a gap row."""
    missing_there: int = 0


class ArchiveRow(NamedTuple):
    """One row of either side: its id, the values that both have, and our receive stamp (0 of the archive's)."""

    id: int
    values: tuple[Any, ...]
    recv_ns: int
    is_trade: bool


def compare_archive(
    stream: StreamFiles, gaps: Iterable[GapRow], file: ArchiveFile, zip_path: Path, *, spill: Path
) -> tuple[list[Finding], ArchiveCounts]:
    """Compare one stream with its archive file; raises `ArchiveError` where that cannot be read."""
    listed = RangeSet(
        sorted((gap.from_id, gap.to_id) for gap in gaps if gap.from_id is not None and gap.to_id and _is_lost(gap))
    )
    comparison = _Comparison(stream, zip_path.name, file.columns, listed)
    theirs = _their_rows(zip_path, stream.stem, file.columns, spill=spill)
    comparison.run(_our_rows(stream, file.columns), theirs)
    return comparison.found.all(), ArchiveCounts(**comparison.counted)


def archive_of(stem: str, symbol: str, day: str, *, root: str, folder: Path) -> tuple[ArchiveFile, Path] | None:
    """Return the archive's file of a stream and day; None where the archive does not have it."""
    file = archive_file(stem, symbol, day)
    path = fetched(file, root, folder) if file else None
    return (file, path) if file and path else None


class _Comparison:
    def __init__(self, stream: StreamFiles, file: str, columns: tuple[str, ...], listed: RangeSet) -> None:
        self.found = FindingList("archive", stream.stem, stream.file)
        self.counted = dict.fromkeys(ArchiveCounts._fields, 0)
        self._file = file
        self._columns = columns
        self._listed = list(listed)
        self._at = 0

    def run(self, ours: Iterator[ArchiveRow], theirs: Iterator[ArchiveRow]) -> None:
        """Merge both sides by id."""
        our, their = next(ours, None), next(theirs, None)
        while our is not None or their is not None:
            if their is None or (our is not None and our.id < their.id):
                assert our is not None
                self._only_here(our)
                our = next(ours, None)
            elif our is None or their.id < our.id:
                self._only_there(their)
                their = next(theirs, None)
            else:
                self._both(our, their)
                our, their = next(ours, None), next(theirs, None)

    def _only_here(self, our: ArchiveRow) -> None:
        if our.is_trade:
            self.counted["missing_there"] += 1
            self.found.add(f"{self._file} does not have id {our.id}", id=our.id, recv_ns=our.recv_ns)

    def _only_there(self, their: ArchiveRow) -> None:
        while self._at < len(self._listed) and self._listed[self._at][1] < their.id:
            self._at += 1
        if self._at < len(self._listed) and self._listed[self._at][0] < their.id:
            self.counted["listed"] += 1
            return
        self.counted["missing_here"] += 1
        self.found.add(f"{self._file} has id {their.id}, and we do not; no gap row lists it", id=their.id)

    def _both(self, our: ArchiveRow, their: ArchiveRow) -> None:
        different = [
            f"{name} is {here}, {there} there"
            for name, here, there in zip(self._columns, our.values, their.values, strict=True)
            if here != there
        ]
        self.counted["different" if different else "same"] += 1
        if different:
            self.found.add(f"id {our.id}: {'; '.join(different)}", id=our.id, recv_ns=our.recv_ns)


def _our_rows(stream: StreamFiles, columns: tuple[str, ...]) -> Iterator[ArchiveRow]:
    """Yield our rows by id, each id once: of a bar that was corrected the last received, of a bar only once closed."""
    if stream.stem.startswith("kline_"):
        newest: dict[int, ArchiveRow] = {}
        for table in stream.tables():
            for row in _rows(table.filter(flat(table["is_closed"])), stream.stem, columns):
                if row.id not in newest or row.recv_ns >= newest[row.id].recv_ns:
                    newest[row.id] = row
        yield from (newest[number] for number in sorted(newest))
        return
    last = None
    for table in stream.tables():
        for row in _rows(table, stream.stem, columns):
            if row.id != last:
                yield row
            last = row.id


def _their_rows(path: Path, stem: str, columns: tuple[str, ...], *, spill: Path) -> Iterator[ArchiveRow]:
    """Yield the archive's rows by id; its files may be in any order."""
    batches = (_numbered(batch, columns[0]) for batch in archive_batches(path, stem, columns))
    for table in sorted_batches(batches, (_ID_AS_NUMBER,), spill):
        yield from _rows(table, stem, columns)


def _numbered(batch: pa.RecordBatch, column: str) -> pa.RecordBatch:
    """Return the batch with its id as a number, which a time is not, to sort by."""
    return batch.append_column(_ID_AS_NUMBER, integers(batch.column(column)))


def _rows(table: Any, stem: str, columns: tuple[str, ...]) -> Iterator[ArchiveRow]:
    id_column = id_columns(stem)
    assert id_column is not None
    ids = integers(table[id_column.last]).to_pylist()
    names = table.schema.names
    stamps = flat(table["recv_ns"]).to_pylist() if "recv_ns" in names else [0] * len(ids)
    kinds = flat(table["order_type"]).to_pylist() if "order_type" in names else [None] * len(ids)
    values = zip(*(flat(table[name]).to_pylist() for name in columns), strict=True)
    for number, row, recv_ns, kind in zip(ids, values, stamps, kinds, strict=True):
        yield ArchiveRow(number, row, recv_ns, kind not in _NO_TRADES)


def _is_lost(gap: GapRow) -> bool:
    return gap.state != REPAIRED
