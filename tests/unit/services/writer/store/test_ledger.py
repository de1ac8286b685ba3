"""The ledger on a real disk: a commit is there as a whole after a crash, and what is no ledger is not taken for one."""

from pathlib import Path

import pytest

from binance_streamer.wire.frames import Topic
from services.runtime.gaps.drafts import Gap
from services.writer.store.handovers import OfferedGap
from services.writer.store.known_rows import KnownIds
from services.writer.store.ledger import FileRecord, Ledger, LedgerDamagedError, LedgerEntry, set_aside
from services.writer.store.losses import DamagedFile, StreamRecord
from services.writer.store.sequences import Interval, Sequences

FILE = FileRecord("BTCUSDT/depth_BTCUSDT_20260927.csv", 1000, 5, 70)
STREAM = StreamRecord("ingest-BTCUSDT", Topic("depth", "BTCUSDT", "0ms"), 7, 30, 60, 99, None)
DAMAGE = DamagedFile("BTCUSDT/depth", "BTCUSDT", 12, 50)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / ".writer.sqlite"


def test_a_commit_is_read_back_whole(path: Path) -> None:
    ledger = Ledger(path)
    ledger.commit(LedgerEntry([("p", 1, 10), ("p", 2, 3)], [FILE], [STREAM], [DAMAGE]))
    writer_id = ledger.writer_id
    ledger.close()
    again = Ledger(path)
    assert again.positions() == [("p", 1, 10), ("p", 2, 3)]
    assert (again.file(FILE.path), again.streams(), again.damages()) == (FILE, [STREAM], [DAMAGE])
    assert (again.files_since(70), again.files_since(71), again.last_written_ns()) == ([FILE], [], 70)
    assert again.writer_id == writer_id
    again.close()


def test_epochs_keep_the_order_in_which_they_came_and_not_that_of_their_numbers(path: Path) -> None:
    ledger = Ledger(path)
    ledger.commit(LedgerEntry([("p", 9, 1)], [], [], []))
    ledger.commit(LedgerEntry([("p", 2, 1)], [], [], []))
    ledger.commit(LedgerEntry([("p", 9, 5)], [], [], []))
    assert ledger.positions() == [("p", 9, 5), ("p", 2, 1)]
    ledger.close()


def test_a_damage_is_gone_with_the_commit_that_lists_it(path: Path) -> None:
    ledger = Ledger(path)
    ledger.commit(LedgerEntry([], [], [], [DAMAGE]))
    ledger.commit(LedgerEntry([], [], [], []))
    assert ledger.damages() == []
    ledger.close()


def test_records_are_those_of_the_last_commit_and_are_written_where_they_changed(path: Path) -> None:
    gap = Gap("writer-1-BTCUSDT-1", "BTCUSDT", "btcusdt@aggTrade", "open", 10, 14, 1, 2, "lost")
    offered = [OfferedGap("ingest-BTCUSDT", gap, (12,))]
    known = [KnownIds("ingest-BTCUSDT", STREAM.topic, 30, ((20, 24),), 5)]
    ledger = Ledger(path)
    ledger.commit(LedgerEntry([], [], [], [], offered, known))
    written = ledger._connection.total_changes
    ledger.commit(LedgerEntry([], [], [], [], [*offered], [*known]))
    assert ledger._connection.total_changes == written
    ledger.close()
    again = Ledger(path)
    assert (again.offered(), again.known()) == (offered, known)
    again.commit(LedgerEntry([], [], [], [], [], known))
    assert (again.offered(), again.known()) == ([], known)
    again.commit(LedgerEntry([], [], [], [], offered, []))
    assert (again.offered(), again.known()) == (offered, [])
    again.close()


def test_records_of_a_commit_that_failed_are_written_by_the_next_one(path: Path) -> None:
    known = [KnownIds("ingest-BTCUSDT", STREAM.topic, 30, (), 5)]
    ledger = Ledger(path)
    with pytest.raises(OSError, match="ledger: "):
        ledger.commit(LedgerEntry([("p", 1)], [], [], [], [], known))  # type: ignore[list-item]
    assert ledger.known() == []
    ledger.commit(LedgerEntry([("p", 1, 2)], [], [], [], [], known))
    assert ledger.known() == known
    ledger.close()


def test_a_new_one_begins_once_with_what_the_files_hold(path: Path) -> None:
    ledger = Ledger(path)
    assert ledger.is_new
    sequences = Sequences()
    sequences.add(Interval("BTCUSDT/depth", 7, 1, 30))
    ledger.begin([FILE], sequences)
    ledger.close()
    again = Ledger(path)
    assert not again.is_new
    assert list(again.rebuilt()) == [Interval("BTCUSDT/depth", 7, 1, 30)]
    again.close()


@pytest.mark.parametrize("content", [b"no database at all" * 100, b"SQLite format 3\0" + b"x" * 4096])
def test_what_is_no_ledger_is_said_and_can_be_set_aside(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(LedgerDamagedError):
        Ledger(path)
    set_aside(path, 77)
    assert path.with_name(".writer.sqlite.damaged-77").read_bytes() == content
    Ledger(path).close()


def test_another_database_gives_another_id(path: Path) -> None:
    first = Ledger(path)
    second = Ledger(path.with_name("other"))
    assert first.writer_id != second.writer_id
    first.close()
    second.close()
