"""supervisord with as many programs as a hundred symbols have, which do nothing but wait for their end."""

import sys
import time
from pathlib import Path

from binance_streamer.cli.supervisor.foreground import Foreground
from binance_streamer.deploy.supervisord import Program, Site
from tests.support.waiting import eventually

SLEEP = ("-S", "-c", "import signal; signal.pause()")
WORKERS = [f"ingest-S{number:02}USDT" for number in range(60)]


def test_the_end_does_not_take_a_second_for_each_program(place: Path) -> None:
    sinks = [Program("simulator", SLEEP, 5), Program("bus", SLEEP, 10), Program("writer", SLEEP, 20)]
    programs = sinks + [Program(name, SLEEP, 40) for name in WORKERS]
    state = place / "run.supervisor"
    site = Site(root=state, include=state / "supervisor.d", state=state, python=sys.executable)
    with Foreground(site, programs) as foreground:
        eventually(
            lambda: all(process.state == "RUNNING" for process in foreground.supervisor.processes()),
            60,
            what="all of them run",
        )
        began_s = time.monotonic()
        foreground.shutdown()
        took_s = time.monotonic() - began_s
    ends = [line.split()[4] for line in (state / "supervisord.log").read_text().splitlines() if " stopped: " in line]
    assert sorted(ends[:-3]) == WORKERS
    assert ends[-3:] == ["writer", "bus", "simulator"]
    assert took_s < len(WORKERS) / 2
