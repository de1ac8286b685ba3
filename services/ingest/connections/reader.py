"""The thread that reads the sockets: it stamps, parses frames, answers pings, and hands messages over.

It never waits for the recorder: a journal write that takes ten seconds delays neither a stamp nor a pong.
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
"""Then the reader stops and leaves the rest to the kernel and the exchange: what is not read is not lost yet."""
_AHEAD_BYTES = 512 * 1024
"""While the recorder makes progress, further ahead is no gain: the messages would drop out of the processor's cache."""
_STUCK_S = 0.1
_PAUSE_S = 0.001
_BUFFER_BYTES = 256 * 1024
_PING_INTERVAL_S = 20.0  # keeps NAT tables filled; the exchange takes up to 10 control messages a second
_SILENCE_S = 30.0  # neither data nor a pong to our ping: the peer is gone
_TICK_S = 0.25
_SLEPT_S = 5.0
_STOP_S = 10.0
_TOO_BIG = 1009


class _Line:
    """One connection as the reader knows it."""

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
        self._did_not_listen = False  # since the last tick, for want of room
        self._stamper = Stamper()
        self._buffer = memoryview(bytearray(_BUFFER_BYTES))
        self._lines: dict[int, _Line] = {}  # by descriptor
        self._unread: set[_Line] = set()  # whose TLS layer may hold bytes, which wake no poll
        self._poll = select.epoll()
        self._ticked_s = monotonic_s()

    @property
    def queued_bytes(self) -> int:
        """What the recorder has not taken yet."""
        return self._in_bytes - self._out_bytes

    def fileno(self) -> int:
        """Readable when reports have come since `is_idle`."""
        return self._ready

    def is_idle(self) -> bool:
        """Whether nothing is queued; if so, the next report wakes a poll of `fileno`. Clears an earlier wake-up."""
        _clear(self._ready)
        self._is_awaited = True  # before looking: a report that comes in between is seen by one side at least
        return not self._queue

    def take(self, most_bytes: int) -> list[ReaderEvent]:
        """The oldest reports, of about so many bytes together; RuntimeError behind the last where the thread died."""
        self._is_awaited = False
        reports: list[ReaderEvent] = []
        taken = 0
        queue = self._queue
        while queue and taken < most_bytes:
            report = queue.popleft()
            reports.append(report)
            if type(report) is Delivered:
                taken += report.size_bytes
        self._out_bytes += taken
        if self._fault is not None and not reports:
            raise RuntimeError("the reader has ended") from self._fault
        return reports

    def add(self, number: int, connection: WebSocketConnection, requests: Sequence[str] = ()) -> None:
        """Read this connection from now on, and send it these text messages first."""
        if self._is_stopping:
            connection.close()
            return
        line = _Line(number, connection, self._max_message_bytes, self._frame_timeout_s)
        self._do(lambda: self._open(line, requests))

    def failed(self, report: Failed) -> None:
        """Hand a failure to the recorder."""
        self._report(report)

    def close(self, number: int, reason: str, detail: str) -> None:
        """Close a connection; its `Ended` follows what it delivered."""
        self._do(lambda: self._close_number(number, reason, detail))

    def stop(self) -> None:
        """Close everything and end; what was received stays queued."""
        self._is_stopping = True
        self._do(lambda: None)
        self.join(_STOP_S)
        if self.is_alive():
            raise RuntimeError("the reader does not end")
        self._obey()  # a connection that was dialled at the last moment: closed too
        self._close_all()

    def run(self) -> None:
        """The thread. It does not end unnoticed: nothing else would be missed but the data."""
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
                    self._obey()
                elif descriptor in self._lines and not is_far_ahead:
                    self._read(self._lines[descriptor])
            now_s = monotonic_s()
            if now_s - self._ticked_s >= _TICK_S:
                self._tick(now_s)

    def _is_far_ahead(self) -> bool:
        """Whether to let the recorder catch up: it is near, or, while it stands still, there is no more room."""
        queued = self.queued_bytes
        if queued <= min(_AHEAD_BYTES, self._most_bytes):
            return False
        now_s = monotonic_s()
        taken, since_s = self._progress
        if self._out_bytes != taken:
            self._progress = taken, since_s = self._out_bytes, now_s
        is_stuck = now_s - since_s > _STUCK_S
        if queued > self._most_bytes:
            self._did_not_listen = True
            return True
        return not is_stuck

    def _close_all(self) -> None:
        for descriptor, line in list(self._lines.items()):
            self._read(line)  # what has arrived already
            if descriptor in self._lines:
                self._close(line, DISCONNECTED, "stopped", close_code=1001)

    def _do(self, command: Callable[[], None]) -> None:
        self._commands.append(command)
        os.eventfd_write(self._command, 1)

    def _obey(self) -> None:
        _clear(self._command)
        while self._commands:
            self._commands.popleft()()

    def _report(self, report: ReaderEvent) -> None:
        self._queue.append(report)
        if self._is_awaited:
            self._is_awaited = False
            os.eventfd_write(self._ready, 1)

    def _open(self, line: _Line, requests: Sequence[str]) -> None:
        descriptor = line.connection.fileno()
        self._lines[descriptor] = line
        self._report(Opened(line.number, self._stamper.first_of(wall_ns(), 1)))
        self._poll.register(descriptor, select.EPOLLIN)
        try:
            for request in requests:
                line.connection.send_text(request)
        except OSError as error:
            self._close(line, DISCONNECTED, str(error))
        else:
            self._read(line)  # the first frames may have come with the handshake

    def _close_number(self, number: int, reason: str, detail: str) -> None:
        for line in self._lines.values():
            if line.number == number:
                self._close(line, reason, detail, close_code=1000)
                return

    def _close(self, line: _Line, reason: str, detail: str, *, close_code: int | None = None) -> None:
        descriptor = line.connection.fileno()
        del self._lines[descriptor]
        self._poll.unregister(descriptor)
        if close_code is not None:
            with contextlib.suppress(OSError):
                line.connection.send_close(close_code)
        line.connection.close()
        self._report(Ended(line.number, self._stamper.first_of(wall_ns(), 1), reason, detail))

    def _read(self, line: _Line) -> None:
        buffer = self._buffer
        while True:
            try:
                received = line.connection.recv_into(buffer)
            except OSError as error:
                self._close(line, DISCONNECTED, str(error))
                return
            now_ns = wall_ns()
            if received is None:
                return
            if received == 0:
                self._close(line, DISCONNECTED, "end of stream")
                return
            line.has_been_heard = True
            line.received_bytes += received
            events = line.parser.feed(buffer[:received])
            if not self._deliver(line, events, now_ns) or received < _BUFFER_BYTES:
                return
            if self.queued_bytes > _AHEAD_BYTES:
                self._unread.add(line)
                return

    def _read_on(self) -> None:
        lines, self._unread = self._unread, set()
        for line in lines:
            if line in self._lines.values():
                self._read(line)

    def _deliver(self, line: _Line, events: list[Event], now_ns: int) -> bool:
        """Whether the connection goes on."""
        messages = [event for event in events if type(event) is bytes]
        if messages:
            first_ns = self._stamper.first_of(now_ns, len(messages))
            size_bytes, line.received_bytes = line.received_bytes, 0
            self._in_bytes += size_bytes
            self._report(Delivered(line.number, first_ns, messages, size_bytes))
        if len(messages) != len(events) and not self._control(line, events):
            return False
        if line.parser.error is not None:
            self._refuse(line, line.parser.error)
            return False
        return True

    def _control(self, line: _Line, events: list[Event]) -> bool:
        for event in events:
            if isinstance(event, Ping):
                line.owed_pong = event.payload  # RFC 6455 §5.5.3: the latest ping is enough
            elif isinstance(event, Close):
                code = event.code if event.code != 1005 else 1000
                self._close(line, DISCONNECTED, f"closed by the exchange: {event.code} {event.reason}", close_code=code)
                return False
        return self._pay_pong(line)

    def _pay_pong(self, line: _Line) -> bool:
        try:
            if line.owed_pong is not None and line.connection.send_pong(line.owed_pong):
                line.owed_pong = None
        except OSError as error:
            self._close(line, DISCONNECTED, str(error))
            return False
        return True

    def _refuse(self, line: _Line, error: FrameError) -> None:
        reason = OVERSIZE if error.close_code == _TOO_BIG else FRAME_ERROR
        self._close(line, reason, str(error), close_code=error.close_code)

    def _tick(self, now_s: float) -> None:
        is_our_silence = self._did_not_listen or now_s - self._ticked_s > _SLEPT_S  # stopped by a signal, say
        self._ticked_s = now_s
        self._did_not_listen = False
        for line in list(self._lines.values()):
            if is_our_silence:
                line.deadline.restart()
            if line.has_been_heard or is_our_silence:
                line.heard_s = now_s
                line.has_been_heard = False
            if now_s - line.heard_s > _SILENCE_S:
                self._close(line, STALL, "neither data nor a pong")
            elif line.deadline.update(line.parser, now_s):
                self._close(line, STALL, "a message took too long", close_code=1002)
            else:
                self._keep_alive(line, now_s)

    def _keep_alive(self, line: _Line, now_s: float) -> None:
        if not self._pay_pong(line):
            return
        try:
            line.connection.flush()
            if now_s - line.pinged_s >= _PING_INTERVAL_S and line.connection.send_ping():
                line.pinged_s = now_s
        except OSError as error:
            self._close(line, DISCONNECTED, str(error))


def _clear(eventfd: int) -> None:
    with contextlib.suppress(BlockingIOError):
        os.eventfd_read(eventfd)
