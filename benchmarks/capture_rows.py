"""The messages of a recorded capture, and the rows that the writer makes of them."""

import gzip
import os
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from binance_streamer.exchange.streams import Stream, stream_from_name
from services.runtime.delivery.events import EventFrames
from services.writer.rows.rows import RowMaker, Run

ROOT = Path(__file__).resolve().parents[1]
CAPTURES = Path(os.environ.get("MARKET_DATA", ROOT.parent / "shared" / "data"))
RUN = Run("ingest-BTCUSDT", 1_790_000_000_000_000_001)
_DATA = b'","data":'


class Captured(NamedTuple):
    """A message of a stream as it was received: stamp in ns, and the bytes of the event."""

    stream: Stream
    recv_ns: int
    event: bytes


def captured(capture: str) -> Iterator[Captured]:
    """Yield the messages of a capture in their order of arrival, answers of REST left out."""
    streams: dict[bytes, Stream] = {}
    with gzip.open(CAPTURES / capture / "capture.gz", "rb") as file:
        for line in file:
            stamp, _, message = line.rstrip(b"\n").partition(b" ")
            name, found, event = message.removeprefix(b'{"stream":"').partition(_DATA)
            if not found:
                continue
            stream = streams.get(name)
            if stream is None:
                stream = streams[name] = stream_from_name(name.decode())
            yield Captured(stream, int(stamp), event[:-1])


def frames(messages: Iterator[Captured]) -> Iterator[bytes]:
    """Yield the messages as frames of one producer, numbered by stream."""
    encoders: dict[str, EventFrames] = {}
    seqs: dict[str, int] = defaultdict(int)
    for stream, recv_ns, event in messages:
        encoder = encoders.get(stream.name)
        if encoder is None:
            topic = (stream.stream_type, stream.symbol, stream.name)
            encoder = encoders[stream.name] = EventFrames(topic, 1, producer=RUN.producer, epoch=RUN.epoch)
        seqs[stream.name] += 1
        yield encoder.encode(seqs[stream.name], (recv_ns,), (event,))[0]


def rows(capture: str) -> dict[str, list[bytes]]:
    """Return the lines of each daily file that the writer would make of a capture, without headers."""
    maker = RowMaker()
    found: dict[str, list[bytes]] = defaultdict(list)
    for position, frame in enumerate(frames(captured(capture))):
        (row,) = maker.rows(RUN, position, [frame], now_ns=1)
        found[row.target.path].append(row.line)
    return found
