"""A power cut, as far as it can be had without one: what no fdatasync has covered may be gone, in any order."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from random import Random

from services.runtime.files import TEST_SYNC_LOG_VARIABLE
from tests.chaos.pipeline import Pipeline

UNSYNCED_NS = 2_000_000_000
"""A journal is synced every second; a sync of a busy disk takes its time."""


def synced_log(place: Path) -> dict[str, str]:
    """The environment in which every process logs what it has made durable."""
    return {TEST_SYNC_LOG_VARIABLE: str(place / "synced.log")}


def cut(pipeline: Pipeline, random: Random) -> dict[str, int]:
    """End all processes at once, and lose what was not durable; returns the lost bytes by file."""
    for number in (signal.SIGSTOP, signal.SIGKILL):  # stopped first, so that nobody outlives another
        for program in pipeline.programs.values():
            program.send(number)
    for program in pipeline.programs.values():
        program.kill()
    log = pipeline.place / "synced.log"
    durable = synced_lengths(log)
    lost = {}
    for path in _files(pipeline):
        size, kept = path.stat().st_size, durable.get(str(path), 0)
        left = random.choice((kept, size, random.randint(min(kept, size), size)))
        if left < size:
            os.truncate(path, left)
            lost[path.name] = size - left
            if random.random() < 0.3:  # the length was on the disk, the bytes were not
                os.truncate(path, size)
    with log.open("a", encoding="utf-8") as survived:
        survived.writelines(f"{path.stat().st_size} {path}\n" for path in _files(pipeline))
    for path in pipeline.data.glob(".writer.sqlite-wal"):
        with path.open("ab") as file:  # the commit that was under way
            file.write(random.randbytes(random.choice((0, 100, 5000))))
    return lost


def synced_lengths(log: Path) -> dict[str, int]:
    """The last durable length of every file; a file that was cut since is shorter."""
    found = {}
    for line in log.read_text(encoding="utf-8").splitlines():
        length, _, path = line.partition(" ")
        found[path] = int(length)
    return found


def _files(pipeline: Pipeline) -> Iterator[Path]:
    yield from sorted(Path(pipeline.config.storage.journal_directory).glob("*/*.journal"))
    yield from sorted(pipeline.data.glob("*/*.csv*"))
    yield from sorted(pipeline.data.glob(".writer.sqlite-wal"))
