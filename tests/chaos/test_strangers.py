"""Malformed frames on every socket of ours while it records: dropped and counted, and nothing else happens."""

import socket
import threading
import time
from pathlib import Path
from random import Random

import msgpack
import pytest
import zmq

from tests.chaos.pipeline import PATIENCE_S, SYMBOLS, Pipeline
from tests.chaos.runs import check, seeded, sleep
from tests.chaos.table import Fault
from tests.support.addresses import free_port
from tests.support.waiting import eventually

SOCKETS = ("bus_publish", "bus_subscribe", "writer_intake", "writer_acks")


class Stranger(threading.Thread):
    """Sends nonsense to one endpoint until told to stop, over ZeroMQ and as plain bytes."""

    def __init__(self, endpoint: str, kind: int, seed: int) -> None:
        super().__init__(daemon=True)
        self.sent = 0
        self.closing = threading.Event()
        self._endpoint = endpoint
        self._kind = kind
        self._random = Random(seed)

    def run(self) -> None:
        """Every few milliseconds something else."""
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        with context.socket(self._kind) as ours:
            ours.linger = 0
            ours.connect(self._endpoint)
            while not self.closing.wait(0.003):
                try:
                    ours.send_multipart(self._parts(), zmq.DONTWAIT)
                    self.sent += 1
                except zmq.Again:
                    pass
                if self._random.random() < 0.05:
                    self._shout()
        context.destroy(linger=0)

    def _parts(self) -> list[bytes]:
        random = self._random
        values = (
            random.randbytes(random.randrange(200)),
            b"",
            msgpack.packb((random.getrandbits(64), random.getrandbits(10), None)),
            msgpack.packb(("aggtrade", {"symbol": "../x", "seq": -1})),
            b"\x01" + random.randbytes(20),
            b"\xdf\xff\xff\xff\xff",
            b"ingest-BTCUSDT"[: random.randrange(1, 13)],
        )
        return random.choices(values, k=random.randrange(1, 5))

    def _shout(self) -> None:
        """Bytes that are not even ZeroMQ."""
        family = socket.AF_UNIX if self._endpoint.startswith("ipc") else socket.AF_INET
        place = self._endpoint.partition("://")[2]
        address = place if family == socket.AF_UNIX else ("127.0.0.1", int(place.rpartition(":")[2]))
        with socket.socket(family) as plain:
            plain.settimeout(2)
            try:
                plain.connect(address)
                plain.sendall(self._random.randbytes(self._random.randrange(1, 4000)))
            except OSError:
                pass  # hung up on, as it should be


@pytest.mark.parametrize("transport", ["ipc", pytest.param("tcp", marks=pytest.mark.slow)])
def test_strangers_disturb_nobody(place: Path, transport: str) -> None:
    random = seeded()
    endpoints = {name: f"tcp://127.0.0.1:{free_port()}" for name in SOCKETS} if transport == "tcp" else {}
    with Pipeline(place, rate=500, symbols=SYMBOLS[:2], endpoints=endpoints) as pipeline:
        pipeline.start()
        pipeline.wait_recording()
        kinds = {"bus_publish": zmq.PUB, "bus_subscribe": zmq.XSUB, "writer_intake": zmq.PUSH, "writer_acks": zmq.XSUB}
        strangers = [
            Stranger(getattr(pipeline.config.endpoints, name), kind, random.getrandbits(32))
            for name, kind in kinds.items()
        ]
        faults = [Fault("strangers", time.time_ns())]
        for stranger in strangers:
            stranger.start()
        pipeline.until("writer", lambda status: sum(status["refused"].values()) > 100, "it counts what it refused")
        eventually(lambda: all(stranger.sent > 100 for stranger in strangers), PATIENCE_S, what="strangers everywhere")
        for stranger in strangers:
            stranger.closing.set()
        for stranger in strangers:
            stranger.join()
        streams = pipeline.finish()
    check(streams, faults)
    assert not {stream.stream.name for stream in streams if stream.verdict.missing or stream.verdict.gaps}


def test_a_repeated_subscription_behind_another_part_does_not_stop_the_bus(place: Path) -> None:
    """libzmq swallowed the second part and waited for it for ever, and with it everything that is forwarded."""
    with Pipeline(place, rate=100, symbols=SYMBOLS[:1], streams=("aggTrade",)) as pipeline:
        pipeline.start("bus", "ingest-BTCUSDT")
        pipeline.status("ingest-BTCUSDT")
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        with context.socket(zmq.XSUB) as stranger:
            stranger.connect(pipeline.config.endpoints.bus_subscribe)
            for _ in range(3):
                stranger.send_multipart([b"not a subscription", b"\x01x"])
                sleep(0.3)
            for name in ("ingest-BTCUSDT", "bus"):
                pipeline.status(name)
        context.destroy(linger=0)
        pipeline.alive()
