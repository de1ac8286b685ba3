"""A process that is away for long: nothing is lost, nobody's memory grows, and the backlog is soon gone."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.chaos.pipeline import PATIENCE_S, SYMBOLS, Pipeline, running
from tests.chaos.runs import check, sleep
from tests.chaos.table import Fault
from tests.support.waiting import eventually

_GROWTH = 1.2
"""Memory while somebody is away, as a multiple of before."""
_STEADY = 1.01
"""Growth in ten seconds of what has warmed up: a worker grows from 36 to 44 MB in its first minute, and no more."""
_DRAIN = 5
"""A backlog must be gone in this part of the time that it took to grow."""


def rss_bytes(pid: int) -> int:
    """Resident memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * 4096


def _memory(pipeline: Pipeline) -> dict[str, int]:
    return {name: rss_bytes(pipeline.programs[name].pid) for name in pipeline.ingests}


def _wait_until_steady(pipeline: Pipeline) -> None:
    """Wait until the workers have warmed up: whoever is compared with his first seconds grows without a fault."""
    memory = [_memory(pipeline)]

    def is_steady() -> bool:
        memory.append(_memory(pipeline))
        return all(memory[-1][name] <= memory[-2][name] * _STEADY for name in pipeline.ingests)

    sleep(10)
    eventually(is_steady, 300, what="the workers' memory is steady", every_s=10)


def _away(pipeline: Pipeline, name: str, seconds: float) -> Fault:
    before = _memory(pipeline)
    from_ns = pipeline.kill(name)
    sleep(seconds)
    after = _memory(pipeline)
    assert all(after[ingest] <= before[ingest] * _GROWTH for ingest in before), (before, after)
    pipeline.alive(name)
    pipeline.start(name)
    print(f"{name} away {seconds} s: resident before {before}, behind {after}")
    return Fault(f"{name} away", from_ns)


def _drain(pipeline: Pipeline, deadline_s: float) -> float:
    """Seconds from the first new row to the one that was sent when the writer was started again."""
    suffix = "aggTrade"
    sizes = {path: path.stat().st_size for symbol in pipeline.symbols for path in pipeline.files_of(symbol, suffix)}
    started_ms = time.time_ns() // 1_000_000
    eventually(
        lambda: any(path.stat().st_size != size for path, size in sizes.items()),
        PATIENCE_S,
        what="the writer goes on",
        every_s=0.01,
    )
    began_s = time.monotonic()
    eventually(
        lambda: all(_newest_event_ms(path) >= started_ms for path in sizes),
        deadline_s,
        what="the backlog is gone",
        every_s=0.02,
    )
    return time.monotonic() - began_s


def _newest_event_ms(path: Path) -> int:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 4096))
        lines = file.read().split(b"\n")
    return int(lines[-2].split(b",")[7])


def _writer_away(
    place: Path, warm_up: Callable[[Pipeline], None], *, seconds: float, rate: float, symbols: int
) -> float:
    """Return the seconds that the backlog took; how many they may be, only a test can say that runs alone."""
    with running(place, rate=rate, symbols=SYMBOLS[:symbols]) as pipeline:
        warm_up(pipeline)
        fault = _away(pipeline, "writer", seconds)
        drain_s = _drain(pipeline, max(PATIENCE_S, seconds))
        print(f"a backlog of {seconds} s was written in {drain_s:.2f} s while recording went on")
        streams = pipeline.finish()
    check(streams, [fault], [])
    assert not any(stream.verdict.true_gaps for stream in streams)
    return drain_s


@pytest.mark.alone
def test_a_writer_away_loses_nothing_and_catches_up(place: Path) -> None:
    drain_s = _writer_away(place, lambda _: sleep(3), seconds=10, rate=1500, symbols=2)
    assert drain_s * _DRAIN <= 10


@pytest.mark.slow
def test_a_writer_away_for_a_minute_under_5000_messages_a_second(place: Path) -> None:
    _writer_away(place, _wait_until_steady, seconds=60, rate=5000, symbols=5)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_writer_away_for_ten_minutes(place: Path) -> None:
    _writer_away(place, _wait_until_steady, seconds=600, rate=1500, symbols=2)


@pytest.mark.slow
def test_bus_and_rest_away_lose_nothing(place: Path) -> None:
    with running(place, rate=1000, symbols=SYMBOLS[:2]) as pipeline:
        _wait_until_steady(pipeline)
        faults = [_away(pipeline, name, 5) for name in ("bus", "rest")]
        streams = pipeline.finish()
    check(streams, faults, [])
    assert not any(stream.verdict.true_gaps for stream in streams)
