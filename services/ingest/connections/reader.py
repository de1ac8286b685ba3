"""Reads the sockets of a worker: it stamps, parses frames, answers pings, and queues events for the recorder.

The recorder itself reads, whenever it has nothing else to do: so a message that arrives wakes one thread. While the
recorder is away, the reader's own thread stands in for it: a journal write that takes ten seconds delays neither a
stamp nor a pong.

Who of the two reads is decided in `stand_in`. What has come waits in one queue, at which the recorder takes without a
lock (CPython's deque appends and pops atomically); of its two counters each is written by one side only. Any thread may
put a failure to connect into it, and commands into a second queue: both wake whoever reads.
"""

import contextlib
import os
import select
import time
from collections import deque
from collections.abc import Callable, Sequence

import zmq

from services.ingest.connections.dial import WebSocketConnection
from services.ingest.connections.events import Delivered, Ended, Failed, Opened, ReaderEvent, Stamper, joined
from services.ingest.connections.peer import End, WebsocketPeer
from services.ingest.connections.stand_in import StandIn
from services.ingest.streams.gaps import DISCONNECTED
from services.runtime.clock import monotonic_s, wall_ns

MOST_QUEUED_BYTES = 64 * 1024 * 1024
"""Then nobody reads: the kernel and the exchange keep what is left there, and what is not read is not lost yet
(docs/decisions/0004)."""
ENOUGH_BYTES = 256 * 1024
"""Of one journal write: with so much the recorder does not wait for more."""
_AHEAD_BYTES = 512 * 1024
"""The recorder catches up with what was read in its place before it reads further ahead: the messages would only leave
the processor's cache before they are used."""
_PAUSE_S = 0.001
_BUFFER_BYTES = 256 * 1024
_TICK_S = 0.25
_QUIET_TICK_S = 1.0
"""Where nothing has come since the last tick, and nothing is under way."""
_SLEPT_S = 5.0
_STOP_S = 10.0


class Reader:
    """Reads all connections of a worker.

    The recorder calls `read` and `take` in turn, and first `watch` and `register` for what else shall end its waiting.
    `add`, `put_failure` and `close` are for any thread.
    """

    def __init__(self, *, max_message_bytes: int, frame_timeout_s: float, most_bytes: int = MOST_QUEUED_BYTES) -> None:
        self._max_message_bytes = max_message_bytes
        self._frame_timeout_s = frame_timeout_s
        self._most_bytes = most_bytes
        self._queue: deque[ReaderEvent] = deque()
        self._in_bytes = 0  # written by who reads only, _out_bytes by the recorder only
        self._out_bytes = 0
        self._stand_in = StandIn(self._read_for_a_while, interrupt=self._interrupt)
        self._commands: deque[Callable[[], None]] = deque()
        self._command = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._skipped_sockets = False  # since the last tick, for want of room
        self._stamper = Stamper()
        self._buffer = memoryview(bytearray(_BUFFER_BYTES))
        self._peers: dict[int, WebsocketPeer] = {}  # by descriptor
        self._unread: set[WebsocketPeer] = set()  # they filled the buffer: TLS may hold bytes, which wake no poll
        self._epoll = select.epoll()
        self._epoll.register(self._command, select.EPOLLIN)
        self._ticked_s = monotonic_s()
        self._is_quiet = False  # since the last tick

    @property
    def queued_bytes(self) -> int:
        """Return the bytes read that the recorder has not taken yet."""
        return self._in_bytes - self._out_bytes

    def start(self) -> None:
        """Start the thread that stands in for the recorder."""
        self._stand_in.start()

    def is_alive(self) -> bool:
        """Return True while that thread runs."""
        return self._stand_in.is_alive()

    def watch(self, descriptor: int) -> None:
        """Have `read` return when this descriptor of somebody else is readable."""
        self._epoll.register(descriptor, select.EPOLLIN)

    def register(self, socket: "zmq.Socket[bytes]", _: int = 0) -> None:
        """Have `read` return when something has happened at this ZeroMQ socket; its EVENTS say what."""
        self._epoll.register(int(socket.getsockopt(zmq.FD)), select.EPOLLIN)

    def unregister(self, socket: "zmq.Socket[bytes]") -> None:
        """Look at this ZeroMQ socket no more."""
        self._epoll.unregister(int(socket.getsockopt(zmq.FD)))

    def read(self, until_s: float, *, not_before_s: float = 0.0) -> list[int]:
        """Read until there is something to do, and return the watched descriptors that are readable.

        That is when one of those is, at `until_s`, with enough bytes for a journal write, and when anything has come:
        then not before `not_before_s`. The times are monotonic.
        """
        self._stand_in.come_back()
        try:
            while True:
                due_s = min(until_s, not_before_s) if self._queue else until_s
                readable = self._read_ready(due_s - monotonic_s(), most_bytes=_AHEAD_BYTES)
                due_s = min(until_s, not_before_s) if self._queue else until_s
                if readable or self.queued_bytes >= ENOUGH_BYTES or monotonic_s() >= due_s:
                    return readable
        finally:
            self._stand_in.leave()

    def take(self, most_bytes: int) -> list[ReaderEvent]:
        """Return and remove the oldest events, of about `most_bytes` together; the first is given whatever its size.

        What one connection has delivered in a row comes as one event.
        RuntimeError behind the last event where the thread has died.
        """
        events: list[ReaderEvent] = []
        taken_bytes = 0
        queue = self._queue
        while queue and taken_bytes < most_bytes:
            event = queue.popleft()
            events.append(event)
            if type(event) is Delivered:
                taken_bytes += event.size_bytes
        self._out_bytes += taken_bytes
        if self._stand_in.fault is not None and not events:
            raise RuntimeError("the reader has ended") from self._stand_in.fault
        return events if len(events) < 2 else joined(events)

    def add(self, number: int, connection: WebSocketConnection, requests: Sequence[str] = ()) -> None:
        """Read this connection from now on, and send it these text messages (subscriptions) first."""
        if self._stand_in.is_stopping:
            connection.close()
            return
        peer = WebsocketPeer(number, connection, self._max_message_bytes, self._frame_timeout_s)
        self._enqueue(lambda: self._open(peer, requests))

    def send(self, number: int, requests: Sequence[str]) -> None:
        """Send text messages over a connection that is open; nothing happens where it has ended."""
        self._enqueue(lambda: self._send(number, requests))

    def put_failure(self, failed: Failed) -> None:
        """Queue the failure of an attempt, in order with all other events."""
        self._queue.append(failed)
        self._interrupt()

    def close(self, number: int, reason: str, detail: str) -> None:
        """Close a connection: its `Ended` comes behind all that it delivered. One that has ended stays so."""
        self._enqueue(lambda: self._close_number(number, reason, detail))

    def stop(self) -> None:
        """Close all connections and end the thread.

        Received events stay queued. RuntimeError where it does not end in 10 s.
        """
        self._stand_in.stop(_STOP_S)
        self._run_commands()  # a connection that was dialled at the last moment: closed too
        self._close_all()

    def _interrupt(self) -> None:
        os.eventfd_write(self._command, 1)

    def _read_for_a_while(self) -> None:
        readable = self._read_ready(_QUIET_TICK_S, most_bytes=self._most_bytes)
        if readable or self.queued_bytes > self._most_bytes:
            time.sleep(_PAUSE_S)  # what is readable waits for the recorder, or has no room

    def _read_ready(self, timeout_s: float, *, most_bytes: int) -> list[int]:
        """Read what is ready, and wait for that; not while more than so many bytes are queued.

        Return the descriptors of others that are readable.
        """
        is_far_ahead = self.queued_bytes > min(most_bytes, self._most_bytes)
        if self.queued_bytes > self._most_bytes:
            self._skipped_sockets = True
        if is_far_ahead or self._unread:
            timeout_s = 0.0
        if self._unread and not is_far_ahead:
            unread, self._unread = self._unread, set()
            for peer in unread:
                self._read(peer)
        readable: list[int] = []
        tick_s = _QUIET_TICK_S if self._is_quiet else _TICK_S
        for descriptor, _ in self._epoll.poll(max(0.0, min(timeout_s, tick_s))):
            if descriptor in self._peers:
                if not is_far_ahead:
                    self._read(self._peers[descriptor])
            elif descriptor == self._command:
                self._run_commands()
            else:
                readable.append(descriptor)
        now_s = monotonic_s()
        if now_s - self._ticked_s >= _TICK_S:
            self._tick(now_s)
        return readable

    def _read(self, peer: WebsocketPeer) -> None:
        self._is_quiet = False
        messages = peer.receive(self._buffer)
        if messages:
            stamps_ns = self._stamper.stamps_of(peer.recv_ns, len(messages))
            size_bytes, peer.received_bytes = peer.received_bytes, 0
            self._in_bytes += size_bytes
            self._queue.append(Delivered(peer.number, stamps_ns, messages, size_bytes))
        if peer.end is not None:
            self._close(peer, peer.end)
        elif peer.has_filled_buffer:
            self._unread.add(peer)

    def _close_all(self) -> None:
        for peer in list(self._peers.values()):
            self._read(peer)  # what has arrived already
            while peer in self._unread:
                self._unread.discard(peer)
                self._read(peer)
            if peer.end is None:
                self._close(peer, End(DISCONNECTED, "stopped", 1001))

    def _enqueue(self, command: Callable[[], None]) -> None:
        self._commands.append(command)
        self._interrupt()

    def _run_commands(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._command)
        while self._commands:
            self._commands.popleft()()

    def _open(self, peer: WebsocketPeer, requests: Sequence[str]) -> None:
        descriptor = peer.connection.fileno()
        self._peers[descriptor] = peer
        self._queue.append(Opened(peer.number, self._stamper.stamps_of(wall_ns(), 1)[0]))
        self._epoll.register(descriptor, select.EPOLLIN)
        peer.send_requests(requests)
        if peer.end is not None:
            self._close(peer, peer.end)
        else:
            self._read(peer)  # the first frames may have come with the handshake

    def _send(self, number: int, requests: Sequence[str]) -> None:
        for peer in [one for one in self._peers.values() if one.number == number]:
            peer.send_requests(requests)
            if peer.end is not None:
                self._close(peer, peer.end)

    def _close_number(self, number: int, reason: str, detail: str) -> None:
        for peer in [one for one in self._peers.values() if one.number == number]:
            self._close(peer, End(reason, detail, 1000))

    def _close(self, peer: WebsocketPeer, end: End) -> None:
        peer.end = end
        descriptor = peer.connection.fileno()
        del self._peers[descriptor]
        self._unread.discard(peer)
        self._epoll.unregister(descriptor)
        if end.close_code is not None:
            with contextlib.suppress(OSError):
                peer.connection.send_close(end.close_code)
        peer.connection.close()
        self._queue.append(Ended(peer.number, self._stamper.stamps_of(wall_ns(), 1)[0], end.reason, end.detail))

    def _tick(self, now_s: float) -> None:
        is_our_silence = self._skipped_sockets or now_s - self._ticked_s > _SLEPT_S  # stopped by a signal, say
        self._ticked_s = now_s
        self._skipped_sockets = False
        for peer in list(self._peers.values()):
            peer.tick(now_s, is_our_silence=is_our_silence)
            if peer.end is not None:
                self._close(peer, peer.end)
        self._is_quiet = all(peer.is_quiet for peer in self._peers.values())
