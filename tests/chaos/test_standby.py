"""A worker that waits for the journal of another one goes on in its place: nothing is missing, nothing there twice."""

from pathlib import Path
from random import Random

from tests.chaos.pipeline import STREAMS, SYMBOLS, Pipeline, running
from tests.chaos.runs import check, check_without_gaps, seeded, sleep
from tests.chaos.table import Fault

SYMBOL = SYMBOLS[0]
PAIR = (f"ingest-{SYMBOL}", f"standby-{SYMBOL}")


def _kill_in_turn(pipeline: Pipeline, random: Random, *, times: int) -> list[Fault]:
    """Kill whoever records, at random moments, and start it again, so that it is the one that waits."""
    faults = []
    for number in range(times):
        pipeline.wait_warm(SYMBOL)
        sleep(random.uniform(0.0, 0.5))
        victim = PAIR[number % 2]
        faults.append(Fault("SIGKILL recording one", pipeline.kill(victim), SYMBOL))
        pipeline.start(victim)
    return faults


def test_a_killed_worker_with_a_standby_leaves_no_gap(place: Path) -> None:
    random = seeded()
    with running(place, rate=600, symbols=(SYMBOL,), streams=STREAMS) as pipeline:
        pipeline.start(PAIR[1])
        faults = _kill_in_turn(pipeline, random, times=3)
        pipeline.wait_warm(SYMBOL)
        streams = pipeline.finish()
    check(streams, faults, pipeline.downs)
    check_without_gaps(streams)
