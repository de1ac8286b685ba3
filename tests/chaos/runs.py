"""Shared by the tests of processes: random moments from a seed, and the check at the end."""

import os
import time
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from random import Random
from typing import Any

import pytest

from tests.chaos.pipeline import Down, Pipeline
from tests.chaos.recording import Judged
from tests.chaos.table import Fault, Table

SEED_VARIABLE = "CHAOS_SEED"
CSV: dict[str, Any] = {"file_format": "csv"}
COMPRESSED: dict[str, Any] = {"file_format": "csv.zst", "compress_interval": 0.7}
"""Frames are closed by the clock and, at some thousand messages a second, by their size."""
FORMATS = pytest.mark.parametrize("storage", [CSV, COMPRESSED], ids=["csv", "csv.zst"])
"""For tests of what is lost and doubled: both formats of recorded files."""
_SLACK_NS = 1_000_000_000


def seeded() -> Random:
    """A schedule of its own for every run, the same again with `CHAOS_SEED` set to the seed that was printed."""
    seed = int(os.environ.get(SEED_VARIABLE) or time.time_ns() % 1_000_000)
    print(f"{SEED_VARIABLE}={seed}")
    return Random(seed)


def sleep(seconds: float) -> None:
    """A part of the schedule, not a wait for something: the moment at which the next fault comes."""
    time.sleep(seconds)


def check(streams: Iterable[Judged], faults: Sequence[Fault], downs: Iterable[Down] | None = None) -> None:
    """Print the table; rows and gaps are the tape, and gaps no longer than the times in which nobody was there."""
    found = Table(faults)
    wrong: dict[str, list[str]] = {}
    for stream in streams:
        found.add(stream)
        texts = wrongs(stream, downs)
        if texts:
            wrong[stream.stream.name] = texts
    print(found)
    assert not wrong, wrong


def check_without_gaps(streams: Iterable[Judged]) -> None:
    """Nobody lists anything as missing."""
    gaps = {stream.stream.name: stream.verdict.gaps for stream in streams if stream.verdict.gaps}
    assert not gaps, gaps


def wrongs(stream: Judged, downs: Iterable[Down] | None) -> list[str]:
    """Return the faults of the recording of one stream."""
    texts = stream.verdict.faults
    if downs is None or not stream.tape:
        return texts
    sent_ns = [message.sent_ns for message in stream.tape]
    own = [down for down in downs if down.symbol in (None, stream.stream.symbol)]
    allowed_ns = sum(_longest_gap_ns(down, sent_ns) for down in own)
    if stream.verdict.gap_ns > allowed_ns:
        texts.append(f"gaps of {stream.verdict.gap_ns / 1e9:.1f} s in {allowed_ns / 1e9:.1f} s: {stream.verdict.gaps}")
    return texts


def _longest_gap_ns(down: Down, sent_ns: Sequence[int]) -> int:
    """From the last message before to the first one after, whenever these were sent, and a second more."""
    before = sent_ns[max(0, bisect_left(sent_ns, down.from_ns) - 1)]
    behind = sent_ns[min(len(sent_ns) - 1, bisect_left(sent_ns, down.to_ns))]
    return behind - before + _SLACK_NS


def kill_and_restart(pipeline: Pipeline, random: Random, victim: str) -> Fault:
    """At a random moment, for a random time; the others must not notice."""
    sleep(random.uniform(0.2, 1.5))
    others = pipeline.pids(victim)
    from_ns = pipeline.kill(victim)
    sleep(random.uniform(0.0, 0.8))
    pipeline.alive(victim)
    pipeline.restart(victim, from_ns)
    pipeline.alive()
    assert pipeline.pids(victim) == others
    symbol = victim.removeprefix("ingest-") if victim.startswith("ingest-") else None
    return Fault(f"SIGKILL {victim.partition('-')[0]}", from_ns, symbol)
