import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgpack
import pytest
import zmq

from binance_streamer.client.tap import Tap, is_listening
from binance_streamer.transport.sockets import bus_xpub
from binance_streamer.wire.frames import Topic, encode_frame, encode_topic
from tests.support.configs import write_config
from tests.support.waiting import eventually

EVENT = b'{"e":"aggTrade","E":1723161256298,"s":"BTCUSDT","p":"58710.20","a":9007199254740993}'
DATA: dict[str, Any] = {
    "symbol": "BTCUSDT",
    "stream": "btcusdt@aggTrade",
    "recv_ns": 1723161256300000001,
    "producer": "ingest-BTCUSDT",
    "epoch": 1723161250000000000,
    "seq": 1,
    "source": "ws",
    "connection": 1,
    "event": EVENT,
}


class Bus:
    """The subscribers' side of a bus, which publishes what a test says."""

    def __init__(self, place: Path) -> None:
        self.endpoint = f"ipc://{place}/bus"
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._xpub = bus_xpub(self._context, self.endpoint)

    def wait_for_subscription(self) -> bytes:
        assert self._xpub.poll(60_000)
        return self._xpub.recv()

    def publish(self, *parts: bytes) -> None:
        self._xpub.send_multipart(parts)

    def close(self) -> None:
        self._context.destroy(linger=1000)


@pytest.fixture
def bus(place: Path) -> Iterator[Bus]:
    opened = Bus(place)
    yield opened
    opened.close()


def test_a_tap_yields_topic_type_and_data(bus: Bus) -> None:
    with Tap(bus.endpoint, ["aggtrade.BTCUSDT."]) as tap:
        assert bus.wait_for_subscription() == b"\x01aggtrade.BTCUSDT."
        bus.publish(encode_topic("aggtrade", "BTCUSDT"), encode_frame("aggtrade", DATA))

        assert next(iter(tap)) == (Topic("aggtrade", "BTCUSDT", ""), "aggtrade", DATA)


def test_a_tap_without_topics_hears_everything(bus: Bus) -> None:
    with Tap(bus.endpoint) as tap:
        assert bus.wait_for_subscription() == b"\x01"
        bus.publish(encode_topic("depth", "ETHUSDT", "0ms"), encode_frame("depth", DATA))

        assert next(iter(tap)).topic == Topic("depth", "ETHUSDT", "0ms")


def test_what_breaks_the_contract_is_dropped_and_counted(bus: Bus) -> None:
    with Tap(bus.endpoint) as tap:
        bus.wait_for_subscription()
        good = encode_frame("aggtrade", DATA)
        bus.publish(b"aggtrade.BTCUSDT.")
        bus.publish(b"no dots", good)
        bus.publish(b"aggtrade.BTCUSDT.", b"\xc1")
        bus.publish(b"aggtrade.BTCUSDT.", msgpack.packb(("aggtrade", {"symbol": 3})))
        bus.publish(b"aggtrade.BTCUSDT.", good)

        message = tap.receive(10)
        assert message is not None
        assert message.data == DATA
        assert tap.refused == 4
        assert tap.receive(0) is None


def test_a_flood_of_bad_messages_ends_no_tap(bus: Bus) -> None:
    with Tap(bus.endpoint) as tap:
        bus.wait_for_subscription()
        for _ in range(3000):
            bus.publish(b"x", b"y")
        assert tap.receive(1) is None
        assert tap.refused == 3000


def config_file(place: Path, endpoint: str) -> Path:
    path = place / "streamer.yaml"
    path.write_text(
        "mode: development\nmodes: {development: {symbols: [{symbol: BTCUSDT}]}}\n"
        f'endpoints: {{run_directory: run, bus_subscribe: "{endpoint}"}}\n'
    )
    return path


def tap_process(place: Path, bus: Bus, *arguments: str) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "binance_streamer", "tap", "-c", str(config_file(place, bus.endpoint)), *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_json_lines_hold_the_event_with_its_own_digits(place: Path, bus: Bus) -> None:
    with tap_process(place, bus, "--json", "--count", "2") as tap:
        bus.wait_for_subscription()
        spaced = b'{"E":1,\n "p":"1.50", "q":1.500}'
        bus.publish(b"aggtrade.BTCUSDT.", encode_frame("aggtrade", DATA))
        bus.publish(b"aggtrade.BTCUSDT.", encode_frame("aggtrade", {**DATA, "seq": 2, "event": spaced}))
        out, err = tap.communicate(timeout=30)

    assert (tap.returncode, err) == (0, b"")
    first, second = out.splitlines()
    assert first == (
        b'{"topic":"aggtrade.BTCUSDT.","stream_type":"aggtrade","symbol":"BTCUSDT","stream":"btcusdt@aggTrade",'
        b'"recv_ns":1723161256300000001,"producer":"ingest-BTCUSDT","epoch":1723161250000000000,"seq":1,"source":"ws",'
        b'"connection":1,"event":{"e":"aggTrade","E":1723161256298,"s":"BTCUSDT","p":"58710.20",'
        b'"a":9007199254740993}}'
    )
    assert second.endswith(b'"event":{"E":1,"p":"1.50","q":1.500}}')


def test_another_bus_than_the_configured_one_can_be_named(place: Path, bus: Bus) -> None:
    elsewhere = str(config_file(place, f"ipc://{place}/nobody"))
    command = [sys.executable, "-m", "binance_streamer", "tap", "-c", elsewhere, "--bus", bus.endpoint, "--count", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as tap:
        bus.wait_for_subscription()
        bus.publish(b"aggtrade.BTCUSDT.", encode_frame("aggtrade", DATA))
        out, _ = tap.communicate(timeout=30)
    assert (tap.returncode, out.splitlines()[1][:17]) == (0, b"aggtrade.BTCUSDT.")


def test_an_event_that_is_no_json_is_shown_as_text(place: Path, bus: Bus) -> None:
    with tap_process(place, bus, "--json", "--count", "1") as tap:
        bus.wait_for_subscription()
        bus.publish(b"raw.BTCUSDT.", encode_frame("raw", {**DATA, "event": b'{"a":\x1b[2J\xff'}))
        out, _ = tap.communicate(timeout=30)

    assert json.loads(out)["event"] == '{"a":\x1b[2J\N{REPLACEMENT CHARACTER}'


@pytest.mark.parametrize("given", ["aggTrade.BTCUSDT.", "aggtrade.btcusdt."])
def test_a_topic_may_be_spelled_as_the_exchange_does(place: Path, bus: Bus, given: str) -> None:
    with tap_process(place, bus, given) as tap:
        assert bus.wait_for_subscription() == b"\x01aggtrade.BTCUSDT."
        tap.kill()


def test_a_line_says_topic_number_stamp_latency_and_event(place: Path, bus: Bus) -> None:
    with tap_process(place, bus, "aggtrade.", "--count", "1") as tap:
        assert bus.wait_for_subscription() == b"\x01aggtrade."
        bus.publish(b"aggtrade.BTCUSDT.", encode_frame("aggtrade", DATA))
        out, _ = tap.communicate(timeout=30)

    heading, line = out.decode().splitlines()
    assert heading.split() == ["topic", "seq", "recv_ns", "latency", "event"]
    assert line.split(maxsplit=4)[:4] == ["aggtrade.BTCUSDT.", "1", "1723161256300000001", "2.0ms"]
    assert '"p":"58710.20"' in line


def test_a_stranger_cannot_write_to_the_terminal(place: Path, bus: Bus) -> None:
    with tap_process(place, bus, "--count", "1") as tap:
        bus.wait_for_subscription()
        bus.publish(b"raw.BTC\x1b[2J\n.", encode_frame("raw", {**DATA, "event": b"\x1b[2J\n\xe2\x80\xae"}))
        out, _ = tap.communicate(timeout=30)

    assert out.count(b"\n") == 2
    assert b"\x1b" not in out
    assert "\N{RIGHT-TO-LEFT OVERRIDE}" not in out.decode()


def test_a_closed_pipe_ends_a_tap_without_a_complaint(place: Path, bus: Bus) -> None:
    with tap_process(place, bus) as tap:
        bus.wait_for_subscription()
        assert tap.stdout is not None
        tap.stdout.close()

        def ended() -> bool:
            bus.publish(b"aggtrade.BTCUSDT.", encode_frame("aggtrade", DATA))
            return tap.poll() is not None

        eventually(ended, 20, what="the tap ends")
        assert tap.stderr is not None
        assert tap.stderr.read() == b""


def test_a_silent_bus_is_explained(place: Path, bus: Bus) -> None:
    with tap_process(place, bus, "nothing.") as tap:
        assert tap.stderr is not None
        assert b"nothing received for 5 s" in tap.stderr.readline()
        tap.terminate()
        assert tap.wait(20) is not None


def test_where_nobody_listens_a_tap_says_so_at_once(place: Path) -> None:
    config = write_config(place, {"BTCUSDT": ["aggTrade"]}, {})
    command = [sys.executable, "-m", "binance_streamer", "tap", "-c", str(config)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as tap:
        assert tap.stderr is not None
        line = tap.stderr.readline().decode()
        assert line.startswith(f"nobody listens at ipc://{place}/run/bus.subscribe, the bus of {config}: ")
        tap.terminate()
        assert tap.wait(20) is not None


def test_a_process_that_listens_is_told_from_none(place: Path) -> None:
    path = place / "bus.socket"
    assert not is_listening(f"ipc://{path}")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        assert not is_listening(f"ipc://{path}")
        listener.listen()
        assert is_listening(f"ipc://{path}")
    with socket.create_server(("127.0.0.1", 0)) as server:
        endpoint = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        assert is_listening(endpoint)
    assert not is_listening(endpoint)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--data", "."], "means nothing without --from"),
        (["depth.", "--from", "2026-11-22T13:00"], "nothing of depth. is recorded in "),
        (["--from", "2026-11-22T13:00", "--data", "nowhere"], "no recording at nowhere"),
        (["--from", "2199-01-01T13:00"], "expected a time that is over, got 2199-01-01T13:00: the history ends now"),
    ],
)
def test_a_history_that_cannot_be_shown_is_one_clear_line(
    place: Path, bus: Bus, arguments: list[str], says: str
) -> None:
    with tap_process(place, bus, *arguments) as tap:
        _, err = tap.communicate(timeout=60)
    assert tap.returncode in (1, 2)
    assert says in " ".join(err.decode().replace("│", " ").split())
    assert b"Traceback" not in err
