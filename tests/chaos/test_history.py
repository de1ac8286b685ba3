"""A tap that begins in the past while writer and bus are killed: it shows the tape from there on, each message once."""

import json
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import pytest

from binance_streamer.exchange.streams import stream_from_name, stream_of
from tests.chaos.pipeline import PATIENCE_S, Pipeline, running
from tests.chaos.runs import COMPRESSED, CSV, kill_and_restart, seeded, sleep
from tests.support.processes import Program, command_line
from tests.support.recorded import recorded_rows
from tests.support.tape import sent_events
from tests.support.waiting import eventually

STREAMS = ("aggTrade", "depth@0ms", "markPrice@1s")
SYMBOL = "BTCUSDT"


class Shown(NamedTuple):
    """One line of a tap."""

    stream: str
    recv_ns: int
    number: tuple[int, int]
    event: Any


def shown(tap: Program) -> dict[str, list[Shown]]:
    """The lines of a tap so far, by stream; half a last line is left out."""
    assert tap.exit_code is None, tap.text()[-3000:]
    found: dict[str, list[Shown]] = {}
    for line in tap.output.read_text(encoding="utf-8").split("\n")[:-1]:
        if line.startswith(("nobody listens at", "nothing received for")):
            continue  # it began while the bus was away
        data = json.loads(line)
        new = Shown(data["stream"], data["recv_ns"], (data["epoch"], data["seq"]), data["event"])
        found.setdefault(new.stream, []).append(new)
    return found


def rows_since(data: Path, stem: str, from_ns: int) -> list[tuple[int, int]]:
    """The numbers (epoch, seq) of the rows that were received from then on, in the order of the files."""
    rows = recorded_rows(data, SYMBOL, stem)
    return [(int(row["epoch"]), int(row["seq"])) for row in rows if int(row["recv_ns"]) >= from_ns]


def check_tap(pipeline: Pipeline, tap: Program, from_ns: int, *, is_all_of_tape: bool) -> None:
    """Wait until the tap has shown what was recorded last, and compare it with the files and the tape."""
    stems = [stream_of(SYMBOL, suffix).stream_type for suffix in pipeline.streams]
    expected = {stem: rows_since(pipeline.data, stem, from_ns) for stem in stems}
    sent = sent_events(pipeline.simulator.tape)

    def is_complete() -> bool:
        found = {stream_from_name(name).stream_type: lines for name, lines in shown(tap).items()}
        return all(
            not rows or (found.get(stem) and found[stem][-1].number == rows[-1]) for stem, rows in expected.items()
        )

    eventually(is_complete, PATIENCE_S, what="the tap has shown what was recorded last", every_s=0.3)
    found = shown(tap)
    assert len(found) == len(stems)
    for name, lines in found.items():
        stem = stream_from_name(name).stream_type
        numbers = [line.number for line in lines]
        assert numbers == expected[stem], (name, _first_difference(numbers, expected[stem]))
        assert all(line.recv_ns >= from_ns for line in lines)
        if is_all_of_tape:
            events = [json.loads(event) for event in sent[name]]
            assert [line.event for line in lines] == events[len(events) - len(lines) :]


def _first_difference(found: Sequence[Any], expected: Sequence[Any]) -> tuple[Any, ...]:
    for number, (one, other) in enumerate(zip(found, expected, strict=False)):
        if one != other:
            return number, found[max(0, number - 2) : number + 3], expected[max(0, number - 2) : number + 3]
    return len(found), len(expected), found[-2:], expected[-2:]


def _tap_through_kills(
    place: Path, random: Random, *, storage: dict[str, Any], victims: Sequence[str], streams: Sequence[str], kills: int
) -> None:
    rate = random.choice([60, 300, 900])
    with running(place, storage=storage, rate=rate, symbols=[SYMBOL], streams=streams) as pipeline:
        begun_ns = time.time_ns()
        sleep(random.uniform(0.2, 2))
        from_ns = random.choice([begun_ns - 3600 * 10**9, begun_ns + random.randrange(time.time_ns() - begun_ns)])
        topics = [f"{stream_of(SYMBOL, suffix).stream_type}.{SYMBOL}." for suffix in streams]
        if random.random() < 0.5:
            kill_and_restart(pipeline, random, random.choice(victims))
        arguments: list[str | Path] = ["tap", *topics, "--from", str(from_ns), "--json", "-c", pipeline.config_path]
        with command_line(*arguments, output=place / "tap.out") as tap:
            for _ in range(kills):
                kill_and_restart(pipeline, random, random.choice(victims))
            pipeline.settle()
            check_tap(pipeline, tap, from_ns, is_all_of_tape=not any("ingest" in one for one in victims))
            tap.send(signal.SIGTERM)


def test_a_tap_from_the_past_shows_the_tape_though_writer_and_bus_are_killed(place: Path) -> None:
    random = seeded()
    storage = random.choice([CSV, COMPRESSED])
    _tap_through_kills(place, random, storage=storage, victims=("writer", "bus"), streams=STREAMS, kills=2)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(50))
def test_a_tap_from_the_past_whatever_is_killed(place: Path, seed: int) -> None:
    """Writer, bus, and in every third case the worker: then the files say what there is, with its gaps."""
    victims = ("writer", "bus", "bus", f"ingest-{SYMBOL}") if seed % 3 == 2 else ("writer", "bus")
    random = Random(seed)
    storage, streams = (CSV, COMPRESSED)[seed % 2], (*STREAMS, "forceOrder")
    _tap_through_kills(place, random, storage=storage, victims=victims, streams=streams, kills=random.randint(1, 3))


@pytest.mark.slow
@pytest.mark.parametrize("how", ["in order", "killed"])
def test_a_tap_gives_all_epochs_of_a_recording_that_does_not_run(place: Path, how: str) -> None:
    """The writer is the last one to end: in order, or killed, and nobody starts it again."""
    with running(place, rate=100, symbols=[SYMBOL], streams=STREAMS) as pipeline:
        for _ in range(3):
            pipeline.wait_growing()
            pipeline.restart(f"ingest-{SYMBOL}", pipeline.kill(f"ingest-{SYMBOL}"))
        pipeline.settle()
        if how == "killed":
            pipeline.kill("writer")
            del pipeline.programs["writer"]
        pipeline.stop()
        expected = {stem: rows_since(pipeline.data, stem, 0) for stem in ("aggtrade", "depth", "markprice")}
        assert len({epoch for epoch, _ in expected["depth"]}) == 4
        topics = [f"{stem}.{SYMBOL}." for stem in expected]
        count = str(sum(map(len, expected.values())))
        words: list[str | Path] = [
            "tap",
            *topics,
            "--from",
            "2026-01-01",
            "--json",
            "--count",
            count,
            "-c",
            pipeline.config_path,
        ]
        with command_line(*words, output=place / "tap.out") as tap:
            assert tap.wait(PATIENCE_S) == 0, tap.text()[-3000:]
        lines = [json.loads(line) for line in tap.text().splitlines() if line.startswith("{")]
        for stem, wanted in expected.items():
            found = [(line["epoch"], line["seq"]) for line in lines if line["stream_type"] == stem]
            assert found == wanted, _first_difference(found, wanted)
