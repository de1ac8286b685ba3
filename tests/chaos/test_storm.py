"""The storm, for a moment in every run and for an hour as a soak; what says that it is over is itself tested."""

import os
from pathlib import Path

import pytest

from tests.chaos import storm
from tests.chaos.runs import seeded
from tests.chaos.samples import Samples, slope


def test_the_slope_of_what_grows_and_of_what_does_not() -> None:
    assert slope([(0, 1), (1, 3), (2, 5)]) == 2
    assert slope([(0, 4), (1, 4), (5, 4)]) == 0
    assert slope([(3, 7)]) == 0


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
