"""REST that refuses, bans, lies or says nothing: retries at a pace, silence during a ban, a snapshot in the end."""

import json
from pathlib import Path

import pytest

from services.rest import state
from services.rest.app import STATE_FILE
from services.runtime.clock import wall_ns
from tests.chaos.pipeline import PATIENCE_S, SYMBOLS, Pipeline, running
from tests.chaos.runs import check, seeded, sleep
from tests.support.recorded import recorded_rows
from tests.support.waiting import eventually

STREAMS = ("aggTrade", "depth@0ms")


def _ids(pipeline: Pipeline) -> list[int]:
    """Of the recorded snapshots."""
    return [int(row["last_update_id"]) for row in recorded_rows(pipeline.data, "BTCUSDT", "snapshot")]


def _wants_snapshot(pipeline: Pipeline) -> int:
    """Make a hole in the book; returns the id that a snapshot must have to close it."""
    before = len(recorded_rows(pipeline.data, "BTCUSDT", "gap"))
    pipeline.simulator.command("drop 3 btcusdt@depth@0ms")
    gaps = eventually(
        lambda: recorded_rows(pipeline.data, "BTCUSDT", "gap")[before:], PATIENCE_S, what="the hole is listed"
    )
    return int(gaps[-1]["to_id"])


def _is_stood_down(pipeline: Pipeline) -> bool:
    found = state.load(Path(pipeline.config.endpoints.run_directory) / STATE_FILE, wall_ns())
    return found is not None and found[0].pace.stand_down_s > 0


def _book_recovers(pipeline: Pipeline, needed: int) -> None:
    eventually(lambda: any(number >= needed for number in _ids(pipeline)), PATIENCE_S, what="a snapshot that helps")
    pipeline.alive()


REFUSALS = (
    "rest 429 2 1",
    "rest 451 2",
    "rest 403 2",
    "rest 5xx 3",
    "rest 202 2",
    "rest timeout 1",
    "rest html 2",
    "rest truncated 2",
    "rest stale 2",
)


@pytest.mark.parametrize("count", [5, pytest.param(len(REFUSALS), marks=pytest.mark.slow)])
def test_a_snapshot_arrives_after_any_kind_of_refusal(place: Path, count: int) -> None:
    refusals = seeded().sample(REFUSALS, count)
    network = {"request_timeout": 1.0, "snapshot_retry": 0.5}
    with running(place, rate=200, symbols=SYMBOLS[:1], streams=STREAMS, network=network) as pipeline:
        eventually(lambda: _ids(pipeline), PATIENCE_S, what="the first snapshot")
        for answer in refusals:
            pipeline.simulator.command(answer)
            _book_recovers(pipeline, _wants_snapshot(pipeline))
            pipeline.simulator.command("rest ok")
        streams = pipeline.finish()
        asked = (pipeline.simulator.tape / "rest.txt").read_bytes().count(b"/fapi/v1/depth")
    check(streams, [])
    assert asked < 20 * count, "it does not hammer"


@pytest.mark.slow
def test_a_429_without_a_time_is_stood_down_for_a_minute(place: Path) -> None:
    with running(place, rate=200, symbols=SYMBOLS[:1], streams=STREAMS) as pipeline:
        eventually(lambda: _ids(pipeline), PATIENCE_S, what="the first snapshot")
        pipeline.simulator.command("rest 429 1 none")
        _book_recovers(pipeline, _wants_snapshot(pipeline))
        assert pipeline.simulator.stats()["rest"]["429"] == 1
        streams = pipeline.finish()
    check(streams, [])


@pytest.mark.parametrize("where", ["retry-after", pytest.param("text", marks=pytest.mark.slow)])
def test_nothing_is_sent_during_a_ban_not_even_by_a_new_process(place: Path, where: str) -> None:
    with running(place, rate=200, symbols=SYMBOLS[:1], streams=STREAMS) as pipeline:
        eventually(lambda: _ids(pipeline), PATIENCE_S, what="the first snapshot")
        pipeline.simulator.command(f"rest 418 20 {where}")
        needed = _wants_snapshot(pipeline)
        eventually(lambda: _is_stood_down(pipeline), PATIENCE_S, what="the ban is kept on the disk")
        banned = pipeline.simulator.stats()["requests_during_ban"]
        pipeline.kill("rest")
        pipeline.start("rest")
        sleep(2)
        stats = pipeline.simulator.stats()
        assert (stats["requests_during_ban"], banned) == (1, 1), json.dumps(stats)
        _book_recovers(pipeline, needed)
        assert pipeline.simulator.stats()["requests_during_ban"] == 1
        streams = pipeline.finish()
    check(streams, [])
