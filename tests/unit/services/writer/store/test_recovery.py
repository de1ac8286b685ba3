"""Depth snapshots of an older version, whose files had another name: nothing comes twice, and no damage is lost."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.support.writer_folder import DAY, FolderPeer, WriterFolder, snapshot_fields

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
