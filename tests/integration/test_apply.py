"""A configuration that changes while a supervised pipeline records."""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.processes import Simulator
from tests.support.site import Site, supervised
from tests.support.tape import ids_of, sent_events
from tests.support.waiting import eventually

BEFORE = {"BTCUSDT": ["aggTrade"], "ETHUSDT": ["aggTrade"], "龙虾USDT": ["aggTrade"]}
AFTER = {"BTCUSDT": ["aggTrade"], "ETHUSDT": ["aggTrade", "depth@0ms"], "SOLUSDT": ["aggTrade"]}
LOBSTER = "ingest-%E9%BE%99%E8%99%BEUSDT"
SERVICES = ["bus", "rest", "writer"]
NICE = os.getpriority(os.PRIO_PROCESS, 0) + 1
SECTIONS: dict[str, dict[str, object]] = {
    "orderbook": {"enabled": False},
    "monitor": {"enabled": False},
    "performance": {"process_priority": NICE},
}


def ids(site: Site, symbol: str) -> list[int]:
    return [int(row["agg_trade_id"]) for row in site.rows(symbol, "aggtrade")]


def sent(simulator: Simulator, symbol: str) -> list[int]:
    return ids_of(sent_events(simulator.tape)[f"{symbol.lower()}@aggTrade"], "a")


def changed(before: Mapping[str, int], after: Mapping[str, int]) -> set[str]:
    return {name for name in before.keys() & after.keys() if before[name] != after[name]}


def test_symbols_come_change_and_go_while_the_others_are_recorded(place: Path) -> None:
    everything = ",".join({**BEFORE, **AFTER})
    with (
        Simulator(place, "--symbols", everything, "--rate", "100") as simulator,
        supervised(place, simulator, BEFORE, **SECTIONS) as site,
    ):
        assert site.ours("start").returncode == 0
        first = site.wait_until_all_run([*SERVICES, "ingest-BTCUSDT", "ingest-ETHUSDT", LOBSTER])
        site.wait_for_rows(BEFORE)
        assert {os.getpriority(os.PRIO_PROCESS, pid) for pid in first.values()} == {NICE}
        assert site.ours("apply").stdout == "nothing to do\n"

        site.change_symbols(AFTER)
        planned = site.ours("apply", "--dry-run")
        assert planned.returncode == 0
        assert planned.stdout.splitlines()[-6:] == [
            "~ rest: restart, which loses nothing",
            f"- {LOBSTER}: stop",
            "+ ingest-SOLUSDT: start",
            "~ ingest-ETHUSDT: restart, while another one records in its place",
            "- journal of ingest-龙虾USDT: write what it holds to the files, then delete it",
            "dry run: nothing was done",
        ]
        assert site.pids() == first
        assert "ingest-SOLUSDT" not in (site.root / "supervisord.conf").read_text(encoding="utf-8")

        applied = site.ours("apply")
        assert applied.returncode == 0, applied
        assert applied.stdout.endswith("applied\n")
        assert "ingest-ETHUSDT: handed over, nothing missed" in applied.stdout.splitlines()
        second = site.wait_until_all_run([*SERVICES, "ingest-BTCUSDT", "ingest-ETHUSDT", "ingest-SOLUSDT"])
        assert changed(first, second) == {"rest", "ingest-ETHUSDT"}
        assert not list((site.root / "config/journal" / LOBSTER).glob("*.journal"))
        assert site.ours("apply").stdout == "nothing to do\n"

        gone = ids(site, "龙虾USDT")
        site.change_symbols({**AFTER, "龙虾USDT": BEFORE["龙虾USDT"]})
        assert site.ours("apply").returncode == 0
        eventually(lambda: len(ids(site, "龙虾USDT")) > len(gone) + 20, 60, what="it is recorded again")

        site.change_symbols({**AFTER, "SOLUSDTT": ["aggTrade"]})
        warned = site.ours("apply", "--dry-run").stderr
        assert "symbol SOLUSDTT: the exchange does not list it; nearest names: SOLUSDT" in warned
        assert not site.rows("龙虾USDT", "gap")
        site.change_symbols(AFTER)
        assert site.ours("apply").returncode == 0

        site.wait_for_rows(["SOLUSDT"])
        eventually(lambda: site.rows("ETHUSDT", "depth"), 60, what="the new stream is recorded")
        simulator.command("pause")
        for symbol in ("BTCUSDT", "SOLUSDT"):
            eventually(lambda one=symbol: ids(site, one) == sent(simulator, one), 60, what=f"all of {symbol}")  # type: ignore[misc]
            assert not site.rows(symbol, "gap")
        last = sent(simulator, "ETHUSDT")[-1]
        eventually(lambda: last in ids(site, "ETHUSDT"), what="what was sent last to the restarted worker")
        assert site.ours("stop").returncode == 0
        for symbol in ("BTCUSDT", "SOLUSDT"):
            assert ids(site, symbol) == sent(simulator, symbol)
        lobsters = ids(site, "龙虾USDT")
        assert lobsters[: len(gone)] == sent(simulator, "龙虾USDT")[: len(gone)]
        assert lobsters[len(gone)] > gone[-1] + 1  # it was not recorded meanwhile
        assert not site.rows("龙虾USDT", "gap")
        assert [row for row in site.rows("ETHUSDT", "gap") if row["stream"] == "ethusdt@aggTrade"] == []
        assert ids(site, "ETHUSDT") == sent(simulator, "ETHUSDT")


@pytest.mark.slow
def test_the_journal_of_a_removed_symbol_is_kept_while_the_writer_is_away(place: Path) -> None:
    with (
        Simulator(place, "--symbols", ",".join(BEFORE), "--rate", "100") as simulator,
        supervised(place, simulator, BEFORE, **SECTIONS) as site,
    ):
        assert site.ours("start").returncode == 0
        site.wait_for_rows(BEFORE)
        assert site.ours("stop", "writer").returncode == 0
        written = len(ids(site, "龙虾USDT"))
        eventually(lambda: len(sent(simulator, "龙虾USDT")) > written + 20, 60, what="more is sent")
        site.change_symbols({symbol: streams for symbol, streams in BEFORE.items() if symbol != "龙虾USDT"})

        refused = site.ours("apply")
        assert refused.returncode == 1
        assert "its journal is kept" in refused.stderr
        assert list((site.root / "config/journal" / LOBSTER).glob("*.journal"))
        assert "journal without an owner: ingest-龙虾USDT" in site.ours("status").stdout

        assert site.ours("start", "writer").returncode == 0
        applied = site.ours("apply")
        assert applied.returncode == 0, applied
        assert not list((site.root / "config/journal" / LOBSTER).glob("*.journal"))
        recorded = ids(site, "龙虾USDT")
        assert len(recorded) > written + 10
        assert recorded == sent(simulator, "龙虾USDT")[: len(recorded)]
        assert not site.rows("龙虾USDT", "gap")
