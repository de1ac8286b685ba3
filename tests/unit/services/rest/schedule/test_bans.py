"""How long to be silent after a 429 or 418."""

import pytest

from services.rest.schedule.bans import backoff_s, stand_down_s

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


def test_delays_double_up_to_the_ceiling_and_lose_up_to_half_by_chance() -> None:
    assert [backoff_s(n, first_s=5, ceiling_s=60, jitter=0) for n in (1, 2, 3, 4, 5, 6)] == [5, 10, 20, 40, 60, 60]
    assert backoff_s(1, first_s=5, ceiling_s=60, jitter=1) == 2.5
    assert backoff_s(10**6, first_s=5, ceiling_s=60, jitter=0) == 60
