"""Holes that REST fills: real processes against the simulator, whose tape and history are the truth."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.chaos.pipeline import Pipeline
from tests.support.recorded import recorded_rows
from tests.support.tape import read_tape
from tests.support.waiting import eventually

TRADES = "btcusdt@aggTrade"


@contextmanager
def recording(
    place: Path, *, streams: Sequence[str] = ("aggTrade",), rate: float = 100, **network: Any
) -> Iterator[Pipeline]:
    with Pipeline(
        place, rate=rate, symbols=("BTCUSDT",), streams=streams, network={"repair": True, "connections": 2, **network}
    ) as pipeline:
        pipeline.start()
        pipeline.wait_recording()
        yield pipeline


def trades(pipeline: Pipeline) -> list[dict[str, str]]:
    return recorded_rows(pipeline.data, "BTCUSDT", "aggtrade")


def gaps(pipeline: Pipeline) -> dict[str, dict[str, str]]:
    """The last word on each gap."""
    return {row["gap_id"]: row for row in recorded_rows(pipeline.data, "BTCUSDT", "gap")}


def sent_trades(pipeline: Pipeline) -> list[dict[str, Any]]:
    """What the exchange sent or would have sent, each once, in order."""
    events = [json.loads(sent.event) for sent in read_tape(pipeline.simulator.tape) if sent.stream == TRADES]
    return list({event["a"]: event for event in events}.values())


def columns_of(event: dict[str, Any]) -> tuple[str, ...]:
    """What REST says of a trade too."""
    return tuple(
        str(event[key]).lower() if key == "m" else str(event[key]) for key in ("a", "p", "q", "f", "l", "T", "m", "nq")
    )


def columns(row: dict[str, str]) -> tuple[str, ...]:
    names = "agg_trade_id price quantity first_trade_id last_trade_id transact_time is_buyer_maker normal_quantity"
    return tuple(row[name] for name in names.split())


def lose(pipeline: Pipeline, count: int, stream: str = TRADES) -> None:
    """Messages that no connection gets; waits until what is behind them is recorded."""
    before = len(gaps(pipeline))
    for number in (1, 2):
        pipeline.simulator.command(f"silent {stream} on {number}")
    sent = len(sent_trades(pipeline))
    eventually(lambda: len(sent_trades(pipeline)) >= sent + count, what="messages are lost")
    pipeline.simulator.command(f"silent off {stream}")
    eventually(lambda: len(gaps(pipeline)) > before, 60, what="the hole is listed")


def check_complete(pipeline: Pipeline) -> None:
    """Every trade from the first row on is a row, once, field by field."""
    rows = trades(pipeline)
    first = int(rows[0]["agg_trade_id"])
    expected = [columns_of(event) for event in sent_trades(pipeline) if event["a"] >= first]
    assert sorted(map(columns, rows), key=lambda row: int(row[0])) == expected


def all_repaired(pipeline: Pipeline) -> Callable[[], bool]:
    return lambda: bool(gaps(pipeline)) and all(gap["state"] == "repaired" for gap in gaps(pipeline).values())


def test_what_no_connection_brought_comes_from_rest(place: Path) -> None:
    with recording(place) as pipeline:
        lose(pipeline, 20)
        eventually(all_repaired(pipeline), 60)
        pipeline.end()
        check_complete(pipeline)
        repaired = [row for row in trades(pipeline) if row["source"] == "rest"]
        assert len(repaired) >= 10
        assert {(row["event_time"], row["extra"]) for row in repaired} == {("", "")}
        (gap,) = gaps(pipeline).values()
        assert (gap["reason"], gap["repaired_by"], gap["extra"]) == ("sequence", "rest", "")
        ids = [int(row["agg_trade_id"]) for row in repaired]
        assert (int(gap["to_id"]) - len(ids), int(gap["to_id"])) == (ids[0] - 1, ids[-1])


def test_a_gap_from_while_rest_was_away_is_repaired_later(place: Path) -> None:
    with recording(place) as pipeline:
        down_ns = pipeline.kill("rest")
        lose(pipeline, 20)
        pipeline.restart("rest", down_ns)
        eventually(all_repaired(pipeline), 60)
        pipeline.end()
        check_complete(pipeline)


def test_a_worker_that_was_down_gets_what_it_missed(place: Path) -> None:
    with recording(place) as pipeline:
        down_ns = pipeline.kill("ingest-BTCUSDT")
        count = len(sent_trades(pipeline))
        eventually(lambda: len(sent_trades(pipeline)) >= count + 50)
        pipeline.restart("ingest-BTCUSDT", down_ns)
        eventually(all_repaired(pipeline), 60)
        pipeline.end()
        check_complete(pipeline)
        assert [gap["reason"] for gap in gaps(pipeline).values()] == ["restart"]
