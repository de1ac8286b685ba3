"""The order in which missing rows of streams are asked for."""

import pytest

from binance_streamer.exchange.streams import Stream, stream_of
from services.rest.schedule.backfill_queue import BackfillQueue, MissingRows

NOW_MS = 1_790_000_000_000
HOUR_MS = 3_600_000
TRADES = stream_of("BTCUSDT", "aggTrade")
BARS = stream_of("BTCUSDT", "kline_1m")


def missing(stream: Stream = TRADES, from_id: int = 10, to_id: int = 20, age_ms: int = 0) -> MissingRows:
    return MissingRows(stream, "g", from_id, to_id, (NOW_MS - age_ms) * 1_000_000)


def test_streams_take_turns() -> None:
    queue = BackfillQueue(retry_s=5)
    other = missing(stream_of("ETHUSDT", "aggTrade"))
    for one in (missing(), other, missing()):
        queue.try_add(one, 0.0)
    assert queue.next(1.0) == missing()
    queue.note_answer(missing())
    queue.try_add(missing(from_id=15), 1.0)
    assert queue.next(1.0) == other
    queue.note_failure(other, 1.0)
    assert queue.next(1.0) == missing(from_id=15)


def test_a_stream_that_fails_is_left_alone_for_longer_and_longer() -> None:
    queue = BackfillQueue(retry_s=5)
    asked_at = []
    for second in range(300):
        if second % 5 == 0:
            queue.try_add(missing(), float(second))
        if found := queue.next(float(second)):
            asked_at.append(second)
            queue.note_failure(found, float(second))
    assert asked_at == [0, 5, 15, 35, 75, 135, 195, 255]
    queue.try_add(missing(), 300.0)
    queue.note_answer(missing())
    queue.try_add(missing(from_id=15), 300.0)
    assert queue.next(300.0) == missing(from_id=15), "an answer ends that"


def test_a_request_that_nobody_repeats_is_dropped() -> None:
    queue = BackfillQueue(retry_s=5)
    queue.try_add(missing(), 0.0)
    assert queue.next(59.9) == missing()
    assert queue.next(60.0) is None
    assert len(queue) == 0


def test_a_request_that_came_while_its_answer_was_on_its_way_is_not_asked_twice() -> None:
    queue = BackfillQueue(retry_s=5)
    queue.try_add(missing(), 0.0)
    queue.try_add(missing(), 5.0)
    queue.note_answer(missing())
    assert queue.next(5.0) is None
    queue.try_add(missing(from_id=15), 5.0)
    queue.note_answer(missing())
    assert queue.next(5.0) == missing(from_id=15), "an older answer"


def test_what_is_too_old_by_id_is_looked_up_by_time_at_each_edge_once() -> None:
    queue = BackfillQueue(retry_s=5)
    asked = missing(age_ms=60 * HOUR_MS)
    queue.try_add(asked, 0.0)
    tried = []
    while queue.try_by_time(asked, NOW_MS):
        found = queue.next(0.0)
        assert found is not None
        asked = found
        tried.append((NOW_MS - (asked.since_ms or 0)) / HOUR_MS)
    assert tried == [pytest.approx(48 - 1 / 6), pytest.approx(24 - 1 / 6)]


@pytest.mark.parametrize(("stream", "age_h", "edges"), [(TRADES, 23, 0), (TRADES, 30, 1), (BARS, 100, 0)])
def test_only_old_trades_are_looked_up(stream: Stream, age_h: int, edges: int) -> None:
    queue = BackfillQueue(retry_s=5)
    asked = missing(stream, 0, 60_000, age_h * HOUR_MS)
    queue.try_add(asked, 0.0)
    count = 0
    while queue.try_by_time(asked, NOW_MS):
        asked = queue.next(0.0) or asked
        count += 1
    assert count == edges


def test_a_repeated_request_is_not_looked_up_anew() -> None:
    queue = BackfillQueue(retry_s=5)
    asked = missing(age_ms=60 * HOUR_MS)
    queue.try_add(asked, 0.0)
    queue.try_by_time(asked, NOW_MS)
    queue.try_add(asked, 5.0)
    found = queue.next(5.0)
    assert found is not None
    assert found.since_ms is not None
