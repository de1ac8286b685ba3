"""The lake: a folder with a Delta table for each stream, partitioned by symbol and day, and the days' certificates.

    lake/
      depth/_delta_log/…
      depth/symbol=BTCUSDT/day=2026-11-22/depth_BTCUSDT_20261122_0123456789ab.parquet
      certificates/BTCUSDT/BTCUSDT_20261122.json
      .sealing/                 files that are being written; nobody reads them
      .removing                 the day that retention is removing, while it does

The lake lies in a folder or a bucket (`binance_streamer.stores`). Paths here are below it, `depth/symbol=…`.

A partition is one file. It is published in this order, so that at every moment of a kill a reader sees the old file or
the new one, never both and never half of one: the new file is durable, it gets its name, one commit of the log adds it
and removes the old one, the old one is deleted. Who seals the day again after a kill comes to the same name, and
finishes. Nothing of this needs a service or a JVM; without the log the Parquet files are readable all the same.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
from deltalake import DeltaTable, Schema
from deltalake.transaction import AddAction, RemoveAction, create_table_with_add_actions

from binance_streamer.config.symbols import decode_name, encode_name
from binance_streamer.days.parquet import FileFacts, Place, read, stats_of
from binance_streamer.days.schema import table_schema
from binance_streamer.days.sources import CERTIFICATES, certificate_path
from binance_streamer.health.gap_files import dashed_day
from binance_streamer.stores.opening import store_of
from binance_streamer.stores.store import copy_to, no_progress, sha256_of

_REMOVING = ".removing"
_PARTITIONS = ["symbol", "day"]
_CONFIGURATION: dict[str, str | None] = {"delta.checkpointInterval": "100"}
"""Commits between two checkpoints of the log. A day of 300 symbols is 300 commits of each table."""
_DIGEST_CHARACTERS = 12
"""Of a file's name: two contents of one partition never meet in it."""


class Published(NamedTuple):
    """A sealed file in the lake: its path, size and SHA-256."""

    path: str
    size: int
    sha256: str


class Lake:
    """A lake in a folder or a bucket, for one process that writes and any number that read."""

    def __init__(self, place: Path | str, workplace: Path | None = None) -> None:
        """`place` is a path or an `s3://` URL; into a bucket is written by way of `workplace`, a folder here."""
        self._store = store_of(str(place), workplace)
        self._tables: dict[str, DeltaTable] = {}

    @property
    def uri(self) -> str:
        """The path or URL of the lake: what stands in front of `/` and the path of a file."""
        return self._store.uri

    def begin(self) -> None:
        """Make the lake usable, and remove what an earlier run left half written. `OSError` where that cannot be."""
        self._store.begin()

    def workplace(self) -> Path:
        """Return the folder for files that are being written: of the lake's disk if it is a folder, read by nobody."""
        return self._store.workplace

    def publish(
        self, place: Place, written: Path, facts: FileFacts, *, progressed: Callable[[], None] = no_progress
    ) -> Published:
        """Make a written file the only one of its partition; return what is there. The file `written` is gone then.

        A file of the same content that is there already stays as it is: its size stands in the log.
        """
        new = f"{partition(place)}/{file_name(place, facts.digest)}"
        before = self._logged(place)
        if before == [new] and self._store.exists(new):
            written.unlink()
            self._remove_others(new)
            return Published(new, self._store.size(new), self.sha256(new, progressed))
        stat = written.stat()
        found = Published(new, stat.st_size, sha256_of(written.open("rb"), progressed))
        self._store.put(written, new, progressed=progressed)
        self._commit(
            place, found, facts, added_ms=int(stat.st_mtime * 1000), remove=[old for old in before if old != new]
        )
        self._remove_others(new)
        return found

    def _remove_others(self, new: str) -> None:
        """Delete files of a partition that the log does not name: of before, or left by a kill."""
        folder, _, name = new.rpartition("/")
        for old in self._store.names(folder):
            if old != name and old.endswith(".parquet"):
                self._store.delete(f"{folder}/{old}")

    def files(self, place: Place) -> list[str]:
        """Return the files of a partition by the log: one, or none where the day has not been sealed, or it is gone."""
        return [path for path in self._logged(place) if self._store.exists(path)]

    def local(self, path: str) -> Path:
        """Return where a file can be read on this machine, until the next call: itself, or a copy of it."""
        return self._store.local(path)

    def download(self, path: str, target: Path) -> None:
        """Copy a file of the lake to a path of this machine, whose folder is made."""
        target.parent.mkdir(parents=True, exist_ok=True)
        copy_to(target, self._store.open(path))

    def _logged(self, place: Place) -> list[str]:
        table = self._table(place.stem)
        if table is None:
            return []
        chosen = [("symbol", "=", place.symbol), ("day", "=", dashed_day(place.day))]
        return [f"{place.stem}/{relative}" for relative in self._relative(table, chosen)]

    def read(self, stem: str, symbol: str, day: str) -> Iterator[pa.RecordBatch] | None:
        """Return the rows of a sealed day of one stream in their order; None where it has not been sealed."""
        found = self.files(Place(stem, symbol, day))
        return read(self.local(found[0])) if found else None

    def stored(self) -> Iterator[tuple[Place, int]]:
        """Yield every partition that the logs list, with the bytes of its file."""
        for stem in self._store.names(""):
            table = None if stem.startswith(".") or stem == CERTIFICATES else self._table(stem)
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
        for path in {*listed, *paths}:
            self._store.delete(path)

    def sha256(self, path: str, progressed: Callable[[], None] = no_progress) -> str:
        """Return the SHA-256 of a file by its path below the lake, as it is read now; empty where it is not there.

        `progressed` is called every 4 MiB, and may raise to give up.
        """
        try:
            return sha256_of(self._store.open(path), progressed)
        except FileNotFoundError:
            return ""

    def mark_removing(self, symbol: str, day: str) -> None:
        """Note durably that a day is being removed, so that the next start can finish it."""
        self._put(_REMOVING, f"{symbol}\n{day}\n".encode())

    def removing(self) -> tuple[str, str] | None:
        """Return symbol and day of the removal that has not been finished; None where there is none."""
        try:
            symbol, day = self._store.read_bytes(_REMOVING).decode().splitlines()
        except FileNotFoundError:
            return None
        return symbol, day

    def unmark_removing(self) -> None:
        """Note that nothing is being removed any more."""
        self._store.delete(_REMOVING)

    def days(self, symbol: str) -> list[str]:
        """Return the days of a symbol that have a certificate, as 20261122, in order."""
        folder = certificate_path(symbol, "").rpartition("/")[0]
        names = (name for name in self._store.names(folder) if name.endswith(".json"))
        return sorted(name.removesuffix(".json").rpartition("_")[2] for name in names)

    def symbols(self) -> list[str]:
        """Return the symbols of which any day has a certificate."""
        return sorted(decode_name(name) for name in self._store.names(CERTIFICATES))

    def certificate(self, symbol: str, day: str) -> bytes:
        """Return a day's certificate as it was put; raises `FileNotFoundError` where there is none."""
        return self._store.read_bytes(certificate_path(symbol, day))

    def put_certificate(self, symbol: str, day: str, content: bytes) -> None:
        """Write a day's certificate in one step; it is durable when this returns."""
        self._put(certificate_path(symbol, day), content)

    def _put(self, path: str, content: bytes) -> None:
        new = self.workplace() / path.rpartition("/")[2]
        new.write_bytes(content)
        self._store.put(new, path)

    def _table(self, stem: str) -> DeltaTable | None:
        """Return the table of a stream as it is now; None where there is none yet."""
        table = self._tables.get(stem)
        if table is not None:
            table.update_incremental()
            return table
        uri, options = f"{self.uri}/{stem}", self._store.options
        if not DeltaTable.is_deltatable(uri, storage_options=options):
            return None
        table = self._tables[stem] = DeltaTable(uri, storage_options=options)
        return table

    def _relative(self, table: DeltaTable, chosen: list[tuple[str, str, str]]) -> Iterator[str]:
        root = f"{table.table_uri.removeprefix('file://').rstrip('/')}/"
        for uri in table.file_uris(file_pruning_predicate=chosen):
            yield uri.removeprefix("file://").removeprefix(root)

    def _commit(self, place: Place, new: Published, facts: FileFacts, *, added_ms: int, remove: Iterable[str]) -> None:
        """Add one file and remove others of its partition, in one commit."""
        values: dict[str, str | None] = {"symbol": place.symbol, "day": dashed_day(place.day)}
        path = new.path.removeprefix(f"{place.stem}/")
        add = AddAction(path, new.size, values, added_ms, True, stats_of(facts))
        table = self._table(place.stem)
        schema = delta_schema(place.stem)
        if table is None:
            create_table_with_add_actions(
                f"{self.uri}/{place.stem}",
                schema,
                [add],
                mode="error",
                partition_by=_PARTITIONS,
                configuration=_CONFIGURATION,
                storage_options=self._store.options,
            )
            return
        removed = self._removed(place, remove, at_ms=added_ms)
        table.create_write_transaction([add, *removed], mode="append", schema=schema, partition_by=_PARTITIONS)

    def _removed(self, place: Place, paths: Iterable[str], *, at_ms: int) -> list[AddAction | RemoveAction]:
        return [
            RemoveAction(
                path=path.removeprefix(f"{place.stem}/"),
                data_change=True,
                deletion_timestamp=at_ms,
                size=self._store.size(path) if self._store.exists(path) else None,
                partition_values={"symbol": place.symbol, "day": dashed_day(place.day)},
            )
            for path in paths
        ]


def partition(place: Place) -> Path:
    """Return the folder of a partition below the lake: its values percent-encoded, as data folders are."""
    return Path(place.stem) / f"symbol={encode_name(place.symbol)}" / f"day={dashed_day(place.day)}"


def file_name(place: Place, digest: str) -> str:
    """Return the name of a sealed file: what it is, and the beginning of its digest."""
    name = f"{place.stem}_{encode_name(place.symbol)}_{place.day}_{digest[:_DIGEST_CHARACTERS]}"
    return f"{name}.parquet"


def delta_schema(stem: str) -> Schema:
    """Return the schema of a stream's table: its columns, then those that name the partition."""
    partitioned = [pa.field("symbol", pa.string()), pa.field("day", pa.date32())]
    return Schema.from_arrow(pa.schema([*table_schema(stem), *partitioned]))
