"""A worker that waits for the journal of another one goes on in its place: nothing is missing, nothing there twice."""

import time
from pathlib import Path
from random import Random

import pytest

from tests.chaos.pipeline import SYMBOLS, Pipeline, running
from tests.chaos.runs import check, check_without_gaps, seeded, sleep
from tests.chaos.table import Fault

SYMBOL = SYMBOLS[0]
PAIR = (f"ingest-{SYMBOL}", f"standby-{SYMBOL}")
CLOSED = (f"{SYMBOL.lower()}@depth@0ms", f"{SYMBOL.lower()}@aggTrade")
"""A stream of each route: what is closed is a connection that has it."""


def _start_again(pipeline: Pipeline) -> None:
    """Start those of the two that have ended by themselves, as supervisord would; they must have ended well."""
    for name in PAIR:
        program = pipeline.programs[name]
        if program.exit_code is not None:
            assert program.exit_code == 0, program.text()[-3000:]
            pipeline.start(name)


def _wait_warm(pipeline: Pipeline) -> None:
    """Wait until one of the two records and the other one could go on."""
    _start_again(pipeline)
    pipeline.wait_warm(SYMBOL)


def _kill_recording(pipeline: Pipeline) -> Fault:
    pid = pipeline.status(PAIR[0])["pid"]
    victim = next(name for name in PAIR if pipeline.programs[name].pid == pid)
    fault = Fault("SIGKILL recording one", pipeline.kill(victim), SYMBOL)
    pipeline.start(victim)
    return fault


def _close(pipeline: Pipeline, random: Random) -> Fault:
    """End one connection of one of the two."""
    how, number = random.choice(("fin", "rst", "1001")), random.choice((1, 2))
    fault = Fault(f"close {how} of one of two", time.time_ns(), SYMBOL)
    pipeline.simulator.command(f"close {how} {random.choice(CLOSED)} on {number}")
    return fault


def _attack(place: Path, *, kills: int, closings: int, rate: float) -> None:
    random = seeded()
    with running(place, rate=rate, symbols=(SYMBOL,)) as pipeline:
        pipeline.start(PAIR[1])
        acts = ["kill"] * kills + ["close"] * closings
        random.shuffle(acts)
        faults = []
        for act in acts:
            _wait_warm(pipeline)
            sleep(random.uniform(0.0, 0.5))
            faults.append(_kill_recording(pipeline) if act == "kill" else _close(pipeline, random))
            sleep(0.5)  # a worker that gives way because of it needs a moment to end
        _wait_warm(pipeline)
        streams = pipeline.finish()
    check(streams, faults, pipeline.downs)
    check_without_gaps(streams)


def test_a_killed_worker_with_a_standby_leaves_no_gap(place: Path) -> None:
    _attack(place, kills=2, closings=0, rate=600)


def test_a_worker_that_is_cut_off_gives_way_to_its_standby(place: Path) -> None:
    _attack(place, kills=0, closings=3, rate=600)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_hundred_kills_and_connections_that_end_leave_no_gap(place: Path) -> None:
    _attack(place, kills=100, closings=50, rate=1500)
