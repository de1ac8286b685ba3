"""The messages of each configured stream on the bus: all are counted, and some are looked into for their
latency.

Every message costs a look-up and three additions. Decoding costs ten times that, so that of each stream
only some `SAMPLES_PER_S` messages a second are decoded, spread evenly.

In: topic and frame of each message. Out: counts, rates and latencies, read once a second. Main thread only;
`take` is the monitor's hot path, and must stay as cheap as it is: a subscriber that is too slow loses
messages at the bus.
"""

import math
from bisect import bisect_left
from collections import deque
from collections.abc import Iterable

from binance_streamer.exchange.messages import ExchangeError
from binance_streamer.exchange.readers import EventReader
from binance_streamer.exchange.streams import Stream
from binance_streamer.wire.frames import WireError, decode_frame, encode_topic
from services.monitor.snapshots.page import LatencyHistogram, Series

BUCKETS_S = (0.0, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 60.0)
"""Upper bounds. The first is for negative ones, since clocks differ; aggTrades take 150 ms at the exchange."""
NO_LATENCY = LatencyHistogram(counts=(0,) * (len(BUCKETS_S) + 1), sum_s=0.0)
"""Of a stream of which nothing was looked into."""
RATES_S = 60
"""Seconds of the small chart that the page shows beside each stream."""
SAMPLES_PER_S = 20
"""Of one stream; a sample takes about as long as ten messages that are only counted."""
_SERIES_S = 600
_SERIES_STEP_S = 2
"""Ten minutes with a point every two seconds are 300 points, which go to every client with each snapshot."""


class StreamTraffic:
    """One stream as it is seen on the bus: counts of all its messages, and latencies of a sample of them.

    Latency is our receive stamp minus the exchange's event time, in milliseconds; two clocks, so that it may be
    negative. It has slots because one is touched per message.
    """

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
        """Count a message; return its latency in milliseconds where it was looked into, else None.

        Each `_stride`-th message is looked into. A message that cannot be read is counted, and gives no latency.
        """
        self.messages += 1
        self.bytes += len(frame)
        self.newest = frame
        self._skip -= 1
        if self._skip > 0:
            return None
        self._skip = self._stride
        return self._sample(frame)

    def end_second(self, seconds: int = 1) -> int:
        """End a second, and return how many messages came since the one before; call it once a second.

        After a hold-up `seconds` have passed, and what came is spread over them, since it was no burst. The next stride
        follows from it: at 1,000 messages a second every 50th is looked into, below 20 each one.
        """
        count = self.messages - self._before
        self._before = self.messages
        self.rates.extend([round(count / seconds)] * min(seconds, RATES_S))
        self._stride = max(1, math.ceil(count / seconds / SAMPLES_PER_S))
        return count

    @property
    def latency(self) -> LatencyHistogram:
        """The histogram of all samples so far."""
        return LatencyHistogram(counts=tuple(self._buckets), sum_s=round(self._sum_s, 6))

    def _sample(self, frame: bytes) -> float | None:
        """Decode a frame, put its latency into the histogram, and return it in milliseconds; None where it cannot be
        read.

        The bucket is the first whose upper bound is not below the latency, as in Prometheus (`le`).
        """
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
    """All configured streams. Topics that are not theirs are not counted, and leave nothing behind.

    `by_topic` has them by the exact bytes of their topic. Points of the series are kept for ten minutes.
    """

    def __init__(self, streams: Iterable[Stream]) -> None:
        self.by_topic: dict[bytes, StreamTraffic] = {topic_of(stream): StreamTraffic(stream) for stream in streams}
        self._latencies_ms: list[float] = []
        self._window = 0
        self._window_s = 0
        self._ended_ms = 0
        self._points: deque[tuple[int, float, float | None, float | None]] = deque(maxlen=_SERIES_S // _SERIES_STEP_S)

    def take(self, topic: bytes, frame: bytes) -> bool:
        """Count a message off the bus; return False, and do nothing, where its topic is no configured stream's."""
        one = self.by_topic.get(topic)
        if one is None:
            return False
        latency_ms = one.take(frame)
        if latency_ms is not None:
            self._latencies_ms.append(latency_ms)
        return True

    def end_second(self, now_ms: int) -> None:
        """End a second of all streams, and every other time add a point to the series; call it once a second.

        `now_ms` is the wall clock, the time of the point. Its rate is messages a second over all streams; its
        quantiles are of the samples alone, in which a busy stream weighs no more than about `SAMPLES_PER_S`
        messages a second.
        """
        passed_s = max(1, round((now_ms - self._ended_ms) / 1000)) if self._ended_ms else 1
        self._ended_ms = now_ms
        self._window += sum([one.end_second(passed_s) for one in self.by_topic.values()])
        self._window_s += passed_s
        if self._window_s < _SERIES_STEP_S:
            return
        ordered = sorted(self._latencies_ms)
        point = (now_ms, self._window / self._window_s, _quantile(ordered, 0.5), _quantile(ordered, 0.99))
        self._points.append(point)
        self._latencies_ms = []
        self._window = self._window_s = 0

    @property
    def series(self) -> Series:
        """The last ten minutes, a point every two seconds."""
        columns = list(zip(*self._points, strict=True)) or [(), (), (), ()]
        return Series(t_ms=columns[0], messages_per_s=columns[1], latency_p50_ms=columns[2], latency_p99_ms=columns[3])


def topic_of(stream: Stream) -> bytes:
    """Return the topic under which the messages of a stream are published."""
    return encode_topic(stream.stream_type, stream.symbol, stream.variant)


def _quantile(ordered: list[float], share: float) -> float | None:
    """Return the smallest of the ordered values that at least this share of them does not exceed; None where there
    is none.

    It is rounded to microseconds: `recv_ns` as a float of milliseconds is exact to about a quarter of one.
    """
    return round(ordered[max(0, math.ceil(share * len(ordered)) - 1)], 3) if ordered else None
