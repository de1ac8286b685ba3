"""Every process comes to its end, whatever is broken in it."""

import resource
import signal
import sys
from contextlib import closing
from pathlib import Path

import pytest
import zmq

from binance_streamer.config.schema import load
from binance_streamer.transport import sockets
from tests.support.configs import write_config
from tests.support.processes import Program, service
from tests.support.waiting import eventually

SERVICES = {
    "bus": (),
    "ingest": ("--symbol", "BTCUSDT"),
    "monitor": (),
    "orderbook": (),
    "rest": (),
    "writer": (),
}


def broken(place: Path, fault: str, name: str) -> Program:
    urls = {"websocket_url": "ws://127.0.0.1:1", "rest_url": "http://127.0.0.1:1"}
    config = write_config(place, {"BTCUSDT": ["aggTrade", "depth@0ms"]}, urls)
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "tests.support.sabotage",
        fault,
        name,
        "-c",
        config,
        *SERVICES[name],
    ]
    return Program(command, place / f"{name}.out")


@pytest.mark.parametrize("name", SERVICES)
def test_a_process_that_cannot_end_after_an_error_is_ended(place: Path, name: str) -> None:
    with broken(place, "hang-at-end", name) as program:
        assert program.wait() == -signal.SIGALRM
    assert "MemoryError: sabotage" in program.text()


@pytest.mark.parametrize("name", SERVICES)
def test_a_thread_that_dies_ends_its_process(place: Path, name: str) -> None:
    with broken(place, "thread-dies", name) as program:
        assert program.wait() == 70


def test_a_writer_without_memory_ends(place: Path) -> None:
    path = write_config(place, {"BTCUSDT": ["aggTrade"]}, {})
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    with service("writer", path, output=place / "writer.out") as writer:
        push = sockets.intake_push(context, load(path).endpoints.writer_intake)
        with closing(push):
            assert eventually(lambda: push.poll(0, zmq.POLLOUT), what="the writer takes batches")
            pages = int(Path(f"/proc/{writer.pid}/statm").read_text(encoding="ascii").split()[0])
            limit_bytes = pages * resource.getpagesize() + 2 * 2**20
            resource.prlimit(writer.pid, resource.RLIMIT_AS, (limit_bytes, limit_bytes))
            push.send_multipart([b"ingest-BTCUSDT", b"x", bytes(3_900_000)])
            assert writer.wait() != 0
    context.destroy(linger=0)
