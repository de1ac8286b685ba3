"""The storm, for a moment in every run and for an hour as a soak; what says that it is over is itself tested."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.chaos import storm
from tests.chaos.runs import seeded
from tests.chaos.samples import Reason, Sample, Samples, slope
from tests.support.summaries import level_counts, levels_at


def test_the_slope_of_what_grows_and_of_what_does_not() -> None:
    assert slope([(0, 1), (1, 3), (2, 5)]) == 2
    assert slope([(0, 4), (1, 4), (5, 4)]) == 0
    assert slope([(3, 7)]) == 0


def sampled(name: str, rss_at: Callable[[int], float]) -> Samples:
    """Samples of one process, every 5 s for ten minutes."""
    samples = Samples()
    for at_s in range(0, 601, 5):
        samples.add(name, 7, Sample(at_s, at_s * 10**9, int(rss_at(at_s)), 12, 3))
    return samples


def test_what_grows_from_beginning_to_end_is_named() -> None:
    assert sampled("writer", lambda at_s: 40e6 + 50e3 * at_s).grown() != []
    assert sampled("writer", lambda at_s: 40e6 + 1e6 * (at_s % 10)).grown() == []


def test_what_comes_in_a_step_while_a_process_warms_up_is_no_growth() -> None:
    step = sampled("orderbook", lambda at_s: 33e6 if at_s < 250 else 60e6)
    assert step.grown() != []
    assert step.grown({"orderbook": Reason(300, lambda from_ns, to_ns: 0)}) == []


def test_memory_may_grow_by_what_the_books_gain_after_the_warm_up_and_by_no_more() -> None:
    growing = sampled("orderbook", lambda at_s: 33e6 + 100e3 * at_s)  # 30 MB from 300 s on

    def gained(levels_a_second: float) -> Reason:
        return Reason(300, lambda from_ns, to_ns: 300 * levels_a_second * (to_ns - from_ns) / 1e9)

    assert growing.grown({"orderbook": gained(333)}) == []
    assert growing.grown({"orderbook": gained(100)}) != []
    assert growing.grown({"writer": gained(333)}) != []


def test_levels_are_those_of_the_newest_row_of_a_valid_book() -> None:
    rows = [
        {"synchronised": "true", "recv_ns": "10", "bid_levels": "3", "ask_levels": "4"},
        {"synchronised": "false", "recv_ns": "20", "bid_levels": "", "ask_levels": ""},
        {"synchronised": "true", "recv_ns": "30", "bid_levels": "5", "ask_levels": "6"},
    ]
    counts = level_counts(rows)
    assert [levels_at(counts, at_ns) for at_ns in (5, 10, 29, 30, 99)] == [7, 7, 7, 11, 11]
    assert levels_at([], 5) == 0


def test_a_file_that_is_recorded_counts_as_a_descriptor_when_it_is_open_twice(place: Path) -> None:
    samples = Samples()

    def descriptors() -> int:
        return samples.take([("self", os.getpid())])[0].descriptors

    before = descriptors()
    path = place / "depth_BTCUSDT_20261126.csv"
    with path.open("wb"):
        assert descriptors() == before
        with path.open("rb"), (place / "other").open("wb"):
            assert descriptors() == before + 2
    assert descriptors() == before


def _weather(place: Path, *, minutes: float, symbols: int, rate: float, every_s: float) -> None:
    seed = seeded().getrandbits(20)
    outcome = storm.run(place, storm.Plan(minutes * 60, seed, symbols, rate, every_s), print)
    print(outcome.table)
    print(outcome.highest_bytes)
    assert not outcome.wrong, outcome.wrong


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_five_minutes_of_storm(place: Path) -> None:
    _weather(place, minutes=5, symbols=5, rate=2000, every_s=4)


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_an_hour_of_storm_over_fifty_symbols(place: Path) -> None:
    _weather(place, minutes=60, symbols=50, rate=1000, every_s=30)
