"""Power cuts: the start succeeds, the loss is bounded by the fsync interval, and what is gone is listed."""

import time
from pathlib import Path
from typing import Any

import pytest

from tests.chaos import power
from tests.chaos.oracle import Rules
from tests.chaos.pipeline import SYMBOLS, Down, running
from tests.chaos.runs import FORMATS, check, seeded, sleep
from tests.chaos.table import Fault


def _cut_power(place: Path, storage: dict[str, Any], *, times: int, rate: float, symbols: int) -> None:
    random = seeded()
    options: dict[str, Any] = {"storage": storage, "environment": power.synced_log(place)}
    with running(place, rate=rate, symbols=SYMBOLS[:symbols], **options) as pipeline:
        faults = []
        for _ in range(times):
            sleep(random.uniform(4, 6))  # longer than what may be lost
            from_ns = time.time_ns()
            lost = power.cut(pipeline, random)
            print("lost bytes", lost)
            pipeline.start()
            pipeline.wait_connected()
            pipeline.downs.append(Down(None, from_ns - power.UNSYNCED_NS, time.time_ns()))
            faults.append(Fault("power cut", from_ns))
        streams = pipeline.finish(Rules(gaps_may_cover_rows=True))
    check(streams, faults, pipeline.downs)
    assert all(stream.verdict.recorded for stream in streams)


@FORMATS
def test_a_power_cut_loses_only_what_it_lists(place: Path, storage: dict[str, Any]) -> None:
    _cut_power(place, storage, times=2, rate=1000, symbols=2)


@FORMATS
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_twenty_power_cuts_under_load(place: Path, storage: dict[str, Any]) -> None:
    _cut_power(place, storage, times=20, rate=3000, symbols=4)
