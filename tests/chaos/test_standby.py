"""A worker that waits for the journal of another one goes on in its place: nothing is missing, nothing there twice."""

import signal
import time
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.chaos import power
from tests.chaos.namespace import require_namespaces
from tests.chaos.oracle import Rules
from tests.chaos.pipeline import PATIENCE_S, SYMBOLS, Down, Pipeline, running
from tests.chaos.runs import check, check_without_gaps, seeded, sleep
from tests.chaos.table import Fault
from tests.chaos.test_disks import Mounted
from tests.support.waiting import eventually

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
    """Wait until one of the two records and the other one could go on; who ends meanwhile is started again."""

    def is_warm() -> bool:
        _start_again(pipeline)
        status = pipeline.newest_status(PAIR[1], within_s=2)
        return status is not None and bool(status["is_warm"])

    eventually(is_warm, 2 * PATIENCE_S, what=f"{PAIR[1]} is warm")


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


def _wait_all_received(pipeline: Pipeline) -> None:
    """Wait until whoever records has received every stream."""
    pipeline.until(PAIR[0], lambda status: all(one["messages"] for one in status["streams"].values()), "all streams")


def _kill_both(pipeline: Pipeline, random: Random) -> Fault:
    """Kill both so that neither sees the end of the other one, and start them in any order."""
    from_ns = time.time_ns()
    for name in PAIR:
        pipeline.programs[name].send(signal.SIGSTOP)
    for name in PAIR:
        pipeline.kill(name)
    pipeline.start(*random.sample(PAIR, 2))
    _wait_all_received(pipeline)
    pipeline.downs.append(Down(SYMBOL, from_ns, time.time_ns()))
    return Fault("SIGKILL both", from_ns, SYMBOL)


def test_both_killed_at_once_lose_only_what_they_list(place: Path) -> None:
    random = seeded()
    with running(place, rate=600, symbols=(SYMBOL,)) as pipeline:
        pipeline.start(PAIR[1])
        _wait_warm(pipeline)
        sleep(random.uniform(0.0, 0.5))
        faults = [_kill_both(pipeline, random)]
        _wait_warm(pipeline)
        faults.append(_kill_recording(pipeline))  # of what both had lost nothing is forgotten
        _wait_warm(pipeline)
        streams = pipeline.finish()
    check(streams, faults, pipeline.downs)
    assert {gap.reason for stream in streams for gap in stream.verdict.gaps} <= {"restart"}


@pytest.mark.slow
def test_a_power_cut_of_both_loses_only_what_they_list(place: Path) -> None:
    random = seeded()
    options: dict[str, Any] = {"environment": power.synced_log(place)}
    with running(place, rate=600, symbols=(SYMBOL,), **options) as pipeline:
        pipeline.start(PAIR[1])
        faults = []
        for _ in range(3):
            _wait_warm(pipeline)
            sleep(random.uniform(2, 4))  # longer than what may be lost
            from_ns = time.time_ns()
            print("lost bytes", power.cut(pipeline, random))
            pipeline.start(PAIR[1], *pipeline.names)
            _wait_all_received(pipeline)
            pipeline.downs.append(Down(None, from_ns - power.UNSYNCED_NS, time.time_ns()))
            faults.append(Fault("power cut of both", from_ns))
        _wait_warm(pipeline)
        streams = pipeline.finish(Rules(gaps_may_cover_rows=True))
    check(streams, faults, pipeline.downs)


@pytest.mark.slow
def test_a_journal_that_is_full_while_one_waits_lists_what_it_could_not_keep(place: Path) -> None:
    """Whoever records is killed meanwhile, and with it what it had not listed yet."""
    require_namespaces(place)
    with Mounted(place, data="64m", journal="24m", rate=600, symbols=(SYMBOL,)) as pipeline:
        pipeline.start()
        pipeline.wait_recording()
        pipeline.start(PAIR[1])
        faults = []
        for _ in range(2):
            _wait_warm(pipeline)
            faults.append(Fault("journal full", time.time_ns()))
            pipeline.fill("journal")
            pipeline.until(PAIR[0], lambda status: status["journal"]["state"] == "journal full", "its journal is full")
            faults.append(_kill_recording(pipeline))
            _wait_warm(pipeline)
            pipeline.empty("journal")
            pipeline.until(PAIR[0], lambda status: status["journal"]["state"] == "recording", "it goes on by itself")
        streams = pipeline.finish()
    check(streams, faults)
    assert {gap.reason for stream in streams for gap in stream.verdict.gaps} <= {"journal full", "restart"}
