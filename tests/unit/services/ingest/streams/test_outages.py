"""Times without any connection, before a stream's first row."""

import itertools

from binance_streamer.exchange.streams import stream_of
from services.ingest.streams.outages import Outages
from services.ingest.streams.stream import StreamRecorder
from services.runtime.gaps.last_rows import LastRow

START_NS = 1_790_526_539_033_000_000
SECOND_NS = 10**9
SUFFIXES = ("aggTrade", "depth@0ms", "markPrice@1s")


def outages(**last_rows: LastRow) -> Outages:
    numbers = itertools.count(1)
    streams = [stream_of("BTCUSDT", suffix) for suffix in SUFFIXES]
    recorders = {
        one.name: StreamRecorder(one, lambda: f"g{next(numbers)}", last_rows.get(one.stream_type)) for one in streams
    }
    return Outages(recorders, START_NS)


def ended(subject: Outages, route: str | None, at_s: float) -> list[tuple[str, str, str, float, float]]:
    gaps = subject.end(route, START_NS + round(at_s * SECOND_NS))
    return [
        (gap.stream, gap.state, gap.reason, (gap.from_ns - START_NS) / 1e9, ((gap.to_ns or 0) - START_NS) / 1e9)
        for gap in gaps
    ]


def test_an_exchange_that_is_out_of_reach_from_the_start_is_a_gap_of_each_stream() -> None:
    subject = outages()
    assert ended(subject, "market", 120) == [
        ("btcusdt@aggTrade", "unrepairable", "not connected yet", 0, 120),
        ("btcusdt@markPrice@1s", "unrepairable", "not connected yet", 0, 120),
    ]
    assert ended(subject, "market", 300) == []
    # the process ends
    assert ended(subject, None, 180) == [("btcusdt@depth@0ms", "unrepairable", "not connected yet", 0, 180)]


def test_a_start_is_no_gap() -> None:
    subject = outages()
    assert ended(subject, "market", 15) == []
    assert ended(subject, None, 15) == []


def test_a_quiet_stream_without_a_row_has_a_gap_for_each_time_without_a_connection() -> None:
    subject = outages()
    assert ended(subject, "public", 1) == []
    for from_s in (50, 51):  # another one ends meanwhile
        subject.begin("public", START_NS + from_s * SECOND_NS, "disconnected")
    assert ended(subject, "public", 52) == [("btcusdt@depth@0ms", "unrepairable", "disconnected", 50, 52)]


def test_of_a_stream_that_an_earlier_run_has_recorded_its_next_row_lists_the_time() -> None:
    subject = outages(aggtrade=LastRow("aggtrade", "BTCUSDT", 6, 1, START_NS - SECOND_NS))
    assert [row[0] for row in ended(subject, "market", 120)] == ["btcusdt@markPrice@1s"]
    subject.begin("market", START_NS + 130 * SECOND_NS, "disconnected")
    assert [row[0] for row in ended(subject, "market", 140)] == ["btcusdt@markPrice@1s"]
