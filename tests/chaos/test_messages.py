"""Messages that are no messages, or strange ones: never a crash or a stuck stream, and nothing after them is lost."""

import json
import time
from pathlib import Path

import pytest

from tests.chaos.oracle import Rules
from tests.chaos.pipeline import PATIENCE_S, SYMBOLS, Pipeline, running
from tests.chaos.recording import raw_reasons
from tests.chaos.runs import check, seeded, sleep
from tests.chaos.table import Fault
from tests.support.recorded import recorded_rows
from tests.support.waiting import eventually

BROKEN = (
    "garbage btcusdt@aggTrade",
    "truncated btcusdt@depth@0ms",
    "nested btcusdt@depth@0ms 100000",
    "nested btcusdt@aggTrade 500",
    "unknown-event btcusdt@aggTrade",
    "missing-field btcusdt@depth@0ms u 1",
    "missing-field btcusdt@aggTrade a 1",
    "huge-integer btcusdt@aggTrade",
    "huge-integer btcusdt@depth@0ms",
    "wrong-symbol btcusdt@depth@0ms",
)
STRANGE = (
    "unknown-field btcusdt@* 3",
    "missing-field btcusdt@aggTrade nq 3",
    "fragment 8 btcusdt@depth@0ms",  # a pong each: the exchange takes ten messages a second
    "trickle btcusdt@aggTrade 500",
    "double 20 btcusdt@aggTrade",
    "double 20 btcusdt@depth@0ms",
    "reorder 10 btcusdt@depth@0ms",
    "reorder 10 btcusdt@aggTrade",
    "drop 5 btcusdt@depth@0ms",
    "old-event btcusdt@aggTrade",
)
ENDS_THE_CONNECTION = ("huge btcusdt@aggTrade", "masked btcusdt@aggTrade", "rsv btcusdt@depth@0ms")

STREAMS = ("aggTrade", "depth@0ms", "kline_1m")


def _sent(pipeline: Pipeline, command: str) -> Fault:
    from_ns = time.time_ns()
    pipeline.simulator.command(command)
    return Fault(command, from_ns)


def test_broken_messages_are_recorded_raw_and_cost_only_themselves(place: Path) -> None:
    random = seeded()
    with running(place, rate=500, symbols=SYMBOLS[:2], streams=STREAMS) as pipeline:
        faults = []
        for command in random.sample(BROKEN, len(BROKEN)):
            faults.append(_sent(pipeline, command))
            sleep(random.uniform(0.1, 0.4))
        noise = (pipeline.simulator.tape / "noise.txt").read_bytes().splitlines
        eventually(lambda: len(noise()) >= len(BROKEN), PATIENCE_S, what="all were sent")
        streams = pipeline.finish()
        reasons = raw_reasons(pipeline.data, "BTCUSDT")
    check(streams, faults)
    assert len(reasons) == len(BROKEN), reasons
    assert all(reasons)
    missing = {stream.stream.name: len(stream.verdict.missing) for stream in streams if stream.verdict.missing}
    assert missing == {"btcusdt@aggTrade": 2, "btcusdt@depth@0ms": 4}


def test_a_message_with_ids_and_without_a_row_form_is_recorded_raw(place: Path) -> None:
    with running(place, rate=300, symbols=SYMBOLS[:1], streams=STREAMS) as pipeline:
        pipeline.simulator.command("missing-field btcusdt@aggTrade T 1")
        raw = eventually(lambda: recorded_rows(pipeline.data, "BTCUSDT", "raw"), PATIENCE_S, what="a raw row")
        streams = pipeline.finish()
    agg_trade = next(stream for stream in streams if stream.stream.stream_type == "aggtrade")
    (missing,) = agg_trade.verdict.missing
    assert [json.loads(row["event"])["a"] for row in raw] == [agg_trade.tape[missing].last_id]
    assert [row["reason"] for row in raw] == ["the key T (transact_time) is missing"]
    assert not [stream.verdict.missing for stream in streams if stream is not agg_trade and stream.verdict.missing]


@pytest.mark.slow
def test_strange_messages_are_recorded_as_they_are(place: Path) -> None:
    random = seeded()
    with running(place, rate=500, symbols=SYMBOLS[:2], streams=STREAMS) as pipeline:
        faults = []
        for command in random.sample(STRANGE, len(STRANGE)):
            faults.append(_sent(pipeline, command))
            sleep(random.uniform(0.8, 1.2))
        streams = pipeline.finish(Rules(any_order=True, times_may_differ=True))
    check(streams, faults)
    missing = {stream.stream.name: len(stream.verdict.missing) for stream in streams if stream.verdict.missing}
    assert missing == {"btcusdt@depth@0ms": 5}


def test_messages_that_end_a_connection_cost_the_time_until_the_next_one(place: Path) -> None:
    random = seeded()
    with running(place, rate=500, symbols=SYMBOLS[:2], streams=STREAMS) as pipeline:
        faults = []
        for command in random.sample(ENDS_THE_CONNECTION, len(ENDS_THE_CONNECTION)):
            attempts = pipeline.simulator.stats()["attempts"]
            faults.append(_sent(pipeline, command))
            eventually(lambda a=attempts: pipeline.simulator.stats()["attempts"] > a, PATIENCE_S, what="a new one")  # type: ignore[misc]
            pipeline.wait_connected()
            sleep(0.3)
        pipeline.alive()
        streams = pipeline.finish()
    check(streams, faults)
    assert not [stream for stream in streams if stream.verdict.missing and stream.stream.symbol != "BTCUSDT"]


def test_ids_and_clocks_that_jump_stop_nothing(place: Path) -> None:
    random = seeded()
    commands = (
        "idjump btcusdt@depth@0ms 5000000",
        "idjump btcusdt@depth@0ms -9000000",
        "idjump btcusdt@aggTrade 3000000",
        "idjump btcusdt@aggTrade -7000000",
    )
    with running(place, rate=500, symbols=SYMBOLS[:2], streams=STREAMS) as pipeline:
        faults = []
        for command in (*random.sample(commands, len(commands)), "clock -3600000"):
            faults.append(_sent(pipeline, command))
            sleep(random.uniform(1, 1.5))
        streams = pipeline.finish()
        gaps = recorded_rows(pipeline.data, "BTCUSDT", "gap")
    check(streams, faults)
    assert {gap["reason"] for gap in gaps} == {"sequence", "ids went back"}
    assert not [stream.stream.name for stream in streams if stream.verdict.missing]
