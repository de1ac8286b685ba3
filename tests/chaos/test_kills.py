"""SIGKILL at random moments under load: no row lost that was journalled, none doubled, no half row."""

from pathlib import Path
from typing import Any

import pytest

from tests.chaos.pipeline import SYMBOLS, running
from tests.chaos.runs import CSV, FORMATS, check, kill_and_restart, seeded, sleep
from tests.chaos.table import Fault
from tests.chaos.watcher import Watcher

VICTIMS = ("writer", "ingest-BTCUSDT", "bus", "rest")


def _kill_all(place: Path, storage: dict[str, Any], *, times: int, rate: float, symbols: int) -> None:
    random = seeded()
    with running(place, rate=rate, symbols=SYMBOLS[:symbols], storage=storage) as pipeline:
        with Watcher(pipeline.data, lambda: pipeline.programs["writer"].exit_code is None) as watcher:
            order = [victim for victim in VICTIMS for _ in range(times)]
            random.shuffle(order)
            faults = [kill_and_restart(pipeline, random, victim) for victim in order]
            streams = pipeline.finish()
        check(streams, faults, pipeline.downs)
        assert not watcher.faults, watcher.faults[:5]
        if storage == CSV:
            assert watcher.rows >= sum(stream.verdict.recorded for stream in streams)
        else:
            assert watcher.decoded > 0


@FORMATS
def test_killed_processes_lose_and_double_nothing(place: Path, storage: dict[str, Any]) -> None:
    _kill_all(place, storage, times=2, rate=1500, symbols=2)


@FORMATS
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_each_process_killed_ten_times_under_5000_messages_a_second(place: Path, storage: dict[str, Any]) -> None:
    _kill_all(place, storage, times=10, rate=5000, symbols=5)


@pytest.mark.slow
@pytest.mark.parametrize("of_format", [{"commit_interval": 30}, {"file_format": "csv.zst"}], ids=["csv", "csv.zst"])
def test_the_journal_keeps_what_the_writer_has_not_made_durable(place: Path, of_format: dict[str, Any]) -> None:
    """It is asked to keep nothing longer than that; the segments of the worker's first run are read again."""
    storage = {**of_format, "journal_retention": 0}
    with running(place, rate=600, symbols=SYMBOLS[:1], storage=storage) as pipeline:
        from_ns = pipeline.kill("ingest-BTCUSDT")
        pipeline.restart("ingest-BTCUSDT", from_ns)
        sleep(1)
        pipeline.simulator.command("pause")  # in the silence the worker asks again and again what the writer has
        sleep(6)  # the journal is trimmed every 5 s
        pipeline.simulator.command("resume")
        fault = Fault("SIGKILL writer", pipeline.kill("writer"))
        pipeline.start("writer")
        streams = pipeline.finish()
    check(streams, [fault], pipeline.downs)
