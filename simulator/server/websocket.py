"""One websocket connection: handshake and control frames by websockets' sans-I/O protocol, data written straight.

Market messages do not go through the protocol object, because encoding a frame for each connection would be most of the
simulator's time; `publisher` encodes a message once for all connections.
"""

import asyncio
import socket
import struct
import time
from collections import deque
from dataclasses import dataclass

from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import State
from websockets.server import ServerProtocol

from simulator.publisher import StreamPublisher
from simulator.server.frames import text_frame
from simulator.server.limits import ConnectionLimits
from simulator.server.subscriptions import StreamSubscriptions, parse_target
from simulator.stream_names import Route, delivers

_CLOSE_ANSWER_S = 2.0  # how long a client may take to answer a close frame
_TRICKLE_TICK_S = 0.05


@dataclass(slots=True)
class Counters:
    """Totals of all connections since the start."""

    pings: int = 0
    pongs: int = 0
    slow_readers_cut_off: int = 0


class WebSocket:
    """A subscriber of the publisher. Everything that is written goes through `hand` and `flush`: so the order holds."""

    def __init__(
        self, transport: asyncio.Transport, publisher: StreamPublisher, limits: ConnectionLimits, counters: Counters
    ) -> None:
        self.is_open = True
        self.code_behind_first: int | None = None
        """The close code that ends the connection behind its first message; None: it goes on."""
        self._transport = transport
        self._publisher = publisher
        self._limits = limits
        self._counters = counters
        self._protocol = ServerProtocol(max_size=1 << 20)
        self._route = Route.LEGACY
        self._subscriptions = StreamSubscriptions(is_combined=False)
        self._queue: list[bytes] = []
        self._trickling: tuple[bytes, float] | None = None
        self._requests: deque[float] = deque(maxlen=limits.requests_per_s + 1)
        self._opened_s = self._pinged_s = time.monotonic()
        self._unanswered_since_s: float | None = None

    @property
    def is_combined(self) -> bool:
        """True where messages come in the wrapper that names their stream."""
        return self._subscriptions.is_combined

    @property
    def names(self) -> list[str]:
        """Names of all subscribed streams, also of those that do not exist."""
        return list(self._subscriptions.names)

    @property
    def backlog_bytes(self) -> int:
        """Bytes that have been handed out and not yet been taken by the kernel."""
        return self._transport.get_write_buffer_size() + sum(map(len, self._queue))

    def handshake(self, head: bytes) -> None:
        """Answer an upgrade request, and subscribe to what its target names."""
        self._protocol.receive_data(head)
        events = self._protocol.events_received()
        target = parse_target(events[0].path) if events and isinstance(events[0], Request) else None
        if not events or not isinstance(events[0], Request):
            self.abort()
            return
        response = self._protocol.accept(events[0]) if target else self._protocol.reject(404, "no such path\n")
        self._protocol.send_response(response)
        self._write_control()
        if target is None or self._protocol.state is not State.OPEN:
            self.close_fin()
            return
        self._route, is_combined, names = target
        self._subscriptions.is_combined = is_combined
        for name in names:
            self._subscriptions.names[name] = None
            self._added(name)

    def _added(self, name: str) -> None:
        if self._publisher.ignores_routes or delivers(self._route, name):
            self._publisher.subscribe(name, self)

    def _removed(self, name: str) -> None:
        self._publisher.unsubscribe(name, self)

    def received(self, data: bytes) -> None:
        """Take bytes of the client: control frames, and requests as `subscriptions` understands them."""
        self._protocol.receive_data(data)
        for event in self._protocol.events_received():
            if isinstance(event, Frame):
                self._frame(event)
        self._write_control()

    def _frame(self, frame: Frame) -> None:
        if frame.opcode is Opcode.CLOSE:
            return
        if self._too_many_requests():
            self.close_code(1008)
        elif frame.opcode is Opcode.PONG:
            self._counters.pongs += 1
            self._unanswered_since_s = None
        elif frame.opcode in (Opcode.TEXT, Opcode.BINARY):
            answer = self._subscriptions.answer(
                bytes(frame.data).decode("utf-8", "replace"), self._added, self._removed
            )
            if answer is not None and self._protocol.state is State.OPEN:
                self.hand(text_frame(answer.encode()))

    def _too_many_requests(self) -> bool:
        self._requests.append(time.monotonic())
        return len(self._requests) > self._limits.requests_per_s and self._requests[-1] - self._requests[0] < 1.0

    def _write_control(self) -> None:
        for data in self._protocol.data_to_send():
            if data:
                self._queue.append(data)
            else:
                self.close_fin()  # the closing handshake is over, or the protocol was broken
        self.flush()

    def hand(self, frame: bytes) -> None:
        """Keep a frame that leaves with the next flush."""
        if self.is_open:
            self._queue.append(frame)
        if self.code_behind_first is not None:
            asyncio.get_running_loop().call_soon(self.close_code, self.code_behind_first)

    def flush(self) -> None:
        """Write all frames that were handed out, in one piece."""
        if self._trickling or not self._queue:
            return
        self._transport.write(b"".join(self._queue))
        self._queue.clear()

    def trickle(self, frame: bytes, bytes_per_s: float) -> None:
        """Send a frame byte by byte at this speed; what is handed out later waits behind it."""
        self.flush()
        if self.is_open and not self._trickling:
            self._trickling = (frame, bytes_per_s)
            self._trickle_on(0.0)
        else:
            self.hand(frame)

    def _trickle_on(self, owed_bytes: float) -> None:
        if self._trickling is None or not self.is_open:
            return
        frame, bytes_per_s = self._trickling
        for index in range(min(int(owed_bytes), len(frame))):
            self._transport.write(frame[index : index + 1])
        rest = frame[int(owed_bytes) :]
        if not rest:
            self._trickling = None
            self.flush()
            return
        self._trickling = (rest, bytes_per_s)
        owed_bytes = owed_bytes % 1 + bytes_per_s * _TRICKLE_TICK_S
        asyncio.get_running_loop().call_later(_TRICKLE_TICK_S, self._trickle_on, owed_bytes)

    def keep_limits(self, now_s: float) -> None:
        """Send pings, and close what has outlived a limit; to be called several times a second."""
        limits = self._limits
        if self.backlog_bytes > limits.buffer_bytes:
            self._counters.slow_readers_cut_off += 1
            self.abort()
        elif now_s - self._opened_s > limits.lifetime_s:
            self.close_fin()
        elif self._unanswered_since_s is not None and now_s - self._unanswered_since_s > limits.pong_timeout_s:
            self.close_code(1008)
        elif now_s - self._pinged_s > limits.ping_interval_s:
            self._counters.pings += 1
            self._pinged_s = now_s
            self._unanswered_since_s = self._unanswered_since_s or now_s
            self._protocol.send_ping(str(time.time_ns() // 1_000_000).encode())
            self._write_control()

    def close_fin(self) -> None:
        """End the TCP connection without a close frame, as some routes do to healthy connections."""
        self.flush()
        self._gone()
        self._transport.close()

    def close_rst(self) -> None:
        """Reset the TCP connection: what was on its way is lost."""
        sock: socket.socket = self._transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.abort()

    def close_code(self, code: int) -> None:
        """Send a close frame; the client has 2 s to answer it."""
        if self._protocol.state is not State.OPEN:
            return
        self._protocol.send_close(code)
        self._write_control()
        self._gone()
        asyncio.get_running_loop().call_later(_CLOSE_ANSWER_S, self._transport.close)

    def abort(self) -> None:
        """End the connection at once, without what was not sent yet."""
        self._gone()
        self._transport.abort()

    def lost(self) -> None:
        """Note that the TCP connection is gone."""
        self._gone()

    def _gone(self) -> None:
        self.is_open = False
        for name in self._subscriptions.names:
            self._publisher.unsubscribe(name, self)
