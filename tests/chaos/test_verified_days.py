"""Days that the real processes recorded under kills, lost messages and repairs: `verify` finds no fault in them."""

from pathlib import Path

import pytest

from binance_streamer.days.day_files import days_in
from binance_streamer.days.verify import DayReport, verify_day
from tests.chaos.pipeline import PATIENCE_S, Pipeline, running
from tests.chaos.runs import kill_and_restart, seeded, sleep
from tests.support.recorded import recorded_rows
from tests.support.waiting import eventually

STREAMS = ("aggTrade", "trade", "depth@0ms", "depth@100ms", "kline_1m", "bookTicker", "markPrice@1s")
NETWORK = {"repair": True, "connections": 2, "snapshot_retry": 0.5}
BOOKS = {"audit_interval": 2, "output_interval": 0.3, "levels": 5}


def reports(data: Path) -> list[DayReport]:
    """Verify all days in order, as the command does."""
    last_ids: dict[str, dict[str, int]] = {}
    found = []
    for files in days_in([data]):
        report, last_ids[files.symbol] = verify_day(files, None, state="recorded", last_ids=last_ids.get(files.symbol))
        found.append(report)
    return found


def compared(found: list[DayReport], check: str) -> int:
    return sum(result.compared for report in found for result in report.results if result.check == check)


def closed_bars(pipeline: Pipeline) -> int:
    rows = recorded_rows(pipeline.data, "BTCUSDT", "kline_1m")
    return sum(row["is_closed"] == "true" for row in rows)


@pytest.mark.parametrize("rounds", [3, pytest.param(15, marks=pytest.mark.slow)])
def test_a_day_of_kills_and_repairs_verifies_clean(place: Path, rounds: int) -> None:
    random = seeded()
    victims = ["ingest-BTCUSDT", "writer", "orderbook", "rest", "bus"]
    with running(
        place, rate=500, symbols=("BTCUSDT",), streams=STREAMS, network=NETWORK, with_books=True, orderbook=BOOKS
    ) as pipeline:
        for number in range(rounds):
            pipeline.simulator.command(f"drop {random.randint(1, 100)} btcusdt@aggTrade")
            pipeline.simulator.command(f"drop {random.randint(1, 20)} btcusdt@depth@0ms")
            kill_and_restart(pipeline, random, victims[number % len(victims)])
            pipeline.simulator.command("clock 60000")
            bars = closed_bars(pipeline)
            eventually(lambda b=bars: closed_bars(pipeline) > b, PATIENCE_S, what="a bar is closed")  # type: ignore[misc]
            sleep(random.uniform(1, 3))
        pipeline.end()
        found = reports(pipeline.data)
    findings = [finding for report in found for finding in report.findings]
    assert findings == []
    assert [report.blocked for report in found if report.blocked] == []
    for check in ("schema", "order", "unique", "numbers", "ids", "gaps", "book", "tops", "klines"):
        assert compared(found, check) > 0, check
