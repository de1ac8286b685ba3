"""Holes that REST fills while everything is killed: in the end rows and gaps are the tape, and no gap is left open."""

import json
from pathlib import Path

import pytest

from tests.chaos.oracle import Rules
from tests.chaos.pipeline import PATIENCE_S, Pipeline, running
from tests.chaos.recording import Judged
from tests.chaos.runs import check, kill_and_restart, seeded, sleep
from tests.chaos.table import Fault
from tests.support.recorded import recorded_rows
from tests.support.tape import read_tape
from tests.support.waiting import eventually

TRADES = "btcusdt@aggTrade"
STREAMS = ("aggTrade", "depth@0ms")
RULES = Rules(any_order=True, times_may_differ=True)
"""A late message may come for a hole, and split it, before REST does."""
_LONGEST_DELAY_S = 2.0
NETWORK = {"repair": True, "connections": 2, "snapshot_retry": 0.5}


def wait_repaired(pipeline: Pipeline) -> None:
    """Until no worker has an open gap."""

    def is_done() -> bool:
        return not any(
            stream["open_gaps"] for name in pipeline.ingests for stream in pipeline.status(name)["streams"].values()
        )

    eventually(is_done, 2 * PATIENCE_S, what="every gap is closed", every_s=0.2)


def settle(pipeline: Pipeline) -> None:
    """Everything that was sent is recorded, and what was not is fetched."""
    pipeline.settle()
    wait_repaired(pipeline)


def finish(pipeline: Pipeline, faults: list[Fault]) -> list[Judged]:
    pipeline.stop()
    pipeline.check_nothing_is_left()
    streams = pipeline.compare(RULES)
    check(streams, faults)
    return streams


def has_no_fault_left(pipeline: Pipeline) -> bool:
    """Return True if the last trades were all handed over, in their order: none is being dropped or held back."""
    sent = [sent for sent in read_tape(pipeline.simulator.tape) if sent.stream == TRADES][-100:]
    ids = [json.loads(one.event)["a"] for one in sent]
    return all(one.copies for one in sent) and ids == list(range(ids[0], ids[0] + 100))


def no_trade_is_missing(streams: list[Judged]) -> None:
    """Behind the first row; whatever gaps there were, REST had it."""
    for stream in streams:
        if stream.stream.stream_type == "aggtrade":
            assert stream.verdict.gaps == []
            assert stream.verdict.repaired


@pytest.mark.parametrize("rounds", [2, pytest.param(12, marks=pytest.mark.slow)])
def test_kills_in_the_middle_of_repairs_double_and_lose_nothing(place: Path, rounds: int) -> None:
    random = seeded()
    faults = []
    with running(place, rate=600, symbols=("BTCUSDT",), streams=STREAMS, network=NETWORK) as pipeline:
        for number in range(rounds):
            pipeline.simulator.command(f"rest slow {random.uniform(0.1, 0.5):.2f} 3")
            pipeline.simulator.command(f"drop {random.randint(1, 400)} {TRADES}")
            pipeline.simulator.command(f"delay 2 {TRADES} {random.uniform(0.6, _LONGEST_DELAY_S):.1f}")
            victims = ["rest", "ingest-BTCUSDT"] if number < 2 else ["bus", "writer", "rest", "ingest-BTCUSDT"]
            faults.append(
                kill_and_restart(pipeline, random, victims[number % 2] if number < 2 else random.choice(victims))
            )
        pipeline.simulator.command("rest ok")
        eventually(lambda: has_no_fault_left(pipeline), PATIENCE_S, what="faults are used up", every_s=0.3)
        sleep(_LONGEST_DELAY_S)  # what is held back stands on the tape when it is sent at last
        settle(pipeline)
        streams = finish(pipeline, faults)
    no_trade_is_missing(streams)


@pytest.mark.slow
@pytest.mark.parametrize("count", [5, 50])
def test_an_outage_of_many_symbols_is_repaired_without_a_ban(place: Path, count: int) -> None:
    """An hour in seconds: all connections are away for 20 s, in which the exchange's clock goes four minutes on. The
    distance between pages is as much shorter; the weight counts as always, so that it is what bounds the pace.
    """
    symbols = tuple(f"S{number:02}USDT" for number in range(count))
    # all dial again and again while they are refused; attempts are not what is looked at
    pace = {"snapshot_spacing": 0.05, "weight_share": 0.8, "connect_attempts": 100_000}
    network = {**NETWORK, "connections": 1, **pace}
    options = ("--weight-limit", "1000")
    with running(
        place, *options, rate=1500, symbols=symbols, streams=("aggTrade", "kline_1m"), network=network
    ) as pipeline:
        simulator = pipeline.simulator
        simulator.command("clock 60000")
        eventually(lambda: all(_closed_bars(pipeline, symbol) for symbol in symbols), PATIENCE_S, every_s=1)
        simulator.command("refuse 20")
        simulator.command("close rst")
        simulator.command("clock 240000")
        sleep(20)
        pipeline.wait_connected()
        simulator.command("clock 60000")
        eventually(lambda: _has_whole_bars(pipeline), 3 * PATIENCE_S, what="all bars are there", every_s=1)
        settle(pipeline)
        stats = simulator.stats()
        streams = finish(pipeline, [])
    assert (stats["requests_during_ban"], stats["banned_until_ms"], stats["rest"].get("429", 0)) == (0, 0, 0)
    no_trade_is_missing(streams)


def _has_whole_bars(pipeline: Pipeline) -> bool:
    for symbol in pipeline.symbols:
        opened = _closed_bars(pipeline, symbol)
        if len(opened) < 6 or opened != list(range(opened[0], opened[-1] + 1, 60_000)):
            return False
    return True


def _closed_bars(pipeline: Pipeline, symbol: str) -> list[int]:
    """Return the opening times of the closed bars."""
    rows = recorded_rows(pipeline.data, symbol, "kline_1m")
    return sorted(int(row["open_time"]) for row in rows if row["is_closed"] == "true")
