"""Streams without gapless ids: copies by payload, losses by time."""

import itertools

from binance_streamer.exchange.messages import Reading
from binance_streamer.exchange.streams import stream_of
from services.ingest.streams.arrivals import Arrival, Outcome
from services.ingest.streams.gaps import StreamGaps
from services.ingest.streams.overlap import KlineTracker, OverlapTracker
from services.runtime.gaps.drafts import Gap
from services.runtime.gaps.last_rows import LastRow


def told(outcome: Outcome) -> str:
    if isinstance(outcome, Gap):
        return f"gap {outcome.from_ns}..{outcome.to_ns} {outcome.reason} {outcome.state}"
    return outcome.event.decode()


class Feeding:
    def __init__(self, suffix: str, last_row: LastRow | None = None, *, ids_grow: bool = False) -> None:
        numbers = itertools.count(1)
        holes = StreamGaps(stream_of("BTCUSDT", suffix), lambda: f"g{next(numbers)}")
        if suffix.startswith("kline"):
            self.tracker: KlineTracker | OverlapTracker = KlineTracker(holes, last_row=last_row)
        else:
            self.tracker = OverlapTracker(holes, last_row=last_row, ids_grow=ids_grow)

    def __call__(self, event: str, at_ns: int, *, by: int = 1, reading: Reading | None = None) -> list[str]:
        arrival = Arrival(by, at_ns, event.encode(), reading or Reading(None, None, at_ns))
        return [told(outcome) for outcome in self.tracker.offer(arrival, at_ns / 1e9)]


def test_one_connection_drops_nothing() -> None:
    feed = Feeding("markPrice@1s")
    assert [feed("a", 1), feed("a", 2), feed("a", 3)] == [["a"], ["a"], ["a"]]


def test_the_other_connections_copy_is_dropped_as_often_as_it_was_there() -> None:
    feed = Feeding("markPrice@1s")
    feed("a", 1, by=1)
    feed("a", 2, by=1)
    assert feed("a", 3, by=2) == []
    assert feed("a", 4, by=2) == []
    assert feed("a", 5, by=2) == ["a"]
    assert feed("a", 6, by=1) == []
    assert feed("a", 7, by=1) == ["a"]


def test_a_book_ticker_of_the_same_id_is_recorded_only_if_it_differs() -> None:
    feed = Feeding("bookTicker", ids_grow=True)
    feed("a", 1, reading=Reading(None, 5, 1))
    assert feed("a", 2, reading=Reading(None, 5, 1)) == []
    assert feed("b", 3, reading=Reading(None, 5, 2)) == ["b"]
    assert feed("c", 4, reading=Reading(None, 4, 3)) == ["c"]
    assert feed.tracker.newest == 5


def test_a_loss_of_all_connections_is_a_gap_from_the_last_row_to_the_next() -> None:
    feed = Feeding("forceOrder")
    feed("a", 10)
    feed.tracker.forget(1, 0)
    assert feed.tracker.lost("disconnected") == ()
    assert feed("b", 50, by=2) == ["gap 10..50 disconnected unrepairable", "b"]
    assert feed("c", 60, by=2) == ["c"]


def test_before_the_first_row_nothing_is_lost() -> None:
    feed = Feeding("forceOrder")
    feed.tracker.lost("disconnected")
    assert feed("a", 10) == ["a"]


def test_a_restart_is_a_gap_from_the_last_runs_row() -> None:
    feed = Feeding("markPrice@1s", LastRow("markprice", "BTCUSDT", None, 1, 7))
    assert feed("a", 10) == ["gap 7..10 restart unrepairable", "a"]


def test_what_the_last_run_recorded_last_is_not_recorded_again() -> None:
    feed = Feeding("bookTicker", LastRow("bookticker", "BTCUSDT", 5, 3, 7), ids_grow=True)
    assert feed("a", 10, reading=Reading(None, 5, 3)) == []
    assert feed("b", 11, reading=Reading(None, 6, 4)) == ["gap 7..11 restart unrepairable", "b"]


def test_a_connection_joins_when_another_has_delivered_its_first_message() -> None:
    feed = Feeding("markPrice@1s")
    feed("a", 1, by=1)
    feed("c", 2, by=2)
    assert (feed.tracker.covers(2), feed.tracker.has_entered(2)) == (False, True)
    feed("b", 3, by=1)
    assert not feed.tracker.covers(2)
    assert feed("c", 4, by=1) == []
    assert feed.tracker.covers(2)


def test_a_connection_joins_too_when_it_has_delivered_the_first_message_of_the_others() -> None:
    feed = Feeding("markPrice@1s")
    feed("b", 2, by=1)
    assert feed("a", 3, by=2) == ["a"]  # began before the first one, which will never have this message
    assert not feed.tracker.covers(2)
    assert feed("b", 4, by=2) == []
    assert feed.tracker.covers(2)


def test_the_first_of_those_that_are_left_is_the_measure_of_the_next() -> None:
    feed = Feeding("markPrice@1s")
    feed("a", 10, by=1)
    feed("c", 20, by=2)
    feed.tracker.forget(1, 0)
    feed.tracker.lost("disconnected")
    feed("b", 30, by=3)
    feed("a", 31, by=3)  # of the one that has ended: proves nothing beside the second
    assert not feed.tracker.covers(3)
    feed("c", 32, by=3)
    assert feed.tracker.covers(3)


def test_a_connection_that_copies_an_unproven_one_is_not_proven() -> None:
    feed = Feeding("markPrice@1s")
    feed("a", 1, by=1)
    feed("c", 2, by=2)
    feed("c", 3, by=3)
    assert not feed.tracker.covers(3)
    feed("c", 4, by=1)
    assert feed.tracker.covers(2)
    assert feed.tracker.covers(3)


def test_where_an_unproven_connection_is_all_that_is_left_the_gap_ends_with_its_first_row() -> None:
    feed = Feeding("markPrice@1s")
    feed("a", 10, by=1)
    feed("c", 20, by=2)
    feed.tracker.forget(1, 0)
    assert [told(one) for one in feed.tracker.lost("disconnected")] == ["gap 10..20 disconnected unrepairable"]
    assert feed("d", 30, by=2) == ["d"]
    assert feed.tracker.covers(2)


def test_rows_of_the_one_that_was_left_are_in_no_gap_when_it_ends_too() -> None:
    """A half-open connection ends, and the one that replaced it before another message came."""
    feed = Feeding("markPrice@1s")
    feed("a", 10, by=1)
    feed("c", 20, by=2)
    feed("d", 30, by=2)
    feed.tracker.forget(1, 0)
    assert [told(one) for one in feed.tracker.lost("stall")] == ["gap 10..20 stall unrepairable"]
    feed.tracker.forget(2, 0)
    assert feed.tracker.lost("disconnected") == ()
    assert feed("f", 60, by=3) == ["gap 30..60 disconnected unrepairable", "f"]


def test_rows_of_one_that_joined_behind_them_are_in_no_gap() -> None:
    feed = Feeding("markPrice@1s")
    feed("a", 10, by=1)
    feed("c", 20, by=2)
    feed("d", 30, by=2)
    assert feed("c", 40, by=1) == []
    feed.tracker.forget(1, 0)
    assert feed.tracker.covers(2)
    feed.tracker.forget(2, 0)
    assert feed.tracker.lost("disconnected") == ()
    assert feed("f", 60, by=3) == ["gap 30..60 disconnected unrepairable", "f"]


def bar(at_ms: int, *, closed: bool) -> Reading:
    return Reading(at_ms - 60, at_ms, at_ms + 60) if closed else Reading(None, None, at_ms + 1)


def test_a_missing_closed_bar_is_a_hole_and_open_ones_go_through() -> None:
    feed = Feeding("kline_1m")
    assert feed("60 open", 1, reading=bar(60, closed=False)) == ["60 open"]
    assert feed("60", 2, reading=bar(60, closed=True)) == ["60"]
    assert feed("180 open", 3, reading=bar(180, closed=False)) == ["180 open"]
    assert feed("180", 4, reading=bar(180, closed=True)) == ["gap 2..4 sequence open", "180"]
    assert feed("180", 5, reading=bar(180, closed=True)) == []


def closed(at_ms: int, *, event_time_ms: int, close: str = "1") -> tuple[str, Reading]:
    event = f'{{"e":"kline","E":{event_time_ms},"k":{{"t":{at_ms},"c":"{close}","x":true}}}}'
    return event, Reading(at_ms - 60, at_ms, event_time_ms)


def test_a_closed_bar_with_a_later_time_is_a_repeat_and_with_another_content_a_correction() -> None:
    feed = Feeding("kline_1m")
    for at_ms in (60, 120):
        event, reading = closed(at_ms, event_time_ms=at_ms + 61)
        assert feed(event, at_ms, reading=reading) == [event]
    repeat, reading = closed(60, event_time_ms=500)
    assert feed(repeat, 130, reading=reading) == []
    correction, reading = closed(60, event_time_ms=501, close="2")
    assert feed(correction, 131, reading=reading) == [correction]
    copy, reading = closed(60, event_time_ms=502, close="2")
    assert feed(copy, 132, by=2, reading=reading) == []


def test_a_bar_of_the_last_run_that_comes_again_is_a_repeat() -> None:
    feed = Feeding("kline_1m", LastRow("kline", "BTCUSDT", 60, 121, 7))
    event, reading = closed(60, event_time_ms=500)
    assert event not in feed(event, 130, reading=reading)


def test_a_copy_whose_event_time_differs_by_little_is_a_copy() -> None:
    feed = Feeding("markPrice@1s")
    first, other = '{"E":1000,"p":"1"}', '{"E":999,"p":"1"}'
    assert feed(first, 1, reading=Reading(None, None, 1000)) == [first]
    assert feed(other, 2, by=2, reading=Reading(None, None, 999)) == []
    next_one = '{"E":2000,"p":"1"}'
    assert feed(next_one, 3, by=2, reading=Reading(None, None, 2000)) == [next_one]


def test_the_same_content_sent_soon_again_is_a_copy_of_the_nearest_one() -> None:
    feed = Feeding("forceOrder")
    sent = [(f'{{"E":{at_ms},"q":"1"}}', Reading(None, None, at_ms)) for at_ms in (34385, 34486, 34486, 34585)]
    assert [feed(event, 1, by=1, reading=reading) for event, reading in sent] == [[event] for event, _ in sent]
    assert [feed(event, 2, by=2, reading=reading) for event, reading in sent] == [[], [], [], []]


def test_a_book_ticker_of_the_same_id_that_differs_by_its_event_time_is_a_repeat() -> None:
    feed = Feeding("bookTicker", ids_grow=True)
    first, later = '{"u":5,"b":"1","E":1000}', '{"u":5,"b":"1","E":9000}'
    assert feed(first, 1, reading=Reading(None, 5, 1000)) == [first]
    assert feed(later, 2, reading=Reading(None, 5, 9000)) == []
    assert feed(later, 3, by=2, reading=Reading(None, 5, 9000)) == []


def test_what_the_last_run_recorded_last_is_not_recorded_again_with_a_later_event_time() -> None:
    feed = Feeding("bookTicker", LastRow("bookticker", "BTCUSDT", 5, 3, 7), ids_grow=True)
    assert feed("a", 10, reading=Reading(None, 5, 4)) == []


def test_an_outage_of_klines_is_both_a_gap_in_time_and_a_hole() -> None:
    feed = Feeding("kline_1m")
    feed("60", 1, reading=bar(60, closed=True))
    feed.tracker.forget(1, 0)
    feed.tracker.lost("disconnected")
    assert feed("180", 9, by=2, reading=bar(180, closed=True)) == [
        "gap 1..9 disconnected unrepairable",
        "gap 1..9 disconnected open",
        "180",
    ]
