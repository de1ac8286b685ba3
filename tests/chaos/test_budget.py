"""Many symbols cut off at once: the exchange never counts more attempts than the budget allows."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.pipeline import PATIENCE_S, Pipeline
from tests.chaos.runs import seeded, sleep
from tests.support.waiting import eventually


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("workers", "budget"), [(12, 60), (200, 500)])
def test_all_workers_together_keep_the_budget_of_connection_attempts(place: Path, workers: int, budget: int) -> None:
    random = seeded()
    symbols = [f"SYM{number:03}USDT" for number in range(workers)]
    network = {"connect_attempts": budget, "reconnect_delay": 0.1, "reconnect_delay_max": 0.3}
    with Pipeline(place, rate=120, symbols=symbols, streams=("aggTrade", "depth@0ms"), network=network) as pipeline:
        pipeline.start("bus", *pipeline.ingests)
        pipeline.wait_connected()  # two attempts each
        pipeline.simulator.command("refuse 3")
        pipeline.simulator.command("close rst *")
        victim = random.choice(pipeline.ingests)
        pipeline.kill(victim)
        pipeline.start(victim)  # a new process is bound by what the others did
        eventually(lambda: pipeline.simulator.stats()["attempts"] >= budget, PATIENCE_S, what="the budget is used up")
        pipeline.simulator.command("close fin *")
        for _ in range(6):
            sleep(0.5)
            assert pipeline.simulator.stats()["attempts_in_last_300_s"] <= budget
        assert any(pipeline.status(name)["attempts_exhausted"] for name in pipeline.ingests)
        pipeline.alive()
        pipeline.stop()


def test_a_symbol_whose_connections_are_closed_at_once_leaves_the_others_their_attempts(place: Path) -> None:
    network = {"connect_attempts": 12, "reconnect_delay": 0.05, "reconnect_delay_max": 2}
    symbols = ["ILLUSDT", "WELLUSDT"]
    with Pipeline(place, rate=120, symbols=symbols, streams=("aggTrade",), network=network) as pipeline:
        ill, well = pipeline.ingests
        pipeline.start("bus", ill, well)
        pipeline.wait_connected()

        def is_exhausted() -> bool:
            pipeline.simulator.command("close 1008 illusdt@aggTrade")
            return bool(pipeline.status(ill)["attempts_exhausted"])

        eventually(is_exhausted, PATIENCE_S, what="the budget is used up by one symbol")
        before = pipeline.status(well)["opened"]["market"]
        pipeline.simulator.command("close fin wellusdt@aggTrade")
        eventually(lambda: pipeline.status(well)["opened"]["market"] > before, PATIENCE_S, what="the other connects")
        assert pipeline.simulator.stats()["attempts"] <= 12
        pipeline.alive()
        pipeline.stop()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_ten_symbols_that_are_closed_behind_each_first_message_cost_the_others_nothing(place: Path) -> None:
    """Twenty workers; of half of them the exchange lets each connection in, sends a message, and closes with 1008."""
    symbols = [f"SYM{number:02}USDT" for number in range(20)]
    lasting_s = 20  # from then on a connection counts as one that was well
    network = {"connect_attempts": 1000, "reconnect_delay": 0.2, "reconnect_delay_max": lasting_s, "connections": 2}
    with Pipeline(place, rate=120, symbols=symbols, streams=("aggTrade",), network=network) as pipeline:
        ill, well = pipeline.ingests[:10], pipeline.ingests[10:]
        for symbol in symbols[:10]:
            pipeline.simulator.command(f"forbid 1008 {symbol.lower()}@aggTrade")
        from_s = time.monotonic()
        pipeline.start("bus", *pipeline.ingests)
        pipeline.wait_connected(*symbols[10:])
        for name in well:
            pipeline.until(name, lambda data: _all_have_lasted(data, lasting_s), "its connections have lasted")
        statuses = [pipeline.status(name) for name in ill]
        most = 12 + (time.monotonic() - from_s) / (lasting_s / 4)  # delays double up to a mean of half of `lasting_s`
        assert sum(data["opened"]["market"] for data in statuses) < most * 2 * len(ill)
        assert min(data["opened"]["market"] for data in statuses) > 2  # each was tried again
        before = pipeline.status(well[0])["opened"]["market"]
        pipeline.simulator.command(f"close fin {symbols[10].lower()}@aggTrade")
        pipeline.until(well[0], lambda data: data["opened"]["market"] >= before + 2, "both connections are open again")
        assert not [name for name in pipeline.ingests if pipeline.status(name)["attempts_exhausted"]]
        pipeline.alive()
        pipeline.stop()


def _all_have_lasted(data: Mapping[str, Any], lasting_s: float) -> bool:
    """Return True if a worker has two connections, and each has been open for so long."""
    ages_s = [connection["age_s"] for connection in data["connections"]]
    return len(ages_s) == 2 and min(ages_s) >= lasting_s
