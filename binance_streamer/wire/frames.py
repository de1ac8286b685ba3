"""The wire contract: topics, frames, batches and acknowledgements (specified in docs/wire.md).

Everything that comes in from a socket is treated as hostile: a decoder returns what the contract promises or raises
`WireError`, which says what was expected and what came.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgpack

WIRE_VERSION = 1

MAX_BATCH_BYTES = 256 * 1024
"""Frames of one durable message, together; a single larger frame travels alone."""
MAX_FRAME_BYTES = 4 * 1024 * 1024
"""Default of `performance.max_frame_bytes`."""
MAX_MESSAGE_BYTES = 8 * 1024 * 1024
"""MAXMSGSIZE of receiving sockets: one frame of the largest size, and its envelope."""

_MAX_DEPTH = 16
_MAX_U64 = 2**64 - 1

TYPE_OF_KEY: dict[str, type] = {
    "symbol": str,
    "stream": str,
    "recv_ns": int,
    "producer": str,
    "epoch": int,
    "seq": int,
    "source": str,
    "connection": int,
    "requested_ns": int,
    "event": bytes,
}
REQUIRED_KEYS = ("symbol", "stream", "recv_ns", "producer", "epoch", "seq", "source")


class WireError(ValueError):
    """Bytes that are not what the wire contract says, or a value that it cannot carry."""


class Topic(NamedTuple):
    """The topic that a subscriber selects by; `variant` is empty where the stream type has none."""

    stream_type: str
    symbol: str
    variant: str


class Position(NamedTuple):
    """A record's place in its producer's journal: positions count from 0 in each epoch."""

    epoch: int
    number: int


class Batch(NamedTuple):
    """One message of the durable path: consecutive frames of one epoch."""

    producer: str
    epoch: int
    first: int
    after: Position | None
    frames: bytes


class Ack(NamedTuple):
    """The writer's word to one producer.

    Everything before `durable` is durable, everything before `received` has been taken; each is a position in the
    newest epoch of which that is true, None where there is none. The two may differ in the epoch: the rows of a new
    run are received before the last ones of the old run are durable. `reason`: `commit`, `hello` (the producer has just
    subscribed), `known` (a batch brought nothing new) or `misfit` (a batch did not follow what the writer has).
    """

    writer_id: str
    durable: Position | None
    received: Position | None
    reason: str


ACK_REASONS = ("commit", "hello", "known", "misfit")


def encode_topic(stream_type: str, symbol: str, variant: str = "") -> bytes:
    """`<stream_type>.<symbol>.<variant>`; the first two parts hold no dot."""
    if not stream_type or not symbol or "." in stream_type or "." in symbol:
        raise WireError(f"topic: expected a stream type and a symbol without dots, got {stream_type!r}, {symbol!r}")
    return f"{stream_type}.{symbol}.{variant}".encode()


def decode_topic(topic: bytes) -> Topic:
    """The three parts of a topic."""
    try:
        parts = topic.decode().split(".", 2)
    except UnicodeDecodeError as error:
        raise WireError(f"topic: expected UTF-8, got {topic[:80]!r}") from error
    if len(parts) != 3 or not parts[0] or not parts[1]:
        raise WireError(f"topic: expected <stream_type>.<symbol>.<variant>, got {topic[:80]!r}")
    return Topic(*parts)


def encode_frame(stream_type: str, data: Mapping[str, Any]) -> bytes:
    """msgpack of `(stream_type, data)`; the shape of `data` is checked by `check_data`."""
    check_data(stream_type, data)
    try:
        packed: bytes = msgpack.packb((stream_type, data))
    except (TypeError, ValueError, OverflowError) as error:
        raise WireError(f"frame {stream_type!r}: expected plain msgpack values, got {error}") from error
    return packed


def decode_frame(frame: bytes) -> tuple[str, dict[str, Any]]:
    """The pair of stream type and data out of one frame; the inverse of `encode_frame`."""
    return checked_frame(_unpack(frame, "frame"))


def checked_frame(value: object) -> tuple[str, dict[str, Any]]:
    """An unpacked value, once it has proved to be a frame."""
    if not isinstance(value, list) or len(value) != 2:
        raise WireError(f"frame: expected the pair (stream_type, data), got {_shown(value)}")
    stream_type, data = value
    check_data(stream_type, data)
    return stream_type, data


def check_data(stream_type: object, data: object) -> None:
    """Raise `WireError` unless these are the two members of a frame."""
    if type(stream_type) is not str or not stream_type or "." in stream_type:
        raise WireError(f"frame: expected a stream type without dots, got {_shown(stream_type)}")
    if not isinstance(data, Mapping):
        raise WireError(f"frame {stream_type!r}: expected a map, got {_shown(data)}")
    for key in REQUIRED_KEYS:
        if key not in data:
            raise WireError(f"frame {stream_type!r}: expected the key {key!r}")
    for key, value in data.items():
        expected = TYPE_OF_KEY.get(key)
        if expected is None:
            _check_plain(stream_type, key, value, 0)
        elif type(value) is not expected:
            raise WireError(f"frame {stream_type!r}: expected {key!r} to be {expected.__name__}, got {_shown(value)}")
    if not 0 <= data["epoch"] <= _MAX_U64 or not 0 < data["seq"] <= _MAX_U64:
        raise WireError(f"frame {stream_type!r}: expected epoch >= 0 and seq >= 1 in 64 bits")


def split_frames(frames: bytes) -> list[bytes]:
    """The single frames of a batch, as bytes; raises `WireError` (with `.good`) where the stream breaks off."""
    unpacker = msgpack.Unpacker(max_buffer_size=max(len(frames), 1), strict_map_key=True)
    unpacker.feed(frames)
    found: list[bytes] = []
    start = 0
    while start < len(frames):
        try:
            unpacker.skip()
        except (ValueError, TypeError, msgpack.OutOfData) as error:
            raise BrokenBatchError(f"batch: expected a msgpack value at byte {start}", found, start) from error
        end = unpacker.tell()
        found.append(frames[start:end])
        start = end
    return found


class BrokenBatchError(WireError):
    """The frames of a batch cannot be told apart any further."""

    def __init__(self, message: str, good: list[bytes], broken_at_byte: int) -> None:
        super().__init__(message)
        self.good = good
        self.broken_at_byte = broken_at_byte


def encode_batch(batch: Batch) -> list[bytes]:
    """The three parts `[producer, header, frames]`."""
    after = tuple(batch.after) if batch.after is not None else None
    return [batch.producer.encode(), msgpack.packb((batch.epoch, batch.first, after)), batch.frames]


def decode_batch(parts: Sequence[bytes]) -> Batch:
    """A batch out of its three parts; the frames inside are not looked at."""
    if len(parts) != 3:
        raise WireError(f"batch: expected [producer, header, frames], got {len(parts)} parts")
    header = _unpack(parts[1], "batch header")
    if not isinstance(header, list) or len(header) != 3:
        raise WireError(f"batch header: expected (epoch, first, after), got {_shown(header)}")
    epoch, first, after = header
    _check_unsigned("batch header", epoch, first)
    if not parts[2]:
        raise WireError("batch: expected at least one frame")
    return Batch(_text(parts[0], "producer"), epoch, first, _position(after, "batch header"), parts[2])


def encode_ack(ack: Ack) -> bytes:
    """msgpack of the four members; the topic it goes under is the producer's name."""
    packed: bytes = msgpack.packb(tuple(ack))
    return packed


def decode_ack(frame: bytes) -> Ack:
    """The writer's word; the inverse of `encode_ack`."""
    value = _unpack(frame, "ack")
    if not isinstance(value, list) or len(value) != 4:
        raise WireError(f"ack: expected (writer id, durable, received, reason), got {_shown(value)}")
    writer_id, durable, received, reason = value
    if type(writer_id) is not str or reason not in ACK_REASONS:
        raise WireError(f"ack: expected a writer id and one of {ACK_REASONS}, got {_shown(value)}")
    return Ack(writer_id, _position(durable, "ack"), _position(received, "ack"), reason)


def _position(value: object, what: str) -> Position | None:
    if value is None:
        return None
    if not isinstance(value, list) or len(value) != 2:
        raise WireError(f"{what}: expected nil or (epoch, position), got {_shown(value)}")
    _check_unsigned(what, *value)
    return Position(*value)


def _unpack(packed: bytes, what: str) -> object:
    try:
        value: object = msgpack.unpackb(packed, strict_map_key=True)
    except (ValueError, TypeError) as error:  # FormatError, StackError, ExtraData and UnicodeDecodeError: ValueErrors
        raise WireError(f"{what}: expected one msgpack value, got {packed[:40]!r} ({error})") from error
    return value


def _check_plain(stream_type: str, key: object, value: object, depth: int) -> None:
    if depth > _MAX_DEPTH or type(key) is not str:
        raise WireError(f"frame {stream_type!r}: expected text keys, {_MAX_DEPTH} levels at most, at {_shown(key)}")
    if isinstance(value, Mapping):
        for inner_key, inner in value.items():
            _check_plain(stream_type, inner_key, inner, depth + 1)
    elif isinstance(value, list | tuple):
        for inner in value:
            _check_plain(stream_type, key, inner, depth + 1)
    elif not (value is None or isinstance(value, str | int | float | bytes)):
        raise WireError(f"frame {stream_type!r}: expected a plain value for {key!r}, got {_shown(value)}")


def _check_unsigned(what: str, *values: object) -> None:
    for value in values:
        if type(value) is not int or not 0 <= value <= _MAX_U64:
            raise WireError(f"{what}: expected an unsigned 64-bit integer, got {_shown(value)}")


def _text(part: bytes, what: str) -> str:
    try:
        text = part.decode()
    except UnicodeDecodeError as error:
        raise WireError(f"{what}: expected UTF-8, got {part[:80]!r}") from error
    if not text:
        raise WireError(f"{what}: expected a name, got nothing")
    return text


def _shown(value: object) -> str:
    return f"{type(value).__name__} {value!r:.80}"
