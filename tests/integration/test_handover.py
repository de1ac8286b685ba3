"""`restart` of a worker: a second one records meanwhile, and nothing is missing; without one, nothing is stopped."""

import os
import signal
from pathlib import Path

import pytest
import yaml

from binance_streamer.client.tap import Tap
from binance_streamer.config.schema import load
from tests.chaos.recording import judged
from tests.support.processes import Simulator
from tests.support.site import Site, supervised
from tests.support.waiting import eventually

STREAMS = ["aggTrade", "depth@0ms", "kline_1m", "bookTicker", "markPrice@1s"]
SECTIONS: dict[str, dict[str, object]] = {"orderbook": {"enabled": False}, "monitor": {"enabled": False}}
WORKER, PARTNER = "ingest-BTCUSDT", "standby-BTCUSDT"


def _restart(site: Site, times: int) -> None:
    for _ in range(times):
        before = site.pids()
        done = site.ours("restart", WORKER)
        assert (done.returncode, done.stdout) == (0, f"{WORKER}: handed over, nothing missed\n"), done
        after = site.pids()
        assert after.keys() == before.keys()
        assert {name for name in after if after[name] != before[name]} == {WORKER}


def _restarts_miss_nothing(place: Path, *, times: int, rate: int) -> None:
    mix = ",".join(STREAMS)
    with (
        Simulator(place, "--symbols", "BTCUSDT", "--rate", str(rate), "--mix", mix) as simulator,
        supervised(place, simulator, {"BTCUSDT": STREAMS}, **SECTIONS) as site,
    ):
        assert site.ours("start", "--wait").returncode == 0
        _restart(site, times)
        simulator.command("pause")
        assert site.ours("stop").returncode == 0
        for stream in judged(simulator.tape, site.root / "config/data"):
            assert stream.verdict.faults == [], stream.stream.name
            assert stream.verdict.gaps == [], stream.stream.name
            assert len(stream.recv_ns) >= len(stream.tape) - 50, "but for what was under way at the end"


def test_a_worker_that_is_restarted_misses_nothing(place: Path) -> None:
    _restarts_miss_nothing(place, times=1, rate=300)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_fifty_restarts_miss_nothing(place: Path) -> None:
    _restarts_miss_nothing(place, times=50, rate=5000)


@pytest.mark.slow  # the second worker has two minutes
def test_a_worker_is_not_stopped_where_no_other_one_comes_up(place: Path) -> None:
    with (
        Simulator(place, "--symbols", "BTCUSDT", "--rate", "300") as simulator,
        supervised(place, simulator, {"BTCUSDT": ["aggTrade"]}, **SECTIONS) as site,
    ):
        assert site.ours("start", "--wait").returncode == 0
        before = site.pids()
        simulator.command("refuse 200")
        done = site.ours("restart", WORKER)
        assert done.returncode == 1
        assert "is not restarted, and nothing was stopped" in done.stderr
        assert site.pids() == before
        assert site.rows("BTCUSDT", "gap") == []


def _pair_restarts_miss_nothing(site: Site) -> None:
    values = yaml.safe_load(site.config.read_text(encoding="utf-8"))
    values["modes"]["development"]["symbols"][0]["standby"] = True
    site.config.write_text(yaml.safe_dump(values), encoding="utf-8")
    assert site.ours("start", "--wait").returncode == 0
    pids = site.wait_until_all_run(["bus", "writer", "rest", WORKER, PARTNER])
    with Tap(load(site.config).endpoints.bus_subscribe, ["status.standby-BTCUSDT."]) as tap:

        def is_warm(pid: int) -> bool:
            message = tap.receive(5)
            return message is not None and message.data["pid"] == pid and message.data["is_warm"]

        eventually(
            lambda: is_warm(pids[PARTNER]) or is_warm(pids[WORKER]), 60, what="one of the two waits, and is warm"
        )
    os.kill(pids[WORKER], signal.SIGKILL)
    eventually(lambda: site.pids().get(WORKER, pids[WORKER]) != pids[WORKER], 60, what="it is started again")
    for name in (WORKER, PARTNER, WORKER):
        done = site.ours("restart", name)
        assert done.returncode == 0, done
        assert done.stdout.split(": ")[1] in (
            "handed over, nothing missed\n",
            "restarted; it did not record before\n",
        ), done


def test_a_pair_of_workers_misses_nothing_when_either_is_killed_or_restarted(place: Path) -> None:
    mix = ",".join(STREAMS)
    with (
        Simulator(place, "--symbols", "BTCUSDT", "--rate", "300", "--mix", mix) as simulator,
        supervised(place, simulator, {"BTCUSDT": STREAMS}, **SECTIONS) as site,
    ):
        _pair_restarts_miss_nothing(site)
        simulator.command("pause")
        assert site.ours("stop").returncode == 0
        for stream in judged(simulator.tape, site.root / "config/data"):
            assert stream.verdict.faults == [], stream.stream.name
            assert stream.verdict.gaps == [], stream.stream.name
