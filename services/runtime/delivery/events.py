"""Messages of the exchange on their way into the journal: nearly all that a producer appends.

Messages of one stream that hang on one another go through together, and what is the same for all of them is done once.
"""

import struct
from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from typing import Any, Generic, NamedTuple, TypeVar

import msgpack

from binance_streamer.exchange.messages import EventIds, Reading
from binance_streamer.exchange.streams import Stream
from services.runtime.gaps.drafts import Draft

_KEYS_IN_HEAD = ("symbol", "stream", "source", "producer", "epoch", "connection")
_SEQ = b"\xa3seq\xcf"  # a key of msgpack, and the mark of an unsigned integer of 64 bits
_RECV_NS = b"\xa7recv_ns\xcf"
_EVENT = b"\xa5event\xc6"  # bytes, with a length of 32 bits
_NUMBERS = struct.Struct(f">Q{len(_RECV_NS)}sQ{len(_EVENT)}sI")
MAX_ENVELOPE_BYTES = 1000
"""Of a frame around its event, with room to spare."""
_MAP_OF_9 = b"\x89"
_PAIR = b"\x92"

Known = TypeVar("Known")


class EventRun:
    """Messages of one stream over one connection with nothing missing between them: stamps, bytes, and ids."""

    __slots__ = ("connection", "events", "links", "stamps_ns", "stream")

    def __init__(self, stream: Stream, connection: int) -> None:
        self.stream = stream
        self.connection = connection
        self.stamps_ns: list[int] = []
        self.events: list[bytes] = []
        self.links: list[EventIds] = []

    @property
    def stream_name(self) -> str:
        """The exchange's name of the stream."""
        return self.stream.name

    @property
    def stream_type(self) -> str:
        """Our word for the kind of the stream."""
        return self.stream.stream_type

    @property
    def span_ns(self) -> tuple[int, int]:
        """The receive stamps of its first and its last message."""
        return self.stamps_ns[0], self.stamps_ns[-1]

    @property
    def symbol(self) -> str:
        """The symbol that the messages are about."""
        return self.stream.symbol

    @property
    def reading(self) -> Reading:
        """Of all messages together: what the first one hangs on, the largest id, the latest time."""
        links = self.links
        last_id = links[-1].last_id
        if last_id is not None and links[0].previous_id is None:
            last_id = max([link.last_id or 0 for link in links])
        return Reading(links[0].previous_id, last_id, max([link.event_time_ms for link in links]))

    def drafts(self) -> Iterator[Draft]:
        """The same, one by one."""
        for recv_ns, event, link in zip(self.stamps_ns, self.events, self.links, strict=True):
            yield event_draft(self.stream, self.connection, recv_ns, event, reading_of(link))


def reading_of(link: EventIds) -> Reading:
    """The same as a reading."""
    return Reading(link.previous_id, link.last_id, link.event_time_ms)


def event_draft(stream: Stream, connection: int, recv_ns: int, event: bytes, reading: Reading | None) -> Draft:
    """One message as it is journalled."""
    name, symbol, stream_type, variant, *_ = stream
    data = {
        "symbol": symbol,
        "stream": name,
        "recv_ns": recv_ns,
        "source": "ws",
        "connection": connection,
        "event": event,
    }
    return Draft(stream_type, symbol, variant, data, reading)


def rest_data(symbol: str, stream: str, event: bytes, *, recv_ns: int, requested_ns: int) -> dict[str, Any]:
    """Return the `data` of an answer of REST, or of a part of one; `stream` is a stream's name, or path and query."""
    return {
        "symbol": symbol,
        "stream": stream,
        "recv_ns": recv_ns,
        "source": "rest",
        "connection": 0,
        "requested_ns": requested_ns,
        "event": event,
    }


class EventFrames:
    """Frames of one stream, connection and epoch. They decode to what `wire.encode_frame` makes of the same values."""

    def __init__(self, topic: tuple[str, str, str], connection: int, *, producer: str, epoch: int) -> None:
        """`topic`: stream type, symbol, and the exchange's name of the stream."""
        stream_type, symbol, stream = topic
        values = (symbol, stream, "ws", producer, epoch, connection)
        members = [msgpack.packb(item) for pair in zip(_KEYS_IN_HEAD, values, strict=True) for item in pair]
        self.head = b"".join((_PAIR, msgpack.packb(stream_type), _MAP_OF_9, *members, _SEQ))
        """The bytes with which all of these frames begin."""

    def encode(self, first_seq: int, stamps_ns: Sequence[int], events: Sequence[bytes]) -> list[bytes]:
        """The frames of consecutive messages."""
        head, numbers, join = self.head, _NUMBERS.pack, b"".join
        return [
            join((head, numbers(seq, _RECV_NS, recv_ns, _EVENT, len(event)), event))
            for seq, recv_ns, event in zip(count(first_seq), stamps_ns, events, strict=False)
        ]


def head_of(frames: bytes, at: int = 0) -> bytes:
    """Return the bytes with which the frame at this place begins, if `EventFrames` made it."""
    return frames[at : frames.find(_SEQ, at, at + MAX_ENVELOPE_BYTES) + len(_SEQ)]


def stamp_and_event(frame: bytes, head_size: int) -> tuple[int, bytes]:
    """Return the receive stamp and the event of a frame that `EventFrames` made; `head_size` is that of its head."""
    recv_ns: int = _NUMBERS.unpack_from(frame, head_size)[2]
    return recv_ns, frame[head_size + _NUMBERS.size :]


def is_event_frame(frame: bytes, head: bytes, data: Mapping[str, Any]) -> bool:
    """Return True where `EventFrames` made this frame, whose head and decoded data are given."""
    return len(frame) >= len(head) + _NUMBERS.size and stamp_and_event(frame, len(head)) == (
        data.get("recv_ns"),
        data.get("event"),
    )


class MessageColumns(NamedTuple, Generic[Known]):
    """The messages of one source in their order, in columns of one length."""

    known: Known
    seqs: list[int]
    stamps_ns: list[int]
    events: list[bytes]


def read_frames(frames: bytes, heads: Mapping[bytes, Known]) -> list[MessageColumns[Known]] | None:
    """The messages in the frames of a batch, by what their heads stand for.

    None where a frame is spelt otherwise than by `EventFrames`, or its head is not among these.
    """
    found: dict[Known, MessageColumns[Known]] = {}
    unpack, begins_with = _NUMBERS.unpack_from, frames.startswith
    head, head_size = b"", 0
    seqs: list[int] = []
    stamps_ns: list[int] = []
    events: list[bytes] = []
    at, end = 0, len(frames)
    while at < end:
        if not head_size or not begins_with(head, at):
            head = head_of(frames, at)
            head_size = len(head)
            known = heads.get(head)
            if known is None:
                return None
            if known not in found:
                found[known] = MessageColumns(known, [], [], [])
            _, seqs, stamps_ns, events = found[known]
        at += head_size
        begin = at + _NUMBERS.size
        if begin > end:
            return None
        seq, recv_ns_key, recv_ns, event_key, length = unpack(frames, at)
        if recv_ns_key != _RECV_NS or event_key != _EVENT:
            return None
        at = begin + length
        seqs.append(seq)
        stamps_ns.append(recv_ns)
        events.append(frames[begin:at])
    return list(found.values()) if at == end else None
