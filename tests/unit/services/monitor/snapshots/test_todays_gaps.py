"""Today's gaps: each once, by the newest word about it, whether it came by file or by bus."""

from typing import Any

import msgspec
import pytest

from binance_streamer.exchange.streams import stream_of
from binance_streamer.health.gaps import GapRow, GapTotals, gap_row
from services.monitor.snapshots.todays_gaps import MAX_COUNTED, MAX_GAPS, TodaysGaps

DAY_NS = 86_400 * 10**9
DAY = 20_783  # 2026-11-26
NOW_NS = DAY * DAY_NS + 12 * 3600 * 10**9


def message(**changes: Any) -> dict[str, Any]:
    return {
        "gap_id": "1-1",
        "symbol": "BTCUSDT",
        "stream": "btcusdt@aggTrade",
        "state": "open",
        "from_id": 10,
        "to_id": 13,
        "from_ns": NOW_NS - 5 * 10**9,
        "to_ns": NOW_NS,
        "reason": "sequence",
        "repaired_by": None,
        **changes,
    }


def gap(**changes: Any) -> GapRow:
    found = gap_row(message(**changes))
    assert found is not None
    return found


def gaps() -> TodaysGaps:
    return TodaysGaps({"BTCUSDT": [stream_of("BTCUSDT", "aggTrade"), stream_of("BTCUSDT", "depth@0ms")]}, NOW_NS)


def test_a_gap_is_counted_once_and_its_repair_takes_what_it_missed() -> None:
    known = gaps()
    known.take(gap())
    known.take(gap())
    key = ("BTCUSDT", "btcusdt@aggTrade")
    assert known.summary().by_stream == {key: GapTotals(listed=1, open=1, missing_messages=3)}
    known.take(gap(state="repaired", repaired_by="rest"))
    assert known.summary().by_stream == {key: GapTotals(listed=1, repaired=1)}
    known.take(gap())  # a file that is behind the bus
    assert [one.state for one in known.newest()] == ["repaired"]
    assert known.ended == {key: 1}


def test_a_gap_is_shown_with_its_first_bounds_beside_what_is_still_missing() -> None:
    known = gaps()
    known.take(gap(from_id=100, to_id=588, from_ns=NOW_NS - 90 * 10**9))
    known.take(gap(from_id=586, to_id=588, from_ns=NOW_NS - 2 * 10**9))
    (shown,) = known.newest()
    assert (shown.first_messages, shown.missing_messages) == (488, 2)
    assert (shown.from_ms, shown.to_ms) == ((NOW_NS - 90 * 10**9) // 10**6, NOW_NS // 10**6)


def test_strangers_and_other_days_leave_nothing_behind() -> None:
    known = gaps()
    known.take(gap(symbol="EVILUSDT"))
    known.take(gap(from_ns=NOW_NS - 2 * DAY_NS, to_ns=NOW_NS - DAY_NS))
    assert gap_row({"gap_id": "1-1", "symbol": "BTCUSDT"}) is None
    assert gap_row(message(from_ns="soon")) is None
    assert (known.summary().total, known.ended, known.newest()) == (GapTotals(), {}, ())


def test_what_was_recorded_before_the_monitor_ran_is_of_today_and_not_new() -> None:
    known = gaps()
    known.take(gap(to_ns=NOW_NS - 1))
    assert len(known.newest()) == 1
    assert known.ended == {}


def test_streams_that_are_not_configured_share_one_name() -> None:
    known = gaps()
    for number in range(50):
        known.take(gap(gap_id=str(number), stream=f"btcusdt@made_up_{number}"))
    assert list(known.ended) == [("BTCUSDT", "other")]


def test_a_day_has_a_bounded_number_of_gaps() -> None:
    known = gaps()
    for number in range(MAX_GAPS + 5):
        known.take(gap(gap_id=str(number)))
    assert known.summary().by_stream["BTCUSDT", "btcusdt@aggTrade"].listed == MAX_GAPS
    assert known.ended["BTCUSDT", "btcusdt@aggTrade"] == MAX_GAPS + 5
    assert len(known.newest()) == 200


def test_midnight_begins_a_new_day() -> None:
    known = gaps()
    known.take(gap())
    known.roll(NOW_NS + 11 * 3600 * 10**9)
    assert len(known.newest()) == 1
    known.roll(NOW_NS + 12 * 3600 * 10**9)
    assert known.newest() == ()
    assert known.since_ns == (DAY + 1) * DAY_NS
    known.take(gap(from_ns=NOW_NS + 12 * 3600 * 10**9))
    assert len(known.newest()) == 1


def test_a_gap_over_midnight_is_one_of_yesterday_and_new() -> None:
    known = gaps()
    midnight_ns = (DAY + 1) * DAY_NS
    known.roll(midnight_ns)
    known.take(gap(from_ns=midnight_ns - 1, to_ns=midnight_ns + 1))
    known.take(gap(from_ns=midnight_ns - 1, to_ns=midnight_ns + 1, state="repaired"))
    assert known.ended == {("BTCUSDT", "btcusdt@aggTrade"): 1}
    assert (known.summary().total, known.newest()) == (GapTotals(), ())


def test_a_clock_that_is_set_back_over_midnight_counts_no_gap_again() -> None:
    known = gaps()
    known.take(gap())
    known.roll(NOW_NS + DAY_NS)
    known.roll(NOW_NS)
    known.take(gap())  # from the file
    assert len(known.newest()) == 1
    assert known.ended == {("BTCUSDT", "btcusdt@aggTrade"): 1}


@pytest.mark.parametrize("many", [MAX_GAPS + 5, MAX_COUNTED + 5])
def test_gaps_are_counted_once_however_often_their_file_is_read(many: int) -> None:
    known = gaps()
    first = gap()
    rows = [msgspec.structs.replace(first, gap_id=str(number), to_ns=NOW_NS + number) for number in range(many)]
    for _ in range(3):
        for one in rows:
            known.take(one)
    assert known.ended == {("BTCUSDT", "btcusdt@aggTrade"): many}
