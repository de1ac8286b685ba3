"""Many symbols cut off at once: the exchange never counts more attempts than the budget allows."""

from pathlib import Path

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
