"""Decodes market messages off the bus, and counts those that the bus did not bring.

Only the fields that a book needs are decoded: these are the most frequent messages of the process.
"""

from collections.abc import Sequence
from typing import Annotated

import msgspec

from binance_streamer.wire.frames import WireError

_Number = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class FrameData(msgspec.Struct, frozen=True, gc=False):
    """The fields of a market message that a book needs (docs/wire.md)."""

    symbol: str
    stream: str
    recv_ns: _Number
    producer: str
    epoch: _Number
    seq: _Number
    event: bytes


class Frame(msgspec.Struct, frozen=True, gc=False, array_like=True, forbid_unknown_fields=True):
    """A frame on the wire: stream type and data."""

    stream_type: str
    data: FrameData


class LastMessage(msgspec.Struct, frozen=True, gc=False):
    """The origin and number of the last message of a topic."""

    producer: str
    epoch: int
    seq: int


_decode = msgspec.msgpack.Decoder(Frame).decode


class Inbox:
    """Counts the messages that a subscriber missed, by the holes in `seq`, and the restarts of producers."""

    def __init__(self) -> None:
        self.missed = 0
        """Messages that the bus did not bring."""
        self.restarts = 0
        self._last: dict[bytes, LastMessage] = {}

    def read(self, parts: Sequence[bytes]) -> tuple[FrameData, int]:
        """Return the data of a message, and how many messages of its topic were missed before it.

        `WireError` where it is no market message. After a restart of its producer nothing counts as missed: the chain
        of ids shows whether anything is.
        """
        if len(parts) != 2:
            raise WireError(f"message: expected [topic, frame], got {len(parts)} parts")
        topic, packed = parts
        try:
            data = _decode(packed).data
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise WireError(f"frame of {topic[:80]!r}: {error}") from error
        before = self._last.get(topic)
        self._last[topic] = LastMessage(data.producer, data.epoch, data.seq)
        if before is None:
            return data, 0
        if before.epoch != data.epoch or before.producer != data.producer:
            self.restarts += 1
            return data, 0
        missed = max(0, data.seq - before.seq - 1)
        self.missed += missed
        return data, missed
