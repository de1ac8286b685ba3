"""Days that the real processes recorded under kills, lost messages and repairs: `verify` finds no fault in them."""

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from binance_streamer.days.certificate import Certificate
from binance_streamer.days.checks.finding import DayReport
from binance_streamer.days.checks.verify import verify_day
from binance_streamer.days.day_files import days_in
from binance_streamer.days.lake import Lake
from services.archiver.day import DaySealer, Progress
from services.archiver.due import Times, days_of
from tests.chaos.pipeline import PATIENCE_S, Pipeline, running
from tests.chaos.runs import kill_and_restart, seeded, sleep
from tests.support.recorded import recorded_rows
from tests.support.waiting import eventually

STREAMS = ("aggTrade", "trade", "depth@0ms", "depth@100ms", "kline_1m", "bookTicker", "markPrice@1s")
NETWORK = {"repair": True, "connections": 2, "snapshot_retry": 0.5}
BOOKS = {"audit_interval": 2, "output_interval": 0.3, "levels": 5}


def sealed(data: Path, root: Path) -> dict[str, Certificate]:
    """Seal all days as the archiver does once they are over; return their certificates by symbol and day."""
    lake = Lake(root)
    lake.begin()
    nothing = Progress(lambda _: None, lambda: None, lambda _: None)
    times = Times(now_ns=time.time_ns() + 10 * 86_400 * 10**9, grace_ns=0, quiet_ns=0)
    sealer = DaySealer(data, lake)
    return {
        f"{due.symbol} {due.day}": sealer.seal(due, nothing, now=datetime.now(UTC))
        for due in days_of(data, lake, times).due
    }


def reports(data: Path, certificates: Mapping[str, Certificate] | None = None) -> list[DayReport]:
    """Verify all days of a data folder or lake in order, as the command does."""
    last_ids: dict[str, dict[str, int]] = {}
    found = []
    for files in days_in([data]):
        certificate = (certificates or {}).get(f"{files.symbol} {files.day}")
        before = last_ids.get(files.symbol)
        report, last_ids[files.symbol] = verify_day(files, certificate, state="recorded", last_ids=before)
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
        lake = place / "lake"
        certificates = sealed(pipeline.data, lake)
        again = sealed(pipeline.data, place / "lake2")
        found_sealed = [*reports(pipeline.data, certificates), *reports(lake, certificates)]
    findings = [finding for report in found for finding in report.findings]
    assert findings == []
    assert [report.blocked for report in found if report.blocked] == []
    for check in ("schema", "order", "unique", "numbers", "ids", "gaps", "book", "tops", "klines"):
        assert compared(found, check) > 0, check
    assert [finding for report in found_sealed for finding in report.findings] == []
    for check in ("files", "digest", "certificate", "klines"):
        assert compared(found_sealed, check) > 0, check
    for name, certificate in certificates.items():
        assert certificate == msgspec.structs.replace(again[name], sealed_at=certificate.sealed_at)
