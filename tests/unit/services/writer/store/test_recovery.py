"""Depth snapshots of an older version, whose files had another name: nothing comes twice, and no damage is lost."""

import os
import shutil
import sqlite3
import tempfile
import time
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.support.writer_folder import DAY, FolderPeer, WriterFolder, now_ns, snapshot_fields
from tests.support.writer_peer import depth

REST = "/fapi/v1/depth?symbol=BTCUSDT&limit=1000"


@pytest.fixture
def folder(tmp_path: Path) -> WriterFolder:
    return WriterFolder(tmp_path)


def emit(peer: FolderPeer, number: int) -> None:
    event = f'{{"lastUpdateId":{number},"E":1790526539{number:03d},"T":1790526539000,"bids":[],"asks":[]}}'.encode()
    peer.emit("depth_snapshot", "BTCUSDT", REST, event, **snapshot_fields(number))


def recorded_by_an_older_version(folder: WriterFolder) -> FolderPeer:
    """Three snapshots in a file of the old name, which the ledger knows by that name."""
    folder.start()
    peer = folder.peer("rest")
    for number in (1, 2, 3):
        emit(peer, number)
    peer.deliver()
    assert folder.recorder is not None
    folder.recorder._ledger._connection.execute(
        "UPDATE files SET path = replace(path, '/snapshot_', '/depth_snapshot_')"
    )
    folder.kill()
    folder.file("snapshot").rename(folder.file("depth_snapshot"))
    return peer


def ids(folder: WriterFolder) -> list[int]:
    return folder.ids("snapshot", "last_update_id")


def test_half_a_row_is_cut_though_the_ledger_was_made_of_files_of_a_later_clock(folder: WriterFolder) -> None:
    """Their times of change are those of the real clock, two months behind that of the recorder."""
    folder.start()
    peer = folder.peer()
    peer.emit("aggtrade", "BTCUSDT", "btcusdt@aggTrade", trade_of_day(1, 0))
    peer.emit("trade", "BTCUSDT", "btcusdt@trade", trade_of_day(2, 0))
    peer.deliver()
    folder.crash()
    folder.lose_ledger()
    folder.start()
    peer.emit("aggtrade", "BTCUSDT", "btcusdt@aggTrade", trade_of_day(3, 0))
    peer.deliver()
    folder.crash()
    whole = folder.file("aggtrade").read_bytes()
    folder.file("aggtrade").write_bytes(whole + b"half a r")
    folder.start()
    assert folder.file("aggtrade").read_bytes() == whole


def test_new_snapshots_go_into_a_file_of_the_new_name(folder: WriterFolder) -> None:
    peer = recorded_by_an_older_version(folder)
    folder.start()
    emit(peer, 4)
    peer.deliver()
    names = sorted(path.name for path in (folder.data / "BTCUSDT").iterdir())
    assert names == [f"depth_snapshot_BTCUSDT_{DAY}.csv", f"snapshot_BTCUSDT_{DAY}.csv"]
    assert ids(folder) == [1, 2, 3, 4]


def test_without_a_ledger_no_snapshot_of_the_old_file_comes_again(folder: WriterFolder) -> None:
    peer = recorded_by_an_older_version(folder)
    folder.lose_ledger()
    folder.start()
    emit(peer, 4)
    peer.deliver()
    assert ids(folder) == [1, 2, 3, 4]


def test_a_shortened_file_of_the_old_name_is_listed(folder: WriterFolder) -> None:
    peer = recorded_by_an_older_version(folder)
    old = folder.file("depth_snapshot")
    old.write_bytes(b"".join(old.read_bytes().splitlines(keepends=True)[:2]))
    folder.start()
    emit(peer, 4)
    peer.deliver()
    assert ids(folder) == [1, 4]
    (gap,) = folder.rows("gap")
    assert (gap["stream"], gap["reason"], gap["state"]) == ("depth_snapshot.BTCUSDT.", "file damaged", "unrepairable")


DAY_MS = 86_400_000
FIRST_DAY_MS = 1_790_467_200_000


def trade_of_day(number: int, day: int) -> bytes:
    time_ms = FIRST_DAY_MS + day * DAY_MS + number
    return (
        f'{{"e":"aggTrade","E":{time_ms},"a":{number},"s":"BTCUSDT","p":"1.5","q":"2","f":1,"l":2,"T":{time_ms},"m":true}}'
    ).encode()


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from([0, 0, 1]), min_size=1, max_size=20),
    st.integers(0, 20),
    st.integers(0, 20),
    st.none() | st.integers(0, 10**6),
)
@example([0, 1, 1], 0, 3, None)
def test_without_a_ledger_every_row_comes_once(days: list[int], durable: int, pushed: int, damaged: int | None) -> None:
    """Rows of two days wait in two buffers, of which one is written when it has two rows; then the writer is killed.

    `damaged` is the place where a piece of a file is overwritten: the rows that it held come again.
    """
    with tempfile.TemporaryDirectory() as place:
        folder = WriterFolder(Path(place), batch_size=2)
        folder.start()
        peer = folder.peer()
        for number, day in enumerate(days[:durable], 1):
            peer.emit("aggtrade", "BTCUSDT", "btcusdt@aggTrade", trade_of_day(number, day))
        peer.deliver()
        for number, day in enumerate(days[durable:], durable + 1):
            if number == pushed:
                peer.push()
            peer.emit("aggtrade", "BTCUSDT", "btcusdt@aggTrade", trade_of_day(number, day))
        peer.push()
        folder.crash()
        if damaged is not None:
            overwrite(folder.data / "BTCUSDT", damaged)
        folder.lose_ledger()
        folder.start()
        peer.deliver()
        rows = [row for row in folder.rows("aggtrade") if row["seq"].isdigit()]
        assert sorted(int(row["seq"]) for row in rows) == list(range(1, len(days) + 1))
        folder.kill()


def overwrite(directory: Path, at: int) -> None:
    """Make the row at this place of a file unreadable, without changing the file's length."""
    files = [path for path in sorted(directory.glob("aggtrade_*.csv")) if path.read_bytes().count(b"\n") > 1]
    if files:
        path = files[at % len(files)]
        lines = path.read_bytes().splitlines(keepends=True)
        number = 1 + at % (len(lines) - 1)
        lines[number] = b"x" * lines[number].count(b",") + b"," * lines[number].count(b",") + b"\n"
        path.write_bytes(b"".join(lines))


@pytest.mark.parametrize("tail", [b"17", b'1,2,3,"4', b"1,2\n3,4\n" * 50])
def test_a_torn_or_longer_file_is_cut_back(folder: WriterFolder, tail: bytes) -> None:
    peer = folder.recording(50)
    folder.kill()
    with folder.file().open("ab") as file:
        file.write(tail)
    peer.emit_both(range(51, 81))
    folder.start()
    peer.deliver()
    assert folder.ids() == list(range(1, 81))
    assert not folder.rows("gap")


def test_a_torn_file_is_cut_at_the_start_before_any_row_comes(folder: WriterFolder) -> None:
    folder.recording(50)
    folder.kill()
    whole = folder.file().read_bytes()
    with folder.file().open("ab") as file:
        file.write(b"1,2")
    folder.start()
    assert folder.file().read_bytes() == whole


def _age(folder: WriterFolder, stem: str, hours: int) -> None:
    """Let the ledger believe that the file has not grown for so long."""
    with closing(sqlite3.connect(folder.data / ".writer.sqlite")) as ledger, ledger:
        written_ns = now_ns() - hours * 3600 * 10**9
        ledger.execute("UPDATE files SET written_ns = ? WHERE path LIKE ?", (written_ns, f"%/{stem}_%"))


def test_a_late_row_for_a_file_of_last_week_follows_its_whole_rows(folder: WriterFolder) -> None:
    peer = folder.recording(50)
    folder.stop()
    _age(folder, "aggtrade", 7 * 24)
    with folder.file().open("ab") as file:
        file.write(b"1,2")
    folder.start()
    peer.emit_both(range(51, 61))
    peer.deliver()
    assert folder.ids() == list(range(1, 61))
    assert not folder.rows("gap")


def test_a_late_row_for_a_shortened_file_of_last_week_lists_the_gap(folder: WriterFolder) -> None:
    peer = folder.recording(50)
    folder.stop()
    _age(folder, "aggtrade", 7 * 24)
    os.truncate(folder.file(), folder.file().stat().st_size - 10)
    folder.start()
    peer.emit_both(range(51, 61))
    peer.deliver()
    assert folder.ids() == [*range(1, 50), *range(51, 61)]
    assert [(gap["from_id"], gap["to_id"]) for gap in folder.rows("gap")] == [("49", "50")]


def test_a_shortened_file_is_cut_to_whole_rows_and_listed(folder: WriterFolder) -> None:
    peer = folder.recording(50)
    folder.kill()
    lines = folder.file().read_bytes().splitlines(keepends=True)
    folder.file().write_bytes(b"".join(lines[:31]) + lines[31][:20])  # the header, 30 rows, a piece of the 31st
    folder.start()
    peer.emit_both(range(51, 61))
    peer.deliver()
    assert folder.ids() == [*range(1, 31), *range(51, 61)]
    (gap,) = folder.rows("gap")
    assert (gap["stream"], gap["from_id"], gap["to_id"], gap["reason"]) == (
        "btcusdt@aggTrade", "30", "50", "file damaged",
    )  # fmt: skip
    assert gap["from_ns"] == folder.rows("aggtrade")[29]["recv_ns"]
    assert gap["to_ns"] == folder.rows("aggtrade")[30]["recv_ns"]
    assert folder.ids("depth", "final_update_id") == list(range(10, 601, 10))


def test_a_file_deleted_between_runs_is_listed(folder: WriterFolder) -> None:
    peer = folder.recording(50)
    first_ns = folder.rows("aggtrade")[0]["recv_ns"]
    folder.kill()
    folder.file().unlink()
    folder.start()
    peer.emit_both(range(51, 61))
    peer.deliver()
    assert folder.ids() == list(range(51, 61))
    (gap,) = folder.rows("gap")
    assert (gap["from_ns"], gap["to_ns"]) == (first_ns, folder.rows("aggtrade")[0]["recv_ns"])
    assert (gap["from_id"], gap["to_id"], gap["state"]) == ("", "", "unrepairable")  # nobody knows what it began with
    assert gap["reason"] == "file damaged"


@pytest.mark.parametrize("harm", ["delete", "truncate", "replace", "delete folder"])
def test_a_file_harmed_under_a_running_writer_is_listed(folder: WriterFolder, harm: str) -> None:
    peer = folder.recording(50)
    path = folder.file()
    if harm == "delete":
        path.unlink()
    elif harm == "truncate":
        os.truncate(path, path.stat().st_size - 30)
    elif harm == "replace":
        (folder.place / "other").write_bytes(b"other\n")
        (folder.place / "other").replace(path)
    else:
        for file in path.parent.iterdir():
            file.unlink()
        path.parent.rmdir()
    peer.emit_both(range(51, 81))
    peer.deliver()
    expected = [*range(1, 50), *range(51, 81)] if harm == "truncate" else [*range(51, 81)]
    if harm == "replace":
        assert path.read_bytes().startswith(b"other\n")
    else:
        assert folder.ids() == expected
    (gap,) = [row for row in folder.rows("gap") if row["stream"] == "btcusdt@aggTrade"]
    ids = ("49", "50", "open") if harm == "truncate" else ("", "", "unrepairable")
    assert (gap["from_id"], gap["to_id"], gap["state"]) == ids
    assert gap["reason"] == "file damaged"
    assert int(gap["from_ns"]) < int(gap["to_ns"])


def test_days_moved_away_are_no_damage(folder: WriterFolder) -> None:
    peer = folder.recording(10)
    folder.stop()
    _age(folder, "aggtrade", 3)
    folder.file().rename(folder.place / "archive.csv")
    folder.start()
    peer.emit("depth", "BTCUSDT", "btcusdt@depth@0ms", depth(11))
    peer.deliver()
    assert not folder.rows("gap")


def test_late_rows_of_a_day_moved_away_begin_a_file_and_are_no_damage(folder: WriterFolder) -> None:
    peer = folder.recording(10)
    folder.stop()
    _age(folder, "aggtrade", 3)
    folder.file().rename(folder.place / "archive.csv")
    folder.start()
    peer.emit_both(range(11, 21))
    peer.deliver()
    assert folder.ids() == list(range(11, 21))
    assert not folder.rows("gap")


def test_a_database_lost_while_nothing_ran_for_days_repeats_no_row(folder: WriterFolder) -> None:
    peer = folder.recording(50)
    folder.stop()
    (folder.data / ".writer.sqlite").unlink()
    long_ago_s = time.time() - 5 * 86_400
    for path in folder.data.rglob("*.csv"):
        os.utime(path, (long_ago_s, long_ago_s))
    folder.start()
    peer.emit_both(range(51, 61))
    peer.deliver()
    assert folder.ids() == list(range(1, 61))


@pytest.mark.parametrize("harm", ["delete", "damage", "empty", "delete all"])
def test_without_its_database_the_writer_repeats_no_row(folder: WriterFolder, harm: str) -> None:
    peer = folder.peer()
    peer.emit_both(range(1, 101))
    peer.emit("trade", "BTCUSDT", "btcusdt@trade", b"not json")
    peer.emit("exchange_info", "EXCHANGE", "/fapi/v1/exchangeInfo", b'{"changed":{}}', source="rest")
    peer.emit("clock", "EXCHANGE", "/fapi/v1/time", None, source="rest", offset_ms=1.5)
    folder.start()
    peer.deliver()
    folder.kill()
    ledger = folder.data / ".writer.sqlite"
    if harm == "damage":
        for path in (ledger, Path(f"{ledger}-wal")):
            path.write_bytes(b"SQLite format 3\0" + os.urandom(4096))
    elif harm == "empty":
        ledger.write_bytes(b"")
    else:
        ledger.unlink()
    if harm == "delete all":
        Path(f"{ledger}-wal").unlink(missing_ok=True)
    with folder.file().open("ab") as file:
        file.write(b"99,1.0")
    before = peer.acks[0].writer_id
    folder.start()
    peer.emit_both(range(101, 151))
    peer.deliver()
    assert folder.ids() == list(range(1, 151))
    assert folder.ids("depth", "final_update_id") == list(range(10, 1501, 10))
    assert len(folder.rows("raw")) == 1
    assert len((folder.data / f"exchange_info_{DAY}.jsonl").read_bytes().splitlines()) == 1
    assert len((folder.data / f"clock_{DAY}.csv").read_bytes().splitlines()) == 2
    assert not folder.rows("gap")
    assert peer.acks[-1].writer_id != before


def test_a_damaged_file_of_yesterday_lacks_no_row_of_today(folder: WriterFolder) -> None:
    folder.start()
    peer = folder.peer()
    for number in range(1, 31):
        peer.emit("aggtrade", "BTCUSDT", "btcusdt@aggTrade", trade_of_day(number, 0 if number <= 20 else 1))
    peer.deliver()
    folder.kill()
    for day, kept in (("20260927", 11), ("20260928", 6)):
        path = folder.data / "BTCUSDT" / f"aggtrade_BTCUSDT_{day}.csv"
        path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:kept]))
    folder.start()
    peer.emit("aggtrade", "BTCUSDT", "btcusdt@aggTrade", trade_of_day(34, 1))
    peer.deliver()
    assert sorted(folder.ids()) == [*range(1, 11), *range(21, 26), 34]
    bounds = [(gap["from_id"], gap["to_id"], gap["state"]) for gap in folder.rows("gap")]
    assert bounds == [("10", "20", "open"), ("25", "30", "open")]  # 31 to 33 is the worker's to list


def test_a_row_that_came_late_does_not_say_where_a_damaged_file_ended(folder: WriterFolder) -> None:
    folder.start()
    peer = folder.peer()
    for number in (1, 2, 3, 7, 8, 9, 5, 10, 11):  # 5 of a slower connection
        peer.emit("aggtrade", "BTCUSDT", "btcusdt@aggTrade", trade_of_day(number, 0))
    peer.deliver()
    folder.kill()
    folder.file().write_bytes(b"".join(folder.file().read_bytes().splitlines(keepends=True)[:8]))
    folder.start()
    peer.emit("aggtrade", "BTCUSDT", "btcusdt@aggTrade", trade_of_day(12, 0))
    peer.deliver()
    assert [(gap["from_id"], gap["to_id"]) for gap in folder.rows("gap")] == [("9", "11")]


@pytest.fixture(params=["csv", "csv.zst"])
def of_format(tmp_path: Path, request: pytest.FixtureRequest) -> WriterFolder:
    return WriterFolder(tmp_path, file_format=request.param)


def recorded_with_a_backup_of_half(folder: WriterFolder) -> tuple[FolderPeer, Path]:
    """Durable are rows 1 to 100, and those up to 50 in the backup; the writer is stopped."""
    peer = folder.recording(50)
    folder.stop()
    backup = folder.place / "backup"
    shutil.copytree(folder.data, backup)
    folder.start()
    peer.emit_both(range(51, 101))
    peer.deliver()
    folder.stop()
    return peer, backup


def test_an_older_backup_of_the_data_folder_gets_the_rest_from_the_journals(of_format: WriterFolder) -> None:
    peer, backup = recorded_with_a_backup_of_half(of_format)
    shutil.rmtree(of_format.data)
    shutil.copytree(backup, of_format.data)
    of_format.start()
    peer.emit_both(range(101, 111))
    peer.deliver()
    assert of_format.ids() == list(range(1, 111))
    assert not of_format.rows("gap")


@pytest.mark.parametrize("newer", ["files", "ledger"])
def test_files_and_a_ledger_of_two_ages_lose_nothing_that_is_not_listed(of_format: WriterFolder, newer: str) -> None:
    """Half of a backup was restored: rows behind the ledger come again, rows that are gone from a file are a gap."""
    peer, backup = recorded_with_a_backup_of_half(of_format)
    if newer == "files":
        of_format.lose_ledger()
        for path in backup.glob(".writer.sqlite*"):
            shutil.copy(path, of_format.data)
    else:
        shutil.copytree(backup / "BTCUSDT", of_format.data / "BTCUSDT", dirs_exist_ok=True)
    of_format.start()
    peer.emit_both(range(101, 111))
    peer.deliver()
    gaps = [(row["from_id"], row["to_id"]) for row in of_format.rows("gap") if row["stream"] == "btcusdt@aggTrade"]
    if newer == "files":
        assert of_format.ids() == list(range(1, 111))
        assert gaps == []
    else:
        assert of_format.ids() == [*range(1, 51), *range(101, 111)]
        assert gaps == [("50", "100")]


def test_a_clock_that_was_set_back_by_days_between_runs_costs_no_row(
    of_format: WriterFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files that grow now are older in the ledger than those of the run before."""
    peer = of_format.recording(50)
    of_format.stop()
    monkeypatch.setattr("tests.support.writer_folder.now_ns", lambda: now_ns() - 5 * 86_400 * 10**9)
    of_format.start()
    peer.emit_both(range(51, 101))
    peer.deliver()
    peer.emit_both(range(101, 151))
    peer.push()
    of_format.kill()
    of_format.start()
    peer.emit_both(range(151, 161))
    peer.deliver()
    assert of_format.ids() == list(range(1, 161))
    assert not of_format.rows("gap")
