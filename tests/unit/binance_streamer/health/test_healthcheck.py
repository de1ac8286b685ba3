"""The health check of a container: one process, judged by what it says itself."""

import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import zmq

from binance_streamer.config import schema as configuration
from binance_streamer.health import healthcheck
from binance_streamer.transport import sockets
from binance_streamer.wire.frames import encode_frame, encode_topic
from binance_streamer.wire.statuses import read_status
from tests.support.configs import write_config

SYMBOLS = {"BTCUSDT": ["aggTrade"], "ETHUSDT": ["aggTrade"]}


def status(producer: str, **fields: Any) -> dict[str, Any]:
    common = {"symbol": producer, "stream": "status", "recv_ns": 1, "producer": producer, "epoch": 1, "seq": 1}
    return {**common, "source": "local", "started_ns": 1, **fields}


def ingest(state: str = "live", silent_s: float = 0.2, **fields: Any) -> dict[str, Any]:
    stream = {"messages": 5, "state": state, "silent_s": silent_s, "patience_s": 60.0, "last_recv_ns": 1}
    link = {"connection": 1, "route": "market", "state": "delivering"}
    return status("ingest-BTCUSDT", streams={"btcusdt@aggTrade": stream}, connections=[link], **fields)


@pytest.fixture
def config(place: Path) -> Path:
    return write_config(place, SYMBOLS, {})


@pytest.fixture
def bus(config: Path) -> Iterator["zmq.Socket[bytes]"]:
    endpoint = configuration.load(config).endpoints.bus_subscribe
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    with closing(sockets.bus_xpub(context, endpoint)) as xpub:
        yield xpub
    context.destroy(linger=0)


def check(config: Path, name: str, bus: "zmq.Socket[bytes]", data: dict[str, Any]) -> int:
    """The exit code, once a status was sent to whoever asked."""
    codes: list[int] = []
    thread = threading.Thread(target=lambda: codes.append(healthcheck.main(["-c", str(config), name])))
    thread.start()
    assert bus.poll(30_000), "nobody listens"
    assert bus.recv() == b"\x01" + encode_topic("status", name)
    bus.send_multipart([encode_topic("status", name), encode_frame("status", data)])
    thread.join(30)
    return codes[0]


def test_a_worker_that_records_is_healthy(
    config: Path, bus: "zmq.Socket[bytes]", capsys: pytest.CaptureFixture[str]
) -> None:
    assert check(config, "ingest-BTCUSDT", bus, ingest()) == 0
    assert capsys.readouterr().out == ""


def test_a_worker_whose_data_stopped_is_not(
    config: Path, bus: "zmq.Socket[bytes]", capsys: pytest.CaptureFixture[str]
) -> None:
    assert check(config, "ingest-BTCUSDT", bus, ingest("stale", 75.0)) == 1
    assert capsys.readouterr().out == "failure: BTCUSDT aggTrade: silent for 75 s, expected every 60 s\n"


def test_a_status_that_cannot_be_read_is_not_healthy(
    config: Path, bus: "zmq.Socket[bytes]", capsys: pytest.CaptureFixture[str]
) -> None:
    assert check(config, "writer", bus, status("writer", rows="many")) == 1
    assert "status of 'writer'" in capsys.readouterr().out


def test_a_process_that_says_nothing_is_not_healthy(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(healthcheck, "_PATIENCE_S", 0.3)
    assert healthcheck.main(["-c", str(config), "writer"]) == 1
    assert capsys.readouterr().out.startswith("failure: writer: no status within")


@pytest.mark.parametrize("name", ["orderbook-BTCUSDT", "ingest-XRPUSDT"])
def test_a_process_that_is_not_configured_is_not_healthy(
    config: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert healthcheck.main(["-c", str(config), name]) == 1
    assert capsys.readouterr().out.startswith(f"failure: {name}: not a process of this configuration")


def test_a_configuration_that_is_not_valid_is_said(tmp_path: Path) -> None:
    assert healthcheck.main(["-c", str(tmp_path / "none.yaml"), "writer"]) == configuration.EXIT_CODE


def test_only_the_process_that_was_asked_is_judged(config: Path) -> None:
    found = configuration.load(config)
    heard = read_status(ingest(journal={"state": "journal full"}))
    problems = healthcheck.problems_of(found, "ingest-BTCUSDT", heard)
    assert [(problem.what, problem.severity) for problem in problems] == [("ingest-BTCUSDT", "failure")]
    assert healthcheck.problems_of(found, "bus", read_status(status("bus", state="forwarding"))) == []
    (full,) = healthcheck.problems_of(found, "writer", read_status(status("writer", state="disk full")))
    assert full.severity == "failure"
