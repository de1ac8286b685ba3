"""What goes over the bus is counted whole, and looked into by samples."""

from typing import Any

import msgspec
import pytest

from binance_streamer.exchange.streams import stream_of
from binance_streamer.wire.frames import encode_frame
from services.monitor.snapshots.traffic import BUCKETS_S, SAMPLES_PER_S, Traffic

TRADES = stream_of("BTCUSDT", "aggTrade")
TOPIC = b"aggtrade.BTCUSDT."
EVENT_MS = 1_790_000_000_000


def trade(latency_ms: float = 7, seq: int = 1, **changes: Any) -> bytes:
    event = {"e": "aggTrade", "s": "BTCUSDT", "E": EVENT_MS, "a": seq, "p": "84551.10", **changes}
    data = {
        "symbol": "BTCUSDT",
        "stream": TRADES.name,
        "recv_ns": EVENT_MS * 1_000_000 + int(latency_ms * 1e6),
        "producer": "ingest-BTCUSDT",
        "epoch": 1,
        "seq": seq,
        "source": "ws",
        "connection": 1,
        "event": msgspec.json.encode(event),
    }
    return encode_frame("aggtrade", data)


def test_messages_and_bytes_are_counted_whole() -> None:
    traffic = Traffic([TRADES])
    frames = [trade(seq=number) for number in range(1, 101)]
    assert all(traffic.take(TOPIC, frame) for frame in frames)
    lane = traffic.by_topic[TOPIC]
    assert lane.messages == 100
    assert lane.bytes == sum(map(len, frames))
    assert lane.newest == frames[-1]


def test_a_topic_that_is_not_configured_leaves_nothing_behind() -> None:
    traffic = Traffic([TRADES])
    for number in range(1000):
        assert not traffic.take(f"aggtrade.X{number}.".encode(), trade())
    assert list(traffic.by_topic) == [TOPIC]
    assert traffic.by_topic[TOPIC].messages == 0


@pytest.mark.parametrize(
    ("latency_ms", "bucket"), [(-50, 0), (0, 0), (3, 1), (5, 1), (5.001, 2), (59_999, 12), (60_001, 13)]
)
def test_a_latency_falls_into_its_bucket(latency_ms: float, bucket: int) -> None:
    traffic = Traffic([TRADES])
    traffic.take(TOPIC, trade(latency_ms))
    counts = traffic.by_topic[TOPIC].latency.counts
    assert len(counts) == len(BUCKETS_S) + 1
    assert [number for number, count in enumerate(counts) if count] == [bucket]
    assert traffic.by_topic[TOPIC].latency.sum_s == pytest.approx(latency_ms / 1000)


def test_every_message_of_a_slow_stream_is_looked_into_and_few_of_a_fast_one() -> None:
    traffic = Traffic([TRADES])
    lane = traffic.by_topic[TOPIC]
    for _ in range(SAMPLES_PER_S):
        traffic.take(TOPIC, trade())
    traffic.end_second(0)
    assert lane.sampled == SAMPLES_PER_S
    for _ in range(1000):
        traffic.take(TOPIC, trade())
    traffic.end_second(1000)
    before = lane.sampled
    for _ in range(1000):
        traffic.take(TOPIC, trade())
    assert lane.sampled - before in (SAMPLES_PER_S, SAMPLES_PER_S - 1)
    assert lane.messages == 2000 + SAMPLES_PER_S


@pytest.mark.parametrize("frame", [b"", b"\xc1", trade(E="soon"), trade(s="ETHUSDT")])
def test_what_cannot_be_read_is_counted_and_has_no_latency(frame: bytes) -> None:
    traffic = Traffic([TRADES])
    assert traffic.take(TOPIC, frame)
    assert traffic.by_topic[TOPIC].messages == 1
    assert sum(traffic.by_topic[TOPIC].latency.counts) == 0


def test_rates_are_those_of_the_last_minute() -> None:
    traffic = Traffic([TRADES])
    for second in range(61):
        for _ in range(second):
            traffic.take(TOPIC, trade())
        traffic.end_second(second * 1000)
    assert list(traffic.by_topic[TOPIC].rates) == list(range(1, 61))


def test_the_series_has_a_point_every_two_seconds_for_ten_minutes() -> None:
    traffic = Traffic([TRADES])
    for second in range(1, 701):
        for latency_ms in (1, 2, 3, 100):
            traffic.take(TOPIC, trade(latency_ms))
        traffic.end_second(second * 1000)
    series = traffic.series
    assert series.t_ms == tuple(range(102_000, 702_000, 2000))
    assert set(series.messages_per_s) == {4.0}
    assert set(series.latency_p50_ms) == {2.0}
    assert set(series.latency_p99_ms) == {100.0}


def test_what_came_during_a_hold_up_is_no_burst() -> None:
    traffic = Traffic([TRADES])
    for second in range(1, 4):
        traffic.end_second(second * 1000)
    for _ in range(300):
        traffic.take(TOPIC, trade())
    traffic.end_second(33_000)
    assert list(traffic.by_topic[TOPIC].rates)[-31:] == [0, *[10] * 30]
    assert traffic.series.t_ms == (2000, 33_000)
    assert traffic.series.messages_per_s == pytest.approx((0.0, 300 / 31))


def test_a_clock_that_is_set_counts_as_a_second() -> None:
    traffic = Traffic([TRADES])
    for now_ms in (10_000, 11_000, 5_000, 6_000):
        traffic.take(TOPIC, trade())
        traffic.end_second(now_ms)
    assert list(traffic.by_topic[TOPIC].rates)[-4:] == [1, 1, 1, 1]
    assert traffic.series.messages_per_s == (1.0, 1.0)


def test_a_quiet_time_has_no_latency() -> None:
    traffic = Traffic([TRADES])
    assert traffic.series.t_ms == ()
    traffic.end_second(1000)
    traffic.end_second(2000)
    assert (traffic.series.messages_per_s, traffic.series.latency_p99_ms) == ((0.0,), (None,))
