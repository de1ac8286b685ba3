"""Clients are let in by their keys, and not while the door is held; on real sockets of one context."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
import zmq

from binance_streamer.transport.curve import Context
from binance_streamer.transport.sockets import acks_xpub, bus_sub, intake_pull, intake_push
from binance_streamer.transport.zap import ClientRequest, WaitingClients

Socket = zmq.Socket[bytes]


class Sockets:
    """A server and its clients, each kind in a context of its own."""

    def __init__(self, place: Path) -> None:
        self.server = Context()
        self._clients: zmq.Context[Socket] = zmq.Context()
        self._endpoint = f"ipc://{place}/"
        self._made: list[Socket] = []

    def bind(self, make: Callable[..., Socket], name: str) -> Socket:
        """A socket of the server's."""
        self._made.append(make(self.server, self._endpoint + name))
        return self._made[-1]

    def connect(self, make: Callable[..., Socket], name: str, *topics: bytes) -> Socket:
        """A client's."""
        self._made.append(make(self._clients, self._endpoint + name, *topics))
        return self._made[-1]

    def close(self) -> None:
        """All of them, and both contexts."""
        for socket in self._made:
            socket.close(linger=0)
        self.server.destroy(linger=0)
        self._clients.destroy(linger=0)


@pytest.fixture
def sockets(place: Path) -> Iterator[Sockets]:
    with closing(Sockets(place)) as made:
        yield made


def test_subscribers_that_are_held_wait_and_then_come_in(sockets: Sockets) -> None:
    xpub = sockets.bind(acks_xpub, "acks")
    sockets.server.hold_subscribers(3600)
    sockets.connect(bus_sub, "acks", b"one")
    assert not xpub.poll(500)
    sockets.server.hold_subscribers(0)
    sockets.connect(bus_sub, "acks", b"two")
    assert xpub.poll(20_000)
    assert xpub.recv() == b"\x01two"


def test_a_client_waits_for_the_hold_that_it_found_and_for_no_later_one() -> None:
    """A flood that goes on is held again and again, and keeps no newcomer out."""
    first, second = (ClientRequest(name, b"1", b"subscribers", None) for name in (b"first", b"second"))
    waiting = WaitingClients()
    waiting.hold(b"subscribers", 1.0)
    waiting.add(first)
    waiting.hold(b"subscribers", 1.9)
    waiting.add(second)
    waiting.hold(b"subscribers", 3600.0)
    assert waiting.take_due(0.9) == []
    assert waiting.take_due(1.0) == [first]
    assert waiting.take_due(2.0) == [second]
    assert not waiting


def test_held_subscribers_keep_nobody_from_another_socket(sockets: Sockets) -> None:
    sockets.bind(acks_xpub, "acks")
    pull = sockets.bind(intake_pull, "intake")
    sockets.server.hold_subscribers(3600)
    push = sockets.connect(intake_push, "intake")
    assert push.poll(20_000, zmq.POLLOUT)
    push.send(b"a batch")
    assert pull.poll(20_000)
    assert pull.recv() == b"a batch"


def test_one_who_subscribes_already_is_not_held(sockets: Sockets) -> None:
    xpub = sockets.bind(acks_xpub, "acks")
    sub = sockets.connect(bus_sub, "acks", b"one")
    assert xpub.poll(20_000)
    assert xpub.recv() == b"\x01one"
    sockets.server.hold_subscribers(3600)
    sub.setsockopt(zmq.SUBSCRIBE, b"two")
    assert xpub.poll(20_000)
    assert xpub.recv() == b"\x01two"
