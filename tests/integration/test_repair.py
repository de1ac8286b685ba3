"""Holes that REST fills: real processes against the simulator, whose tape and history are the truth."""

import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.pipeline import Pipeline
from tests.support.recorded import recorded_rows
from tests.support.tape import read_tape
from tests.support.waiting import eventually

TRADES = "btcusdt@aggTrade"
BARS = "btcusdt@kline_1m"


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
    """Every trade from the lowest id on is a row, once, field by field.

    The lowest is not always in the first row: the other connection may bring what came before it a moment later.
    """
    rows = trades(pipeline)
    first = min(int(row["agg_trade_id"]) for row in rows)
    expected = [columns_of(event) for event in sent_trades(pipeline) if event["a"] >= first]
    assert sorted(map(columns, rows), key=lambda row: int(row[0])) == expected


def all_repaired(pipeline: Pipeline) -> Callable[[], bool]:
    def found() -> bool:
        try:
            states = {gap["state"] for gap in gaps(pipeline).values()}
        except AssertionError:  # a writer that was killed is cutting the file back
            return False
        return states == {"repaired"}

    return found


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


def wait_for_more_trades(pipeline: Pipeline, count: int) -> None:
    sent = len(sent_trades(pipeline))
    eventually(lambda: len(sent_trades(pipeline)) >= sent + count, 60, what="trades are sent")


def wait_durable(pipeline: Pipeline, count: int) -> None:
    """Wait until so many messages of the worker are durable in the files."""
    name = "ingest-BTCUSDT"
    pipeline.until(
        "writer",
        lambda status: status["producers"].get(name, {}).get("next_durable", 0) >= count,
        f"{count} are durable",
    )


def wipe_journal(pipeline: Pipeline) -> None:
    """Trades that only the journal has are gone."""
    wait_durable(pipeline, 20)
    down_ns = pipeline.kill("writer")
    wait_for_more_trades(pipeline, 50)
    pipeline.kill("ingest-BTCUSDT")
    shutil.rmtree(pipeline.config.journal_of("ingest-BTCUSDT"))
    pipeline.restart("writer", down_ns)
    pipeline.restart("ingest-BTCUSDT", down_ns)


def shorten_file(pipeline: Pipeline) -> None:
    """Trades that only the file has are gone: all but the first rows, and half of one more."""
    wait_durable(pipeline, 200)
    down_ns = pipeline.kill("writer")
    (path,) = pipeline.files_of("BTCUSDT", "aggTrade")
    lines = path.read_bytes().splitlines(keepends=True)
    os.truncate(path, len(b"".join(lines[:100])) - 20)
    pipeline.restart("writer", down_ns)


@pytest.mark.parametrize("killed", ["nobody", "ingest-BTCUSDT", "writer"])
@pytest.mark.parametrize(("harm", "reason"), [(wipe_journal, "lost in the journal"), (shorten_file, "file damaged")])
def test_trades_that_were_lost_on_our_side_come_from_rest(
    place: Path, harm: Callable[[Pipeline], None], reason: str, killed: str
) -> None:
    """The writer lists them, the worker has them fetched, whoever is killed in between; nothing comes twice."""
    with recording(place) as pipeline:
        harm(pipeline)
        eventually(lambda: [gap for gap in gaps(pipeline) if gap.startswith("writer-")], 60, what="the loss is listed")
        if killed != "nobody":
            pipeline.restart(killed, pipeline.kill(killed))
        eventually(all_repaired(pipeline), 90, what="all gaps are repaired")
        pipeline.end()
        check_complete(pipeline)
        (gap,) = [gap for gap in gaps(pipeline).values() if gap["gap_id"].startswith("writer-")]
        assert gap["reason"] == reason
        first = int(gap["first_to_id"]) - int(gap["first_from_id"])
        assert (gap["state"], gap["missing"], first >= 50) == ("repaired", "0", True)


def test_a_journal_restored_from_a_backup_has_nothing_recorded_twice(place: Path) -> None:
    """The worker takes for missing what it recorded behind the backup, and has it fetched."""
    name, backup = "ingest-BTCUSDT", place / "backup"
    with recording(place) as pipeline:
        wait_durable(pipeline, 20)
        journal = pipeline.config.journal_of(name)
        down_ns = pipeline.kill(name)
        shutil.copytree(journal, backup)
        pipeline.restart(name, down_ns)
        wait_for_more_trades(pipeline, 100)
        known = len(trades(pipeline))
        eventually(lambda: len(trades(pipeline)) > known + 50, 60, what="the files are ahead of the backup")
        down_ns = pipeline.kill(name)
        shutil.rmtree(journal)
        shutil.copytree(backup, journal)
        wait_for_more_trades(pipeline, 50)
        pipeline.restart(name, down_ns)
        eventually(
            lambda: [
                gap for gap in gaps(pipeline).values() if int(gap["first_to_id"]) - int(gap["first_from_id"]) > 100
            ],
            60,
            what="the worker lists what it does not know of",
        )
        eventually(lambda: all(gap["state"] != "open" for gap in gaps(pipeline).values()), 90, what="no gap is open")
        pipeline.end()
        check_complete(pipeline)


def sent_bars(pipeline: Pipeline) -> list[dict[str, Any]]:
    """Closed ones, each once."""
    bars = [json.loads(sent.event)["k"] for sent in read_tape(pipeline.simulator.tape) if sent.stream == BARS]
    return list({bar["t"]: bar for bar in bars if bar["x"]}.values())


def closed_bars(pipeline: Pipeline) -> list[dict[str, str]]:
    rows = recorded_rows(pipeline.data, "BTCUSDT", "kline_1m")
    return sorted((row for row in rows if row["is_closed"] == "true"), key=lambda row: row["open_time"])


def test_closed_klines_that_were_missed_come_from_rest(place: Path) -> None:
    """The exchange's clock is set on, so that bars close without a minute's wait."""
    with recording(place, streams=("kline_1m",)) as pipeline:
        pipeline.simulator.command("clock 60000")
        eventually(lambda: closed_bars(pipeline))
        pipeline.simulator.command(f"silent {BARS}")
        seen = len(sent_bars(pipeline))
        pipeline.simulator.command("clock 180000")
        eventually(lambda: len(sent_bars(pipeline)) >= seen + 3)
        pipeline.simulator.command(f"silent off {BARS}")
        pipeline.simulator.command("clock 60000")
        eventually(all_repaired(pipeline), 60)
        pipeline.end()
        rows = closed_bars(pipeline)
        bars = [bar for bar in sent_bars(pipeline) if bar["t"] >= int(rows[0]["open_time"])]
    names = "open_time open high low close volume close_time quote_volume count taker_buy_volume"
    assert [tuple(row[name] for name in names.split()) for row in rows] == [
        tuple(str(bar[key]) for key in "tohlcvTqnV") for bar in bars
    ]
    repaired = [row for row in rows if row["source"] == "rest"]
    assert len(repaired) >= 3
    lacking = ("event_time", "first_trade_id", "last_trade_id", "extra")
    assert {row[name] for row in repaired for name in lacking} == {""}


def test_what_rest_no_longer_has_is_unrepairable_and_the_rest_is_repaired(place: Path) -> None:
    with recording(place) as pipeline:
        down_ns = pipeline.kill("ingest-BTCUSDT")
        pipeline.simulator.command("history 2")
        count = len(sent_trades(pipeline))
        eventually(lambda: len(sent_trades(pipeline)) >= count + 250)
        pipeline.restart("ingest-BTCUSDT", down_ns)
        eventually(lambda: gaps(pipeline) and all(gap["state"] != "open" for gap in gaps(pipeline).values()), 60)
        pipeline.end()
        lost, repaired = sorted(gaps(pipeline).values(), key=lambda gap: int(gap["from_id"]))
        assert (lost["state"], lost["reason"]) == ("unrepairable", "restart")
        assert json.loads(lost["extra"]) == {"why": "the exchange has nothing there"}
        assert (repaired["state"], repaired["repaired_by"]) == ("repaired", "rest")
        ids = [int(row["agg_trade_id"]) for row in trades(pipeline)]
        missing = range(int(lost["from_id"]) + 1, int(lost["to_id"]) + 1)
        assert len(missing) > 0
        assert sorted([*ids, *missing]) == list(range(min(ids), max(ids) + 1))


def test_gaps_of_a_symbol_that_is_no_longer_traded_say_so(place: Path) -> None:
    with recording(place, snapshot_retry=0.3) as pipeline:
        down_ns = pipeline.kill("rest")
        lose(pipeline, 20)
        pipeline.simulator.command("symbol BTCUSDT SETTLING")
        pipeline.restart("rest", down_ns)
        (gap,) = eventually(
            lambda: [gap for gap in gaps(pipeline).values() if gap["state"] == "unrepairable"], 60, what="given up"
        )
        pipeline.stop()
    assert json.loads(gap["extra"]) == {"why": "-1122 Invalid symbol status."}
