"""Depth snapshots of an older version, whose files had another name: nothing comes twice, and no damage is lost."""

from pathlib import Path

import pytest

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
