"""Bounds what subscribers make an XPUB keep: libzmq bounds the length of a subscription, not their number.

libzmq keeps about 40 bytes for every byte of a topic, as long as its connection lasts.
"""

import contextlib
import logging
import os
import socket
from typing import NamedTuple

import zmq

MOST_BYTES = 1024 * 1024
"""Of all topics of all subscribers of a socket: some 40,000 ordinary ones; about 45 MB in libzmq."""
_OVERHEAD_BYTES = 8
"""Of each topic: the shortest ones are not free."""
_SUBSCRIBE, _UNSUBSCRIBE = b"\x01", b"\x00"
_log = logging.getLogger(__name__)


class SubscriberSocket(NamedTuple):
    """A descriptor of libzmq's, and the socket behind it: a number is used again once it is free."""

    descriptor: int
    inode: int


class Shares:
    """The topics of each connection, and the connections that hold so much that they have to go."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._topics: dict[SubscriberSocket, set[bytes]] = {}
        self._bytes: dict[SubscriberSocket, int] = {}

    @property
    def total_bytes(self) -> int:
        """The cost of all topics of all connections."""
        return sum(self._bytes.values())

    @property
    def connections(self) -> list[SubscriberSocket]:
        """The connections that have subscribed to something."""
        return list(self._topics)

    def subscribe(self, connection: SubscriberSocket, topic: bytes) -> None:
        """Note a subscription; a repeated one costs nothing."""
        topics = self._topics.setdefault(connection, set())
        if topic not in topics:
            topics.add(topic)
            self._bytes[connection] = self._bytes.get(connection, 0) + len(topic) + _OVERHEAD_BYTES

    def unsubscribe(self, connection: SubscriberSocket, topic: bytes) -> None:
        """Note the end of a subscription; nothing happens where there is none."""
        topics = self._topics.get(connection, set())
        if topic in topics:
            topics.remove(topic)
            self._bytes[connection] -= len(topic) + _OVERHEAD_BYTES

    def forget(self, connection: SubscriberSocket) -> None:
        """Drop all topics of a connection."""
        self._topics.pop(connection, None)
        self._bytes.pop(connection, None)

    def take_surplus(self) -> list[SubscriberSocket]:
        """Drop the connections that hold most until the rest is within the bound; returns those dropped."""
        found = []
        while self.total_bytes > self._most_bytes:
            most = max(self._bytes, key=self._bytes.__getitem__)
            self.forget(most)
            found.append(most)
        return found


class Subscriptions:
    """Reads what subscribers send to an XPUB, and cuts off the connections that hold too much.

    The socket needs XPUB_VERBOSER, else a repeated topic is not told of. A subscriber that is cut off may come back,
    and begins anew.
    """

    def __init__(self, xpub: "zmq.Socket[bytes]", most_bytes: int = MOST_BYTES) -> None:
        self.cut = 0
        self._xpub = xpub
        self._shares = Shares(most_bytes)

    def status(self) -> dict[str, int]:
        """Return the counts for a status message."""
        return {"subscription_bytes": self._shares.total_bytes, "subscribers_cut": self.cut}

    def take(self, most: int) -> list[bytes]:
        """Read at most so many messages; returns the topics that were subscribed to, repeated ones too."""
        found = []
        for _ in range(most):
            try:
                frame = self._xpub.recv(zmq.DONTWAIT, copy=False)
            except zmq.Again:
                break
            kind, topic, connection = frame.bytes[:1], frame.bytes[1:], _connection_of(frame)
            if kind == _SUBSCRIBE:
                found.append(topic)
                if connection is not None:
                    self._shares.subscribe(connection, topic)
            elif kind == _UNSUBSCRIBE and connection is not None:
                self._shares.unsubscribe(connection, topic)
        self._forget_ended()
        self._cut_surplus()
        return found

    def _forget_ended(self) -> None:
        for connection in self._shares.connections:
            if not _is_open(connection):
                self._shares.forget(connection)

    def _cut_surplus(self) -> None:
        surplus = self._shares.take_surplus()
        for connection in surplus:
            _hang_up(connection)
        if surplus and not self.cut:
            _log.warning("cut off a subscriber with too many subscriptions; further ones are counted in status")
        self.cut += len(surplus)


def _connection_of(frame: zmq.Frame) -> SubscriberSocket | None:
    """The connection a message came over; None where libzmq itself tells of what an ended one had subscribed to."""
    try:
        descriptor = int(frame.get(zmq.SRCFD))
        return SubscriberSocket(descriptor, os.fstat(descriptor).st_ino)
    except (zmq.ZMQError, OSError):
        return None


def _is_open(connection: SubscriberSocket) -> bool:
    try:
        return os.fstat(connection.descriptor).st_ino == connection.inode
    except OSError:
        return False


def _hang_up(connection: SubscriberSocket) -> None:
    """End a connection from outside: libzmq has no call for it, and takes it for one that the peer has ended."""
    with contextlib.suppress(OSError), socket.socket(fileno=os.dup(connection.descriptor)) as ours:
        if os.fstat(ours.fileno()).st_ino == connection.inode:
            ours.shutdown(socket.SHUT_RDWR)
