"""The thread that reads the sockets: it stamps, parses frames, answers pings, and queues events for the recorder.

It never waits for the recorder: a journal write that takes ten seconds delays neither a stamp nor a pong. The two
threads share one queue and two counters, of which each is written by one side only, so that no lock is needed
(CPython's deque appends and pops atomically). Commands of the recorder go the other way through a second queue.
"""

import contextlib
import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence

from services.ingest.connections.dial import WebSocketConnection
from services.ingest.connections.events import Delivered, Ended, Failed, Opened, ReaderEvent, Stamper
from services.ingest.connections.frames import Close, Event, FrameDeadline, FrameError, FrameParser, Ping
from services.ingest.streams.gaps import DISCONNECTED, FRAME_ERROR, OVERSIZE, STALL
from services.runtime.clock import monotonic_s, wall_ns

MOST_QUEUED_BYTES = 64 * 1024 * 1024
"""Then the reader stops reading: the kernel and the exchange keep what it leaves, and what is not read is not lost yet
(docs/decisions/0004)."""
_AHEAD_BYTES = 512 * 1024
"""While the recorder makes progress, reading further ahead gains nothing: the messages would only leave the processor's
cache before they are used."""
_STUCK_S = 0.1
"""A recorder that has taken nothing for so long waits for its disk: from then on the reader fills the whole queue."""
_PAUSE_S = 0.001
_BUFFER_BYTES = 256 * 1024
_PING_INTERVAL_S = 20.0  # keeps NAT tables filled; the exchange takes up to 10 control messages a second
_SILENCE_S = 30.0  # neither data nor a pong to our ping: the peer is gone
_TICK_S = 0.25
_SLEPT_S = 5.0
_STOP_S = 10.0
_TOO_BIG = 1009


class _Peer:
    """One connection as the reader knows it: parser, deadlines, and a pong that the socket did not take yet."""

    def __init__(
        self, number: int, connection: WebSocketConnection, max_message_bytes: int, frame_timeout_s: float
    ) -> None:
        self.number = number
        self.connection = connection
        self.parser = FrameParser(max_message_bytes=max_message_bytes)
        self.deadline = FrameDeadline(frame_timeout_s)
        self.has_been_heard = False
        self.heard_s = self.pinged_s = monotonic_s()
        self.owed_pong: bytes | None = None
        self.received_bytes = 0  # since the last message


class Reader(threading.Thread):
    """Reads all connections of a worker. Its methods are for other threads."""

    def __init__(self, *, max_message_bytes: int, frame_timeout_s: float, most_bytes: int = MOST_QUEUED_BYTES) -> None:
        super().__init__(name="reader", daemon=True)
        self._max_message_bytes = max_message_bytes
        self._frame_timeout_s = frame_timeout_s
        self._most_bytes = most_bytes
        self._queue: deque[ReaderEvent] = deque()
        self._in_bytes = 0  # written by the reader only, _out_bytes by the recorder only
        self._out_bytes = 0
        self._progress = (0, 0.0)  # bytes taken by the recorder, and since when no more
        self._is_awaited = False
        self._ready = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._commands: deque[Callable[[], None]] = deque()
        self._command = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._is_stopping = False
        self._fault: Exception | None = None  # what has ended the thread
        self._skipped_sockets = False  # since the last tick, for want of room
        self._stamper = Stamper()
        self._buffer = memoryview(bytearray(_BUFFER_BYTES))
        self._peers: dict[int, _Peer] = {}  # by descriptor
        self._unread: set[_Peer] = set()  # whose TLS layer may hold bytes, which wake no poll
        self._poll = select.epoll()
        self._ticked_s = monotonic_s()

    @property
    def queued_bytes(self) -> int:
        """Return the bytes read that the recorder has not taken yet."""
        return self._in_bytes - self._out_bytes

    def fileno(self) -> int:
        """Return the descriptor to poll: it is readable when events have come since `arm_wake_up`."""
        return self._ready

    def arm_wake_up(self) -> bool:
        """Clear an earlier wake-up and ask for the next one.

        Return True when nothing is queued, so that a poll may wait.
        """
        _clear(self._ready)
        self._is_awaited = True  # before looking: an event that comes in between is seen by one side at least
        return not self._queue

    def take(self, most_bytes: int) -> list[ReaderEvent]:
        """Return and remove the oldest events, of about `most_bytes` together; the first is given whatever its size.

        RuntimeError behind the last event where the thread has died.
        """
        self._is_awaited = False
        events: list[ReaderEvent] = []
        taken_bytes = 0
        queue = self._queue
        while queue and taken_bytes < most_bytes:
            event = queue.popleft()
            events.append(event)
            if type(event) is Delivered:
                taken_bytes += event.size_bytes
        self._out_bytes += taken_bytes
        if self._fault is not None and not events:
            raise RuntimeError("the reader has ended") from self._fault
        return events

    def add(self, number: int, connection: WebSocketConnection, requests: Sequence[str] = ()) -> None:
        """Read this connection from now on, and send it these text messages (subscriptions) first."""
        if self._is_stopping:
            connection.close()
            return
        peer = _Peer(number, connection, self._max_message_bytes, self._frame_timeout_s)
        self._enqueue(lambda: self._open(peer, requests))

    def put_failure(self, failed: Failed) -> None:
        """Queue the failure of an attempt, in order with all other events."""
        self._put(failed)

    def close(self, number: int, reason: str, detail: str) -> None:
        """Close a connection.

        Its `Ended` comes behind all that it delivered. Nothing happens where it has ended before.
        """
        self._enqueue(lambda: self._close_number(number, reason, detail))

    def stop(self) -> None:
        """Close all connections and end the thread.

        Received events stay queued. RuntimeError where it does not end in 10 s.
        """
        self._is_stopping = True
        self._enqueue(lambda: None)
        self.join(_STOP_S)
        if self.is_alive():
            raise RuntimeError("the reader does not end")
        self._run_commands()  # a connection that was dialled at the last moment: closed too
        self._close_all()

    def run(self) -> None:
        """Read until `stop`.

        An error ends the thread, and `take` raises it: else nobody would notice but for the data.
        """
        try:
            self._read_all()
        except Exception as error:  # raised again by `take`
            self._fault = error

    def _read_all(self) -> None:
        self._poll.register(self._command, select.EPOLLIN)
        while not self._is_stopping:
            is_far_ahead = self._is_far_ahead()
            if is_far_ahead:
                time.sleep(_PAUSE_S)
            elif self._unread:
                self._read_on()
            for descriptor, _ in self._poll.poll(0 if is_far_ahead or self._unread else _TICK_S):
                if descriptor == self._command:
                    self._run_commands()
                elif descriptor in self._peers and not is_far_ahead:
                    self._read(self._peers[descriptor])
            now_s = monotonic_s()
            if now_s - self._ticked_s >= _TICK_S:
                self._tick(now_s)

    def _is_far_ahead(self) -> bool:
        """Return True when the recorder is to catch up first.

        That is when more is queued than helps it and it makes progress, or when there is no room for more.
        """
        queued = self.queued_bytes
        if queued <= min(_AHEAD_BYTES, self._most_bytes):
            return False
        now_s = monotonic_s()
        taken, since_s = self._progress
        if self._out_bytes != taken:
            self._progress = taken, since_s = self._out_bytes, now_s
        is_stuck = now_s - since_s > _STUCK_S
        if queued > self._most_bytes:
            self._skipped_sockets = True
            return True
        return not is_stuck

    def _close_all(self) -> None:
        for descriptor, peer in list(self._peers.items()):
            self._read(peer)  # what has arrived already
            if descriptor in self._peers:
                self._close(peer, DISCONNECTED, "stopped", close_code=1001)

    def _enqueue(self, command: Callable[[], None]) -> None:
        self._commands.append(command)
        os.eventfd_write(self._command, 1)

    def _run_commands(self) -> None:
        _clear(self._command)
        while self._commands:
            self._commands.popleft()()

    def _put(self, event: ReaderEvent) -> None:
        self._queue.append(event)
        if self._is_awaited:
            self._is_awaited = False
            os.eventfd_write(self._ready, 1)

    def _open(self, peer: _Peer, requests: Sequence[str]) -> None:
        descriptor = peer.connection.fileno()
        self._peers[descriptor] = peer
        self._put(Opened(peer.number, self._stamper.first_of(wall_ns(), 1)))
        self._poll.register(descriptor, select.EPOLLIN)
        try:
            for request in requests:
                peer.connection.send_text(request)
        except OSError as error:
            self._close(peer, DISCONNECTED, str(error))
        else:
            self._read(peer)  # the first frames may have come with the handshake

    def _close_number(self, number: int, reason: str, detail: str) -> None:
        for peer in self._peers.values():
            if peer.number == number:
                self._close(peer, reason, detail, close_code=1000)
                return

    def _close(self, peer: _Peer, reason: str, detail: str, *, close_code: int | None = None) -> None:
        descriptor = peer.connection.fileno()
        del self._peers[descriptor]
        self._poll.unregister(descriptor)
        if close_code is not None:
            with contextlib.suppress(OSError):
                peer.connection.send_close(close_code)
        peer.connection.close()
        self._put(Ended(peer.number, self._stamper.first_of(wall_ns(), 1), reason, detail))

    def _read(self, peer: _Peer) -> None:
        buffer = self._buffer
        while True:
            try:
                received = peer.connection.recv_into(buffer)
            except OSError as error:
                self._close(peer, DISCONNECTED, str(error))
                return
            now_ns = wall_ns()
            if received is None:
                return
            if received == 0:
                self._close(peer, DISCONNECTED, "end of stream")
                return
            peer.has_been_heard = True
            peer.received_bytes += received
            events = peer.parser.feed(buffer[:received])
            if not self._deliver(peer, events, now_ns) or received < _BUFFER_BYTES:
                return
            if self.queued_bytes > _AHEAD_BYTES:
                self._unread.add(peer)
                return

    def _read_on(self) -> None:
        peers, self._unread = self._unread, set()
        for peer in peers:
            if peer in self._peers.values():
                self._read(peer)

    def _deliver(self, peer: _Peer, events: list[Event], now_ns: int) -> bool:
        """Queue messages, act on control frames; return True where the connection goes on."""
        messages = [event for event in events if type(event) is bytes]
        if messages:
            first_ns = self._stamper.first_of(now_ns, len(messages))
            size_bytes, peer.received_bytes = peer.received_bytes, 0
            self._in_bytes += size_bytes
            self._put(Delivered(peer.number, first_ns, messages, size_bytes))
        if len(messages) != len(events) and not self._control(peer, events):
            return False
        if peer.parser.error is not None:
            self._refuse(peer, peer.parser.error)
            return False
        return True

    def _control(self, peer: _Peer, events: list[Event]) -> bool:
        for event in events:
            if isinstance(event, Ping):
                peer.owed_pong = event.payload  # RFC 6455 §5.5.3: the latest ping is enough
            elif isinstance(event, Close):
                code = event.code if event.code != 1005 else 1000
                self._close(peer, DISCONNECTED, f"closed by the exchange: {event.code} {event.reason}", close_code=code)
                return False
        return self._send_owed_pong(peer)

    def _send_owed_pong(self, peer: _Peer) -> bool:
        try:
            if peer.owed_pong is not None and peer.connection.send_pong(peer.owed_pong):
                peer.owed_pong = None
        except OSError as error:
            self._close(peer, DISCONNECTED, str(error))
            return False
        return True

    def _refuse(self, peer: _Peer, error: FrameError) -> None:
        reason = OVERSIZE if error.close_code == _TOO_BIG else FRAME_ERROR
        self._close(peer, reason, str(error), close_code=error.close_code)

    def _tick(self, now_s: float) -> None:
        is_our_silence = self._skipped_sockets or now_s - self._ticked_s > _SLEPT_S  # stopped by a signal, say
        self._ticked_s = now_s
        self._skipped_sockets = False
        for peer in list(self._peers.values()):
            if is_our_silence:
                peer.deadline.restart()
            if peer.has_been_heard or is_our_silence:
                peer.heard_s = now_s
                peer.has_been_heard = False
            if now_s - peer.heard_s > _SILENCE_S:
                self._close(peer, STALL, "neither data nor a pong")
            elif peer.deadline.update(peer.parser, now_s):
                self._close(peer, STALL, "a message took too long", close_code=1002)
            else:
                self._keep_alive(peer, now_s)

    def _keep_alive(self, peer: _Peer, now_s: float) -> None:
        if not self._send_owed_pong(peer):
            return
        try:
            peer.connection.flush()
            if now_s - peer.pinged_s >= _PING_INTERVAL_S and peer.connection.send_ping():
                peer.pinged_s = now_s
        except OSError as error:
            self._close(peer, DISCONNECTED, str(error))


def _clear(eventfd: int) -> None:
    with contextlib.suppress(BlockingIOError):
        os.eventfd_read(eventfd)
