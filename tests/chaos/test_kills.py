"""SIGKILL at random moments under load: no row lost that was journalled, none doubled, no half row."""

from pathlib import Path

import pytest

from tests.chaos.pipeline import SYMBOLS, running
from tests.chaos.runs import check, kill_and_restart, seeded
from tests.chaos.watcher import Watcher

VICTIMS = ("writer", "ingest-BTCUSDT", "bus", "rest")


def _kill_all(place: Path, *, times: int, rate: float, symbols: int) -> None:
    random = seeded()
    with running(place, rate=rate, symbols=SYMBOLS[:symbols]) as pipeline:
        with Watcher(pipeline.data, lambda: pipeline.programs["writer"].exit_code is None) as watcher:
            order = [victim for victim in VICTIMS for _ in range(times)]
            random.shuffle(order)
            faults = [kill_and_restart(pipeline, random, victim) for victim in order]
            streams = pipeline.finish()
        check(streams, faults, pipeline.downs)
        assert not watcher.faults, watcher.faults[:5]
        assert watcher.rows >= sum(stream.verdict.recorded for stream in streams)


def test_killed_processes_lose_and_double_nothing(place: Path) -> None:
    _kill_all(place, times=3, rate=1500, symbols=2)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_each_process_killed_ten_times_under_5000_messages_a_second(place: Path) -> None:
    _kill_all(place, times=10, rate=5000, symbols=5)
