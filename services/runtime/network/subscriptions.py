"""Bounds what subscribers make an XPUB keep: libzmq bounds the length of a subscription, not their number.

libzmq keeps about 40 bytes for every byte of a topic, as long as its connection lasts.
"""

import logging
import os

import zmq

from binance_streamer.transport.curve import Context
from binance_streamer.transport.sockets import is_readable
from services.runtime.clock import monotonic_s
from services.runtime.network.connections import Connection, hang_up, is_open
from services.runtime.network.floods import FloodGuard

MOST_BYTES = 1024 * 1024
"""Of all topics of all subscribers of a socket: some 40,000 ordinary ones; about 45 MB in libzmq."""
_OVERHEAD_BYTES = 8
"""Of each topic: the shortest ones are not free."""
_LONGEST_S = 0.02
"""Of one reading: what else the thread does must not wait for a flood."""
_SUBSCRIBE, _UNSUBSCRIBE = b"\x01", b"\x00"
_log = logging.getLogger(__name__)


class Shares:
    """The topics of each connection, and the connections that hold so much that they have to go."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._topics: dict[Connection, dict[bytes, None]] = {}
        self._bytes: dict[Connection, int] = {}

    @property
    def total_bytes(self) -> int:
        """The cost of all topics of all connections."""
        return sum(self._bytes.values())

    @property
    def connections(self) -> list[Connection]:
        """The connections that have subscribed to something."""
        return list(self._topics)

    @property
    def topics(self) -> list[bytes]:
        """The topics of all connections, repeated ones too, in the order of the connections and their subscriptions."""
        return [topic for topics in self._topics.values() for topic in topics]

    def subscribe(self, connection: Connection, topic: bytes) -> None:
        """Note a subscription; a repeated one costs nothing."""
        topics = self._topics.setdefault(connection, {})
        if topic not in topics:
            topics[topic] = None
            self._bytes[connection] = self._bytes.get(connection, 0) + len(topic) + _OVERHEAD_BYTES

    def unsubscribe(self, connection: Connection, topic: bytes) -> None:
        """Note the end of a subscription; nothing happens where there is none."""
        topics = self._topics.get(connection, {})
        if topic in topics:
            del topics[topic]
            self._bytes[connection] -= len(topic) + _OVERHEAD_BYTES

    def forget(self, connection: Connection) -> None:
        """Drop all topics of a connection."""
        self._topics.pop(connection, None)
        self._bytes.pop(connection, None)

    def take_surplus(self) -> list[Connection]:
        """Drop the connections that hold most until the rest is within the bound; returns those dropped."""
        found = []
        while self.total_bytes > self._most_bytes:
            most = max(self._bytes, key=self._bytes.__getitem__)
            self.forget(most)
            found.append(most)
        return found


class Subscriptions:
    """Reads what subscribers send to an XPUB, and cuts off the connections that hold or send too much.

    The socket needs XPUB_VERBOSER, else a repeated topic is not told of. A subscriber that is cut off may come back,
    and begins anew.
    """

    def __init__(self, xpub: "zmq.Socket[bytes]", most_bytes: int = MOST_BYTES) -> None:
        self._cut = 0
        self._xpub = xpub
        self._shares = Shares(most_bytes)
        endpoint = xpub.getsockopt_string(zmq.LAST_ENDPOINT).rstrip("\0")
        context = xpub.context
        hold = context.hold_subscribers if isinstance(context, Context) else lambda _: None
        self._floods = FloodGuard(endpoint, hold=hold)

    @property
    def topics(self) -> list[bytes]:
        """All topics that are subscribed to now, as far as `take` has read; repeated ones too."""
        self._forget_ended()
        return self._shares.topics

    def status(self) -> dict[str, int]:
        """Return the counts for a status message."""
        self._forget_ended()
        return {
            "subscription_bytes": self._shares.total_bytes,
            "subscribers_cut": self._cut + self._floods.cut,
        }

    def close(self) -> None:
        """Read no more; the socket may be closed afterwards."""
        self._floods.close()

    def note_end(self) -> None:
        """Take note that there is nothing to read; in place of `take`, from the same thread."""
        self._floods.note_end()

    def take(self) -> list[bytes]:
        """Read what there is, but for 20 ms at most; returns the topics that were subscribed to, repeated ones too.

        Call it often, from one thread: it is busy in vain, or flooded, when it comes to no end.
        """
        found = []
        end_s = monotonic_s() + _LONGEST_S
        while is_readable(self._xpub):
            frame = self._xpub.recv(zmq.DONTWAIT, copy=False)
            kind, topic, connection = frame.bytes[:1], frame.bytes[1:], _connection_of(frame)
            if kind == _SUBSCRIBE:
                found.append(topic)
                if connection is not None:
                    self._shares.subscribe(connection, topic)
            elif kind == _UNSUBSCRIBE and connection is not None:
                self._shares.unsubscribe(connection, topic)
            if monotonic_s() > end_s:
                break
        else:
            self.note_end()
        if found:
            self._forget_ended()
            self._cut_surplus()
        return found

    def _forget_ended(self) -> None:
        for connection in self._shares.connections:
            if not is_open(connection):
                self._shares.forget(connection)

    def _cut_surplus(self) -> None:
        surplus = self._shares.take_surplus()
        for connection in surplus:
            hang_up(connection)
        if surplus and not self._cut:
            _log.warning("cut off a subscriber with too many subscriptions; further ones are counted in status")
        self._cut += len(surplus)


def _connection_of(frame: zmq.Frame) -> Connection | None:
    """The connection a message came over; None where libzmq itself tells of what an ended one had subscribed to."""
    try:
        descriptor = int(frame.get(zmq.SRCFD))
        return Connection(descriptor, os.fstat(descriptor).st_ino)
    except (zmq.ZMQError, OSError):
        return None
