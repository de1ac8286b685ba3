"""The recorder on a real directory: what it takes, flushes and commits, and how it goes on after its end."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import msgpack
import pytest

from binance_streamer.config import schema as configuration
from binance_streamer.wire.frames import decode_frame
from tests.support.configs import write_config
from tests.support.writer_folder import DAY, FolderPeer, WriterFolder
from tests.support.writer_peer import aggregate, depth


@pytest.fixture
def folder(tmp_path: Path) -> WriterFolder:
    return WriterFolder(tmp_path)


def test_raw_rows_are_counted_on_after_a_full_disk(folder: WriterFolder) -> None:
    peer = folder.recording(1)
    peer.emit("trade", "BTCUSDT", "btcusdt@trade", b"{}")
    peer.deliver()
    folder.kill()
    folder.start()
    peer.emit("trade", "BTCUSDT", "btcusdt@trade", b"{}")
    peer.deliver()
    assert folder.counts.raw == {"btcusdt@trade": {"the key t (id) is missing": 2}}


def test_the_end_of_a_run_is_recorded_before_the_next_run(folder: WriterFolder) -> None:
    peer = folder.peer()
    peer.emit_both(range(1, 31))
    peer.epoch += 1000
    peer.emit_both(range(31, 61))
    folder.start()
    peer.deliver()
    assert folder.ids() == list(range(1, 61))
    assert [int(row["seq"]) for row in folder.rows("aggtrade")] == [*range(1, 31), *range(1, 31)]
    assert not folder.rows("gap")


def test_a_wiped_journal_is_one_gap_per_stream(folder: WriterFolder) -> None:
    folder.start()
    peer = folder.peer(epoch=100)
    peer.emit_both(range(1, 11))
    peer.deliver()
    after = folder.peer(epoch=200)
    after.emit_both(range(15, 21))
    after.deliver()
    assert folder.ids() == [*range(1, 11), *range(15, 21)]
    gaps = {gap["stream"]: (gap["from_id"], gap["to_id"], gap["reason"]) for gap in folder.rows("gap")}
    assert gaps == {
        "btcusdt@aggTrade": ("10", "14", "lost in the journal"),
        "btcusdt@depth@0ms": ("100", "140", "lost in the journal"),
    }
    assert len(folder.rows("gap")) == 2


def test_records_quarantined_in_the_journal_are_a_gap_of_their_stream_alone(folder: WriterFolder) -> None:
    peer = folder.recording(10)
    peer.emit_both(range(11, 31))
    # aggTrades 13 and 14 are lost, no depth update is
    peer.journal = [entry for entry in peer.journal if entry[1] not in (24, 26)]
    peer.deliver()
    assert folder.ids() == [*range(1, 13), *range(15, 31)]
    assert folder.ids("depth", "final_update_id") == list(range(10, 301, 10))
    assert [(gap["stream"], gap["from_id"], gap["to_id"]) for gap in folder.rows("gap")] == [
        ("btcusdt@aggTrade", "12", "14")
    ]


def test_a_suspicion_survives_a_kill(folder: WriterFolder) -> None:
    """Positions were lost, and the writer dies before the streams that they belonged to have their next rows."""
    folder.start()
    peer = folder.peer()
    peer.emit_both(range(1, 11))
    peer.emit("aggtrade", "BTCUSDT", "btcusdt@aggTrade", aggregate(11))
    peer.emit("depth", "BTCUSDT", "btcusdt@depth@0ms", depth(11))
    del peer.journal[20]
    peer.deliver()
    folder.kill()
    folder.start()
    peer.emit("aggtrade", "BTCUSDT", "btcusdt@aggTrade", aggregate(12))
    peer.deliver()
    assert folder.ids() == [*range(1, 11), 12]
    assert [(gap["from_id"], gap["to_id"]) for gap in folder.rows("gap")] == [("10", "11")]


def test_bad_frames_are_recorded_raw_and_the_others_normally(folder: WriterFolder) -> None:
    folder.start()
    peer = folder.peer()
    stream = "btcusdt@aggTrade"
    peer.emit("aggtrade", "BTCUSDT", stream, aggregate(1))
    peer.emit("aggtrade", "BTCUSDT", stream, b'{"e":"aggTrade","a":2}')
    peer.emit("aggtrade", "BTCUSDT", stream, b"\xff\xfe")
    peer.emit("aggtrade", "../etc", stream, aggregate(3))
    peer.emit_frame(msgpack.packb([1, 2]))
    peer.emit_frame(b"\xc1broken")
    peer.emit("aggtrade", "BTCUSDT", stream, aggregate(2))
    peer.deliver()
    assert folder.ids() == [1, 2]
    raw = folder.rows("raw")
    assert [(row["stream_type"], row["encoding"], row["event"]) for row in raw] == [
        ("aggtrade", "utf-8", '{"e":"aggTrade","a":2}'),
        ("aggtrade", "base64", "//4="),
    ]
    assert raw[0]["reason"] == "the key p (price) is missing"
    strange = folder.data / "ingest-BTCUSDT"
    assert {path.name.rpartition("_")[0] for path in strange.iterdir()} == {"raw_ingest-BTCUSDT"}
    lines = b"".join(path.read_bytes() for path in strange.iterdir()).splitlines()
    assert sum(b"recv_ns" not in line for line in lines) == 3
    assert not list(folder.place.rglob("etc*"))


def test_a_stopped_writer_leaves_a_readable_ledger(folder: WriterFolder) -> None:
    peer = folder.recording(2)
    folder.stop()
    with closing(sqlite3.connect(folder.data / ".writer.sqlite")) as ledger:
        assert ledger.execute("SELECT producer, epoch, next FROM epochs").fetchall() == [
            ("ingest-BTCUSDT", peer.epoch, 4)
        ]
        lengths = dict(ledger.execute("SELECT path, length FROM files").fetchall())
    assert lengths[f"BTCUSDT/aggtrade_BTCUSDT_{DAY}.csv"] == folder.file().stat().st_size
    assert json.dumps(lengths)


def test_files_are_private_to_the_group(folder: WriterFolder) -> None:
    folder.recording(2)
    folder.stop()
    modes = {path: path.stat().st_mode & 0o777 for path in folder.data.rglob("*")}
    assert {modes[path] for path in modes if path.is_dir()} == {0o750}
    assert {modes[path] for path in modes if path.is_file()} == {0o640}


def lost_trades(folder: WriterFolder) -> FolderPeer:
    """A worker whose journal was wiped: aggTrades 11 to 14 are lost. Returns its next run."""
    folder.recording(10)
    after = folder.peer(epoch=200)
    after.emit_both(range(15, 21))
    after.deliver()
    return after


def offers(folder: WriterFolder) -> list[tuple[int, int, list[int]]]:
    """The gaps that workers are asked to take over: the bounds, and the ids that are there."""
    assert folder.recorder is not None
    frames = [decode_frame(frame)[1] for _, frame in folder.recorder.offers(1)]
    return [(data["from_id"], data["to_id"], data["present"]) for data in frames]


def test_a_gap_that_rest_may_fill_is_offered_until_its_worker_takes_it_over(folder: WriterFolder) -> None:
    after = lost_trades(folder)
    assert offers(folder) == [(10, 14, [])]
    folder.kill()
    folder.start()
    assert offers(folder) == [(10, 14, [])]
    (gap,) = [row for row in folder.rows("gap") if row["stream"] == "btcusdt@aggTrade"]
    fields = {"gap_id": gap["gap_id"], "state": "open", "from_id": 10, "to_id": 14, "from_ns": 1, "to_ns": 2}
    after.emit("gap", "BTCUSDT", "btcusdt@aggTrade", None, source="local", reason="lost in the journal", **fields)
    after.push()
    assert offers(folder) == [(10, 14, [])], "nothing durable says that it was taken over"
    after.deliver()
    assert offers(folder) == []
    folder.kill()
    folder.start()
    assert offers(folder) == []


def test_an_offer_names_the_rows_in_the_gap_that_came_late(folder: WriterFolder) -> None:
    """The worker had listed a part of it itself, and has had it filled: these rows must not be fetched again."""
    after = lost_trades(folder)
    after.emit("aggtrade", "BTCUSDT", "btcusdt@aggTrade", aggregate(12), source="rest", requested_ns=1)
    after.emit("aggtrade", "BTCUSDT", "btcusdt@aggTrade", aggregate(13))
    after.emit("aggtrade", "BTCUSDT", "btcusdt@aggTrade", aggregate(21))
    after.deliver()
    assert offers(folder) == [(10, 14, [12, 13])]


@pytest.mark.parametrize("is_known_run", [False, True])
def test_rows_that_came_late_in_the_batch_that_shows_the_gap_are_named_too(
    folder: WriterFolder, *, is_known_run: bool
) -> None:
    """A connection that began a moment later brings what lies before the first row of a run."""
    folder.recording(10)
    after = folder.peer(epoch=200)
    if is_known_run:
        after.emit("depth", "BTCUSDT", "btcusdt@depth@0ms", depth(1))
        after.emit("aggtrade", "ETHUSDT", "ethusdt@aggTrade", aggregate(1))
        after.deliver()
    for number in (15, 13, 14, 16):
        after.emit("aggtrade", "BTCUSDT", "btcusdt@aggTrade", aggregate(number))
    after.deliver()
    assert offers(folder) == [(10, 14, [13, 14])]


def test_nobody_is_asked_to_repair_a_symbol_that_is_not_recorded_any_more(folder: WriterFolder) -> None:
    lost_trades(folder)
    folder.kill()
    storage = {"output_directory": "data", "journal_directory": "journal"}
    folder.config = configuration.load(write_config(folder.place, {"ETHUSDT": ["aggTrade"]}, {}, storage=storage))
    folder.start()
    assert offers(folder) == []
    folder.stop()
    *_, last = [row for row in folder.rows("gap") if row["stream"] == "btcusdt@aggTrade"]
    assert (last["state"], last["extra"]) == ("unrepairable", '{"why":"the symbol is not recorded any more"}')


def last_trade_gaps(folder: WriterFolder) -> list[tuple[str, str, str]]:
    """The last word on each gap of the trades: bounds and state, in the order in which they were listed."""
    last = {row["gap_id"]: row for row in folder.rows("gap") if row["stream"] == "btcusdt@aggTrade"}
    return [(row["from_id"], row["to_id"], row["state"]) for row in last.values()]


def test_a_gap_with_too_many_late_rows_to_name_is_ended(folder: WriterFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.writer.store.handovers._MOST_PRESENT", 2)
    after = lost_trades(folder)
    for number in (11, 12, 13):
        after.emit("aggtrade", "BTCUSDT", "btcusdt@aggTrade", aggregate(number))
    after.deliver()
    assert offers(folder) == []
    assert last_trade_gaps(folder) == [("10", "14", "unrepairable")]


def test_a_gap_that_no_worker_takes_over_is_ended_once_rest_has_nothing_of_it(folder: WriterFolder) -> None:
    """Its symbol was removed by `apply`, for which the writer is not restarted, or its worker never comes back."""
    after = lost_trades(folder)
    assert folder.recorder is not None
    missed_ns = 1_790_526_539_200_000_000
    after.emit("aggtrade", "BTCUSDT", "btcusdt@aggTrade", aggregate(21))
    after.push()
    folder.recorder.begin_commit(missed_ns + 47 * 3600 * 10**9)
    assert len(offers(folder)) == 1
    after.emit("aggtrade", "BTCUSDT", "btcusdt@aggTrade", aggregate(22))
    after.push()
    folder.recorder.begin_commit(missed_ns + 49 * 3600 * 10**9)
    folder.recorder.flush()
    assert last_trade_gaps(folder) == [("10", "14", "unrepairable")]


def open_gap(peer: FolderPeer, gap_id: str, from_id: int, to_id: int) -> None:
    """A worker lists a gap of its own."""
    fields = {"gap_id": gap_id, "state": "open", "from_id": from_id, "to_id": to_id, "from_ns": 1, "to_ns": 2}
    peer.emit("gap", "BTCUSDT", "btcusdt@aggTrade", None, source="local", reason="sequence", **fields)


def test_what_only_a_wiped_journal_knew_is_ended(folder: WriterFolder) -> None:
    peer = folder.recording(10)
    open_gap(peer, "g1", 12, 14)
    peer.emit_both(range(15, 17))
    peer.push()
    after = folder.peer(epoch=200)
    open_gap(after, "g2", 20, 24)
    after.emit_both(range(25, 27))
    after.deliver()
    found = last_trade_gaps(folder)
    assert found == [("12", "14", "unrepairable"), ("16", "24", "open"), ("20", "24", "open")]
    assert [json.loads(row["extra"]) for row in folder.rows("gap") if row["extra"]] == [
        {"why": "what knew of it is lost: a journal, or the ledger"}
    ]


def test_what_only_a_lost_ledger_knew_is_ended(folder: WriterFolder) -> None:
    after = lost_trades(folder)
    open_gap(after, "g2", 20, 24)
    after.deliver()
    folder.kill()
    folder.lose_ledger()
    folder.start()
    folder.stop()
    assert last_trade_gaps(folder) == [("10", "14", "unrepairable"), ("20", "24", "open")]


def recorded_with_a_journal_of(folder: WriterFolder, count: int) -> FolderPeer:
    """Durable are trades 1 to 30 but 21 to 24; the journal of the next run ends behind trade `count`."""
    peer = folder.recording(count)
    old = list(peer.journal)
    peer.emit_both(range(count + 1, 21))
    open_gap(peer, "g1", 20, 24)
    peer.emit_both(range(25, 31))
    peer.deliver()
    after = folder.peer(epoch=300)
    after.journal = [*old]
    after.cursor = len(old)
    return after


def fetched(peer: FolderPeer, numbers: range, **fields: int) -> None:
    """The worker has these fetched from REST."""
    for number in numbers:
        peer.emit("aggtrade", "BTCUSDT", "btcusdt@aggTrade", aggregate(number), source="rest", requested_ns=1, **fields)


@pytest.mark.parametrize("ends", ["nothing", "writer is killed"])
def test_what_rest_brings_because_a_journal_is_older_than_the_files_comes_once(folder: WriterFolder, ends: str) -> None:
    """A power cut took the end of the journal, or a backup of it was restored: the worker takes rows for missing."""
    after = recorded_with_a_journal_of(folder, 10)
    open_gap(after, "g2", 10, 34)
    after.emit_both(range(35, 41))
    after.deliver()
    if ends == "writer is killed":
        folder.kill()
        folder.start()
    fetched(after, range(11, 35))
    after.deliver()
    assert sorted(folder.ids()) == list(range(1, 41))
    assert {state for _, to_id, state in last_trade_gaps(folder) if to_id == "24"} == {"unrepairable"}


def test_ids_that_begin_anew_two_days_later_are_not_taken_for_known(folder: WriterFolder) -> None:
    after = recorded_with_a_journal_of(folder, 10)
    after.emit_both(range(35, 41))
    after.deliver()
    before = folder.ids()
    fetched(after, range(3, 6), recv_ns=1_790_526_600_000_000_000 + 49 * 3600 * 10**9)
    after.deliver()
    assert folder.ids() == [*before, 3, 4, 5]


def test_a_journal_as_new_as_the_files_has_all_of_rest_recorded(folder: WriterFolder) -> None:
    peer = folder.recording(10)
    open_gap(peer, "g1", 10, 14)
    peer.emit_both(range(15, 21))
    peer.deliver()
    peer.epoch += 1000
    peer.emit_both(range(21, 25))
    fetched(peer, range(11, 15))
    peer.deliver()
    assert sorted(folder.ids()) == list(range(1, 25))
