"""Symbols move between workers while they are recorded: each message is a row once, or in a gap."""

import json
import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.chaos.oracle import Rules
from tests.chaos.recording import Judged, judged
from tests.support.processes import Simulator
from tests.support.site import Site, supervised
from tests.support.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT", "BNBUSDT", "DOGEUSDT")
STREAMS = ("aggTrade", "depth@0ms", "bookTicker", "markPrice@1s", "kline_1m")
SECTIONS: dict[str, Mapping[str, Any]] = {"orderbook": {"enabled": False}, "monitor": {"enabled": False}}


def configure(site: Site, *named: str, workers: int) -> None:
    """Record these by themselves from the next `apply` on, and all others in a group."""
    values = yaml.safe_load(site.config.read_text(encoding="utf-8"))
    group = {"name": "all", "match": {"symbol": "*"}, "workers": workers, "streams": [*STREAMS]}
    symbols = [{"symbol": symbol, "streams": [*STREAMS]} for symbol in named]
    values["modes"]["development"] = {"symbols": symbols, "groups": [group]}
    values["network"]["exchange_info_interval"] = 1
    site.config.write_text(yaml.safe_dump(values), encoding="utf-8")


def applied(site: Site) -> str:
    done = site.ours("apply")
    print(done.stdout, done.stderr)
    assert done.returncode == 0, done
    return done.stdout


def result(site: Site, simulator: Simulator, rules: Rules) -> Sequence[Judged]:
    simulator.command("pause")
    assert site.ours("stop").returncode == 0
    found = list(judged(simulator.tape, site.root / "config/data", rules))
    for stream in found:
        assert stream.verdict.faults == [], stream.stream.name
    return found


def test_moves_by_apply_miss_and_double_nothing(place: Path) -> None:
    with (
        Simulator(place, "--symbols", ",".join(SYMBOLS), "--rate", "300", "--mix", ",".join(STREAMS)) as simulator,
        supervised(place, simulator, {"BTCUSDT": STREAMS}, **SECTIONS) as site,
    ):
        configure(site, "BTCUSDT", workers=2)
        assert site.ours("apply").returncode == 0
        assert site.ours("start", "--wait").returncode == 0
        site.wait_for_rows(SYMBOLS, 5)
        assert "symbols that move to another worker" not in site.ours("apply").stdout
        for named, workers in ((("BTCUSDT",), 3), (("BTCUSDT", "ETHUSDT"), 3), ((), 3), ((), 1), (("BTCUSDT",), 2)):
            configure(site, *named, workers=workers)
            assert "symbols that move to another worker" in applied(site)
            before = {symbol: len(site.rows(symbol, "aggtrade")) for symbol in SYMBOLS}
            eventually(
                lambda known=before: all(len(site.rows(one, "aggtrade")) > known[one] + 5 for one in SYMBOLS),  # type: ignore[misc]
                60,
                what="all symbols go on",
            )
        for stream in result(site, simulator, Rules(any_order=True)):  # of a writer that is seconds behind
            assert stream.verdict.gaps == [], stream.stream.name
            assert len(stream.recv_ns) >= len(stream.tape) - 200, "but for what was sent before it began"
        verified = site.call("binance-streamer", "verify", site.root / "config/data", "--json")
        faults = [finding for line in verified.stdout.splitlines() for finding in json.loads(line)["findings"]]
        assert faults == [], "a takeover is no restart that lists no gap"


def test_moves_of_workers_that_are_killed_or_stopped_lose_and_double_nothing(place: Path) -> None:
    with (
        Simulator(place, "--symbols", ",".join(SYMBOLS), "--rate", "300", "--mix", ",".join(STREAMS)) as simulator,
        supervised(place, simulator, {"BTCUSDT": STREAMS}, **SECTIONS) as site,
    ):
        configure(site, workers=2)
        assert site.ours("apply").returncode == 0
        assert site.ours("start", "--wait").returncode == 0
        site.wait_for_rows(SYMBOLS, 5)
        for named, workers in ((("ETHUSDT",), 3), ((), 2)):
            for name, pid in site.pids().items():
                if name.startswith("ingest-"):
                    os.kill(pid, signal.SIGKILL)
            configure(site, *named, workers=workers)
            assert site.ours("apply").returncode in (0, 1)
            applied(site)
        assert site.ours("stop").returncode == 0
        configure(site, "XRPUSDT", workers=3)
        assert site.ours("apply").returncode == 0
        assert site.ours("start", "--wait").returncode == 0
        before = {symbol: len(site.rows(symbol, "aggtrade")) for symbol in SYMBOLS}
        eventually(lambda: all(len(site.rows(one, "aggtrade")) > before[one] + 5 for one in SYMBOLS), 60, what="rows")
        found = result(site, simulator, Rules(any_order=True))  # what a killed worker had not pushed comes later
        assert any(stream.verdict.gaps for stream in found), "nobody was there for a moment"
