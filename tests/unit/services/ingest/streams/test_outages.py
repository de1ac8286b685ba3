"""Times without any connection, before a stream's first row."""

import itertools

from binance_streamer.exchange.streams import stream_of
from services.ingest.streams.outages import Outage, Outages
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


def test_a_run_that_was_killed_without_a_connection_has_its_outage_listed_by_the_next_one() -> None:
    killed = outages()
    assert ended(killed, "public", 1) == []
    assert ended(killed, "market", 1) == []
    killed.begin("public", START_NS + 50 * SECOND_NS, "disconnected")
    subject = outages()
    subject.resume(killed.noted, START_NS + 60 * SECOND_NS)
    assert ended(subject, "public", 70) == [("btcusdt@depth@0ms", "unrepairable", "disconnected", 50, 70)]
    assert ended(subject, "market", 70) == [
        ("btcusdt@aggTrade", "unrepairable", "restart", 60, 70),
        ("btcusdt@markPrice@1s", "unrepairable", "restart", 60, 70),
    ]
    assert ended(subject, "market", 80) == []


def test_a_stream_that_no_run_has_recorded_is_a_new_one() -> None:
    killed = outages(aggtrade=LastRow("aggtrade", "BTCUSDT", 6, 1, START_NS - SECOND_NS))
    subject = outages(aggtrade=LastRow("aggtrade", "BTCUSDT", 6, 1, START_NS - SECOND_NS))
    assert sorted(killed.noted) == ["btcusdt@depth@0ms", "btcusdt@markPrice@1s"]
    subject.resume({}, START_NS - 60 * SECOND_NS)
    assert ended(subject, None, 15) == []


def test_one_that_was_never_connected_goes_on_not_being_so() -> None:
    subject = outages()
    subject.resume({**outages().noted, "btcusdt@trade": None}, 0)
    assert [row[2:] for row in ended(subject, "public", 31)] == [("not connected yet", 0, 31)]


def test_whoever_was_connected_all_the_time_has_missed_nothing() -> None:
    subject = outages()
    subject.end("public", START_NS + 10 * SECOND_NS)
    subject.end("public", START_NS + 20 * SECOND_NS)  # a second connection
    assert subject.open_since_ns == {"public": START_NS + 10 * SECOND_NS}
    subject.begin("public", START_NS + 30 * SECOND_NS, "disconnected")
    assert subject.open_since_ns == {}


def test_a_stream_that_comes_from_another_worker_goes_on_with_what_that_one_has_noted() -> None:
    subject = outages(aggtrade=LastRow("aggtrade", "BTCUSDT", 5, 0, START_NS))
    assert ended(subject, None, 1) == []
    noted = {
        "btcusdt@aggTrade": Outage(START_NS, "disconnected"),  # it has had a row since
        "btcusdt@markPrice@1s": Outage(START_NS + 2 * SECOND_NS, "disconnected"),
        "btcusdt@depth@0ms": None,
    }
    subject.go_on(noted, noted, START_NS + 3 * SECOND_NS)
    assert ended(subject, None, 7) == [
        ("btcusdt@depth@0ms", "unrepairable", "restart", 3, 7),
        ("btcusdt@markPrice@1s", "unrepairable", "disconnected", 2, 7),
    ]
    subject.go_on(noted, noted, 0)  # received here all the while
    assert ended(subject, None, 9) == [("btcusdt@markPrice@1s", "unrepairable", "disconnected", 2, 9)]
