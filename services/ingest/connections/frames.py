"""Server-to-client websocket frames (RFC 6455), parsed without a socket or a clock: bytes in, events out.

Text is not checked for UTF-8: it would cost more than all the rest, and the JSON decoder behind finds it.
"""

from typing import NamedTuple

_FIN_TEXT = 0x81
_CONTINUATION, _TEXT, _BINARY, _CLOSE, _PING, _PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA

_PROTOCOL_ERROR, _NO_STATUS, _INVALID_DATA, _TOO_BIG = 1002, 1005, 1007, 1009
# RFC 6455 §7.4 and IANA's registry: 1004, 1005, 1006 and 1015 never stand in a frame, 1016 to 2999 are not assigned.
_CLOSE_CODES = frozenset({1000, 1001, 1002, 1003, *range(1007, 1015), *range(3000, 5000)})


class Ping(NamedTuple):
    payload: bytes


class Pong(NamedTuple):
    payload: bytes


class Close(NamedTuple):
    """A close frame. One without a code reads as 1005, as RFC 6455 §7.1.5 has it."""

    code: int
    reason: str


Event = bytes | Ping | Pong | Close
"""A text or binary message is its bytes."""


class FrameError(Exception):
    """The server broke the protocol (1002, 1007) or sent more than we take (1009); never a fault of the caller.

    `close_code` is what to close the connection with.
    """

    def __init__(self, close_code: int, what: str) -> None:
        super().__init__(f"the server sent {what}")
        self.close_code = close_code


class _Header(NamedTuple):
    is_final: bool
    opcode: int
    start: int
    stop: int


class FrameParser:
    """Turns the bytes of one connection into events, in order of arrival.

    After an error `error` is set, and the next `feed` raises it: the events that were complete before it are
    returned first, so look at `error` after each `feed`. After a Close everything is discarded (RFC 6455 §1.4).
    """

    def __init__(self, *, max_message_bytes: int) -> None:
        self.error: FrameError | None = None
        self.message_number = 0
        """Messages finished so far, which is the number of the one that is under way."""
        self._max_bytes = max_message_bytes
        self._held = bytearray()  # the beginning of an incomplete frame
        self._needed_bytes = 0  # below this length of _held, looking at it again tells nothing new
        self._message: bytearray | None = None  # the fragments so far
        self._is_closed = False

    @property
    def is_mid_message(self) -> bool:
        """Return True while the server owes the rest of a frame or of a fragmented message."""
        return bool(self._held) or self._message is not None

    def feed(self, data: bytes | bytearray | memoryview) -> list[Event]:
        """Return the events that `data` completes. `data` is copied: a receive buffer may be used again.

        O(len(data)) however small the pieces of a large frame are. Raises the FrameError of an earlier feed.
        """
        if self.error is not None:
            raise self.error
        if not self._held:
            start = self._start_of_only_text(data)
            if start:
                self.message_number += 1
                return [bytes(data[start:])]
        elif len(self._held) + len(data) < self._needed_bytes:
            self._held += data
            return []
        return self._parse(b"".join((self._held, data)))

    def _start_of_only_text(self, data: bytes | bytearray | memoryview) -> int:
        """Return where the payload begins if `data` is one whole text frame under 64 KiB; else 0.

        At an ordinary pace nearly every recv is that, and each is met with a cold cache.
        """
        size = len(data)
        if size < 2 or data[0] != _FIN_TEXT or self._message is not None or self._is_closed:
            return 0
        length, start = data[1], 2
        if length == 126:
            if size < 130:
                return 0
            length, start = data[2] << 8 | data[3], 4
        return start if length == size - start and length <= self._max_bytes and data[1] < 127 else 0

    def _parse(self, data: bytes) -> list[Event]:
        events: list[Event] = []
        self._held.clear()
        at, after = -1, 0
        try:
            while after > at and not self._is_closed:
                at = self._run_of_texts(data, after, events)
                after = self._frame(data, at, events)
        except FrameError as error:
            self.error = error
        else:
            if not self._is_closed:
                self._held += data[at:]
        self.message_number += len(events)
        return events

    def _run_of_texts(self, data: bytes, at: int, events: list[Event]) -> int:
        """The hot path: whole unfragmented text frames under 64 KiB. Returns where it met anything else."""
        if self._message is not None:
            return at
        append = events.append
        max_bytes = self._max_bytes
        last = len(data) - 4  # four bytes hold either header; what is shorter is left to _frame
        while at <= last and data[at] == _FIN_TEXT:
            length = data[at + 1]
            if length < 126:
                start = at + 2
            elif length == 126:
                start = at + 4
                length = data[at + 2] << 8 | data[at + 3]
                if length < 126:
                    break
            else:
                break
            stop = start + length
            if length > max_bytes or stop > last + 4:
                break
            append(data[start:stop])
            at = stop
        return at

    def _frame(self, data: bytes, at: int, events: list[Event]) -> int:
        """Takes one frame of any kind. Returns where it ends, or `at` while there is not enough of it."""
        header = self._header(data, at)
        if header is None:
            return at
        if header.stop > len(data):
            self._needed_bytes = header.stop - at
            return at
        payload = data[header.start : header.stop]
        if header.opcode < _CLOSE:
            self._fragment(payload, events, is_final=header.is_final)
        else:
            self._control(header.opcode, payload, events)
        return header.stop

    def _header(self, data: bytes, at: int) -> _Header | None:
        """Judges a frame by its header alone: what is refused is refused before its payload is waited for."""
        self._needed_bytes = 2
        if len(data) - at < 2:
            return None
        opcode = data[at] & 0x0F
        is_final = data[at] >= 0x80
        self._check_first_bytes(data[at], data[at + 1])
        start = at + {126: 4, 127: 10}.get(data[at + 1], 2)
        if start > len(data):
            self._needed_bytes = start - at
            return None
        length = _payload_length(data, at, start)
        if opcode >= _CLOSE and (not is_final or length > 125):
            raise FrameError(_PROTOCOL_ERROR, "a control frame in fragments or over 125 bytes")
        if opcode < _CLOSE and len(self._message or b"") + length > self._max_bytes:
            raise FrameError(_TOO_BIG, f"a message over our limit of {self._max_bytes} bytes (this frame: {length})")
        return _Header(is_final, opcode, start, start + length)

    def _check_first_bytes(self, first: int, second: int) -> None:
        opcode = first & 0x0F
        if first & 0x70:
            raise FrameError(_PROTOCOL_ERROR, f"reserved bits (first byte {first:#04x}) without an agreed extension")
        if second & 0x80:
            raise FrameError(_PROTOCOL_ERROR, "a masked frame")
        if opcode not in (_CONTINUATION, _TEXT, _BINARY, _CLOSE, _PING, _PONG):
            raise FrameError(_PROTOCOL_ERROR, f"the unknown opcode {opcode:#x}")
        if opcode == _CONTINUATION and self._message is None:
            raise FrameError(_PROTOCOL_ERROR, "a continuation of no message")
        if opcode in (_TEXT, _BINARY) and self._message is not None:
            raise FrameError(_PROTOCOL_ERROR, "a new message inside a fragmented one")

    def _fragment(self, payload: bytes, events: list[Event], *, is_final: bool) -> None:
        if self._message is None and is_final:
            events.append(payload)
            return
        if self._message is None:
            self._message = bytearray()
        self._message += payload
        if is_final:
            events.append(bytes(self._message))
            self._message = None

    def _control(self, opcode: int, payload: bytes, events: list[Event]) -> None:
        if opcode == _CLOSE:
            events.append(_close(payload))
            self._is_closed = True
            self._message = None
            return
        events.append(Ping(payload) if opcode == _PING else Pong(payload))
        if self._message is not None:
            self.message_number -= 1  # it does not end the message that it stands in


def _payload_length(data: bytes, at: int, start: int) -> int:
    short = data[at + 1]
    if short < 126:
        return short
    length = int.from_bytes(data[at + 2 : start], "big")
    if length < 126 or (short == 127 and not 1 << 16 <= length < 1 << 63):
        raise FrameError(_PROTOCOL_ERROR, f"a length of {length} in {start - at - 2} bytes")
    return length


def _close(payload: bytes) -> Close:
    if not payload:
        return Close(_NO_STATUS, "")
    code = int.from_bytes(payload[:2], "big")
    if len(payload) < 2 or code not in _CLOSE_CODES:
        raise FrameError(_PROTOCOL_ERROR, f"a close frame without a valid code ({payload[:2].hex()})")
    try:
        return Close(code, payload[2:].decode())
    except UnicodeDecodeError:
        raise FrameError(_INVALID_DATA, "a close reason that is not UTF-8") from None


class FrameDeadline:
    """One deadline for a whole message, first byte to last, so that a trickle cannot hold it.

    Update it after each feed and on each tick, with a monotonic time.
    """

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._number = -1
        self._since_s = 0.0

    def update(self, parser: FrameParser, now_s: float) -> bool:
        """Note the parser's progress; return True where one message has been under way for longer than the limit."""
        if not parser.is_mid_message:
            self._number = -1
        elif parser.message_number != self._number:
            self._number, self._since_s = parser.message_number, now_s
        return self._number >= 0 and now_s - self._since_s > self._limit_s

    def restart(self) -> None:
        """Begin the time of the message under way anew at the next update, because this process did not read."""
        self._number = -1
