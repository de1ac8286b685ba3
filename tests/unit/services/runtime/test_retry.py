"""Delays between attempts, in numbers, and the times that servers name."""

import random

import pytest

from services.runtime.retry import Backoff, KeyedBackoff, doubled_s, retry_after_s, spread_s
from tests.support.chance import Chance

NOW_S = 1_790_000_000  # Mon, 21 Sep 2026 14:13:20 GMT


def test_delays_double_up_to_the_ceiling_and_start_again_after_what_lasted_as_long_as_that() -> None:
    backoff = Backoff(first_s=0.5, ceiling_s=5.0, rng=Chance(1.0))
    assert [backoff.next_delay_s() for _ in range(6)] == [0.5, 1.0, 2.0, 4.0, 5.0, 5.0]
    assert [backoff.next_delay_s(4.9), backoff.next_delay_s(5.0), backoff.next_delay_s(4.9)] == [5.0, 0.5, 1.0]


def test_a_delay_is_anything_from_nothing_to_its_bound() -> None:
    backoff = Backoff(first_s=8.0, ceiling_s=4.0, rng=random.Random(1))
    assert Backoff(first_s=8.0, ceiling_s=4.0, rng=Chance(1.0)).next_delay_s() == 4.0
    delays_s = [backoff.next_delay_s() for _ in range(2000)]
    assert 0.0 <= min(delays_s) < 0.1
    assert 3.9 < max(delays_s) <= 4.0


def test_a_part_of_a_delay_may_be_certain_and_all_of_it_without_chance() -> None:
    assert Backoff(first_s=8.0, ceiling_s=60.0, rng=Chance(0.0), least=0.5).next_delay_s() == 4.0
    assert Backoff(first_s=8.0, ceiling_s=60.0, rng=Chance(1.0), least=0.5).next_delay_s() == 8.0
    backoff = Backoff(first_s=8.0, ceiling_s=20.0)
    assert [backoff.next_delay_s() for _ in range(3)] == [8.0, 16.0, 20.0]
    backoff.reset()
    assert backoff.next_delay_s() == 8.0


def test_a_delay_doubles_from_the_first_to_the_ceiling_whatever_the_number_of_failures() -> None:
    assert [doubled_s(count, first_s=5, ceiling_s=60) for count in (0, 1, 2, 3, 4, 5, 10**6)] == [
        5,
        5,
        10,
        20,
        40,
        60,
        60,
    ]


def test_a_pause_is_spread_by_a_fifth_to_either_side() -> None:
    assert spread_s(10.0, Chance(0.0)) == pytest.approx(8.0)
    assert spread_s(10.0, Chance(0.5)) == pytest.approx(10.0)
    assert spread_s(10.0, Chance(1.0)) == pytest.approx(12.0)


def test_a_key_that_fails_is_delayed_longer_each_time_and_no_other_is() -> None:
    keys = KeyedBackoff[str](first_s=5, ceiling_s=60)
    ends_s = []
    now_s = 0.0
    for _ in range(6):
        keys.fail("A", now_s)
        now_s += keys.longest_wait_s(now_s)
        ends_s.append(now_s)
    assert ends_s == [5, 15, 35, 75, 135, 195]
    assert (keys.is_delayed("A", 194.9), keys.is_delayed("A", 195.0)) == (True, False)
    assert keys.is_delayed("B", 194.9) is False
    assert (keys.delayed(194.9), keys.delayed(195.0)) == ({"A"}, set())


def test_a_key_that_succeeded_begins_with_the_first_delay() -> None:
    keys = KeyedBackoff[str](first_s=5, ceiling_s=60)
    keys.fail("A", 0.0)
    keys.fail("A", 5.0)
    keys.succeed("A")
    assert keys.remembers_any(5.0) is False
    keys.fail("A", 6.0)
    assert keys.longest_wait_s(6.0) == 5.0


def test_a_key_that_has_not_failed_for_the_longest_delay_after_its_own_is_forgotten() -> None:
    keys = KeyedBackoff[str](first_s=5, ceiling_s=60)
    keys.fail("A", 0.0)
    keys.fail("A", 5.0)  # until 15
    assert (keys.remembers_any(74.9), keys.remembers_any(75.0)) == (True, False)
    keys.fail("A", 75.0)
    assert keys.longest_wait_s(75.0) == 5.0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30", 30.0),
        (" 30 ", 30.0),
        ("0", 0.0),
        ("Mon, 21 Sep 2026 14:14:00 GMT", 40.0),
        ("Mon, 21 Sep 2026 14:00:00 GMT", 0.0),
        ("345601", 345_600.0),
        ("999999999999", 345_600.0),
        ("Sat, 21 Oct 2215 07:28:00 GMT", 345_600.0),
        ("9" * 5000, None),
        ("", None),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("\u0663", None),
    ],
)
def test_retry_after_is_a_number_or_a_date(text: str, seconds: float | None) -> None:
    assert retry_after_s(text, NOW_S) == seconds
