"""Recovers the files at the start, and after a full disk: back to their durable lengths, with a list of what is
missing.

| the file on the disk is … | what is done |
|---|---|
| longer than the ledger says | cut: these rows were not acknowledged, and are pushed again |
| as long | nothing |
| shorter, or gone, and grew in the last hour of recording | cut to whole rows or frames; the series is damaged |
| gone, and did not grow for an hour | nothing: its owner moved it away; a late row begins it anew |
| not in the ledger | kept: continued behind its whole rows, or renamed where it has other columns |

Without a ledger, all rows of the last two days are read, and their sequence numbers kept, so that what is pushed again
is known (docs/decisions/0027 says why the last numbers are not enough).
"""

import contextlib
import csv
import logging
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec

from binance_streamer.config.symbols import decode_name
from services.writer.rows.daily_files import COMPRESSED, DAY_NS, series_of
from services.writer.rows.raw_rows import raw_identity
from services.writer.rows.routes import CLOCK, EXCHANGE_INFO, EXCHANGE_SYMBOL
from services.writer.store.files import DataFiles
from services.writer.store.ledger import FileRecord, Ledger, LedgerDamagedError, set_aside
from services.writer.store.losses import DamagedFile
from services.writer.store.sequences import Interval, Sequences
from services.writer.store.zstd_frames import text_lines

_log = logging.getLogger(__name__)

LEDGER_NAME = ".writer.sqlite"
_CHECKED_NS = 2 * DAY_NS
"""Files that grew in the last two days of recording are checked at a start; older ones when a row comes for them."""
_STILL_WRITTEN_NS = 3600 * 10**9
"""A file that did not grow in the last hour of recording may have been moved away by its owner."""
_ID_COLUMNS = ("agg_trade_id", "final_update_id", "id")

_LOOKED_AT_ROWS = 20_000
"""At the end of a damaged file: far more than the rows that come late in a moment."""

csv.field_size_limit(64 * 2**20)


class _JsonRow(msgspec.Struct):
    epoch: int
    seq: int


class RepairedFiles(NamedTuple):
    """Files whose length in the ledger has to change, and those of them that lost rows by that."""

    files: list[FileRecord]
    damages: list[DamagedFile]


def open_ledger(files: DataFiles, now_ns: int) -> Ledger:
    """Open the ledger; a damaged one is set aside, and a new one begins with what the files hold."""
    path = files.root / LEDGER_NAME
    try:
        ledger = Ledger(path)
    except LedgerDamagedError as error:
        set_aside(path, now_ns)
        _log.error("ledger set aside reason=%s", error)
        ledger = Ledger(path)
    try:
        if ledger.is_new:
            _rebuild(ledger, files, now_ns)
    except BaseException:
        ledger.close()
        raise
    return ledger


def repair(files: DataFiles, ledger: Ledger, suspects: frozenset[str] = frozenset()) -> RepairedFiles:
    """Cut every recent file, and every suspect, back to its durable length."""
    repaired = RepairedFiles([], [])
    last_ns = ledger.last_written_ns()
    records = {record.path: record for record in ledger.files_since(last_ns - _CHECKED_NS)}
    for path in suspects:
        record = ledger.file(path)
        if record is not None:
            records[path] = record
    for record in records.values():
        size = files.size(record.path)
        if size is not None and (size > record.length or size == record.length == 0):
            files.cut(record.path, record.length)
            _log.info("cut back file=%s from=%d to=%d", record.path, size, record.length)
        elif size is None and record.length and record.written_ns < last_ns - _STILL_WRITTEN_NS:
            if record.path in suspects:  # a late row has come for it
                repaired.files.append(record._replace(length=0))
                _log.warning("file begun anew, the one before was moved away file=%s", record.path)
        elif size != record.length and record.length:
            _repair_one(files, record, repaired, is_there=size is not None)
    return repaired


def _repair_one(files: DataFiles, record: FileRecord, repaired: RepairedFiles, *, is_there: bool) -> None:
    length, last_row = 0, b""
    if is_there:
        length, last_row = files.whole_rows(record.path)
        files.cut(record.path, length)
    repaired.files.append(record._replace(length=length))
    repaired.damages.append(_damage(files, record, last_row))
    _log.error("file damaged file=%s durable=%d whole=%d", record.path, record.length, length)


def _damage(files: DataFiles, record: FileRecord, last_row: bytes) -> DamagedFile:
    folder = record.path.rpartition("/")[0]
    symbol = decode_name(folder) if folder else EXCHANGE_SYMBOL
    if last_row and not record.path.endswith(".jsonl"):
        rows = list(_rows_of(files.last_lines(record.path, _LOOKED_AT_ROWS), files.first_line(record.path)))
        # late rows fill old holes, and say nothing of where the file ended: the largest id does
        ids = [last_id for cells in rows if (last_id := _ids_in(cells)[1]) is not None]
        if rows and rows[-1].get("recv_ns", "").isdigit():
            return DamagedFile(record.path, symbol, max(ids, default=None), int(rows[-1]["recv_ns"]))
    return DamagedFile(record.path, symbol, None, record.first_ns)


def with_end(files: DataFiles, damage: DamagedFile) -> DamagedFile:
    """Return the damage with its end: what is gone ends before the first row of the series' next file.

    Without this, rows of the days behind it, which are all there, would be listed as missing.
    """
    folder, _, name = damage.path.rpartition("/")
    stem, _, day = name.partition(".")[0].rpartition("_")
    found = (files.root / folder).glob(f"{stem}_{'[0-9]' * 8}.csv*") if folder else ()
    later = {path.name.partition(".")[0]: path.name for path in found if path.name.endswith((".csv", COMPRESSED))}
    for path in [f"{folder}/{later[name]}" for name in sorted(later) if name > f"{stem}_{day}"]:
        for cells in _rows_of(files.lines(path), files.first_line(path)):
            if cells.get("source") != "rest" and cells.get("recv_ns", "").isdigit():
                return damage._replace(to_id=_ids_in(cells)[0], to_ns=int(cells["recv_ns"]))
    return damage


def _rows_of(lines: Iterable[str], header: bytes) -> Iterator[dict[str, str]]:
    names = next(csv.reader([header.decode(errors="replace")]), [])
    for row in csv.reader(lines):
        if len(row) == len(names) and row != names:
            yield dict(zip(names, row, strict=True))


def _ids_in(cells: Mapping[str, str]) -> tuple[int | None, int | None]:
    """Return the ids (previous, last] of a row that the exchange sent; None where it has none."""
    if cells.get("source") == "rest":
        return None, None
    last = next((int(cells[name]) for name in _ID_COLUMNS if cells.get(name, "").isdigit()), None)
    previous = cells.get("prev_final_update_id", "")
    if previous.isdigit():
        return int(previous), last
    return None if last is None else last - 1, last


def adopt(files: DataFiles, path: str, header: bytes, now_ns: int) -> FileRecord:
    """Return the record of a file that the ledger does not know: of a new one, or of one that lay there already.

    One that lay there is continued behind its whole rows; one with other columns is renamed, so that no file has two
    kinds of rows.
    """
    if files.size(path) is None:
        return FileRecord(path, 0, now_ns, now_ns)
    length, _ = files.whole_rows(path)
    if header and (not length or files.first_line(path) != header):
        _set_aside(files, path, now_ns)
        return FileRecord(path, 0, now_ns, now_ns)
    files.cut(path, length)
    _log.warning("continuing a file that the ledger does not know file=%s bytes=%d", path, length)
    return FileRecord(path, length, _first_ns(files.root / path, now_ns), now_ns)


def _set_aside(files: DataFiles, path: str, now_ns: int) -> None:
    aside = files.root / f"{path}.{now_ns}"
    (files.root / path).rename(aside)
    _log.error("file with other columns, or none that can be read, set aside file=%s", aside)


def _rebuild(ledger: Ledger, files: DataFiles, now_ns: int) -> None:
    sequences = Sequences()
    records = []
    for path, modified_ns in _recent_files(files.root, now_ns):
        length, _ = files.whole_rows(path)
        if path.endswith(COMPRESSED) and not length and files.size(path):
            _set_aside(files, path, now_ns)  # not of frames as ours are: to cut it would lose all of it
            continue
        files.cut(path, length)
        for interval in _sequences_in(files.root / path, path):
            sequences.add(interval)
        written_ns = min(modified_ns, now_ns)  # else, where the clock was set back, nothing newer would be checked
        records.append(FileRecord(path, length, _first_ns(files.root / path, written_ns), written_ns))
    ledger.begin(records, sequences)
    if records:
        _log.warning("ledger rebuilt files=%d", len(records))


def _first_ns(file: Path, otherwise_ns: int) -> int:
    """Return the receive stamp of a file's first row, in ns."""
    with _text_lines(file) as lines:
        first = next(csv.DictReader(lines), {})
    stamp = first.get("recv_ns") or ""
    return int(stamp) if stamp.isdigit() else otherwise_ns


def _recent_files(root: Path, now_ns: int) -> Iterator[tuple[str, int]]:
    """Yield (path, time of change) of the files of the last two days of recording.

    Not of the last two days: when nothing has run since, the journals hold rows of the days before it ended.
    """
    found = [
        (file, file.lstat().st_mtime_ns)
        for pattern in ("*/*.csv", f"*/*.csv{COMPRESSED}", f"{CLOCK}_*.csv", f"{EXCHANGE_INFO}_*.jsonl")
        for file in sorted(root.glob(pattern))
        if file.is_file() and not file.is_symlink()
    ]
    last_ns = min(now_ns, max((modified_ns for _, modified_ns in found), default=now_ns))
    for file, modified_ns in found:
        if modified_ns >= last_ns - _CHECKED_NS:
            yield str(file.relative_to(root)), modified_ns


def _sequences_in(file: Path, path: str) -> Iterator[Interval]:
    series = series_of(path)
    with _text_lines(file) as lines:
        if path.endswith(".jsonl"):
            yield from _sequences_in_json(lines, series)
            return
        header = next(csv.reader([next(lines, "")]), [])
        if "epoch" not in header or "seq" not in header:
            return
        epoch, seq = header.index("epoch"), header.index("seq")
        is_raw = header[:2] == ["stream_type", "stream"]
        for row in csv.reader(lines):
            if len(row) == len(header) and row[epoch].isdigit() and row[seq].isdigit():
                identity = raw_identity(series, row[0], row[1]) if is_raw else series
                yield Interval(identity, int(row[epoch]), int(row[seq]), int(row[seq]))


@contextlib.contextmanager
def _text_lines(file: Path) -> Iterator[Iterator[str]]:
    """Open a file as lines of text, compressed or plain; bytes that are no UTF-8 are replaced."""
    if file.suffix == COMPRESSED:
        yield text_lines(file)
        return
    with file.open("r", encoding="utf-8", errors="replace", newline="") as lines:
        yield lines


def _sequences_in_json(lines: Iterator[str], series: str) -> Iterator[Interval]:
    for text in lines:
        with contextlib.suppress(msgspec.DecodeError):  # a line that somebody harmed: its row comes again
            line = msgspec.json.decode(text, type=_JsonRow)
            yield Interval(series, line.epoch, line.seq, line.seq)
