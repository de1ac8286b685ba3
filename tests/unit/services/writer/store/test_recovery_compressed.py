"""Compressed files after a kill, damage, another format, the loss of the ledger: whole frames, and no row twice."""

import os
from pathlib import Path

import pytest

from services.writer.store.zstd_frames import whole_part
from tests.support.recorded import recorded_text
from tests.support.writer_folder import DAY, WriterFolder
from tests.support.writer_peer import depth


@pytest.fixture
def folder(tmp_path: Path) -> WriterFolder:
    return WriterFolder(tmp_path, file_format="csv.zst")


def names(folder: WriterFolder) -> list[str]:
    return sorted(path.name for path in (folder.data / "BTCUSDT").iterdir())


def test_rows_of_the_exchange_are_compressed_and_gaps_are_plain(folder: WriterFolder) -> None:
    folder.start()
    folder.peer(epoch=100).emit_both(range(1, 11))
    folder.peers[0].deliver()
    after = folder.peer(epoch=200)  # what was between is lost: a gap of each stream
    after.emit_both(range(15, 21))
    after.emit("trade", "BTCUSDT", "btcusdt@trade", b"not json")
    after.deliver()
    assert names(folder) == [
        f"aggtrade_BTCUSDT_{DAY}.csv.zst",
        f"depth_BTCUSDT_{DAY}.csv.zst",
        next(name for name in names(folder) if name.startswith("gap_") and name.endswith(".csv")),
        f"raw_BTCUSDT_{DAY}.csv",
    ]
    assert folder.ids() == [*range(1, 11), *range(15, 21)]
    assert folder.rows("aggtrade")[0]["price"] == "84551.01"


def test_a_frame_is_written_by_the_commit_that_makes_it_durable(folder: WriterFolder) -> None:
    recorder = folder.start()
    peer = folder.peer()
    peer.emit_both(range(1, 4))
    peer.push()
    recorder.flush()
    assert not (folder.data / "BTCUSDT").exists()
    assert [ack.reason for ack in peer.acks] == ["hello"]
    folder.commit()
    assert (peer.acks[-1].reason, peer.acks[-1].durable) == ("commit", peer.acks[-1].received)
    assert folder.ids() == [1, 2, 3]


def test_64_kib_are_written_before_the_commit(folder: WriterFolder) -> None:
    folder.start()
    peer = folder.peer()
    peer.emit_both(range(1, 1001))
    peer.push()
    written = folder.ids()
    assert 500 < len(written) < 1000
    assert written == list(range(1, len(written) + 1))
    folder.crash()
    folder.start()
    assert names(folder) == []  # nothing of it was durable
    peer.deliver()
    assert folder.ids() == list(range(1, 1001))


def test_a_write_torn_at_any_byte_is_cut_back_to_the_last_commit(folder: WriterFolder) -> None:
    """A kill in the middle of `write` leaves any part of what it was to append."""
    peer = folder.recording(20)
    path = folder.file()
    durable = path.read_bytes()
    peer.emit_both(range(21, 31))
    peer.push()
    assert folder.recorder is not None
    folder.recorder.begin_commit(1)  # its frames are written, and nobody has waited for the disk
    folder.crash()
    whole = path.read_bytes()
    assert whole.startswith(durable)
    assert len(whole) > len(durable)
    for size in range(len(durable), len(whole) + 1):
        path.write_bytes(whole[:size])
        folder.start()
        assert path.read_bytes() == durable
        folder.crash()
    folder.start()
    peer.deliver()
    assert folder.ids() == list(range(1, 31))
    assert folder.ids("depth", "final_update_id") == list(range(10, 301, 10))
    assert not folder.rows("gap")


def test_a_first_write_that_was_torn_leaves_no_empty_file(folder: WriterFolder) -> None:
    peer = folder.recording(1)
    event = b'{"e":"trade","E":1,"T":1790526539000,"s":"BTCUSDT","t":1,"p":"1","q":"2","X":"MARKET","m":true}'
    peer.emit("trade", "BTCUSDT", "btcusdt@trade", event)
    peer.push()
    assert folder.recorder is not None
    folder.recorder.begin_commit(1)
    folder.crash()
    for size in (0, 5):
        folder.file("trade").write_bytes(b"\x28\xb5\x2f\xfd\0"[:size])
        folder.start()
        assert not folder.file("trade").exists()
        folder.crash()
    folder.start()
    peer.deliver()
    assert folder.ids("trade", "id") == [1]


@pytest.mark.parametrize("lost_bytes", [1, 10, 60])
def test_a_shortened_file_keeps_its_whole_frames_and_the_rest_is_listed(folder: WriterFolder, lost_bytes: int) -> None:
    peer = folder.recording(30)
    kept = folder.file().read_bytes()
    peer.emit_both(range(31, 51))
    peer.deliver()
    folder.kill()
    os.truncate(folder.file(), folder.file().stat().st_size - lost_bytes)
    folder.start()
    assert folder.file().read_bytes() == kept
    peer.emit_both(range(51, 61))
    peer.deliver()
    assert folder.ids() == [*range(1, 31), *range(51, 61)]
    assert [(gap["from_id"], gap["to_id"], gap["reason"]) for gap in folder.rows("gap")] == [
        ("30", "50", "file damaged")
    ]


@pytest.mark.parametrize("formats", [("csv", "csv.zst", "csv"), ("csv.zst", "csv", "csv.zst")])
@pytest.mark.parametrize("is_ledger_lost", [False, True])
def test_a_day_may_change_its_format_at_every_start(
    tmp_path: Path, formats: tuple[str, ...], *, is_ledger_lost: bool
) -> None:
    folder = WriterFolder(tmp_path)
    peer = folder.peer()
    for number, file_format in enumerate(formats):
        folder.use(file_format)
        if is_ledger_lost:
            folder.lose_ledger()
        folder.start()
        peer.emit_both(range(10 * number + 1, 10 * number + 11))
        peer.deliver()
        folder.crash()
    assert names(folder) == [
        f"{stem}_BTCUSDT_{DAY}.{suffix}" for stem in ("aggtrade", "depth") for suffix in ("csv", "csv.zst")
    ]
    assert sorted(folder.ids()) == list(range(1, 31))
    assert sorted(folder.ids("depth", "final_update_id")) == list(range(10, 301, 10))


def test_what_was_not_durable_in_one_format_comes_again_in_the_other(tmp_path: Path) -> None:
    folder = WriterFolder(tmp_path, file_format="csv.zst")
    peer = folder.recording(10)
    peer.emit_both(range(11, 21))
    peer.push()
    assert folder.recorder is not None
    folder.recorder.begin_commit(1)
    folder.crash()
    folder.use("csv")
    folder.start()
    peer.deliver()
    assert folder.ids() == [*range(11, 21), *range(1, 11)]  # the plain file is read first
    assert len(folder.rows("aggtrade")) == 20


def test_without_a_ledger_a_wrong_byte_costs_its_frame_and_what_comes_again_is_written(folder: WriterFolder) -> None:
    peer = folder.recording(10)
    first = folder.file().stat().st_size
    peer.emit_both(range(11, 21))
    peer.deliver()
    second = folder.file().stat().st_size
    peer.emit_both(range(21, 31))
    peer.deliver()
    folder.kill()
    content = bytearray(folder.file().read_bytes())
    content[second - 6] ^= 1
    folder.file().write_bytes(content)
    folder.lose_ledger()
    folder.start()
    peer.deliver()
    grown = folder.file().read_bytes()
    assert grown.startswith(content)
    (folder.place / "left.csv.zst").write_bytes(grown[:first] + grown[second:])
    rows = recorded_text(folder.place / "left.csv.zst").splitlines()[1:]
    assert [int(row.partition(",")[0]) for row in rows] == [*range(1, 11), *range(21, 31), *range(11, 21)]


def test_without_a_ledger_a_file_in_which_nothing_can_be_read_is_set_aside(folder: WriterFolder) -> None:
    peer = folder.recording(10)
    folder.kill()
    folder.file().write_bytes(b"not zstd")
    folder.lose_ledger()
    folder.start()
    peer.deliver()
    assert folder.ids() == list(range(1, 11))
    (aside,) = (folder.data / "BTCUSDT").glob("aggtrade_*.csv.zst.*")
    assert aside.read_bytes() == b"not zstd"


def test_rows_follow_a_file_that_its_owner_brought(folder: WriterFolder) -> None:
    """The ledger has no record of it: its whole frames stay, and the half one goes."""
    folder.recording(5)
    folder.stop()
    brought = folder.file().read_bytes()
    for path in (folder.data / "BTCUSDT").iterdir():
        path.unlink()
    (folder.place / "other").mkdir()
    fresh = WriterFolder(folder.place / "other", file_format="csv.zst")
    fresh.start()
    fresh.file().parent.mkdir()
    fresh.file().write_bytes(brought + b"torn")
    peer = fresh.peer()
    peer.emit("depth", "BTCUSDT", "btcusdt@depth@0ms", depth(1))
    peer.emit_both(range(6, 9))
    peer.deliver()
    assert fresh.file().read_bytes().startswith(brought)
    assert fresh.ids() == [1, 2, 3, 4, 5, 6, 7, 8]
    assert whole_part(fresh.file()).length == fresh.file().stat().st_size
