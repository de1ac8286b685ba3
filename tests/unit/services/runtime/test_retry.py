"""Delays between attempts."""

import random

from services.runtime.retry import Backoff


class Highest(random.Random):
    def random(self) -> float:
        return 1.0


def test_delays_double_up_to_the_ceiling_and_start_again_after_what_lasted_as_long_as_that() -> None:
    backoff = Backoff(first_s=0.5, ceiling_s=5.0, rng=Highest())
    assert [backoff.next_delay_s() for _ in range(6)] == [0.5, 1.0, 2.0, 4.0, 5.0, 5.0]
    assert [backoff.next_delay_s(4.9), backoff.next_delay_s(5.0), backoff.next_delay_s(4.9)] == [5.0, 0.5, 1.0]


def test_a_delay_is_anything_from_nothing_to_its_bound() -> None:
    backoff = Backoff(first_s=8.0, ceiling_s=4.0, rng=random.Random(1))
    assert Backoff(first_s=8.0, ceiling_s=4.0, rng=Highest()).next_delay_s() == 4.0
    delays_s = [backoff.next_delay_s() for _ in range(2000)]
    assert 0.0 <= min(delays_s) < 0.1
    assert 3.9 < max(delays_s) <= 4.0
