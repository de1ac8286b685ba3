"""supervisord with as many programs as a hundred symbols have, which do nothing but wait for their end."""

import time
from pathlib import Path

import pytest

from binance_streamer.cli.supervisor import files
from binance_streamer.cli.supervisor.foreground import Foreground
from binance_streamer.config.schema import load
from binance_streamer.deploy.supervisord import Program
from tests.support.configs import write_config
from tests.support.waiting import eventually

SLEEP = ("-S", "-c", "import signal; signal.pause()")
WORKERS = [f"ingest-S{number:02}USDT" for number in range(60)]


def test_the_end_does_not_take_a_second_for_each_program(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sinks = [Program("bus", SLEEP, 10), Program("writer", SLEEP, 20)]
    programs = sinks + [Program(name, SLEEP, 40) for name in WORKERS]
    monkeypatch.setattr(files, "wanted_programs", lambda *_: programs)
    path = write_config(place, {"BTCUSDT": ["aggTrade"]}, {})
    said: list[str] = []
    with Foreground(load(path), path) as foreground:
        eventually(
            lambda: all(process.state == "RUNNING" for process in foreground.supervisor.processes()),
            60,
            what="all of them run",
        )
        began_s = time.monotonic()
        foreground.shutdown(said.append)
        took_s = time.monotonic() - began_s
    ends = [
        line.split()[4]
        for line in (place / "run.supervisor" / "supervisord.log").read_text().splitlines()
        if " stopped: " in line
    ]
    assert sorted(ends[:-2]) == WORKERS
    assert ends[-2:] == ["writer", "bus"]
    assert said[-2:] == ["writer has stopped", "bus has stopped"]
    assert took_s < len(WORKERS) / 2
