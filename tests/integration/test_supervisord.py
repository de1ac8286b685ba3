"""supervisord as a user starts it, with the files that `supervisor-config` generates, against the simulator."""

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from tests.support.configs import write_config
from tests.support.processes import Simulator, alive
from tests.support.recorded import recorded_rows
from tests.support.tape import ids_of, sent_events
from tests.support.waiting import eventually

SYMBOLS = {"BTCUSDT": ["aggTrade", "depth@0ms"], "龙虾USDT": ["aggTrade"]}
LOBSTER = "ingest-%E9%BE%99%E8%99%BEUSDT"
PROGRAMS = ["bus", LOBSTER, "ingest-BTCUSDT", "rest", "writer"]
VENV = Path(sys.executable).parent


class Site(NamedTuple):
    """A folder laid out like a checkout: config/streamer.yaml, and what is generated from it."""

    root: Path
    simulator: Simulator

    @property
    def config(self) -> Path:
        return self.root / "config" / "streamer.yaml"

    @property
    def state(self) -> Path:
        return self.root / "config" / "run.supervisor"

    def call(self, *command: str | Path) -> "subprocess.CompletedProcess[str]":
        """A command as typed in an activated environment."""
        environment = {**os.environ, "PATH": f"{VENV}:{os.environ['PATH']}"}
        return subprocess.run(
            [str(word) for word in command],
            check=False,
            env=environment,
            cwd=self.root,
            capture_output=True,
            text=True,
            timeout=120,
        )

    def ours(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return self.call("binance-streamer", *arguments, "-c", self.config)

    def control(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return self.call("supervisorctl", "-c", "supervisord.conf", *arguments)

    def pids(self) -> Mapping[str, int]:
        """Of the programs that run."""
        words = [line.split() for line in self.control("status").stdout.splitlines()]
        return {word[0]: int(word[3].rstrip(",")) for word in words if word[1] == "RUNNING"}

    def supervisord_pid(self) -> int:
        return int((self.state / "supervisord.pid").read_text())

    def wait_until_all_run(self) -> Mapping[str, int]:
        def found() -> Mapping[str, int] | None:
            pids = self.pids()
            return pids if sorted(pids) == sorted(PROGRAMS) else None

        return eventually(found, 60, what="all programs run", every_s=0.3)

    def wait_for_rows(self, number: int = 1) -> None:
        def found() -> bool:
            return all(
                len(recorded_rows(self.root / "config/data", symbol, "aggtrade")) >= number for symbol in SYMBOLS
            )

        eventually(found, 60, what=f"{number} rows of each symbol", every_s=0.3)


@pytest.fixture
def site(place: Path) -> Iterator[Site]:
    (place / "config").mkdir()
    with Simulator(place, "--symbols", ",".join(SYMBOLS), "--rate", "100") as simulator:
        write_config(place / "config", SYMBOLS, simulator.urls)
        made = Site(place, simulator)
        assert made.ours("supervisor-config", "--write").returncode == 0
        made.state.mkdir(parents=True)
        yield made
        if (made.state / "supervisord.pid").exists() and alive(made.supervisord_pid()):
            pid = made.supervisord_pid()
            os.kill(pid, signal.SIGTERM)
            eventually(lambda: not alive(pid), 60, what="supervisord ends")


def test_supervisord_records_from_the_generated_files_as_they_are(site: Site) -> None:
    assert site.call("supervisord", "-c", "supervisord.conf").returncode == 0
    assert site.control("start", "all").returncode == 0
    first = site.wait_until_all_run()
    again = site.control("start", "all")
    assert (again.returncode, again.stderr) == (0, "")
    assert site.pids() == first
    site.wait_for_rows()

    assert stat.S_IMODE((site.state / "supervisord.sock").stat().st_mode) == 0o700
    assert stat.S_IMODE((site.root / "config/run").stat().st_mode) == 0o700

    restarted = site.control("restart", LOBSTER)
    assert restarted.returncode == 0, restarted
    after = site.wait_until_all_run()
    assert [name for name in PROGRAMS if after[name] != first[name]] == [LOBSTER]

    site.simulator.command("pause")
    site.wait_for_rows(5)
    assert site.control("shutdown").returncode == 0
    eventually(lambda: not any(alive(pid) for pid in after.values()), 60, what="all programs end")
    eventually(lambda: not (site.state / "supervisord.sock").exists(), 30, what="supervisord ends")


def test_a_killed_supervisord_takes_its_programs_with_it_and_the_next_one_goes_on(site: Site) -> None:
    assert site.call("supervisord", "-c", "supervisord.conf").returncode == 0
    first = site.wait_until_all_run()
    site.wait_for_rows()
    os.kill(site.supervisord_pid(), signal.SIGKILL)
    eventually(lambda: not any(alive(pid) for pid in first.values()), 30, what="the programs end by themselves")

    assert site.call("supervisord", "-c", "supervisord.conf").returncode == 0
    second = site.wait_until_all_run()
    assert not set(first.values()) & set(second.values())
    rows = len(recorded_rows(site.root / "config/data", "BTCUSDT", "aggtrade"))
    site.wait_for_rows(rows + 1)


def test_start_status_restart_and_stop(site: Site) -> None:
    started = site.ours("start")
    assert started.returncode == 0, started
    first = site.wait_until_all_run()
    site.wait_for_rows()

    shown = site.ours("status")
    assert shown.returncode == 0
    lines = {line.split()[0]: line for line in shown.stdout.splitlines()}
    assert sorted(lines) == sorted(PROGRAMS)
    assert "btcusdt@aggTrade" in lines["ingest-BTCUSDT"]
    assert "龙虾usdt@aggTrade" in lines[LOBSTER]
    assert " rows" in lines["writer"]

    restarted = site.ours("restart")
    assert [line.split(":")[0] for line in restarted.stdout.splitlines()] == [
        "bus",
        "writer",
        "rest",
        "ingest-BTCUSDT",
        LOBSTER,
    ]
    second = site.wait_until_all_run()
    assert not set(first.values()) & set(second.values())

    assert site.ours("stop", "ingest-龙虾USDT").stdout == f"{LOBSTER}: stopped\n"
    assert site.ours("status").returncode == 1
    assert site.ours("start", "ingest-龙虾USDT").returncode == 0
    third = site.wait_until_all_run()
    assert [name for name in PROGRAMS if third[name] != second[name]] == [LOBSTER]

    site.simulator.command("pause")
    sent = ids_of(sent_events(site.simulator.tape)["btcusdt@aggTrade"], "a")
    eventually(
        lambda: int(recorded_rows(site.root / "config/data", "BTCUSDT", "aggtrade")[-1]["agg_trade_id"]) >= sent[-1],
        30,
        what="what was sent before the pause is recorded",
    )
    stopped = site.ours("stop")
    assert (stopped.returncode, stopped.stdout) == (0, "stopped\n")
    assert not any(alive(pid) for pid in third.values())
    assert site.ours("stop").returncode == 69


def test_a_removed_symbol_stops_alone(site: Site) -> None:
    assert site.ours("start").returncode == 0
    first = site.wait_until_all_run()
    values = yaml.safe_load(site.config.read_text(encoding="utf-8"))
    values["modes"]["development"]["symbols"].pop()
    site.config.write_text(yaml.safe_dump(values, allow_unicode=True), encoding="utf-8")

    assert site.ours("supervisor-config").returncode == 78
    assert site.ours("supervisor-config", "--write").returncode == 0
    assert site.control("update").returncode == 0

    eventually(lambda: not alive(first[LOBSTER]), 30, what="its worker ends")
    assert {**site.pids(), LOBSTER: first[LOBSTER]} == first


def test_outdated_files_are_not_started_from(site: Site) -> None:
    (site.root / "config/supervisor.d/bus.conf").unlink()
    refused = site.ours("start")
    assert refused.returncode == 78
    assert "bus.conf is missing or differs" in refused.stderr
    assert "supervisor-config --write" in refused.stderr
