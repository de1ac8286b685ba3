"""What goes over the bus of each configured stream: counted, and looked into by samples.

Every message costs a look-up and three additions; what is inside is read of so many a second and stream.
"""

import math
from bisect import bisect_left
from collections import deque
from collections.abc import Iterable

from binance_streamer.exchange.messages import ExchangeError
from binance_streamer.exchange.readers import EventReader
from binance_streamer.exchange.streams import Stream
from binance_streamer.wire.frames import WireError, decode_frame, encode_topic
from services.monitor.view.picture import Latency, Series

BUCKETS_S = (0.0, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 60.0)
"""Upper bounds. The first is for negative ones, since clocks differ; aggTrades take 150 ms at the exchange."""
RATES_S = 60
SAMPLES_PER_S = 20
"""Of one stream; a sample takes about as long as ten messages that are only counted."""
_SERIES_S = 600
_SERIES_STEP_S = 2


class Lane:
    """One stream as it is seen on the bus."""

    __slots__ = (
        "_before", "_buckets", "_reader", "_skip", "_stride", "_sum_s", "bytes", "latency_ms", "messages",
        "newest", "rates", "sampled", "stream",
    )  # fmt: skip

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.messages = 0
        self.bytes = 0
        self.sampled = 0
        self.newest: bytes | None = None
        """The last frame, not decoded."""
        self.latency_ms: float | None = None
        self.rates: deque[int] = deque([0] * RATES_S, RATES_S)
        self._reader = EventReader(stream)
        self._buckets = [0] * (len(BUCKETS_S) + 1)
        self._sum_s = 0.0
        self._before = 0
        self._skip = 0
        self._stride = 1

    def take(self, frame: bytes) -> float | None:
        """A message; its latency in ms where it was a sample."""
        self.messages += 1
        self.bytes += len(frame)
        self.newest = frame
        self._skip -= 1
        if self._skip > 0:
            return None
        self._skip = self._stride
        return self._sample(frame)

    def second(self) -> int:
        """A second has passed: how many came in it."""
        count = self.messages - self._before
        self._before = self.messages
        self.rates.append(count)
        self._stride = max(1, math.ceil(count / SAMPLES_PER_S))
        return count

    @property
    def latency(self) -> Latency:
        """The histogram so far."""
        return Latency(counts=tuple(self._buckets), sum_s=round(self._sum_s, 6))

    def _sample(self, frame: bytes) -> float | None:
        try:
            _, data = decode_frame(frame)
            event_time_ms = self._reader.read(data.get("event", b"")).event_time_ms
        except (WireError, ExchangeError):
            return None
        latency_ms = data["recv_ns"] / 1e6 - event_time_ms
        self.sampled += 1
        self.latency_ms = latency_ms
        self._sum_s += latency_ms / 1000
        self._buckets[bisect_left(BUCKETS_S, latency_ms / 1000)] += 1
        return float(latency_ms)


class Traffic:
    """All configured streams. Topics that are not theirs are not counted, and leave nothing behind."""

    def __init__(self, streams: Iterable[Stream]) -> None:
        self.lanes: dict[bytes, Lane] = {topic_of(stream): Lane(stream) for stream in streams}
        self._latencies_ms: list[float] = []
        self._window = 0
        self._points: deque[tuple[int, float, float | None, float | None]] = deque(maxlen=_SERIES_S // _SERIES_STEP_S)
        self._seconds = 0

    def take(self, topic: bytes, frame: bytes) -> bool:
        """A message off the bus; whether it is of a configured stream."""
        lane = self.lanes.get(topic)
        if lane is None:
            return False
        latency_ms = lane.take(frame)
        if latency_ms is not None:
            self._latencies_ms.append(latency_ms)
        return True

    def second(self, now_ms: int) -> None:
        """A second has passed."""
        self._window += sum([lane.second() for lane in self.lanes.values()])
        self._seconds += 1
        if self._seconds % _SERIES_STEP_S:
            return
        ordered = sorted(self._latencies_ms)
        point = (now_ms, self._window / _SERIES_STEP_S, _quantile(ordered, 0.5), _quantile(ordered, 0.99))
        self._points.append(point)
        self._latencies_ms = []
        self._window = 0

    @property
    def series(self) -> Series:
        """The last ten minutes, a point every two seconds."""
        columns = list(zip(*self._points, strict=True)) or [(), (), (), ()]
        return Series(t_ms=columns[0], messages_per_s=columns[1], latency_p50_ms=columns[2], latency_p99_ms=columns[3])


def topic_of(stream: Stream) -> bytes:
    """Where the messages of a stream are published."""
    return encode_topic(stream.stream_type, stream.symbol, stream.variant)


def _quantile(ordered: list[float], share: float) -> float | None:
    """The smallest value that so large a share does not exceed."""
    return round(ordered[max(0, math.ceil(share * len(ordered)) - 1)], 3) if ordered else None
