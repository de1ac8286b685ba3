"""Drafts become frames: they get their producer's name, its epoch, and the next number of their topic."""

from collections.abc import Sequence

import msgpack

from binance_streamer.wire.frames import encode_topic
from services.runtime.delivery.events import EventFrames, EventRun
from services.runtime.gaps.drafts import Draft

_MOST_REMEMBERED = 256
"""Streams times connections; numbers of connections are never used twice, and a process runs for months."""


class _Topic:
    """One topic of this producer: its encoded name, and the last sequence number."""

    __slots__ = ("encoded", "seq")

    def __init__(self, encoded: bytes) -> None:
        self.encoded = encoded
        self.seq = 0


class DraftEncoder:
    """Numbers and encodes all that one run of a producer sends."""

    def __init__(self, producer: str, epoch: int) -> None:
        self._producer = producer
        self._epoch = epoch
        self._topics: dict[tuple[str, str, str], _Topic] = {}
        self._frames: dict[tuple[str, int], EventFrames] = {}  # by stream and connection
        self._pack = msgpack.Packer(autoreset=True).pack

    def encode(self, draft: Draft | EventRun) -> tuple[bytes, Sequence[bytes]]:
        """Return the topic and the frames of a draft, one for each message; the numbers count as used."""
        if isinstance(draft, EventRun):
            return self._encode_run(draft)
        topic = self._topic(draft[:3])
        topic.seq += 1
        data = draft.data
        if data["source"] == "ws" and draft.stream_type != "raw":
            events = self._frames_of((draft.stream_type, draft.symbol, data["stream"]), data["connection"])
            return topic.encoded, events.encode(topic.seq, (data["recv_ns"],), (data["event"],))
        data["producer"] = self._producer
        data["epoch"] = self._epoch
        data["seq"] = topic.seq
        return topic.encoded, (self._pack((draft.stream_type, data)),)

    def _encode_run(self, run: EventRun) -> tuple[bytes, Sequence[bytes]]:
        name, symbol, stream_type, variant, *_ = run.stream
        topic = self._topic((stream_type, symbol, variant))
        events = self._frames_of((stream_type, symbol, name), run.connection)
        encoded = events.encode(topic.seq + 1, run.stamps_ns, run.events)
        topic.seq += len(encoded)
        return topic.encoded, encoded

    def _frames_of(self, topic: tuple[str, str, str], connection: int) -> EventFrames:
        frames = self._frames.get((topic[2], connection))
        if frames is None:
            if len(self._frames) >= _MOST_REMEMBERED:
                self._frames.clear()
            frames = EventFrames(topic, connection, producer=self._producer, epoch=self._epoch)
            self._frames[topic[2], connection] = frames
        return frames

    def _topic(self, key: tuple[str, str, str]) -> _Topic:
        topic = self._topics.get(key)
        if topic is None:
            topic = self._topics[key] = _Topic(encode_topic(*key))
        return topic
