"""One connection as the reader knows it: bytes in, messages out, pongs, and why it ends."""

import math
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from services.ingest.connections.dial import WebSocketConnection
from services.ingest.connections.frames import Close, Event, FrameDeadline, FrameError, FrameParser, Ping
from services.ingest.streams.gaps import DISCONNECTED, FRAME_ERROR, OVERSIZE, STALL
from services.runtime.clock import monotonic_s, wall_ns

_PING_INTERVAL_S = 20.0  # keeps NAT tables filled; the exchange takes up to 10 control messages a second
_MOST_REQUESTS, _REQUESTS_INTERVAL_S = 5, 1.0
"""Half of what the exchange takes, pongs and pings included; 200 streams are five requests (docs/exchange.md §3)."""
_SILENCE_S = 30.0  # neither data nor a pong to our ping: the peer is gone
_TOO_BIG = 1009
_NO_STATUS, _NORMAL = 1005, 1000


class End(NamedTuple):
    """Why a connection ends: the reason of a gap, what happened, and the code to close it with; None: it is broken."""

    reason: str
    detail: str
    close_code: int | None = None


class WebsocketPeer:
    """Parser and deadlines of one open connection, and a pong that the socket did not take yet.

    Once `end` is set the connection is to be closed, behind the messages that were returned.
    """

    def __init__(
        self, number: int, connection: WebSocketConnection, max_message_bytes: int, frame_timeout_s: float
    ) -> None:
        self.number = number
        self.connection = connection
        self.end: End | None = None
        self.recv_ns = 0
        """The wall clock right behind the last recv."""
        self.received_bytes = 0
        """Received since messages were last queued."""
        self.has_filled_buffer = False
        """True where the last recv filled the buffer: more may wait in the TLS layer, where no poll sees it."""
        self._parser = FrameParser(max_message_bytes=max_message_bytes)
        self._deadline = FrameDeadline(frame_timeout_s)
        self._has_been_heard = False
        self._heard_s = self._pinged_s = monotonic_s()
        self._owed_pong: bytes | None = None
        self._owed_requests: deque[str] = deque()
        self._has_sent_all = True
        self._requested_s = -math.inf
        self._requests_sent = 0  # since then

    @property
    def is_quiet(self) -> bool:
        """Return True where no message is under way, and at the last tick nothing was to be sent."""
        return self._has_sent_all and not self._parser.is_mid_message

    def receive(self, buffer: memoryview) -> list[bytes]:
        """Return the messages that one recv completes; the buffer may be used again afterwards."""
        self.has_filled_buffer = False
        try:
            received = self.connection.recv_into(buffer)
        except OSError as error:
            self.end = End(DISCONNECTED, str(error))
            return []
        self.recv_ns = wall_ns()
        if not received:
            if received == 0:
                self.end = End(DISCONNECTED, "end of stream")
            return []
        self._has_been_heard = True
        self.has_filled_buffer = received == len(buffer)
        self.received_bytes += received
        events = self._parser.feed(buffer[:received])
        messages = [event for event in events if type(event) is bytes]
        if len(messages) != len(events):
            self._control(events)
        if self._parser.error is not None and self.end is None:
            self.end = _refused(self._parser.error)
        return messages

    def send_requests(self, requests: Sequence[str]) -> None:
        """Send text messages, as many as the exchange allows at once; the others follow at the next ticks."""
        self._owed_requests.extend(requests)
        try:
            self._send_owed_requests(monotonic_s())
        except OSError as error:
            self.end = End(DISCONNECTED, str(error))

    def tick(self, now_s: float, *, is_our_silence: bool) -> None:
        """Judge silence and the message under way, and send what is due; several times a second.

        `is_our_silence`: this process did not read for a while, so that neither says anything.
        """
        if is_our_silence:
            self._deadline.restart()
        if self._has_been_heard or is_our_silence:
            self._heard_s = now_s
            self._has_been_heard = False
        if now_s - self._heard_s > _SILENCE_S:
            self.end = End(STALL, "neither data nor a pong")
        elif self._deadline.update(self._parser, now_s):
            self.end = End(STALL, "a message took too long", 1002)
        else:
            self._keep_alive(now_s)

    def _control(self, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, Ping):
                self._owed_pong = event.payload  # RFC 6455 §5.5.3: the latest ping is enough
            elif isinstance(event, Close):
                code = event.code if event.code != _NO_STATUS else _NORMAL
                self.end = End(DISCONNECTED, f"closed by the exchange: {event.code} {event.reason}", code)
                return
        self._send_owed_pong()

    def _keep_alive(self, now_s: float) -> None:
        self._send_owed_pong()
        try:
            is_flushed = self.connection.flush()
            self._send_owed_requests(now_s)
            self._has_sent_all = is_flushed and self._owed_pong is None and not self._owed_requests
            if now_s - self._pinged_s >= _PING_INTERVAL_S and self.connection.send_ping():
                self._pinged_s = now_s
        except OSError as error:
            self.end = End(DISCONNECTED, str(error))

    def _send_owed_requests(self, now_s: float) -> None:
        if now_s - self._requested_s >= _REQUESTS_INTERVAL_S:
            self._requested_s, self._requests_sent = now_s, 0
        while self._owed_requests and self._requests_sent < _MOST_REQUESTS:
            if not self.connection.send_text(self._owed_requests[0]):
                return
            self._owed_requests.popleft()
            self._requests_sent += 1

    def _send_owed_pong(self) -> None:
        try:
            if self._owed_pong is not None and self.connection.send_pong(self._owed_pong):
                self._owed_pong = None
        except OSError as error:
            self.end = End(DISCONNECTED, str(error))


def _refused(error: FrameError) -> End:
    reason = OVERSIZE if error.close_code == _TOO_BIG else FRAME_ERROR
    return End(reason, str(error), error.close_code)
