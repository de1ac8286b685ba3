"""The writer as a real process, fed by a synthetic producer at the level of the wire."""

import os
import random
import time
from collections.abc import Iterator
from contextlib import closing, suppress
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
        return self.data / symbol / f"{stem}_{symbol}_{DAY}.{self.config.storage.file_format}"

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


@pytest.mark.parametrize(
    "storage",
    [{"flush_interval": 60, "commit_interval": 60}, {"file_format": "csv.zst", "compress_interval": 30}],
    ids=["csv", "csv.zst"],
)
def test_a_terminated_writer_keeps_what_was_pushed(place: Path, storage: dict[str, Any]) -> None:
    bench = Bench(place, storage=storage)
    with closing(bench):
        writer = bench.writer()
        peer = bench.peer()
        peer.emit_both(range(1, 101))
        eventually(lambda: peer.pumped(0.1).acks, what="hello")
        eventually(lambda: peer.pumped(0.1).cursor == 200, what="all of it is pushed")
        assert not bench.file().exists()
        assert writer.stop() == 0
        assert bench.ids() == list(range(1, 101))
        eventually(lambda: peer.pumped(0.1).acks[-1][1] == [peer.epoch, 200], what="the last acknowledgement")


def test_the_status_says_how_far_open_files_are_durable(place: Path) -> None:
    """A file that was last changed before `durable_ns` is durable to its end."""
    bench = Bench(place, storage={"file_format": "csv.zst", "compress_interval": 0.3})
    Path(bench.config.endpoints.run_directory).mkdir(mode=0o700)
    with closing(bench), closing(bench.context.socket(zmq.XSUB)) as bus:
        bus.bind(bench.config.endpoints.bus_publish)
        bus.send(b"\x01status.writer.")
        bench.recording(20)
        changed_ns = bench.file().stat().st_mtime_ns

        def is_durable() -> bool:
            while bus.poll(0):
                durable_ns = msgpack.unpackb(bus.recv_multipart()[1])[1]["durable_ns"]
                if durable_ns is not None and durable_ns > changed_ns:
                    return True
            return False

        eventually(is_durable, 60, what="the file is durable")
        assert bench.ids() == list(range(1, 21))


def test_a_file_harmed_under_a_running_writer_is_listed(bench: Bench) -> None:
    """All kinds of harm are in the unit tests of recovery; here the process finds one, and goes on."""
    peer, writer = bench.recording(50)
    os.truncate(bench.file(), bench.file().stat().st_size - 30)
    peer.emit_both(range(51, 81))
    peer.deliver()
    assert bench.ids() == [*range(1, 50), *range(51, 81)]
    gap, *others = bench.rows("gap")  # the rows are of September: the writer may have given the gap up meanwhile
    assert {(one["gap_id"], one["state"]) for one in others} <= {(gap["gap_id"], "unrepairable")}
    assert (gap["stream"], gap["from_id"], gap["to_id"], gap["state"]) == ("btcusdt@aggTrade", "49", "50", "open")
    assert writer.exit_code is None
    assert writer.stop() == 0


def open_files(program: Program) -> list[str]:
    """The files that a process has open."""
    found = []
    for link in Path(f"/proc/{program.pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed this moment
            found.append(str(link.readlink()))
    return found


def test_the_room_of_a_file_moved_away_is_given_back(bench: Bench) -> None:
    peer, writer = bench.recording(10)
    bench.file().unlink()
    peer.emit("depth", "BTCUSDT", "btcusdt@depth@0ms", depth(11))
    peer.deliver()
    eventually(lambda: str(bench.file("depth")) in open_files(writer), what="the other file is open")
    eventually(
        lambda: not [path for path in open_files(writer) if path.endswith(" (deleted)") and ".csv" in path],
        what="nothing keeps the file that was moved away",
    )
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


@pytest.mark.parametrize("file_format", ["csv", "csv.zst"])
def test_a_second_recorder_writes_nothing_into_the_files_of_the_first(place: Path, file_format: str) -> None:
    with closing(Bench(place, storage={"file_format": file_format, "compress_interval": 0.5})) as bench:
        _second_recorder(bench)


def _second_recorder(bench: Bench) -> None:
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
        end_s = time.monotonic() + 60
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
