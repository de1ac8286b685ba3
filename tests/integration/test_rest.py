"""The REST process against the simulator: real processes, real sockets."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import zmq

from binance_streamer.config.schema import load
from binance_streamer.transport.sockets import bus_sub, intake_pull
from binance_streamer.wire.frames import decode_batch, decode_frame, encode_frame, split_frames
from services.rest import state
from services.rest.market.clock_offset import SAMPLES
from services.rest.schedule.pacing import SavedPace
from services.runtime.clock import TEST_OFFSET_VARIABLE
from tests.support.configs import write_config
from tests.support.processes import Program, Simulator, service
from tests.support.waiting import eventually

HEARD = (b"depth_snapshot.", b"exchange_info.", b"symbol_status.", b"status.", b"clock.")
ASKED_FOR = b"request."


class Bus:
    """A test's ear and mouth on the bus."""

    def __init__(self, config: Path) -> None:
        endpoints = load(config).endpoints
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._sub = bus_sub(self._context, endpoints.bus_subscribe, *HEARD)
        self._pub = self._context.socket(zmq.XPUB)  # hears what it is asked for
        self._pub.connect(endpoints.bus_publish)
        self._is_asked = False
        self.frames: list[tuple[str, dict[str, Any]]] = []
        self._seq = 0

    def hear(self) -> None:
        """Take what has come."""
        while self._sub.poll(0):
            self.frames.append(decode_frame(self._sub.recv_multipart()[1]))

    def of(self, stream_type: str, symbol: str) -> list[dict[str, Any]]:
        """All frames of a kind so far."""
        self.hear()
        return [data for kind, data in self.frames if kind == stream_type and data["symbol"] == symbol]

    def snapshots(self, symbol: str) -> list[dict[str, Any]]:
        return self.of("depth_snapshot", symbol)

    def status(self) -> dict[str, Any]:
        """The newest status of the REST process that has come; it waits for the first one."""
        return eventually(lambda: self.of("status", "rest"), what="a status of rest")[-1]

    def until_status(self, **expected: Any) -> None:
        """Wait for a status with these values."""

        def differs() -> dict[str, Any]:
            status = self.status()
            return {key: status.get(key) for key, value in expected.items() if status.get(key) != value}

        eventually(lambda: not differs(), what=f"{expected} in the status of rest")

    def is_asked(self) -> bool:
        """Return True while somebody gets the requests that are published here."""
        while self._pub.poll(0):
            subscription = self._pub.recv()
            if subscription[1:] == ASKED_FOR:
                self._is_asked = subscription[:1] == b"\x01"
        return self._is_asked

    def ask(self, symbol: str, last_update_id: object = 0, reason: object = "test") -> None:
        """A worker's request, once."""
        self._seq += 1
        data = {
            "symbol": symbol,
            "stream": "depth_snapshot",
            "recv_ns": time.time_ns(),
            "producer": "test",
            "epoch": 1,
            "seq": self._seq,
            "source": "local",
            "reason": reason,
            "last_update_id": last_update_id,
        }
        self.send(f"request.{symbol}.".encode(), encode_frame("request", data))

    def ask_until(self, symbol: str, last_update_id: int, count: int) -> None:
        """A worker's request, repeated until so many snapshots have come."""

        def are_there() -> bool:
            self.ask(symbol, last_update_id)
            return len(self.snapshots(symbol)) >= count

        eventually(are_there, every_s=0.5)

    def send(self, *parts: bytes) -> None:
        """Anything."""
        self._pub.send_multipart(list(parts))

    def close(self) -> None:
        for socket in (self._sub, self._pub):
            socket.close(linger=0)
        self._context.term()


class Writer:
    """The writer's end of the durable path, which says nothing."""

    def __init__(self, config: Path) -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._pull = intake_pull(self._context, load(config).endpoints.writer_intake)
        self.taken: list[tuple[str, dict[str, Any]]] = []

    def frames(self) -> int:
        """How many frames have come."""
        while self._pull.poll(0):
            batch = decode_batch(self._pull.recv_multipart())
            self.taken.extend(decode_frame(frame) for frame in split_frames(batch.frames))
        return len(self.taken)

    def __enter__(self) -> "Writer":
        return self

    def __exit__(self, *_: object) -> None:
        self._pull.close(linger=0)
        self._context.term()


@pytest.fixture
def simulator(place: Path) -> Iterator[Simulator]:
    with Simulator(place, "--symbols", "BTCUSDT,ETHUSDT,币安人生USDT", "--rate", "100") as found:
        yield found


def configured(place: Path, simulator: Simulator, **network: Any) -> Path:
    streams = ["aggTrade", "depth@0ms"]
    return write_config(place, {"BTCUSDT": streams, "ETHUSDT": streams}, {**simulator.urls, **network})


@pytest.fixture
def config(place: Path, simulator: Simulator) -> Path:
    return configured(place, simulator)


@pytest.fixture
def bus(place: Path, config: Path) -> Iterator[Bus]:
    with running_bus(place, config) as found:
        yield found


@contextmanager
def running_bus(place: Path, config: Path) -> Iterator[Bus]:
    """A bus that is heard: whatever `rest` says from its start on comes."""
    with service("bus", config, output=place / "bus.out"):
        found = Bus(config)
        eventually(lambda: found.of("status", "bus"), what="the bus is up")
        yield found
        found.close()


def rest_process(place: Path, config: Path) -> Program:
    return service("rest", config, output=place / "rest.out")


def answers(place: Path) -> list[tuple[int, int, str]]:
    """The exchange's truth: sent_ns, status, path and query of every answer."""
    lines = (place / "tape" / "rest.txt").read_text(encoding="utf-8", errors="replace").splitlines()
    found = []
    for line in lines:
        words = line.split(" ", 3)
        if len(words) >= 3 and words[0].isdigit():
            found.append((int(words[0]), int(words[1]), words[2]))
    return found


def running(bus: Bus) -> None:
    """Wait until `rest` has the list of symbols, and hears requests: it subscribes with another socket."""
    eventually(lambda: bus.status()["state"] == "answered" and bus.status()["symbols"], what="rest has asked")
    eventually(bus.is_asked, what="rest hears requests")


def test_the_first_requests_of_a_run_are_the_time_and_the_exchange_info(
    place: Path, config: Path, bus: Bus, simulator: Simulator
) -> None:
    with rest_process(place, config) as rest:
        running(bus)
        assert rest.stop() == 0
    simulator.stop()
    assert [path for _, _, path in answers(place)] == ["/fapi/v1/time"] * SAMPLES + ["/fapi/v1/exchangeInfo"]
    bus.until_status(symbols={"BTCUSDT": "TRADING", "ETHUSDT": "TRADING"})
    assert abs(bus.status()["clock_offset_ms"]) < 1000
    assert eventually(lambda: bus.of("symbol_status", "BTCUSDT"))[-1]["status"] == "TRADING"
    (listed,) = eventually(lambda: bus.of("exchange_info", "EXCHANGE"))
    assert {item["symbol"] for item in json.loads(listed["event"])["symbols"]} == {"BTCUSDT", "ETHUSDT", "币安人生USDT"}


def test_a_requested_snapshot_is_recorded_as_the_bytes_that_came(
    place: Path, config: Path, bus: Bus, simulator: Simulator
) -> None:
    with rest_process(place, config) as rest, Writer(config) as writer:
        running(bus)
        bus.ask("币安人生USDT")
        snapshot = eventually(lambda: bus.snapshots("币安人生USDT"))[0]
        eventually(lambda: bus.status()["journal"]["appended"] == 3, what="clock, list and snapshot are journalled")
        eventually(lambda: writer.frames() >= 3)
        assert rest.stop() == 0
        assert ("depth_snapshot", snapshot) in writer.taken
    simulator.stop()
    assert snapshot["stream"] == "/fapi/v1/depth?symbol=%E5%B8%81%E5%AE%89%E4%BA%BA%E7%94%9FUSDT&limit=1000"
    line = (place / "tape" / "rest.txt").read_bytes().splitlines()[-1]
    assert line.split(b" ", 3)[3] == snapshot["event"]
    assert (snapshot["source"], snapshot["connection"], snapshot["seq"]) == ("rest", 0, 1)
    assert 0 < snapshot["recv_ns"] - snapshot["requested_ns"] < 60_000_000_000


def depth_requests(place: Path) -> list[tuple[int, int, str]]:
    return [answer for answer in answers(place) if "/depth?" in answer[2]]


def rounds(bus: Bus, count: int) -> None:
    """Wait for so many more status messages: a time in which something does not happen."""
    last = bus.status()["seq"]
    eventually(lambda: bus.status()["seq"] >= last + count)


def test_requests_for_one_symbol_become_one_snapshot(place: Path, config: Path, bus: Bus, simulator: Simulator) -> None:
    with rest_process(place, config):
        running(bus)
        simulator.command("rest slow 1 1")
        for _ in range(20):
            bus.ask("BTCUSDT")
        bus.ask("ETHUSDT")
        eventually(lambda: bus.snapshots("BTCUSDT") and bus.snapshots("ETHUSDT"))
        rounds(bus, 2)
    simulator.stop()
    assert [path for _, _, path in depth_requests(place)] == [
        "/fapi/v1/depth?symbol=BTCUSDT&limit=1000",
        "/fapi/v1/depth?symbol=ETHUSDT&limit=1000",
    ]


def test_a_snapshot_older_than_asked_for_is_recorded_and_asked_for_again(
    place: Path, config: Path, bus: Bus, simulator: Simulator
) -> None:
    with rest_process(place, config):
        running(bus)
        bus.ask("BTCUSDT")
        first = json.loads(eventually(lambda: bus.snapshots("BTCUSDT"))[0]["event"])["lastUpdateId"]
        simulator.command("rest stale 1")
        needed = first + 1
        bus.ask_until("BTCUSDT", needed, 3)
        ids = [json.loads(data["event"])["lastUpdateId"] for data in bus.snapshots("BTCUSDT")]
    assert ids[1] < needed <= ids[-1]
    assert [data["seq"] for data in bus.snapshots("BTCUSDT")] == list(range(1, len(ids) + 1))


@pytest.mark.parametrize("fault", ["rest 5xx 2", "rest html 2", "rest truncated 2", "rest 202 2", "rest timeout 1",
                                   "rest 403 1", "rest 451 1", "rest 429 1 1"])  # fmt: skip
def test_after_every_wrong_answer_the_snapshot_comes(place: Path, simulator: Simulator, fault: str) -> None:
    config = configured(place, simulator, request_timeout=1)
    with running_bus(place, config) as bus, rest_process(place, config):
        running(bus)
        simulator.command(fault)
        bus.ask("BTCUSDT")
        (snapshot,) = eventually(lambda: bus.snapshots("BTCUSDT"))
        eventually(lambda: bus.status()["state"] == "answered")
    assert json.loads(snapshot["event"])["bids"]


def test_a_request_that_a_kill_cut_short_is_not_forgotten(
    place: Path, config: Path, bus: Bus, simulator: Simulator
) -> None:
    with rest_process(place, config) as rest:
        running(bus)
        simulator.command("rest slow 30 1")
        bus.ask("BTCUSDT")
        eventually(lambda: bus.status()["used_weight"] == SAMPLES + 21)
        rest.kill()
    loaded = state.load(place / "run" / "rest.json", time.time_ns())
    assert loaded
    assert sorted(weight for _, weight in loaded[0].pace.sent) == [1] * (SAMPLES + 1) + [20]


def test_a_damaged_state_counts_as_a_full_minute(place: Path, config: Path, bus: Bus, simulator: Simulator) -> None:
    (place / "run" / "rest.json").write_bytes(b'{"written_ns":1')
    with rest_process(place, config):
        eventually(lambda: bus.status()["used_weight"] > 1200)
        rounds(bus, 3)
    simulator.stop()
    assert answers(place) == []


def test_after_midnight_utc_every_symbol_gets_a_snapshot(place: Path) -> None:
    midnight_ms = 1_790_640_000_000
    start = ["--start-time-ms", str(midnight_ms - 10_000)]
    with Simulator(place, "--symbols", "BTCUSDT,ETHUSDT", "--rate", "10", *start) as simulator:
        config = configured(place, simulator)
        taken_ms = dict.fromkeys(("BTCUSDT", "ETHUSDT"), midnight_ms - 15 * 60_000)
        state.save(place / "run" / "rest.json", state.RestState(SavedPace(0, [], []), taken_ms), time.time_ns())
        with running_bus(place, config) as bus, rest_process(place, config):
            for symbol in ("BTCUSDT", "ETHUSDT"):
                snapshot = eventually(lambda name=symbol: bus.snapshots(name))[0]  # type: ignore[misc]
                assert json.loads(snapshot["event"])["E"] >= midnight_ms


@pytest.mark.parametrize("where", ["text", "retry-after"])
def test_a_restart_during_a_ban_sends_nothing_until_it_ends(
    place: Path, config: Path, bus: Bus, simulator: Simulator, where: str
) -> None:
    with rest_process(place, config) as rest:
        running(bus)
        simulator.command(f"rest 418 15 {where}")
        bus.ask("BTCUSDT")
        eventually(lambda: bus.status()["state"] == "standing down")
        rest.kill()
    assert simulator.stats()["requests_during_ban"] == 1
    with rest_process(place, config):
        eventually(lambda: bus.status().get("stand_down_s", 0) > 0 and bus.status()["state"] == "starting")
        bus.ask("BTCUSDT")
        eventually(lambda: bus.status()["state"] == "answered")
        bus.ask_until("BTCUSDT", 0, 1)
    assert simulator.stats()["requests_during_ban"] == 1


def test_a_429_without_retry_after_is_obeyed_for_a_minute(
    place: Path, config: Path, bus: Bus, simulator: Simulator
) -> None:
    with rest_process(place, config):
        running(bus)
        simulator.command("rest 429 1 none")
        bus.ask("BTCUSDT")
        status = eventually(lambda: bus.status()["state"] == "standing down" and bus.status())
        assert 0 < status["stand_down_s"] <= 60
        rounds(bus, 3)
    simulator.stop()
    assert [status for _, status, _ in depth_requests(place)] == [429]


def test_the_share_of_the_weight_limit_is_kept(place: Path) -> None:
    with Simulator(place, "--symbols", "AUSDT,BUSDT,CUSDT", "--rate", "10", "--weight-limit", "100") as simulator:
        config = configured(place, simulator, weight_share=0.5)
        with running_bus(place, config) as bus, rest_process(place, config):
            running(bus)
            for symbol in ("AUSDT", "BUSDT", "CUSDT"):
                bus.ask(symbol)
            eventually(lambda: bus.snapshots("AUSDT") and bus.snapshots("BUSDT"))
            rounds(bus, 3)
            assert not bus.snapshots("CUSDT")
            bus.until_status(used_weight=46, weight_limit=100, waiting=1)


def test_periodic_snapshots_need_no_request_and_leave_out_what_does_not_trade(
    place: Path, simulator: Simulator
) -> None:
    config = configured(place, simulator, snapshot_interval=1, exchange_info_interval=1)
    simulator.command("symbol ETHUSDT SETTLING")
    with running_bus(place, config) as bus, rest_process(place, config):
        eventually(lambda: len(bus.snapshots("BTCUSDT")) >= 3)
        bus.until_status(symbols={"BTCUSDT": "TRADING", "ETHUSDT": "SETTLING"})
        assert not bus.snapshots("ETHUSDT")
        simulator.command("symbol ETHUSDT TRADING")
        eventually(lambda: bus.snapshots("ETHUSDT"))
        eventually(lambda: bus.of("symbol_status", "ETHUSDT")[-1]["status"] == "TRADING")
        eventually(lambda: len(bus.of("exchange_info", "EXCHANGE")) >= 2)
        change = json.loads(bus.of("exchange_info", "EXCHANGE")[-1]["event"])
    assert (list(change["changed"]), change["removed"]) == (["ETHUSDT"], [])
    assert change["changed"]["ETHUSDT"]["status"] == "TRADING"


def test_the_hours_of_a_tradfi_contract_are_recorded_and_told_days_ahead(place: Path) -> None:
    with Simulator(place, "--symbols", "BTCUSDT,TSLAUSDT", "--rate", "100") as simulator:
        simulator.command("session EQUITY 3600 86400")
        config = write_config(place, {"BTCUSDT": ["aggTrade"], "TSLAUSDT": ["aggTrade"]}, simulator.urls)
        with running_bus(place, config) as bus, rest_process(place, config) as rest:
            eventually(lambda: any(data.get("off_session") for data in bus.of("symbol_status", "TSLAUSDT")))
            running(bus)  # asked to end within its first second it would have said no status, or none that was heard
            bus.until_status(off_session=[])
            assert rest.stop() == 0
            ((start_ms, end_ms),) = bus.of("symbol_status", "TSLAUSDT")[-1]["off_session"]
            assert end_ms - start_ms == 3_600_000
            assert not any(data["off_session"] for data in bus.of("symbol_status", "BTCUSDT"))
            eventually(lambda: len(bus.of("exchange_info", "EXCHANGE")) >= 2)
            listed, hours = bus.of("exchange_info", "EXCHANGE")
        simulator.stop()
    assert "symbols" in json.loads(listed["event"])
    found = json.loads(hours["event"])["marketSchedules"]["EQUITY"]["sessions"]
    closed = [one for one in found if one["type"] == "NO_TRADING"]  # two, where midnight lies in it
    assert (closed[0]["startTime"], closed[-1]["endTime"]) == (start_ms, end_ms)
    assert [path for _, _, path in answers(place)].count("/fapi/v1/tradingSchedule") == 1


def _asked(bus: Bus, pid: int) -> None:
    eventually(lambda: bus.status().get("pid") == pid and bus.status()["symbols"])
    rounds(bus, 1)


def test_what_the_exchange_lists_is_recorded_once_over_restarts(
    place: Path, config: Path, bus: Bus, simulator: Simulator
) -> None:
    for _ in range(2):
        with rest_process(place, config) as rest:
            _asked(bus, rest.pid)
    assert len(bus.of("exchange_info", "EXCHANGE")) == 1


def test_the_members_of_a_top_are_those_with_the_most_turnover(place: Path) -> None:
    """The simulator gives each symbol a turnover of its own; DUSDT and BUSDT have the most."""
    with Simulator(place, "--symbols", "AUSDT,BUSDT,CUSDT,DUSDT", "--rate", "10") as simulator:
        group = {"name": "most", "match": {"symbol": "*"}, "top": 2, "streams": ["aggTrade"]}
        modes = {"development": {"groups": [group]}}
        config = write_config(place, {}, simulator.urls, modes=modes)
        with rest_process(place, config) as rest:
            members = place / "run" / "members.json"
            eventually(members.exists, what="the members are known")
            assert json.loads(members.read_bytes()) == {"most": ["BUSDT", "DUSDT"]}
            assert rest.stop() == 0
        simulator.stop()
    paths = [path for _, _, path in answers(place)]
    assert paths.count("/fapi/v1/ticker/24hr") == 1
    assert paths.index("/fapi/v1/ticker/24hr") < paths.index("/fapi/v1/exchangeInfo")


def test_strangers_on_the_bus_change_nothing(place: Path, config: Path, bus: Bus, simulator: Simulator) -> None:
    with rest_process(place, config):
        running(bus)
        bus.send(b"request.")
        bus.send(b"request.X.", b"\xc1")
        bus.send(b"request.X.", b"", b"")
        bus.send(b"\xff\xfe", b"request")
        bus.ask("../../etc/passwd")
        bus.ask("BTCUSDT", last_update_id="1")
        bus.ask("BTCUSDT", last_update_id=-1)
        bus.ask("BTCUSDT", last_update_id=True)
        bus.ask("BTCUSDT", reason=None)
        bus.ask("NOSUCHUSDT")
        bus.ask("ETHUSDT")
        eventually(lambda: bus.snapshots("ETHUSDT"))
        eventually(lambda: bus.status()["refused_requests"] == 9)
    simulator.stop()
    assert len(depth_requests(place)) == 1


def test_the_exchange_clock_is_measured_again_and_again_and_a_step_of_ours_is_told(place: Path) -> None:
    shift = place / "clock"
    shift.write_bytes(bytes(8))
    with Simulator(place, "--symbols", "BTCUSDT", "--rate", "10", "--clock-offset-ms", "-2500") as simulator:
        config = write_config(place, {"BTCUSDT": ["aggTrade"]}, {**simulator.urls, "clock_interval": 1})
        environment = {TEST_OFFSET_VARIABLE: str(shift)}
        with (
            running_bus(place, config) as bus,
            service("rest", config, output=place / "rest.out", environment=environment),
        ):
            eventually(lambda: len(bus.of("clock", "EXCHANGE")) >= 2)
            first, second = bus.of("clock", "EXCHANGE")[:2]
            shift.write_bytes((30 * 10**9).to_bytes(8, "little", signed=True))
            eventually(lambda: bus.status().get("clock_steps") == 1)
            step = eventually(lambda: [data for data in bus.of("clock", "EXCHANGE") if data["source"] == "local"])[0]
            after = eventually(
                lambda: [
                    data
                    for data in bus.of("clock", "EXCHANGE")
                    if data["source"] == "rest" and data["recv_ns"] > step["recv_ns"]
                ]
            )[0]
            status = eventually(lambda: bus.status()["clock_measured_ns"] >= after["recv_ns"] and bus.status())
    for data, truth_ms in ((first, -2500), (second, -2500), (after, -32_500)):
        assert abs(data["offset_ms"] - truth_ms) <= data["error_ms"]
        assert data["error_ms"] == pytest.approx(data["round_trip_ms"] / 2 + 1, abs=0.002)
        assert data["samples"] == SAMPLES
    assert step["step_ms"] == pytest.approx(30_000, abs=50)
    assert 0 < step["recv_ns"] - step["step_from_ns"] - 30 * 10**9 < 60 * 10**9
    assert abs(status["clock_offset_ms"] + 32_500) <= status["clock_error_ms"]
    assert status["clock_step_ms"] == pytest.approx(30_000, abs=50)
