"""A recorder to which nothing is sent sleeps: its processes wake for their statuses, and for nothing else."""

import contextlib
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from binance_streamer.client.tap import Tap
from binance_streamer.config.schema import load
from tests.support.addresses import free_port
from tests.support.configs import write_config
from tests.support.processes import Program, Simulator, service
from tests.support.waiting import eventually

_WATCHED_S = 5.0
MOST_A_SECOND = {"bus": 60, "writer": 20, "rest": 20, "orderbook": 10, "monitor": 30, "ingest": 20}
"""Some three times what was measured. Timers that look whether anything is due woke the bus 220 times a second, the
writer 50, the monitor 37 and a worker 27. A busy machine wakes nobody more often."""


@pytest.fixture
def idle(place: Path) -> Iterator[Mapping[str, Program]]:
    """All processes of a recorder, once the worker is connected and everybody has settled."""
    with contextlib.ExitStack() as running:
        exchange = running.enter_context(
            Simulator(place, "--symbols", "BTCUSDT", "--streams", "aggTrade", "--rate", "0.001")
        )
        monitor = {"enabled": True, "address": f"127.0.0.1:{free_port()}"}
        path = write_config(place, {"BTCUSDT": ["aggTrade"]}, exchange.urls, monitor=monitor)
        programs = {
            name: running.enter_context(
                service(
                    name, path, *(("--symbol", "BTCUSDT") if name == "ingest" else ()), output=place / f"{name}.out"
                )
            )
            for name in MOST_A_SECOND
        }
        tap = running.enter_context(Tap(load(path).endpoints.bus_subscribe, ["status."]))
        seen: dict[str, int] = {}

        def have_settled() -> bool:
            message = tap.receive(1)
            if message is not None:
                seen[message.topic.symbol] = message.data["seq"]
            return len(seen) == len(programs) and min(seen.values()) > 5

        eventually(have_settled, 60, every_s=0.0)
        yield programs


def test_a_process_without_work_wakes_seldom(idle: Mapping[str, Program]) -> None:
    before = {name: wakes(program) for name, program in idle.items()}
    began_s = time.monotonic()
    time.sleep(_WATCHED_S)
    passed_s = time.monotonic() - began_s
    found = {name: (wakes(program) - before[name]) / passed_s for name, program in idle.items()}
    assert {name: rate for name, rate in found.items() if rate > MOST_A_SECOND[name]} == {}


def wakes(program: Program) -> int:
    """The times that the threads of a process have gone to sleep so far."""
    tasks = Path(f"/proc/{program.pid}/task").glob("*/status")
    lines = [line for task in tasks for line in task.read_text(encoding="ascii").splitlines()]
    return sum(int(line.split()[1]) for line in lines if line.startswith("voluntary_ctxt_switches:"))
