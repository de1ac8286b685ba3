"""Pacing: literal times in, literal times out."""

import pytest

from services.rest.schedule.pacing import Pace, stand_down_s
from services.runtime.retry import LONGEST_STAND_DOWN_S


def a_pace(limit: int = 2400, share: float = 0.5, spacing_s: float = 2) -> Pace:
    return Pace(limit=limit, share=share, spacing_s=spacing_s)


def test_an_unused_budget_lets_everything_go_at_once() -> None:
    assert a_pace().earliest_s(20, 100.0) == 100.0


def test_snapshots_keep_their_distance_and_light_requests_need_none() -> None:
    pace = a_pace()
    pace.sent(20, 100.0)
    assert pace.earliest_s(20, 100.5) == 102.0
    assert pace.earliest_s(1, 100.5) == 100.5


def test_a_spacing_longer_than_the_window_is_kept() -> None:
    pace = a_pace(spacing_s=90)
    pace.sent(20, 100.0)
    pace.sent(1, 170.0)
    assert pace.earliest_s(20, 171.0) == 190.0


def test_the_share_of_the_limit_bounds_every_minute() -> None:
    pace = a_pace(limit=100, spacing_s=0)
    pace.sent(20, 100.0)
    pace.sent(20, 110.0)
    assert pace.used(115.0) == 40
    assert pace.earliest_s(10, 115.0) == 115.0
    assert pace.earliest_s(20, 115.0) == 160.0
    assert pace.used(160.0) == 20


def test_what_others_on_the_address_use_counts() -> None:
    pace = a_pace(limit=100, spacing_s=0)
    pace.sent(1, 100.0)
    pace.reported(45, 100.2)
    assert pace.used(101.0) == 45
    assert pace.earliest_s(20, 101.0) == 160.2
    pace.sent(5, 102.0)
    assert pace.used(103.0) == 50
    pace.reported(6, 104.0)
    assert pace.used(105.0) == 6


def test_a_lower_report_does_not_hide_what_we_sent() -> None:
    pace = a_pace(limit=100, spacing_s=0)
    pace.sent(20, 100.0)
    pace.sent(20, 119.0)
    pace.reported(20, 119.5)
    assert pace.used(120.0) == 40


def test_a_budget_smaller_than_a_request_allows_one_a_minute() -> None:
    pace = a_pace(limit=100, share=0.1, spacing_s=0)
    assert pace.earliest_s(20, 100.0) == 100.0
    pace.sent(20, 100.0)
    pace.reported(20, 100.5)
    assert pace.earliest_s(20, 101.0) == 160.5


def test_nothing_leaves_during_a_stand_down_and_a_shorter_one_does_not_end_it() -> None:
    pace = a_pace()
    pace.stand_down(200.0)
    pace.stand_down(150.0)
    assert pace.earliest_s(1, 100.0) == 200.0
    assert pace.earliest_s(1, 200.0) == 200.0


def test_the_rate_that_lasts_follows_from_share_and_spacing() -> None:
    assert a_pace(spacing_s=2).heavy_interval_s == 2
    assert a_pace(limit=100, share=0.5).heavy_interval_s == 24


def test_a_successor_knows_what_was_sent_and_until_when_nothing_may_be() -> None:
    pace = a_pace(limit=100, spacing_s=2)
    pace.sent(20, 100.0)
    pace.sent(20, 110.0)
    pace.reported(45, 110.5)
    pace.stand_down(200.0)
    successor = a_pace(limit=100, spacing_s=2)
    successor.restore(pace.saved(111.0), 5.0, elapsed_s=4.0)
    assert successor.stand_down_until_s == 5.0 + (200.0 - 111.0) - 4.0
    assert successor.used(5.0) == 45
    assert successor.used(5.0 + 60 - 4.0) == 0


def test_a_stand_down_that_ended_meanwhile_is_over() -> None:
    pace = a_pace()
    pace.stand_down(200.0)
    successor = a_pace()
    successor.restore(pace.saved(150.0), 5.0, elapsed_s=50.0)
    assert successor.earliest_s(1, 5.0) == 5.0


def test_no_saved_stand_down_is_longer_than_the_longest_ban() -> None:
    pace = a_pace()
    pace.stand_down(1e18)
    successor = a_pace()
    successor.restore(pace.saved(0.0), 0.0, elapsed_s=0.0)
    assert successor.stand_down_until_s == LONGEST_STAND_DOWN_S


@pytest.mark.parametrize("weight", [1, 20])
def test_a_start_that_knows_nothing_waits_a_minute(weight: int) -> None:
    pace = a_pace()
    pace.assume_used_up(100.0)
    assert pace.earliest_s(weight, 100.0) == 160.0


NOW_MS = 1_790_000_000_000  # Mon, 21 Sep 2026 14:13:20 GMT
BAN_TEXT = (
    b'{"code":-1003,"msg":"Way too many requests; IP(10.0.0.1) banned until 1790000090000. '
    b'Please use the websocket for live updates to avoid bans."}'
)


@pytest.mark.parametrize(
    ("status", "headers", "body", "expected_s"),
    [
        (429, {"Retry-After": "30"}, b"", 31),
        (418, {"Retry-After": "30"}, b"", 31),
        (418, {"Retry-After": "Mon, 21 Sep 2026 14:14:00 GMT"}, b"", 41),
        (418, {}, BAN_TEXT, 91),
        (418, {"Retry-After": "30"}, BAN_TEXT, 91),
        (418, {"Retry-After": "120"}, BAN_TEXT, 121),
        (429, {}, b"", 60),
        (418, {}, b"", 120),
        (418, {"Retry-After": "0"}, b"", 120),
        (418, {"Retry-After": "soon"}, b"<html>", 120),
        (429, {"Retry-After": "-5"}, b"", 60),
        (429, {"Retry-After": "٣"}, b"", 60),
        (418, {"Retry-After": "Mon, 21 Sep 2026 14:00:00 GMT"}, b"", 120),
        (418, {}, b"banned until 1000000000000", 120),
        (418, {"Retry-After": "99999999999"}, b"", 4 * 86400),
        (418, {}, b"banned until 9999999999999999", 4 * 86400),
    ],
)
def test_the_longest_time_that_is_named_counts(
    status: int, headers: dict[str, str], body: bytes, expected_s: float
) -> None:
    assert stand_down_s(status, headers, body, NOW_MS) == expected_s


def test_the_answers_own_date_is_better_than_our_clock() -> None:
    headers = {"Date": "Mon, 21 Sep 2026 14:13:20 GMT"}
    our_clock_is_an_hour_ahead = NOW_MS + 3_600_000
    assert stand_down_s(418, headers, BAN_TEXT, our_clock_is_an_hour_ahead) == 91
