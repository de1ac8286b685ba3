"""The lake: a folder with a Delta table for each stream, partitioned by symbol and day, and the days' certificates.

    lake/
      depth/_delta_log/…
      depth/symbol=BTCUSDT/day=2026-11-22/depth_BTCUSDT_20261122_0123456789ab.parquet
      certificates/BTCUSDT/BTCUSDT_20261122.json
      .sealing/                 files that are being written; nobody reads them
  .removing                 the day that retention is removing, while it does

A partition is one file. It is published in this order, so that at every moment of a kill a reader sees the old file or
the new one, never both and never half of one: the new file is durable, it gets its name, one commit of the log adds it
and removes the old one, the old one is deleted. Who seals the day again after a kill comes to the same name, and
finishes. Nothing of this needs a service or a JVM; without the log the Parquet files are readable all the same.
"""

import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pyarrow as pa
from deltalake import DeltaTable, Schema
from deltalake.transaction import AddAction, RemoveAction, create_table_with_add_actions

from binance_streamer.config.symbols import decode_name, encode_name
from binance_streamer.days.parquet import FileFacts, Place, read, stats_of
from binance_streamer.days.schema import table_schema
from binance_streamer.days.sources import CERTIFICATES, certificate_path

_SEALING = ".sealing"
_REMOVING = ".removing"
_HASHED_BYTES = 4 * 2**20
_PARTITIONS = ["symbol", "day"]
_CONFIGURATION: dict[str, str | None] = {"delta.checkpointInterval": "100"}
"""Commits between two checkpoints of the log. A day of 300 symbols is 300 commits of each table."""
_DIGEST_CHARACTERS = 12
"""Of a file's name: two contents of one partition never meet in it."""


class Lake:
    """A lake in a folder, for one process that writes and any number that read."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._tables: dict[str, DeltaTable] = {}

    def begin(self) -> None:
        """Make the folder, and remove what an earlier run left half written. `OSError` where it cannot be written."""
        shutil.rmtree(self.root / _SEALING, ignore_errors=True)
        self.workplace().mkdir(parents=True)

    def workplace(self) -> Path:
        """Return the folder for files that are being written: of the same disk, and read by nobody."""
        return self.root / _SEALING

    def publish(self, place: Place, written: Path, facts: FileFacts) -> Path:
        """Make a written file the only one of its partition; return its path. The file `written` is gone then.

        A file of the same content that is there already stays as it is: its size stands in the log.
        """
        folder = self.root / partition(place)
        new = folder / file_name(place, facts.digest)
        before = self._logged(place)
        if before == [new] and new.exists():
            written.unlink()
            self._remove_others(folder, new)
            return new
        _sync(written)
        folder.mkdir(parents=True, exist_ok=True)
        written.replace(new)
        for changed in (folder, folder.parent, folder.parent.parent, self.root):
            _sync(changed)
        self._commit(place, new, facts, remove=[old for old in before if old != new])
        self._remove_others(folder, new)
        return new

    def _remove_others(self, folder: Path, new: Path) -> None:
        """Delete files of a partition that the log does not name: of before, or left by a kill."""
        for old in folder.glob("*.parquet"):
            if old != new:
                old.unlink()

    def files(self, place: Place) -> list[Path]:
        """Return the files of a partition by the log: one, or none where the day has not been sealed, or it is gone."""
        return [path for path in self._logged(place) if path.exists()]

    def _logged(self, place: Place) -> list[Path]:
        table = self._table(place.stem)
        if table is None:
            return []
        chosen = [("symbol", "=", place.symbol), ("day", "=", _dashed(place.day))]
        return [self.root / place.stem / relative for relative in self._relative(table, chosen)]

    def read(self, stem: str, symbol: str, day: str) -> Iterator[pa.RecordBatch] | None:
        """Return the rows of a sealed day of one stream in their order; None where it has not been sealed."""
        found = self.files(Place(stem, symbol, day))
        return read(found[0]) if found else None

    def stored(self) -> Iterator[tuple[Place, int]]:
        """Yield every partition that the logs list, with the bytes of its file."""
        for log in sorted(self.root.glob("*/_delta_log")):
            stem = log.parent.name
            table = self._table(stem)
            if table is None:
                continue
            actions = pa.table(table.get_add_actions(flatten=True))
            names = ("partition.symbol", "partition.day", "size_bytes")
            for symbol, day, size in zip(*(actions.column(name).to_pylist() for name in names), strict=True):
                yield Place(stem, symbol, day.strftime("%Y%m%d")), size

    def remove(self, place: Place, paths: Iterable[str]) -> None:
        """Take a partition out of the log in one commit, then delete its files: `paths` below the lake, if still there.

        A reader that took the log's state before finds the file gone; the next one finds no such day.
        """
        listed = self.files(place)
        table = self._table(place.stem)
        if listed and table is not None:
            removed = self._removed(place, listed, at_ms=time.time_ns() // 1_000_000)
            schema = delta_schema(place.stem)
            table.create_write_transaction(removed, mode="append", schema=schema, partition_by=_PARTITIONS)
        for path in {*listed, *(self.root / relative for relative in paths)}:
            path.unlink(missing_ok=True)

    def sha256(self, path: str, progressed: Callable[[], None] = lambda: None) -> str:
        """Return the SHA-256 of a file by its path below the lake, as it is read now; empty where it is not there.

        `progressed` is called every 4 MiB, and may raise to give up.
        """
        digest = hashlib.sha256()
        try:
            with (self.root / path).open("rb") as file:
                while piece := file.read(_HASHED_BYTES):
                    digest.update(piece)
                    progressed()
        except FileNotFoundError:
            return ""
        return digest.hexdigest()

    def mark_removing(self, symbol: str, day: str) -> None:
        """Note durably that a day is being removed, so that the next start can finish it."""
        new = self.workplace() / _REMOVING
        new.write_text(f"{symbol}\n{day}\n", encoding="utf-8")
        _sync(new)
        new.replace(self.root / _REMOVING)
        _sync(self.root)

    def removing(self) -> tuple[str, str] | None:
        """Return symbol and day of the removal that has not been finished; None where there is none."""
        try:
            symbol, day = (self.root / _REMOVING).read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return None
        return symbol, day

    def unmark_removing(self) -> None:
        """Note that nothing is being removed any more."""
        (self.root / _REMOVING).unlink(missing_ok=True)

    def days(self, symbol: str) -> list[str]:
        """Return the days of a symbol that have a certificate, as 20261122, in order."""
        folder = self.certificate_path(symbol, "").parent
        return sorted(path.stem.rpartition("_")[2] for path in folder.glob("*.json"))

    def symbols(self) -> list[str]:
        """Return the symbols of which any day has a certificate."""
        return sorted(decode_name(path.name) for path in (self.root / CERTIFICATES).glob("*") if path.is_dir())

    def certificate_path(self, symbol: str, day: str) -> Path:
        """Return the path of a day's certificate, whether it is there or not."""
        return certificate_path(self.root, symbol, day)

    def put_certificate(self, symbol: str, day: str, content: bytes) -> None:
        """Write a day's certificate in one step; it is durable when this returns."""
        path = self.certificate_path(symbol, day)
        path.parent.mkdir(parents=True, exist_ok=True)
        new = self.workplace() / path.name
        new.write_bytes(content)
        _sync(new)
        new.replace(path)
        _sync(path.parent)

    def _table(self, stem: str) -> DeltaTable | None:
        """Return the table of a stream as it is now; None where there is none yet."""
        table = self._tables.get(stem)
        if table is not None:
            table.update_incremental()
            return table
        uri = str(self.root / stem)
        if not DeltaTable.is_deltatable(uri):
            return None
        table = self._tables[stem] = DeltaTable(uri)
        return table

    def _relative(self, table: DeltaTable, chosen: list[tuple[str, str, str]]) -> Iterator[str]:
        root = f"{table.table_uri.removeprefix('file://').rstrip('/')}/"
        for uri in table.file_uris(file_pruning_predicate=chosen):
            yield uri.removeprefix("file://").removeprefix(root)

    def _commit(self, place: Place, new: Path, facts: FileFacts, *, remove: Iterable[Path]) -> None:
        """Add one file and remove others of its partition, in one commit."""
        size = new.stat().st_size
        base = self.root / place.stem
        values: dict[str, str | None] = {"symbol": place.symbol, "day": _dashed(place.day)}
        added_ms = int(new.stat().st_mtime * 1000)
        add = AddAction(str(new.relative_to(base)), size, values, added_ms, True, stats_of(facts))
        table = self._table(place.stem)
        schema = delta_schema(place.stem)
        if table is None:
            create_table_with_add_actions(
                str(base), schema, [add], mode="error", partition_by=_PARTITIONS, configuration=_CONFIGURATION
            )
            return
        removed = self._removed(place, remove, at_ms=added_ms)
        table.create_write_transaction([add, *removed], mode="append", schema=schema, partition_by=_PARTITIONS)

    def _removed(self, place: Place, paths: Iterable[Path], *, at_ms: int) -> list[AddAction | RemoveAction]:
        return [
            RemoveAction(
                path=str(path.relative_to(self.root / place.stem)),
                data_change=True,
                deletion_timestamp=at_ms,
                size=path.stat().st_size if path.exists() else None,
                partition_values={"symbol": place.symbol, "day": _dashed(place.day)},
            )
            for path in paths
        ]


def partition(place: Place) -> Path:
    """Return the folder of a partition below the lake: its values percent-encoded, as data folders are."""
    return Path(place.stem) / f"symbol={encode_name(place.symbol)}" / f"day={_dashed(place.day)}"


def file_name(place: Place, digest: str) -> str:
    """Return the name of a sealed file: what it is, and the beginning of its digest."""
    name = f"{place.stem}_{encode_name(place.symbol)}_{place.day}_{digest[:_DIGEST_CHARACTERS]}"
    return f"{name}.parquet"


def delta_schema(stem: str) -> Schema:
    """Return the schema of a stream's table: its columns, then those that name the partition."""
    partitioned = [pa.field("symbol", pa.string()), pa.field("day", pa.date32())]
    return Schema.from_arrow(pa.schema([*table_schema(stem), *partitioned]))


def _dashed(day: str) -> str:
    return f"{day[:4]}-{day[4:6]}-{day[6:]}"


def _sync(path: Path) -> None:
    """Make a file's bytes, or the names in a folder, durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
