"""SIGSTOP and SIGTERM of each process, pairs of processes, and a supervisord that is killed."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from binance_streamer.config import schema as configuration
from binance_streamer.deploy.supervisord import Site, control_socket, programs, state_directory, text_of
from tests.chaos.pipeline import SYMBOLS, Down, Pipeline, running
from tests.chaos.runs import check, seeded, sleep
from tests.chaos.table import Fault
from tests.chaos.watcher import Watcher
from tests.support.processes import alive
from tests.support.waiting import eventually


def _stopped(pipeline: Pipeline, name: str, seconds: float) -> Fault:
    """A process that stands still, as on a machine that swaps."""
    from_ns = time.time_ns()
    pipeline.programs[name].send(signal.SIGSTOP)
    sleep(seconds)
    pipeline.programs[name].send(signal.SIGCONT)
    pipeline.alive()
    return Fault(f"SIGSTOP {name.partition('-')[0]}", from_ns, _symbol(name))


def _terminated(pipeline: Pipeline, name: str) -> Fault:
    from_ns = time.time_ns()
    pipeline.ask_to_end(name)
    assert pipeline.programs[name].wait(60) == 0
    pipeline.alive(name)
    pipeline.restart(name, from_ns)
    return Fault(f"SIGTERM {name.partition('-')[0]}", from_ns, _symbol(name))


def _symbol(name: str) -> str | None:
    return name.removeprefix("ingest-") if name.startswith("ingest-") else None


def test_a_process_that_stands_still_loses_nothing(place: Path) -> None:
    """Messages that the exchange sends meanwhile wait in the sockets."""
    random = seeded()
    with running(place, rate=800, symbols=SYMBOLS[:2]) as pipeline:
        names = ["writer", "rest", "bus", "ingest-BTCUSDT"]
        random.shuffle(names)
        faults = [_stopped(pipeline, name, random.uniform(2, 4)) for name in names]
        streams = pipeline.finish()
    check(streams, faults, [])
    assert not any(stream.verdict.true_gaps for stream in streams)


@pytest.mark.slow
def test_a_process_that_stands_still_for_30_seconds_loses_nothing(place: Path) -> None:
    with running(place, rate=5000, symbols=SYMBOLS) as pipeline:
        faults = [_stopped(pipeline, name, 30) for name in ("writer", "rest", "bus", "ingest-BTCUSDT")]
        streams = pipeline.finish()
    check(streams, faults)


@pytest.mark.slow
def test_asked_to_end_each_process_ends_with_0_and_the_next_one_goes_on(place: Path) -> None:
    random = seeded()
    with running(place, rate=1000, symbols=SYMBOLS[:2]) as pipeline:
        names = ["writer", "rest", "bus", "ingest-BTCUSDT"] * 2
        random.shuffle(names)
        faults = [_terminated(pipeline, name) for name in names]
        streams = pipeline.finish()
    check(streams, faults, pipeline.downs)


def _pairs(place: Path, random: Random, *, times: int, rate: float, symbols: int) -> None:
    with running(place, rate=rate, symbols=SYMBOLS[:symbols]) as pipeline:
        faults = []
        for _ in range(times):
            sleep(random.uniform(0.3, 1.5))
            pair = random.sample(pipeline.names, 2)
            from_ns = time.time_ns()
            for name in pair:
                pipeline.kill(name)
            sleep(random.uniform(0, 0.5))
            pipeline.alive(*pair)
            for name in random.sample(pair, 2):
                pipeline.start(name)
            for symbol in filter(None, map(_symbol, pair)):
                pipeline.wait_connected(symbol)
                pipeline.downs.append(Down(symbol, from_ns, time.time_ns()))
            faults.append(Fault("SIGKILL of two", from_ns, next(filter(None, map(_symbol, pair)), None)))
        streams = pipeline.finish()
    check(streams, faults, pipeline.downs)


def test_two_processes_killed_together(place: Path) -> None:
    _pairs(place, seeded(), times=3, rate=1000, symbols=2)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_processes_killed_together_twenty_times_under_load(place: Path) -> None:
    _pairs(place, seeded(), times=20, rate=5000, symbols=5)


class Supervised:
    """The same pipeline under supervisord, in a directory of its own."""

    def __init__(self, pipeline: Pipeline) -> None:
        config = configuration.load(pipeline.config_path)
        self._state = state_directory(config)
        self._state.mkdir(mode=0o700, parents=True)
        self._site = Site(root=self._state, state=self._state, python=sys.executable)
        wanted = programs(config, pipeline.config_path, ("bus", "writer", "rest"))
        self._site.main.write_text(text_of(self._site, wanted), encoding="utf-8")
        self._names = {program.name for program in wanted}

    def call(self, module: str, *arguments: str) -> str:
        """supervisord or supervisorctl."""
        command = [sys.executable, "-m", f"supervisor.{module}", "-c", str(self._site.main)]
        repository = Path(__file__).resolve().parents[2]
        environment = {**os.environ, "PYTHONPATH": str(repository)}
        done = subprocess.run(
            [*command, *arguments], capture_output=True, text=True, check=False, timeout=300, env=environment
        )
        return done.stdout

    def pid(self) -> int:
        """Of supervisord."""
        return int((self._state / "supervisord.pid").read_text())

    def start(self) -> dict[str, int]:
        """Start it, and wait until all programs run."""
        self.call("supervisord")
        eventually(control_socket(self._state).exists, 60, what="supervisord listens")

        def running_all() -> dict[str, int] | None:
            words = [line.split() for line in self.call("supervisorctl", "status").splitlines()]
            found = {word[0]: int(word[3].rstrip(",")) for word in words if len(word) > 3 and word[1] == "RUNNING"}
            return found if found.keys() == self._names else None

        return eventually(running_all, 60, what="all programs run", every_s=0.3)


@pytest.fixture
def supervised(place: Path) -> Iterator[tuple[Pipeline, Supervised]]:
    with Pipeline(place, rate=800, symbols=SYMBOLS[:2]) as pipeline:
        supervisor = Supervised(pipeline)
        yield pipeline, supervisor
        supervisor.call("supervisorctl", "shutdown")
        eventually(lambda: not alive(supervisor.pid()) if _has_pid(supervisor) else True, 60, what="supervisord ends")


def _has_pid(supervisor: Supervised) -> bool:
    try:
        supervisor.pid()
    except FileNotFoundError:
        return False
    return True


def test_a_killed_supervisord_costs_the_time_until_the_next_one_runs(
    supervised: tuple[Pipeline, Supervised],
) -> None:
    pipeline, supervisor = supervised
    pids = supervisor.start()
    pipeline.wait_recording()
    faults = []
    with Watcher(pipeline.data, lambda: False) as watcher:
        for _ in range(2):
            from_ns = time.time_ns()
            os.kill(supervisor.pid(), signal.SIGKILL)
            before = pids
            eventually(lambda p=before: not any(map(alive, p.values())), 60, what="the programs end")  # type: ignore[misc]
            pids = supervisor.start()
            pipeline.wait_connected()
            pipeline.downs.append(Down(None, from_ns, time.time_ns()))
            faults.append(Fault("SIGKILL supervisord", from_ns))
        pipeline.settle()
        supervisor.call("supervisorctl", "shutdown")
        eventually(lambda: not any(map(alive, pids.values())), 60, what="the programs end")
    pipeline.check_nothing_is_left()
    check(pipeline.compare(), faults, pipeline.downs)
    assert not watcher.faults
