"""A configuration that changes while a supervised pipeline records."""

from collections.abc import Mapping
from pathlib import Path

from tests.support.processes import Simulator
from tests.support.site import Site, supervised
from tests.support.tape import ids_of, sent_events
from tests.support.waiting import eventually

BEFORE = {"BTCUSDT": ["aggTrade"], "ETHUSDT": ["aggTrade"], "龙虾USDT": ["aggTrade"]}
AFTER = {"BTCUSDT": ["aggTrade"], "ETHUSDT": ["aggTrade", "depth@0ms"], "SOLUSDT": ["aggTrade"]}
LOBSTER = "ingest-%E9%BE%99%E8%99%BEUSDT"
SERVICES = ["bus", "rest", "writer"]


def ids(site: Site, symbol: str) -> list[int]:
    return [int(row["agg_trade_id"]) for row in site.rows(symbol, "aggtrade")]


def changed(before: Mapping[str, int], after: Mapping[str, int]) -> set[str]:
    return {name for name in before.keys() & after.keys() if before[name] != after[name]}


def test_symbols_come_change_and_go_while_the_others_are_recorded(place: Path) -> None:
    everything = ",".join({**BEFORE, **AFTER})
    with (
        Simulator(place, "--symbols", everything, "--rate", "100") as simulator,
        supervised(place, simulator, BEFORE, orderbook={"enabled": False}, monitor={"enabled": False}) as site,
    ):
        assert site.ours("start").returncode == 0
        first = site.wait_until_all_run([*SERVICES, "ingest-BTCUSDT", "ingest-ETHUSDT", LOBSTER])
        site.wait_for_rows(BEFORE)
        assert site.ours("apply").stdout == "nothing to do\n"

        site.change_symbols(AFTER)
        planned = site.ours("apply", "--dry-run")
        assert planned.returncode == 0
        assert planned.stdout.splitlines()[-6:] == [
            "~ rest: restart, which loses nothing",
            f"- {LOBSTER}: stop",
            "+ ingest-SOLUSDT: start",
            "~ ingest-ETHUSDT: restart, a gap of a second or two",
            "- journal of ingest-龙虾USDT: write what it holds to the files, then delete it",
            "dry run: nothing was done",
        ]
        assert site.pids() == first
        assert not (site.root / "config/supervisor.d/ingest-SOLUSDT.conf").exists()

        applied = site.ours("apply")
        assert applied.returncode == 0, applied
        assert applied.stdout.endswith("applied\n")
        second = site.wait_until_all_run([*SERVICES, "ingest-BTCUSDT", "ingest-ETHUSDT", "ingest-SOLUSDT"])
        assert changed(first, second) == {"rest", "ingest-ETHUSDT"}
        assert not list((site.root / "config/journal" / LOBSTER).glob("*.journal"))
        assert site.ours("apply").stdout == "nothing to do\n"

        site.wait_for_rows(["SOLUSDT"])
        eventually(lambda: site.rows("ETHUSDT", "depth"), 60, what="the new stream is recorded")
        simulator.command("pause")
        sent = {name: ids_of(events, "a") for name, events in sent_events(simulator.tape).items() if "aggTrade" in name}
        assert site.ours("stop").returncode == 0
        for symbol in ("BTCUSDT", "SOLUSDT"):
            assert ids(site, symbol) == sent[f"{symbol.lower()}@aggTrade"]
            assert not site.rows(symbol, "gap")
        lobsters = ids(site, "龙虾USDT")
        assert lobsters == sent["龙虾usdt@aggTrade"][: len(lobsters)]
        assert not site.rows("龙虾USDT", "gap")
        restarts = [row for row in site.rows("ETHUSDT", "gap") if row["stream"] == "ethusdt@aggTrade"]
        assert {row["reason"] for row in restarts} <= {"restart"}
        listed = {missing for row in restarts for missing in range(int(row["from_id"]) + 1, int(row["to_id"]) + 1)}
        recorded = ids(site, "ETHUSDT")
        assert len(recorded) == len(set(recorded))
        assert set(sent["ethusdt@aggTrade"]) <= set(recorded) | listed
