"""The chain of ids: forward, holes, repeats, stragglers, ids that go back."""

import itertools

from binance_streamer.exchange.messages import Reading
from binance_streamer.exchange.streams import stream_of
from services.ingest.streams.arrivals import Arrival, Outcome
from services.ingest.streams.chain import GRACE_S, IdChain
from services.ingest.streams.gaps import StreamGaps
from services.runtime.gaps.drafts import Gap
from services.runtime.gaps.last_rows import LastRow

DEPTH = stream_of("BTCUSDT", "depth@0ms")


class Feeding:
    """A chain, fed with (previous, last) pairs; what comes out reads as `row 5` or `gap 3..5 reason`."""

    def __init__(self, last_row: LastRow | None = None, *, suffix: str = "depth@0ms", ids_are_times: bool = False):
        numbers = itertools.count(1)
        holes = StreamGaps(stream_of("BTCUSDT", suffix), lambda: f"g{next(numbers)}")
        self.newest: Arrival | None = None
        self.chain = IdChain(holes, last_row=last_row, newest_row=lambda: self.newest, ids_are_times=ids_are_times)
        self.recv_ns = 0

    def __call__(
        self, previous: int, last: int, *, by: int = 1, at_ms: int = 0, happened_ms: int | None = None, now_s: float = 0
    ) -> list[str]:
        """`at_ms` is the event time, and the transaction time where `happened_ms` is not given."""
        self.recv_ns = max(self.recv_ns + 1, round(now_s * 1e9))
        event = b"" if happened_ms is None else b'{"T":%d}' % happened_ms
        arrival = Arrival(by, self.recv_ns, event, Reading(previous, last, at_ms or last))
        outcomes = self.chain.offer(arrival, now_s)
        self.newest = next((one for one in reversed(outcomes) if isinstance(one, Arrival)), self.newest)
        return [told(outcome) for outcome in outcomes]


def told(outcome: Outcome) -> str:
    if isinstance(outcome, Gap):
        return f"{outcome.gap_id} {outcome.from_id}..{outcome.to_id} {outcome.reason} {outcome.state}"
    return f"row {outcome.reading.last_id}"


def test_what_hangs_on_the_newest_goes_forward() -> None:
    feed = Feeding()
    assert [feed(0, 10), feed(10, 12), feed(12, 99)] == [["row 10"], ["row 12"], ["row 99"]]


def test_with_one_connection_a_hole_is_listed_at_once_with_its_exact_bounds() -> None:
    feed = Feeding()
    feed(0, 10)
    assert feed(15, 20) == ["g1 10..15 sequence unrepairable", "row 20"]


def test_missing_trades_can_be_asked_for() -> None:
    feed = Feeding(suffix="aggTrade")
    feed(0, 1)
    assert feed(3, 4) == ["g1 1..3 sequence open", "row 4"]


def test_a_hole_carries_the_stamps_of_the_rows_around_it() -> None:
    feed = Feeding()
    feed(0, 10)
    outcome = feed.chain.offer(Arrival(1, 77, b"", Reading(15, 20, 20)), 0.0)[0]
    assert isinstance(outcome, Gap)
    assert (outcome.from_ns, outcome.to_ns) == (1, 77)


def test_a_repeat_is_nothing() -> None:
    feed = Feeding()
    feed(0, 10)
    feed(10, 20)
    assert feed(10, 20) == []
    assert feed(0, 10) == []


def test_a_straggler_narrows_splits_and_closes_the_hole() -> None:
    feed = Feeding()
    feed(0, 10, at_ms=100)
    feed(40, 50, at_ms=100)
    assert feed(20, 30, at_ms=100) == [
        "g1 10..20 sequence unrepairable",
        "g2 30..40 sequence unrepairable",
        "row 30",
    ]
    assert feed(20, 30, at_ms=100) == []
    assert feed(10, 15, at_ms=100) == ["g1 15..20 sequence unrepairable", "row 15"]
    assert feed(15, 20, at_ms=100) == ["g1 15..20 sequence repaired", "row 20"]
    assert feed(30, 40, at_ms=100) == ["g2 30..40 sequence repaired", "row 40"]


def test_a_message_that_overlaps_the_newest_goes_forward() -> None:
    feed = Feeding()
    feed(0, 10)
    assert feed(5, 15) == ["row 15"]
    assert feed(15, 16) == ["row 16"]


def test_with_two_connections_the_other_one_fills_the_hole_and_no_gap_is_written() -> None:
    feed = Feeding()
    feed(0, 10, by=1)
    feed(0, 10, by=2)
    assert feed(15, 20, by=1) == []
    assert feed(20, 25, by=1) == []
    assert feed(10, 15, by=2) == ["row 15", "row 20", "row 25"]
    assert feed(15, 20, by=2) == []


def test_a_hole_is_given_up_when_the_other_one_is_beyond_it() -> None:
    feed = Feeding()
    feed(0, 10, by=1)
    feed(0, 10, by=2)
    feed(15, 20, by=1)
    assert feed(15, 20, by=2) == ["g1 10..15 sequence unrepairable", "row 20"]


def test_a_hole_is_given_up_after_the_grace() -> None:
    feed = Feeding()
    feed(0, 10, by=1)
    feed(0, 10, by=2)
    feed(15, 20, by=1, now_s=5.0)
    assert feed.chain.expire(5.0 + GRACE_S - 0.01) == []
    assert [told(one) for one in feed.chain.expire(5.0 + GRACE_S)] == ["g1 10..15 sequence unrepairable", "row 20"]


def test_a_hole_is_given_up_when_the_other_connection_ends() -> None:
    feed = Feeding()
    feed(0, 10, by=1)
    feed(0, 10, by=2)
    feed(15, 20, by=1)
    assert [told(one) for one in feed.chain.forget(2, 0.0)] == ["g1 10..15 sequence unrepairable", "row 20"]


def test_an_overlapping_message_takes_what_is_held_with_it() -> None:
    feed = Feeding()
    feed(0, 10, by=1)
    feed(0, 10, by=2)
    feed(15, 20, by=1)
    assert feed(8, 30, by=2) == ["row 30"]
    assert feed.chain.held == 0
    assert feed(30, 31, by=2) == ["row 31"]


def test_five_later_messages_that_hang_on_one_another_are_a_new_count() -> None:
    feed = Feeding()
    feed(1000, 1010, at_ms=1)
    assert [feed(at, at + 1, at_ms=at) for at in range(5, 9)] == [[], [], [], []]
    assert feed(9, 10, at_ms=9) == [
        "g1 1010..5 ids went back unrepairable",
        *("row 6", "row 7", "row 8", "row 9", "row 10"),
    ]
    assert feed(10, 11, at_ms=10) == ["row 11"]


def test_a_repeat_with_a_later_event_time_is_nothing() -> None:
    feed = Feeding()
    feed(0, 10, at_ms=100, happened_ms=99)
    feed(10, 20, at_ms=110, happened_ms=109)
    assert feed(10, 20, at_ms=111, happened_ms=109) == []
    assert feed(0, 10, at_ms=112, happened_ms=99) == []
    assert feed(20, 30, at_ms=120, happened_ms=119) == ["row 30"]


def test_a_whole_stretch_that_is_repeated_with_later_event_times_is_nothing() -> None:
    feed = Feeding()
    for at in range(100):
        feed(at, at + 1, at_ms=at + 1, happened_ms=at + 1)
    assert [feed(at, at + 1, at_ms=200 + at, happened_ms=at + 1) for at in range(90)] == [[]] * 90
    assert feed(100, 101, at_ms=400, happened_ms=101) == ["row 101"]


def test_later_messages_that_do_not_hang_on_one_another_are_no_new_count() -> None:
    feed = Feeding()
    feed(1000, 1010, at_ms=1)
    assert [feed(at, at + 1, at_ms=at) for at in range(10, 500, 2)] == [[]] * 245
    assert feed(1010, 1011, at_ms=600) == ["row 1011"]


def test_nor_are_those_between_which_the_old_count_goes_on() -> None:
    feed = Feeding()
    feed(1000, 1010, at_ms=1)
    told = [row for at in range(10, 100) for row in feed(at, at + 1, at_ms=at) + feed(1000 + at, 1001 + at, at_ms=at)]
    assert told == [f"row {1001 + at}" for at in range(10, 100)]


def test_a_new_count_is_found_by_the_connection_that_is_first_and_copied_by_the_other() -> None:
    feed = Feeding()
    for by in (1, 2):
        feed(1000, 1010, at_ms=1, by=by)
    told = [row for at in range(5, 15) for by in (1, 2) for row in feed(at, at + 1, at_ms=at, by=by)]
    assert told == ["g1 1010..5 ids went back unrepairable", *(f"row {at}" for at in range(6, 16))]


def begin_anew(feed: Feeding) -> None:
    for at in range(5):
        feed(at, at + 1, at_ms=10 + at)
    assert feed(5, 6, at_ms=15) == ["row 6"]


def test_late_copies_from_before_the_ids_went_back_are_repeats() -> None:
    feed = Feeding()
    for by in (1, 2):
        feed(1000, 1010, at_ms=1, by=by)
    feed(1010, 1020, at_ms=2, by=1)
    begin_anew(feed)
    assert feed(1010, 1020, at_ms=2, by=2) == []
    assert feed(5, 6, at_ms=15, by=2) == []
    assert feed(6, 7, at_ms=16, by=2) == ["row 7"]


def test_what_a_slower_connection_had_more_of_the_old_count_is_recorded() -> None:
    feed = Feeding()
    for by in (1, 2):
        feed(1000, 1010, at_ms=1, by=by)
    begin_anew(feed)
    assert feed(1010, 1020, at_ms=2, by=2) == ["row 1020"]
    assert feed(1020, 1030, at_ms=3, by=2) == ["row 1030"]
    assert feed(6, 7, at_ms=16, by=1) == ["row 7"]


def test_where_the_old_count_goes_on_after_all_nothing_is_missing() -> None:
    feed = Feeding()
    feed(1000, 1010, at_ms=1)
    begin_anew(feed)
    assert feed(9, 10, at_ms=16) == ["g2 6..9 sequence unrepairable", "row 10"]
    assert feed(1010, 1020, at_ms=30) == [
        "g1 1010..0 ids went back repaired",
        "g2 6..9 sequence repaired",
        "row 1020",
    ]
    assert feed(1020, 1030, at_ms=31) == ["row 1030"]


def test_a_huge_id_does_not_stop_the_stream() -> None:
    feed = Feeding()
    feed(0, 10, at_ms=1)
    assert feed(10, 2**50, at_ms=1) == [f"row {2**50}"]
    told = [row for at in range(10, 20) for row in feed(at, at + 1, at_ms=at)]
    assert told == [f"g1 {2**50}..10 ids went back unrepairable", *(f"row {at}" for at in range(11, 21))]


def test_a_count_of_a_clock_that_went_back_too_is_found_after_a_minute() -> None:
    feed = Feeding(LastRow("depth", "BTCUSDT", 1000, 4000, 0))
    feed(1000, 1010, at_ms=5000)
    told = [feed(at, at + 1, at_ms=10 + at, now_s=at / 10) for at in range(602)]
    assert told[600:] == [[], ["g1 1010..601 ids went back unrepairable", "row 602"]]


def test_it_is_found_though_the_connection_loses_some_now_and_then() -> None:
    feed = Feeding(LastRow("depth", "BTCUSDT", 10_000, 4000, 0))
    feed(10_000, 10_010, at_ms=5000)
    told = [feed(2 * at, 2 * at + 1, at_ms=10 + at, now_s=at / 10) for at in range(602)]
    assert told[600:] == [[], ["g1 10010..1202 ids went back unrepairable", "row 1203"]]


def test_it_is_found_though_our_own_clock_went_back_too() -> None:
    feed = Feeding(LastRow("depth", "BTCUSDT", 1000, 4000, 0))
    feed.recv_ns = 3600 * 10**9
    feed(1000, 1010, at_ms=5000)
    feed.recv_ns = 0
    told = [row for at in range(602) for row in feed(at, at + 1, at_ms=10 + at, now_s=at / 10)]
    assert told == ["g1 1010..300 ids went back unrepairable", *(f"row {at}" for at in range(301, 603))]


def test_nothing_of_a_new_count_is_dropped_where_the_clock_goes_back_and_a_connection_ends() -> None:
    feed = Feeding()
    feed(1000, 1010, at_ms=1000)
    assert feed(0, 1, at_ms=2000) == []
    assert [feed(at, at + 1, at_ms=2000 + at) for at in range(1, 5)][-1][-1] == "row 5"
    feed.chain.forget(1, 60.0)
    told = [row for at in range(5, 105) for row in feed(at, at + 1, by=2, at_ms=500 + at, now_s=60 + at)]
    assert told == [f"row {at}" for at in range(6, 106)]


def test_what_is_taken_for_late_copies_of_the_old_count_for_a_while_is_listed_as_missing() -> None:
    feed = Feeding()
    feed(1000, 1010, at_ms=1000)
    for at in range(5):
        feed(at, at + 1, at_ms=2000 + at)
    feed.chain.forget(1, 1.0)
    told = [row for at in range(5, 105) for row in feed(at, at + 1, by=2, at_ms=500 + at, now_s=at)]
    assert told == ["g2 5..31 sequence unrepairable", *(f"row {at}" for at in range(32, 106))]


def test_nor_is_a_new_count_that_passes_the_end_of_the_old_one_behind_a_hole() -> None:
    """The clock has gone back, so that it looks like what a slower connection had more of the old count."""
    feed = Feeding()
    feed(90, 100, at_ms=1000)
    for at in range(5):
        feed(at, at + 1, at_ms=2000 + at)
    assert feed(100, 101, at_ms=500, now_s=60) == ["g2 5..100 sequence unrepairable", "row 101"]
    assert feed(101, 102, at_ms=501, now_s=60) == ["row 102"]


def test_a_new_count_is_found_behind_a_restart() -> None:
    feed = Feeding(LastRow("depth", "BTCUSDT", 1000, 4000, 7))
    told = [row for at in range(20) for row in feed(at, at + 1, at_ms=5000 + at)]
    assert told == ["g1 1000..0 ids went back unrepairable", *(f"row {at + 1}" for at in range(20))]


def test_what_a_slower_connection_brings_from_before_the_first_row_is_recorded_once() -> None:
    feed = Feeding()
    feed(100, 110, by=1)
    assert feed(90, 95, by=2) == ["row 95"]
    assert feed(95, 100, by=2) == ["row 100"]
    assert feed(95, 100, by=3) == []


def test_the_next_run_goes_on_where_the_last_one_ended() -> None:
    last_row = LastRow("depth", "BTCUSDT", 10, 10, 123)
    assert Feeding(last_row)(10, 12) == ["row 12"]
    assert Feeding(last_row)(5, 10) == []
    feed = Feeding(last_row)
    assert feed(15, 16) == ["g1 10..15 restart unrepairable", "row 16"]
    assert feed(18, 19) == ["g2 16..18 sequence unrepairable", "row 19"]


def test_a_loss_names_the_reason_of_the_hole_that_it_leaves() -> None:
    feed = Feeding()
    feed(0, 10, by=1)
    feed.chain.forget(1, 0.0)
    feed.chain.lost("disconnected")
    assert feed(15, 20, by=2) == ["g1 10..15 disconnected unrepairable", "row 20"]


def test_a_loss_without_a_hole_leaves_no_gap() -> None:
    feed = Feeding()
    feed(0, 10, by=1)
    feed.chain.forget(1, 0.0)
    feed.chain.lost("disconnected")
    assert feed(10, 20, by=2) == ["row 20"]
    assert feed(25, 26, by=2) == ["g1 20..25 sequence unrepairable", "row 26"]


def test_closed_klines_never_begin_anew() -> None:
    feed = Feeding(suffix="kline_1m", ids_are_times=True)
    feed(0, 60, at_ms=61)
    feed(60, 120, at_ms=121)
    assert [feed(at, at + 1, at_ms=200 + at) for at in range(50)] == [[]] * 50
    assert feed(120, 180, at_ms=181) == ["row 180"]


def test_a_connection_covers_the_stream_once_the_others_have_reached_where_it_began() -> None:
    feed = Feeding()
    feed(0, 10, by=1)
    feed(15, 20, by=2)
    assert (feed.chain.covers(1), feed.chain.covers(2), feed.chain.covers(3)) == (True, False, False)
    feed(10, 15, by=1)
    assert feed.chain.covers(2)
