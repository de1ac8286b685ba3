"""Holds what is durable in one small SQLite database; each commit of the writer is one transaction.

| table | a row for each | holds |
|---|---|---|
| `epochs` | producer and epoch | the next position: all before it is in the files |
| `files` | daily file | its durable length, its first receive stamp, and when it last grew |
| `streams` | producer and topic | the last row, from which the bounds of a loss follow |
| `damages` | damaged file | what is known of rows that are gone, until the next row of its series comes |
| `offered` | open gap of the writer | all of it, until a worker takes it over |
| `known` | topic of a producer | how far the files were ahead of its journal, until that happens again |
| `rebuilt` | interval of sequence numbers | rows that were in the files when the ledger before this one was lost |
| `meta` | name | the writer's id |

SQLite, and not a file of our own, because it is atomic over power cuts and has been tried for longer. Its log
(write-ahead log with `synchronous = FULL`) is synced in each commit, after the data files: a position is never durable
before its rows are.
"""

import contextlib
import os
import secrets
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from binance_streamer.wire.frames import Topic
from services.runtime.files import note_synced
from services.writer.store.errors import BlockedError
from services.writer.store.handovers import OfferedGap
from services.writer.store.known_rows import KnownIds
from services.writer.store.losses import DamagedFile, StreamRecord
from services.writer.store.sequences import Interval, Sequences

_SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE epochs (
    ordinal INTEGER PRIMARY KEY AUTOINCREMENT, producer TEXT NOT NULL, epoch INTEGER NOT NULL,
    next INTEGER NOT NULL, UNIQUE (producer, epoch));
CREATE TABLE files (
    path TEXT PRIMARY KEY, length INTEGER NOT NULL, first_ns INTEGER NOT NULL, written_ns INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE streams (
    producer TEXT, stream_type TEXT, symbol TEXT, variant TEXT, epoch INTEGER NOT NULL, seq INTEGER NOT NULL,
    recv_ns INTEGER NOT NULL, last_id INTEGER, suspect_epoch INTEGER,
    PRIMARY KEY (producer, stream_type, symbol, variant)) WITHOUT ROWID;
CREATE TABLE damages (
    series TEXT PRIMARY KEY, symbol TEXT NOT NULL, from_id INTEGER, from_ns INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE rebuilt (identity TEXT, epoch INTEGER, first INTEGER, last INTEGER);
"""
_LATER = ("offered", "known")
"""Tables of records that a ledger of an older version has not got; nothing else of it is different."""
_VERSION = 1
_BLOCKED = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM})


class LedgerDamagedError(Exception):
    """The database is there, but cannot be used; it is set aside, and a new one begins."""


class FileRecord(NamedTuple):
    """A file's durable length; `first_ns` is the receive stamp of its first row, `written_ns` when it last grew."""

    path: str
    length: int
    first_ns: int
    written_ns: int


class LedgerEntry(NamedTuple):
    """Everything that one commit makes durable."""

    positions: Sequence[tuple[str, int, int]]
    files: Sequence[FileRecord]
    streams: Sequence[StreamRecord]
    damages: Sequence[DamagedFile]
    offered: Sequence[OfferedGap] = ()
    known: Sequence[KnownIds] = ()


class Ledger:
    """The open database, locked for this process: nobody else reads it meanwhile."""

    def __init__(self, path: Path) -> None:
        """Open or create the database; `LedgerDamagedError` if the file is no ledger, `BlockedError` on a full disk."""
        self._connection = _connect(path)
        self._log = path.with_name(path.name + "-wal")
        self._written: dict[str, Sequence[NamedTuple]] = {}  # by table: the records of the last commit
        try:
            self._prepare()
        except BaseException:
            self._connection.close()
            raise
        path.chmod(0o640)

    @property
    def writer_id(self) -> str:
        """Return the id of this database: from another one, a producer knows that the old database is gone."""
        return str(self._connection.execute("SELECT value FROM meta WHERE key = 'writer_id'").fetchone()[0])

    def positions(self) -> list[tuple[str, int, int]]:
        """Return (producer, epoch, next position) in the order in which the epochs came."""
        return self._connection.execute("SELECT producer, epoch, next FROM epochs ORDER BY ordinal").fetchall()

    def file(self, path: str) -> FileRecord | None:
        """Return the record of a file; None where the file was never announced."""
        query = "SELECT path, length, first_ns, written_ns FROM files WHERE path = ?"
        row = self._connection.execute(query, (path,)).fetchone()
        return FileRecord(*row) if row else None

    def files_since(self, written_ns: int) -> list[FileRecord]:
        """Return the files that have grown since a time in ns, and those that were announced, and never committed.

        These have the time of their first row, which may be of a journal that waited for days.
        """
        query = "SELECT path, length, first_ns, written_ns FROM files WHERE written_ns >= ? OR length = 0"
        return [FileRecord(*row) for row in self._connection.execute(query, (written_ns,))]

    def last_written_ns(self) -> int:
        """Return the time in ns at which any file last grew; 0 where there are none."""
        return int(self._connection.execute("SELECT coalesce(max(written_ns), 0) FROM files").fetchone()[0])

    def streams(self) -> list[StreamRecord]:
        """Return the last row of each topic of each producer."""
        query = (
            "SELECT producer, stream_type, symbol, variant, epoch, seq, recv_ns, last_id, suspect_epoch FROM streams"
        )
        return [StreamRecord(row[0], Topic(*row[1:4]), *row[4:]) for row in self._connection.execute(query)]

    def damages(self) -> list[DamagedFile]:
        """Return the damaged files that no row of their series has followed yet."""
        return [
            DamagedFile(*row)
            for row in self._connection.execute("SELECT series, symbol, from_id, from_ns FROM damages")
        ]

    def offered(self) -> list[OfferedGap]:
        """Return the open gaps that no worker has taken over yet."""
        return [msgspec.msgpack.decode(record, type=OfferedGap) for record in self._records("offered")]

    def known(self) -> list[KnownIds]:
        """Return how far the files were ahead of journals."""
        return [msgspec.msgpack.decode(record, type=KnownIds) for record in self._records("known")]

    def rebuilt(self) -> Sequences:
        """Return the sequence numbers that were in the files when the ledger before this one was lost."""
        sequences = Sequences()
        for row in self._connection.execute("SELECT identity, epoch, first, last FROM rebuilt"):
            sequences.add(Interval(*row))
        return sequences

    def commit(self, entry: LedgerEntry) -> None:
        """Write an entry, all of it or nothing; it is durable when this returns."""
        records: dict[str, Sequence[NamedTuple]] = {"offered": entry.offered, "known": entry.known}
        changed = {table: some for table, some in records.items() if some != self._written.get(table)}
        with self._transaction():
            self._write_positions(entry.positions)
            self._write_files(entry.files)
            self._connection.executemany(
                "INSERT OR REPLACE INTO streams VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [(record.producer, *record.topic, *record[2:]) for record in entry.streams],
            )
            self._connection.execute("DELETE FROM damages")
            rows = [damage[:4] for damage in entry.damages]
            self._connection.executemany("INSERT INTO damages VALUES (?, ?, ?, ?)", rows)
            for table, some in changed.items():
                self._write_records(table, some)
        self._written |= changed

    def announce(self, files: Sequence[FileRecord]) -> None:
        """Record files before they are made: after a crash they are known as ours, and cut to their length, 0."""
        with self._transaction():
            self._write_files(files)

    @property
    def is_new(self) -> bool:
        """Return True until `begin` has recorded what the files hold."""
        return self._connection.execute("SELECT 1 FROM meta WHERE key = 'begun'").fetchone() is None

    def begin(self, files: Iterable[FileRecord], sequences: Sequences) -> None:
        """Record what the files hold already, when the database is new."""
        with self._transaction():
            self._write_files(files)
            self._connection.executemany("INSERT INTO rebuilt VALUES (?, ?, ?, ?)", sequences)
            self._connection.execute("INSERT INTO meta VALUES ('begun', 'yes')")

    def probe(self) -> None:
        """Write a row of no meaning; raises `BlockedError` where the disk does not take it."""
        with self._transaction():
            self._connection.execute("INSERT OR REPLACE INTO meta VALUES ('probe', ?)", (secrets.token_hex(8),))

    def close(self) -> None:
        """Close the database file; what was committed stays."""
        self._connection.close()

    def _prepare(self) -> None:
        try:
            (version,) = self._connection.execute("PRAGMA user_version").fetchone()
            if version == 0 and not self._connection.execute("SELECT 1 FROM sqlite_master").fetchone():
                self._create()
            elif version != _VERSION:
                raise LedgerDamagedError(f"schema version {version}, expected {_VERSION}")
            (result,) = self._connection.execute("PRAGMA quick_check").fetchone()
            if result != "ok":
                raise LedgerDamagedError(str(result))
            self.writer_id  # noqa: B018 (raises where it is missing)
            for table in _LATER:
                self._connection.execute(
                    f"CREATE TABLE IF NOT EXISTS {table} (ordinal INTEGER PRIMARY KEY, record BLOB NOT NULL)"
                )
        except (sqlite3.DatabaseError, TypeError) as error:
            raise (_blocked(error) or LedgerDamagedError(str(error))) from error

    def _create(self) -> None:
        with self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            for statement in _SCHEMA.split(";"):
                self._connection.execute(statement)
            self._connection.execute("INSERT INTO meta VALUES ('writer_id', ?)", (secrets.token_hex(8),))
            self._connection.execute(f"PRAGMA user_version = {_VERSION}")
        note_synced(self._log)

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        """Run statements as one transaction, which is durable at the end."""
        with _blocked_if_full(), self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            yield
        note_synced(self._log)

    def _write_positions(self, positions: Iterable[tuple[str, int, int]]) -> None:
        self._connection.executemany(
            "INSERT INTO epochs (producer, epoch, next) VALUES (?, ?, ?) "
            "ON CONFLICT (producer, epoch) DO UPDATE SET next = excluded.next",
            positions,
        )

    def _records(self, table: str) -> list[bytes]:
        rows = self._connection.execute(f"SELECT record FROM {table} ORDER BY ordinal")  # noqa: S608 (a name of ours)
        return [record for (record,) in rows]

    def _write_records(self, table: str, records: Iterable[NamedTuple]) -> None:
        self._connection.execute(f"DELETE FROM {table}")  # noqa: S608 (a name of ours)
        encoded = [(msgspec.msgpack.encode(one),) for one in records]
        self._connection.executemany(f"INSERT INTO {table} (record) VALUES (?)", encoded)  # noqa: S608

    def _write_files(self, files: Iterable[FileRecord]) -> None:
        self._connection.executemany("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?)", files)


def set_aside(path: Path, now_ns: int) -> None:
    """Rename a damaged database and what belongs to it, so that a new one can begin."""
    for suffix in ("", "-wal", "-shm", "-journal"):
        part = path.with_name(path.name + suffix)
        if os.path.lexists(part):
            part.rename(part.with_name(f"{path.name}.damaged-{now_ns}{suffix}"))


def _connect(path: Path) -> sqlite3.Connection:
    with _blocked_if_full():
        connection = sqlite3.connect(path, isolation_level=None)
    try:
        # exclusive: no shared memory file, which on a full disk would end the process with SIGBUS
        for pragma in ("locking_mode = EXCLUSIVE", "journal_mode = WAL", "synchronous = FULL"):
            connection.execute(f"PRAGMA {pragma}").fetchall()
    except sqlite3.DatabaseError as error:
        connection.close()
        raise (_blocked(error) or LedgerDamagedError(str(error))) from error
    return connection


@contextlib.contextmanager
def _blocked_if_full() -> Iterator[None]:
    """Turn SQLite's errors for a full or read-only disk into `BlockedError`, and all others into `OSError`."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        raise (_blocked(error) or OSError(f"ledger: {error}")) from error


def _blocked(error: Exception) -> BlockedError | None:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return (
        BlockedError("disk full" if code == sqlite3.SQLITE_FULL else f"ledger: {error}") if code in _BLOCKED else None
    )
