"""Two plain connections a route beside the recorder, by websocket-client alone, which feed `ObservedTraffic`.

In: the streams of the field test. Out: facts about messages and connections. One thread for each connection; the
recorder's own reader is not used, so that both do not misread alike.
"""

import threading
import time
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

import websocket

from binance_streamer.cli.fieldtest.copies import SIDES
from binance_streamer.cli.fieldtest.seen import ConnectionSeen, PathProbe
from binance_streamer.cli.fieldtest.traffic import ObservedTraffic
from binance_streamer.config.schema import NetworkConfig
from binance_streamer.exchange.stream_types import MARKET, PUBLIC, ROUTES

ATTEMPTS = 10
"""Connections in all that are opened beside the recorder: four, two again, and four probes."""
_AGAIN_S = 5.0
"""Before a connection that has ended is opened again."""
_HEARD_S = 10.0
_RECEIVE_S = 1.0
"""After which a silent connection looks whether it is to end."""


def url_of(network: NetworkConfig, route: str, names: Iterable[str]) -> str:
    """Return the address of these streams in the combined form; an empty route is the unrouted path."""
    path = f"{route}/stream" if route else "stream"
    return f"{network.websocket_url.rstrip('/')}/{path}?streams={'/'.join(quote(name, safe='@') for name in names)}"


def connect(network: NetworkConfig, url: str) -> websocket.WebSocket:
    """Open a websocket; certificates are verified."""
    options = {"ca_certs": network.ca_file} if network.ca_file else None
    client: websocket.WebSocket = websocket.create_connection(
        url, timeout=network.connect_timeout, sslopt=options, skip_utf8_validation=True
    )
    client.settimeout(_RECEIVE_S)
    return client


def refusal_of(error: Exception) -> str:
    """Return why a connection was refused without a name of a host: a status, or the kind of the error."""
    if isinstance(error, websocket.WebSocketBadStatusException):
        return f"status {error.status_code}"
    return type(error).__name__


class Watch:
    """Listens from `start` to `stop`; `connections`, `refused` and `traffic` may be read when it has stopped."""

    def __init__(self, network: NetworkConfig, traffic: ObservedTraffic) -> None:
        self.traffic = traffic
        self.connections: list[ConnectionSeen] = []
        self.refused: list[str] = []
        self.ended_s = 0.0
        self._network = network
        streams = [one.stream for one in traffic.streams.values()]
        self._names = {route: [one.name for one in streams if one.route == route] for route in ROUTES}
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._left = ATTEMPTS
        self._to_end: set[int] = set()
        """Sides whose connections are to be closed and opened again."""
        self._threads = [
            threading.Thread(target=self._listen, args=(route, side), name=f"watch-{route}-{side}", daemon=True)
            for route in ROUTES
            for side in range(SIDES)
            if self._names[route]
        ]

    def start(self) -> None:
        """Open the connections, each in a thread of its own."""
        for thread in self._threads:
            thread.start()

    def reconnect(self, side: int) -> None:
        """Close the connections of one side, and open others: the other side goes on meanwhile."""
        with self._lock:
            self._to_end |= {number for number, one in enumerate(self.connections) if one.side == side}

    def stop(self) -> None:
        """Close everything, and wait for the threads."""
        self.ended_s = time.monotonic()
        self._over.set()
        for thread in self._threads:
            thread.join(self._network.connect_timeout + 2 * _RECEIVE_S)

    def probe(self, seconds: float) -> list[PathProbe]:
        """Try the paths one after the other: wrong ones, the unrouted one, and one with streams that do not exist."""
        public, market = (frozenset(self._names[route]) for route in (PUBLIC, MARKET))
        odd = frozenset(
            name for one in sorted(public)[:1] for name in (_shouted(one), f"{one.partition('@')[0]}@nosuchstream")
        )
        probes = [
            ("streams of /market on /public", PUBLIC, frozenset[str](), market),
            ("streams of /public on /market", MARKET, frozenset[str](), public),
            ("all streams on the unrouted path", "", public, market),
            ("names that do not exist beside others on /public", PUBLIC, public, odd),
        ]
        found = []
        for what, route, wanted, unwanted in probes:
            probe = self._probe(what, route, wanted, unwanted, seconds)
            if self._over.is_set():  # cut short: its silence says nothing
                break
            found.append(probe)
        return found

    def _probe(
        self, what: str, route: str, wanted: frozenset[str], unwanted: frozenset[str], seconds: float
    ) -> PathProbe:
        begun_s = time.monotonic()
        heard: set[str] = set()

        def is_over() -> bool:
            """Silence where something should come is believed only after a while: a slow machine hears late."""
            lasted_s = time.monotonic() - begun_s
            return self._over.is_set() or lasted_s > (seconds if not wanted or heard & wanted else seconds + _HEARD_S)

        try:
            client = self._opened(url_of(self._network, route, sorted(wanted | unwanted)))
            try:
                while not is_over():
                    heard |= _stream_in(client)
            finally:
                client.shutdown()  # type: ignore[no-untyped-call]
        except (OSError, websocket.WebSocketException) as error:
            return PathProbe(what, wanted, unwanted, frozenset(heard), refusal_of(error))
        return PathProbe(what, wanted, unwanted, frozenset(heard))

    def _opened(self, url: str) -> websocket.WebSocket:
        with self._lock:
            self._left -= 1
            if self._left < 0:
                raise OSError("no attempts left")
        return connect(self._network, url)

    def _listen(self, route: str, side: int) -> None:
        """Hold one connection open until `stop`; the body of a thread."""
        url = url_of(self._network, route, self._names[route])
        while not self._over.is_set() and self._left > 0:
            try:
                client = self._opened(url)
            except (OSError, websocket.WebSocketException) as error:
                if not self._over.is_set():
                    self.refused.append(refusal_of(error))
            else:
                if self._read(client, ConnectionSeen(route, side, time.monotonic(), len(url))):
                    continue
            self._over.wait(_AGAIN_S)

    def _read(self, client: websocket.WebSocket, seen: ConnectionSeen) -> bool:
        """Read a connection until its end; return True where it is us who ended it, to open another one at once."""
        with self._lock:
            number = len(self.connections)
            self.connections.append(seen)
            self.traffic.reopened(seen.side, self._names[seen.route])
        try:
            while not self._over.is_set() and number not in self._to_end:
                self._receive(client, seen)
            return True
        except (OSError, websocket.WebSocketException) as error:
            if not self._over.is_set():
                seen.end = seen.end or _end_of(error)
            return False
        finally:
            seen.ended_s = time.monotonic()
            client.shutdown()  # type: ignore[no-untyped-call]

    def _receive(self, client: websocket.WebSocket, seen: ConnectionSeen) -> None:
        """Take one frame; the library answers pings."""
        try:
            opcode, data = _frame(client)
        except websocket.WebSocketTimeoutException:
            return
        recv_ns = time.time_ns()
        if opcode == websocket.ABNF.OPCODE_PING:
            seen.pings_s.append(time.monotonic())
        elif opcode == websocket.ABNF.OPCODE_CLOSE:
            seen.end = f"close {int.from_bytes(data[:2], 'big')}" if len(data) > 1 else "close without a code"
            raise websocket.WebSocketConnectionClosedException(seen.end)
        elif opcode in (websocket.ABNF.OPCODE_TEXT, websocket.ABNF.OPCODE_BINARY):
            with self._lock:
                self.traffic.take(seen.side, data, recv_ns)


def _frame(client: websocket.WebSocket) -> tuple[int, bytes]:
    """Receive a whole message or a control frame; fragments are joined."""
    opcode, frame = client.recv_data_frame(control_frame=True)
    data: Any = getattr(frame, "data", frame)
    return opcode, data.encode() if isinstance(data, str) else bytes(data or b"")


def _stream_in(client: websocket.WebSocket) -> set[str]:
    """Return the stream of the next message, nothing for another frame or where none comes."""
    try:
        _, data = _frame(client)
    except websocket.WebSocketTimeoutException:
        return set()
    name = data[:200].partition(b'"stream":"')[2].partition(b'"')[0].decode(errors="replace")
    return {name} if name else set()


def _shouted(name: str) -> str:
    """Return the name with its symbol in upper case, which the exchange does not know."""
    symbol, _, suffix = name.partition("@")
    return f"{symbol.upper()}@{suffix}"


def _end_of(error: Exception) -> str:
    """Return how a connection ended: `reset`, or `FIN` for an end without a word."""
    return "reset" if isinstance(error, ConnectionResetError) else "FIN"
