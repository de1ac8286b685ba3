"""An upgrade under load: the checkout that runs is moved from the commit before to this one, and nothing is missed."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.chaos.recording import judged
from tests.support.configs import write_config
from tests.support.data import REPOSITORY
from tests.support.processes import Simulator

STREAMS = ["aggTrade", "depth@0ms", "kline_1m", "bookTicker", "markPrice@1s"]
WORKER = "ingest-BTCUSDT"
FROM_VARIABLE = "UPGRADE_FROM"
"""The commit that runs at first; by default the one before this one."""


class Checkout:
    """A clone with an environment of its own, and a recorder that runs out of it."""

    def __init__(self, place: Path) -> None:
        self.folder = place / "code"
        self.config = place / "config" / "streamer.yaml"
        self._place = place
        call("git", "clone", "--quiet", "--shared", REPOSITORY, self.folder, place=place)
        (self.folder / ".tools").symlink_to(REPOSITORY / ".tools")

    def switch(self, commit: str) -> None:
        call("git", "-C", self.folder, "checkout", "--quiet", commit, place=self._place)

    def ours(self, *arguments: str) -> str:
        return call(self.folder / "run", "binance-streamer", *arguments, "-c", self.config, place=self._place)


def call(*command: str | Path, place: Path) -> str:
    apart = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}
    words = [str(word) for word in command]
    done = subprocess.run(words, check=False, cwd=place, env=apart, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, f"{words}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def commit_named(name: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(REPOSITORY), "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}"],
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        pytest.skip(f"there is no commit {name} here to upgrade from")
    return done.stdout.strip()


@pytest.mark.slow
def test_an_upgrade_from_the_commit_before_misses_nothing(place: Path) -> None:
    before, now = commit_named(os.environ.get(FROM_VARIABLE) or "HEAD~1"), commit_named("HEAD")
    if not (REPOSITORY / ".tools/bin/uv").exists():
        pytest.skip("these tests were not started by ./run, which installs uv")
    checkout = Checkout(place)
    checkout.switch(before)
    (place / "config").mkdir()
    with Simulator(place, "--symbols", "BTCUSDT", "--rate", "1000", "--mix", ",".join(STREAMS)) as simulator:
        write_config(place / "config", {"BTCUSDT": STREAMS}, simulator.urls)
        checkout.ours("apply")
        try:
            checkout.ours("start", "--wait")
            checkout.switch(now)
            checkout.ours("apply")
            told = checkout.ours("restart", "writer", "bus", "rest", "orderbook", WORKER)
            simulator.command("pause")
        finally:
            checkout.ours("stop")
        assert f"{WORKER}: handed over, nothing missed" in told
        for stream in judged(simulator.tape, place / "config/data"):
            assert stream.verdict.faults == [], stream.stream.name
            assert stream.verdict.gaps == [], stream.stream.name
            assert len(stream.recv_ns) >= len(stream.tape) - 50, "but for what was under way at the end"
