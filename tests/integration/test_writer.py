"""The writer as a real process, fed by a synthetic producer at the level of the wire."""

import json
import os
import random
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgpack
import pytest
import zmq

from binance_streamer.config import schema as configuration
from tests.support.configs import write_config
from tests.support.processes import Program, service
from tests.support.recorded import recorded_rows
from tests.support.waiting import eventually
from tests.support.writer_peer import Peer, aggregate, depth

DAY = "20260927"


class Bench:
    """A directory with a configuration, a writer that may die, and producers."""

    def __init__(self, place: Path, **sections: dict[str, Any]) -> None:
        self.place = place
        storage = {"flush_interval": 0.05, "commit_interval": 0.2, **sections.pop("storage", {})}
        self.config_path = write_config(place, {"BTCUSDT": ["aggTrade"]}, {}, storage=storage, **sections)
        self.config = configuration.load(self.config_path)
        self.data = Path(self.config.storage.output_directory)
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.peers: list[Peer] = []
        self.programs: list[Program] = []

    def writer(self, config_path: Path | None = None) -> Program:
        name = f"writer-{len(self.programs)}.out"
        program = service("writer", config_path or self.config_path, output=self.place / name)
        self.programs.append(program)
        return program

    def peer(self, name: str = "ingest-BTCUSDT", epoch: int = 1_790_000_000_000_000_001) -> Peer:
        peer = Peer(self.context, self.config, name, epoch)
        self.peers.append(peer)
        return peer

    def recording(self, count: int) -> tuple[Peer, Program]:
        """A producer and a writer, which has made so many trades and depth updates durable."""
        writer, peer = self.writer(), self.peer()
        peer.emit_both(range(1, count + 1))
        peer.deliver()
        return peer, writer

    def rows(self, stem: str, symbol: str = "BTCUSDT") -> list[dict[str, str]]:
        return recorded_rows(self.data, symbol, stem)

    def ids(self, stem: str = "aggtrade", column: str = "agg_trade_id") -> list[int]:
        return [int(row[column]) for row in self.rows(stem)]

    def file(self, stem: str = "aggtrade", symbol: str = "BTCUSDT") -> Path:
        return self.data / symbol / f"{stem}_{symbol}_{DAY}.csv"

    def close(self) -> None:
        for program in self.programs:
            program.__exit__()
        for peer in self.peers:
            peer.close()
        self.context.destroy(linger=0)


@pytest.fixture
def bench(place: Path) -> Iterator[Bench]:
    found = Bench(place)
    yield found
    found.close()


def test_everything_pushed_is_recorded_once_and_acknowledged(bench: Bench) -> None:
    peer, writer = bench.recording(500)
    assert bench.ids() == list(range(1, 501))
    assert bench.ids("depth", "final_update_id") == list(range(10, 5001, 10))
    assert bench.rows("aggtrade")[0] == {
        "agg_trade_id": "1", "price": "84551.01", "quantity": "0.030", "first_trade_id": "2", "last_trade_id": "3",
        "transact_time": "1790526539001", "is_buyer_maker": "true", "event_time": "1790526539151",
        "normal_quantity": "0.030", "recv_ns": "1790526539100000000", "epoch": "1790000000000000001", "seq": "1",
        "source": "ws", "extra": '{"st":1}',
    }  # fmt: skip
    assert peer.acks[0] == [peer.acks[0][0], None, None, "hello"]
    assert writer.stop() == 0


def test_a_killed_writer_loses_and_repeats_no_row(bench: Bench) -> None:
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    dice = random.Random(seed)
    peers = [bench.peer("ingest-BTCUSDT", 11), bench.peer("ingest-ETHUSDT", 12)]
    number = 1
    for _ in range(12):
        writer = bench.writer()
        end_s = time.monotonic() + dice.uniform(0.3, 1.2)
        while time.monotonic() < end_s:
            peers[0].emit_both(range(number, number + 40))
            peers[1].emit_both(range(number, number + 40), "ETHUSDT")
            number += 40
            for peer in peers:
                peer.pump(0.02)
        writer.kill()
    writer = bench.writer()
    for peer in peers:
        peer.deliver()
    for symbol in ("BTCUSDT", "ETHUSDT"):
        rows = bench.rows("aggtrade", symbol)
        assert [int(row["agg_trade_id"]) for row in rows] == list(range(1, number))
        assert [int(row["seq"]) for row in rows] == list(range(1, number))
        assert [int(row["final_update_id"]) for row in bench.rows("depth", symbol)] == list(range(10, number * 10, 10))
        assert not bench.rows("gap", symbol)
    assert writer.stop() == 0


def test_a_terminated_writer_keeps_what_was_pushed(place: Path) -> None:
    bench = Bench(place, storage={"flush_interval": 60, "commit_interval": 60})
    with closing(bench):
        writer = bench.writer()
        peer = bench.peer()
        peer.emit_both(range(1, 101))
        eventually(lambda: peer.pumped(0.1).acks, what="hello")
        peer.pump(0.5)
        assert peer.cursor == 200
        assert not bench.file().exists()
        assert writer.stop() == 0
        assert bench.ids() == list(range(1, 101))
        peer.pump(0.2)
        assert peer.acks[-1][1] == [peer.epoch, 200]


def test_the_end_of_a_run_is_recorded_before_the_next_run(bench: Bench) -> None:
    peer = bench.peer()
    peer.emit_both(range(1, 31))
    peer.epoch += 1000
    peer.emit_both(range(31, 61))
    writer = bench.writer()
    peer.deliver()
    assert bench.ids() == list(range(1, 61))
    assert [int(row["seq"]) for row in bench.rows("aggtrade")] == [*range(1, 31), *range(1, 31)]
    assert not bench.rows("gap")
    assert writer.stop() == 0


@pytest.mark.parametrize("tail", [b"17", b'1,2,3,"4', b"1,2\n3,4\n" * 50])
def test_a_torn_or_longer_file_is_cut_back(bench: Bench, tail: bytes) -> None:
    peer, writer = bench.recording(50)
    writer.kill()
    with bench.file().open("ab") as file:
        file.write(tail)
    peer.emit_both(range(51, 81))
    writer = bench.writer()
    peer.deliver()
    assert bench.ids() == list(range(1, 81))
    assert not bench.rows("gap")
    assert writer.stop() == 0


def test_a_torn_file_is_cut_at_the_start_before_any_row_comes(bench: Bench) -> None:
    _, writer = bench.recording(50)
    writer.kill()
    whole = bench.file().read_bytes()
    with bench.file().open("ab") as file:
        file.write(b"1,2")
    writer = bench.writer()
    eventually(lambda: bench.file().read_bytes() == whole, what="the tail is gone")
    assert writer.stop() == 0


def _age(bench: Bench, stem: str, hours: int) -> None:
    """Let the ledger believe that the file has not grown for so long."""
    with closing(sqlite3.connect(bench.data / ".writer.sqlite")) as ledger, ledger:
        written_ns = time.time_ns() - hours * 3600 * 10**9
        ledger.execute("UPDATE files SET written_ns = ? WHERE path LIKE ?", (written_ns, f"%/{stem}_%"))


def test_a_late_row_for_a_file_of_last_week_follows_its_whole_rows(bench: Bench) -> None:
    peer, writer = bench.recording(50)
    assert writer.stop() == 0
    _age(bench, "aggtrade", 7 * 24)
    with bench.file().open("ab") as file:
        file.write(b"1,2")
    writer = bench.writer()
    peer.emit_both(range(51, 61))
    peer.deliver()
    assert bench.ids() == list(range(1, 61))
    assert not bench.rows("gap")
    assert writer.stop() == 0


def test_a_late_row_for_a_shortened_file_of_last_week_lists_the_gap(bench: Bench) -> None:
    peer, writer = bench.recording(50)
    assert writer.stop() == 0
    _age(bench, "aggtrade", 7 * 24)
    os.truncate(bench.file(), bench.file().stat().st_size - 10)
    writer = bench.writer()
    peer.emit_both(range(51, 61))
    peer.deliver()
    assert bench.ids() == [*range(1, 50), *range(51, 61)]
    assert [(gap["from_id"], gap["to_id"]) for gap in bench.rows("gap")] == [("49", "50")]
    assert writer.stop() == 0


def test_a_shortened_file_is_cut_to_whole_rows_and_listed(bench: Bench) -> None:
    peer, writer = bench.recording(50)
    writer.kill()
    lines = bench.file().read_bytes().splitlines(keepends=True)
    bench.file().write_bytes(b"".join(lines[:31]) + lines[31][:20])  # the header, 30 rows, a piece of the 31st
    writer = bench.writer()
    peer.emit_both(range(51, 61))
    peer.deliver()
    assert bench.ids() == [*range(1, 31), *range(51, 61)]
    (gap,) = bench.rows("gap")
    assert (gap["stream"], gap["from_id"], gap["to_id"], gap["reason"]) == (
        "btcusdt@aggTrade", "30", "50", "file damaged",
    )  # fmt: skip
    assert gap["from_ns"] == bench.rows("aggtrade")[29]["recv_ns"]
    assert gap["to_ns"] == bench.rows("aggtrade")[30]["recv_ns"]
    assert bench.ids("depth", "final_update_id") == list(range(10, 601, 10))
    assert writer.stop() == 0


def test_a_file_deleted_between_runs_is_listed(bench: Bench) -> None:
    peer, writer = bench.recording(50)
    first_ns = bench.rows("aggtrade")[0]["recv_ns"]
    writer.kill()
    bench.file().unlink()
    writer = bench.writer()
    peer.emit_both(range(51, 61))
    peer.deliver()
    assert bench.ids() == list(range(51, 61))
    (gap,) = bench.rows("gap")
    assert (gap["from_ns"], gap["to_ns"]) == (first_ns, bench.rows("aggtrade")[0]["recv_ns"])
    assert (gap["from_id"], gap["to_id"], gap["state"]) == ("", "", "unrepairable")  # nobody knows what it began with
    assert gap["reason"] == "file damaged"
    assert writer.stop() == 0


@pytest.mark.parametrize("harm", ["delete", "truncate", "replace", "delete folder"])
def test_a_file_harmed_under_a_running_writer_is_listed(bench: Bench, harm: str) -> None:
    peer, writer = bench.recording(50)
    path = bench.file()
    if harm == "delete":
        path.unlink()
    elif harm == "truncate":
        os.truncate(path, path.stat().st_size - 30)
    elif harm == "replace":
        (bench.place / "other").write_bytes(b"other\n")
        (bench.place / "other").replace(path)
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
        assert bench.ids() == expected
    (gap,) = [row for row in bench.rows("gap") if row["stream"] == "btcusdt@aggTrade"]
    ids = ("49", "50", "open") if harm == "truncate" else ("", "", "unrepairable")
    assert (gap["from_id"], gap["to_id"], gap["state"]) == ids
    assert gap["reason"] == "file damaged"
    assert int(gap["from_ns"]) < int(gap["to_ns"])
    assert writer.exit_code is None
    assert writer.stop() == 0


def test_days_moved_away_are_no_damage(bench: Bench) -> None:
    peer, writer = bench.recording(10)
    assert writer.stop() == 0
    _age(bench, "aggtrade", 3)
    bench.file().rename(bench.place / "archive.csv")
    writer = bench.writer()
    peer.emit("depth", "BTCUSDT", "btcusdt@depth@0ms", depth(11))
    peer.deliver()
    assert not bench.rows("gap")
    assert writer.stop() == 0


def test_late_rows_of_a_day_moved_away_begin_a_file_and_are_no_damage(bench: Bench) -> None:
    peer, writer = bench.recording(10)
    assert writer.stop() == 0
    _age(bench, "aggtrade", 3)
    bench.file().rename(bench.place / "archive.csv")
    writer = bench.writer()
    peer.emit_both(range(11, 21))
    peer.deliver()
    assert bench.ids() == list(range(11, 21))
    assert not bench.rows("gap")
    assert writer.stop() == 0


def test_the_room_of_a_file_moved_away_is_given_back(bench: Bench) -> None:
    peer, writer = bench.recording(10)
    bench.file().unlink()
    peer.emit("depth", "BTCUSDT", "btcusdt@depth@0ms", depth(11))
    peer.deliver()
    open_files = [str(link.readlink()) for link in Path(f"/proc/{writer.pid}/fd").iterdir()]
    assert str(bench.file("depth")) in open_files
    assert [path for path in open_files if path.endswith(" (deleted)") and ".csv" in path] == []
    assert writer.stop() == 0


def test_a_database_lost_while_nothing_ran_for_days_repeats_no_row(bench: Bench) -> None:
    peer, writer = bench.recording(50)
    assert writer.stop() == 0
    (bench.data / ".writer.sqlite").unlink()
    long_ago_s = time.time() - 5 * 86_400
    for path in bench.data.rglob("*.csv"):
        os.utime(path, (long_ago_s, long_ago_s))
    writer = bench.writer()
    peer.emit_both(range(51, 61))
    peer.deliver()
    assert bench.ids() == list(range(1, 61))
    assert writer.stop() == 0


@pytest.mark.parametrize("harm", ["delete", "damage", "empty", "delete all"])
def test_without_its_database_the_writer_repeats_no_row(bench: Bench, harm: str) -> None:
    peer = bench.peer()
    peer.emit_both(range(1, 101))
    peer.emit("trade", "BTCUSDT", "btcusdt@trade", b"not json")
    peer.emit("exchange_info", "EXCHANGE", "/fapi/v1/exchangeInfo", b'{"changed":{}}', source="rest")
    peer.emit("clock", "EXCHANGE", "/fapi/v1/time", None, source="rest", offset_ms=1.5)
    writer = bench.writer()
    peer.deliver()
    writer.kill()
    ledger = bench.data / ".writer.sqlite"
    if harm == "damage":
        for path in (ledger, Path(f"{ledger}-wal")):
            path.write_bytes(b"SQLite format 3\0" + os.urandom(4096))
    elif harm == "empty":
        ledger.write_bytes(b"")
    else:
        ledger.unlink()
    if harm == "delete all":
        Path(f"{ledger}-wal").unlink(missing_ok=True)
    with bench.file().open("ab") as file:
        file.write(b"99,1.0")
    before = peer.acks[0][0]
    writer = bench.writer()
    peer.emit_both(range(101, 151))
    peer.deliver()
    assert bench.ids() == list(range(1, 151))
    assert bench.ids("depth", "final_update_id") == list(range(10, 1501, 10))
    assert len(bench.rows("raw")) == 1
    assert len((bench.data / f"exchange_info_{DAY}.jsonl").read_bytes().splitlines()) == 1
    assert len((bench.data / f"clock_{DAY}.csv").read_bytes().splitlines()) == 2
    assert not bench.rows("gap")
    assert peer.acks[-1][0] != before
    assert writer.stop() == 0


def test_a_second_writer_waits_and_takes_over(bench: Bench) -> None:
    first = bench.writer()
    peer = bench.peer()
    peer.emit_both(range(1, 21))
    peer.deliver()
    second = bench.writer()
    eventually(lambda: "waiting" in second.text(), what="the second writer waits")
    peer.emit_both(range(21, 41))
    peer.deliver()
    first.kill()
    peer.emit_both(range(41, 61))
    peer.deliver()
    assert bench.ids() == list(range(1, 61))
    assert second.stop() == 0


def test_a_writer_for_another_directory_cannot_take_the_endpoint(bench: Bench, place: Path) -> None:
    first = bench.writer()
    peer = bench.peer()
    peer.emit_both(range(1, 21))
    peer.deliver()
    other = place / "other"
    other.mkdir()
    path = write_config(
        other, {"BTCUSDT": ["aggTrade"]}, {}, endpoints={"run_directory": bench.config.endpoints.run_directory}
    )
    second = bench.writer(path)
    eventually(lambda: "waiting" in second.text(), what="the second writer waits")
    peer.emit_both(range(21, 41))
    peer.deliver()
    assert bench.ids() == list(range(1, 41))
    assert second.stop() == 0
    assert first.stop() == 0


class OtherBench(Bench):
    """A recorder with run and journal folders of its own, and the data folder of another one."""

    def __init__(self, first: Bench) -> None:
        place = first.place / "other"
        place.mkdir()
        super().__init__(place, storage={"output_directory": str(first.data)})

    def told_that_it_is_ours(self) -> None:
        """As docs/troubleshooting.md says."""
        identity = Path(self.config.storage.journal_directory) / "recorder.id"
        (self.data / ".writer.owner").write_bytes(identity.read_bytes())


def test_a_second_recorder_writes_nothing_into_the_files_of_the_first(bench: Bench) -> None:
    peer, first = bench.recording(10)
    with closing(OtherBench(bench)) as other:
        second = other.writer()
        eventually(lambda: "another recorder" in second.text(), what="it is refused")
        first.kill()
        stranger = other.peer(epoch=77)
        stranger.emit_both(range(1, 21))
        stranger.pump(2.5)  # longer than the writer takes to try again
        assert stranger.acks == []
        first = bench.writer()
        peer.emit_both(range(11, 21))
        peer.deliver()
        assert bench.ids() == list(range(1, 21))
        assert not bench.rows("gap")
        assert first.stop() == 0
        assert second.stop() == 0


def test_who_is_told_that_the_files_are_his_goes_on_with_them_and_the_other_does_not(bench: Bench) -> None:
    _, first = bench.recording(10)
    assert first.stop() == 0
    with closing(OtherBench(bench)) as other:
        second = other.writer()
        eventually(lambda: "another recorder" in second.text(), what="it is refused")
        other.told_that_it_is_ours()
        stranger = other.peer(name="ingest-ETHUSDT", epoch=77)
        stranger.emit_both(range(1, 6), "ETHUSDT")
        stranger.deliver()
        assert [row["agg_trade_id"] for row in bench.rows("aggtrade", "ETHUSDT")] == ["1", "2", "3", "4", "5"]
        assert second.stop() == 0
        first = bench.writer()
        eventually(lambda: "another recorder" in first.text(), what="now the first one is refused")
        assert first.stop() == 0


def test_a_journal_folder_that_is_wiped_makes_another_recorder_of_it(bench: Bench) -> None:
    """Nobody can tell it from a second one; nothing is lost by asking."""
    _, first = bench.recording(10)
    assert first.stop() == 0
    (Path(bench.config.storage.journal_directory) / "recorder.id").unlink()
    again = bench.writer()
    eventually(lambda: "another recorder" in again.text(), what="it is refused")
    assert again.stop() == 0


def test_two_processes_of_one_name_do_not_mix(bench: Bench) -> None:
    writer = bench.writer()
    peer = bench.peer(epoch=100)
    peer.emit_both(range(1, 11))
    peer.deliver()
    other = bench.peer(epoch=200)
    other.emit_both(range(11, 21))
    other.deliver()
    late = msgpack.packb(("aggtrade", {**_data(5), "epoch": 100, "seq": 11, "event": aggregate(999)}))
    peer.send(100, 20, (100, 19), late)
    eventually(lambda: peer.pumped(0.1).acks[-1][3] == "known", what="an answer")
    assert bench.ids() == list(range(1, 21))
    assert writer.stop() == 0


def _data(number: int) -> dict[str, Any]:
    return {
        "symbol": "BTCUSDT", "stream": "btcusdt@aggTrade", "recv_ns": 1_790_526_539_100_000_000 + number,
        "producer": "ingest-BTCUSDT", "epoch": 1, "seq": number, "source": "ws", "connection": 1,
    }  # fmt: skip


def test_a_wiped_journal_is_one_gap_per_stream(bench: Bench) -> None:
    writer = bench.writer()
    peer = bench.peer(epoch=100)
    peer.emit_both(range(1, 11))
    peer.deliver()
    after = bench.peer(epoch=200)
    after.emit_both(range(15, 21))
    after.deliver()
    assert bench.ids() == [*range(1, 11), *range(15, 21)]
    gaps = {gap["stream"]: (gap["from_id"], gap["to_id"], gap["reason"]) for gap in bench.rows("gap")}
    assert gaps == {
        "btcusdt@aggTrade": ("10", "14", "lost in the journal"),
        "btcusdt@depth@0ms": ("100", "140", "lost in the journal"),
    }
    assert len(bench.rows("gap")) == 2
    assert writer.stop() == 0


def test_records_quarantined_in_the_journal_are_a_gap_of_their_stream_alone(bench: Bench) -> None:
    peer, writer = bench.recording(10)
    peer.emit_both(range(11, 31))
    # aggTrades 13 and 14 are lost, no depth update is
    peer.journal = [entry for entry in peer.journal if entry[1] not in (24, 26)]
    peer.deliver()
    assert bench.ids() == [*range(1, 13), *range(15, 31)]
    assert bench.ids("depth", "final_update_id") == list(range(10, 301, 10))
    assert [(gap["stream"], gap["from_id"], gap["to_id"]) for gap in bench.rows("gap")] == [
        ("btcusdt@aggTrade", "12", "14")
    ]
    assert writer.stop() == 0


def test_a_suspicion_survives_a_kill(bench: Bench) -> None:
    """Positions were lost, and the writer dies before the streams that they belonged to have their next rows."""
    writer = bench.writer()
    peer = bench.peer()
    peer.emit_both(range(1, 11))
    peer.emit("aggtrade", "BTCUSDT", "btcusdt@aggTrade", aggregate(11))
    peer.emit("depth", "BTCUSDT", "btcusdt@depth@0ms", depth(11))
    del peer.journal[20]
    peer.deliver()
    writer.kill()
    writer = bench.writer()
    peer.emit("aggtrade", "BTCUSDT", "btcusdt@aggTrade", aggregate(12))
    peer.deliver()
    assert bench.ids() == [*range(1, 11), 12]
    assert [(gap["from_id"], gap["to_id"]) for gap in bench.rows("gap")] == [("10", "11")]
    assert writer.stop() == 0


def test_garbage_costs_only_itself(bench: Bench) -> None:
    peer, writer = bench.recording(10)
    garbage: list[list[bytes]] = [
        [b"x"],
        [b"", b"", b""],
        [b"a", b"\xc1", b"x"],
        [b"a" * 500, msgpack.packb((1, 0, None)), b"x"],
        [b"\xff\xfe", msgpack.packb((1, 0, None)), b"x"],
        [b"../x", msgpack.packb((2**64 - 1, 0, None)), b"x"],
        [b"a", msgpack.packb((1, 2**63 - 1, None)), msgpack.packb(1)],
        [b"writer", msgpack.packb((1, 0, None)), msgpack.packb(1)],
        [os.urandom(1000), os.urandom(1000), os.urandom(100_000)],
    ]
    for parts in garbage:
        peer._push.send_multipart(parts)
    peer.emit_both(range(11, 21))
    peer.deliver()
    assert bench.ids() == list(range(1, 21))
    assert sorted(path.name for path in bench.data.iterdir() if not path.name.startswith(".")) == ["BTCUSDT"]
    assert writer.stop() == 0


def test_bad_frames_are_recorded_raw_and_the_others_normally(bench: Bench) -> None:
    writer = bench.writer()
    peer = bench.peer()
    stream = "btcusdt@aggTrade"
    peer.emit("aggtrade", "BTCUSDT", stream, aggregate(1))
    peer.emit("aggtrade", "BTCUSDT", stream, b'{"e":"aggTrade","a":2}')
    peer.emit("aggtrade", "BTCUSDT", stream, b"\xff\xfe")
    peer.emit("aggtrade", "../etc", stream, aggregate(3))
    peer.emit_frame(msgpack.packb([1, 2]))
    peer.emit_frame(b"\xc1broken")
    peer.emit("aggtrade", "BTCUSDT", stream, aggregate(2))
    peer.deliver()
    assert bench.ids() == [1, 2]
    raw = bench.rows("raw")
    assert [(row["stream_type"], row["encoding"], row["event"]) for row in raw] == [
        ("aggtrade", "utf-8", '{"e":"aggTrade","a":2}'),
        ("aggtrade", "base64", "//4="),
    ]
    assert raw[0]["reason"] == "the key p (price) is missing"
    folder = bench.data / "ingest-BTCUSDT"
    assert {path.name.rpartition("_")[0] for path in folder.iterdir()} == {"raw_ingest-BTCUSDT"}
    lines = b"".join(path.read_bytes() for path in folder.iterdir()).splitlines()
    assert sum(b"recv_ns" not in line for line in lines) == 3
    assert not list(bench.place.rglob("etc*"))
    assert writer.stop() == 0


def test_status_is_published_every_second(bench: Bench) -> None:
    with closing(bench.context.socket(zmq.XSUB)) as bus:
        bus.setsockopt(zmq.LINGER, 0)
        Path(bench.config.endpoints.run_directory).mkdir(mode=0o700)
        bus.bind(bench.config.endpoints.bus_publish)
        bus.send(b"\x01status.writer.")
        writer = bench.writer()
        peer = bench.peer()
        peer.emit_both(range(1, 11))
        peer.deliver()
        end_s = time.monotonic() + 20
        while True:
            assert bus.poll(max(0, int((end_s - time.monotonic()) * 1000))), "no status"
            topic, frame = bus.recv_multipart()
            assert topic == b"status.writer."
            _, status = msgpack.unpackb(frame)
            if status["rows"] == 20:
                break
        assert status["state"] == "recording"
        assert status["streams"] == {"BTCUSDT/aggtrade": 10, "BTCUSDT/depth": 10}
        assert status["producers"]["ingest-BTCUSDT"]["next_received"] == 20
        assert writer.stop() == 0


def test_files_are_private_to_the_group(bench: Bench) -> None:
    _, writer = bench.recording(2)
    assert writer.stop() == 0
    modes = {path: path.stat().st_mode & 0o777 for path in bench.data.rglob("*")}
    assert {modes[path] for path in modes if path.is_dir()} == {0o750}
    assert {modes[path] for path in modes if path.is_file()} == {0o640}


def test_a_stopped_writer_leaves_a_readable_ledger(bench: Bench) -> None:
    peer, writer = bench.recording(2)
    writer.send(signal.SIGTERM)
    assert writer.wait() == 0
    with closing(sqlite3.connect(bench.data / ".writer.sqlite")) as ledger:
        assert ledger.execute("SELECT producer, epoch, next FROM epochs").fetchall() == [
            ("ingest-BTCUSDT", peer.epoch, 4)
        ]
        lengths = dict(ledger.execute("SELECT path, length FROM files").fetchall())
    assert lengths[f"BTCUSDT/aggtrade_BTCUSDT_{DAY}.csv"] == bench.file().stat().st_size
    assert json.dumps(lengths)
