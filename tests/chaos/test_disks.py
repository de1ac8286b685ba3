"""Disks that are full or read-only, files that vanish, databases that break: recording resumes, losses are listed."""

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from services.runtime.files import TEST_SYNC_FAULT_VARIABLE
from tests.chaos.namespace import Namespace, require_namespaces
from tests.chaos.pipeline import PATIENCE_S, SYMBOLS, Down, Pipeline, running
from tests.chaos.recording import Judged
from tests.chaos.runs import check, seeded, sleep
from tests.chaos.table import Fault
from tests.support.data import REPOSITORY
from tests.support.waiting import eventually

LEDGER = ".writer.sqlite"


class Mounted(Pipeline):
    """Data and journal are small disks of their own, in a namespace that all processes share."""

    def __init__(self, place: Path, *, data: str, journal: str, **options: Any) -> None:
        super().__init__(place, environment={"PYTHONPATH": str(REPOSITORY)}, **options)
        self._outside = {"data": self.data, "journal": Path(self.config.storage.journal_directory)}
        mounts = " && ".join(
            f"mkdir -p {self._outside[name]} && mount -t tmpfs -o size={size} tmpfs {self._outside[name]}"
            for name, size in (("data", data), ("journal", journal))
        )
        self._namespace = Namespace(place, mounts)
        self.enter = self._namespace.enter
        self.data = self.inside("data")

    def inside(self, name: str) -> Path:
        """Return a path as the processes see it."""
        return self._namespace.inside(self._outside[name])

    def fill(self, name: str) -> None:
        """Leave no room on a disk."""
        with (self.inside(name) / "filler").open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(b"x" * 4096)
            except OSError:
                return

    def empty(self, name: str) -> None:
        """Give the room back."""
        (self.inside(name) / "filler").unlink()

    def remount(self, name: str, option: str) -> None:
        """Make a disk `ro` or `rw`."""
        subprocess.run([*self.enter, "mount", "-o", f"remount,{option}", str(self._outside[name])], check=True)

    def __exit__(self, *arguments: Any) -> None:
        super().__exit__(*arguments)
        self._namespace.__exit__()


@pytest.fixture
def mounted(place: Path) -> Iterator[Mounted]:
    require_namespaces(place)
    with Mounted(place, data="64m", journal="24m", rate=600, symbols=SYMBOLS[:2]) as pipeline:
        pipeline.start()
        pipeline.wait_recording()
        yield pipeline


def _goes_on(pipeline: Pipeline) -> None:
    """The live path: every worker still receives, and says so on the bus."""
    for name in pipeline.ingests:
        before = pipeline.status(name)
        pipeline.until(name, lambda data, b=before: _messages(data) > _messages(b) + 50, "live messages go on")  # type: ignore[misc]
    pipeline.alive()


def _messages(status: dict[str, Any]) -> int:
    return sum(stream["messages"] for stream in status["streams"].values())


def _full(pipeline: Mounted, *names: str) -> Fault:
    fault = Fault(" and ".join(names) + " full", time.time_ns())
    for name in names:  # the data first: once the journal is full, there is nothing that the writer could not keep
        pipeline.fill(name)
        if name == "data":
            pipeline.until("writer", lambda data: data["state"] == "disk full", "it says that the disk is full")
        else:
            for ingest in pipeline.ingests:
                pipeline.until(ingest, lambda data: data["journal"]["state"] == "journal full", "it says so")
    _goes_on(pipeline)
    for name in names:
        pipeline.empty(name)
    pipeline.until("writer", lambda data: data["state"] == "recording", "it goes on by itself")
    for producer in (*pipeline.ingests, "rest"):  # what it lost last is listed with the first row behind it
        pipeline.until(producer, lambda data: data["journal"]["state"] == "recording", "it goes on by itself")
    return fault


def _without_missing(streams: list[Judged]) -> None:
    assert not {stream.stream.name: stream.verdict.missing for stream in streams if stream.verdict.missing}


def test_a_full_data_disk_loses_nothing(mounted: Mounted) -> None:
    faults = [_full(mounted, "data") for _ in range(2)]
    streams = mounted.finish()
    check(streams, faults)
    _without_missing(streams)


def test_a_full_journal_lists_what_it_could_not_keep(mounted: Mounted) -> None:
    faults = [_full(mounted, "journal"), _full(mounted, "data", "journal")]
    streams = mounted.finish()
    check(streams, faults)
    reasons = {gap.reason for stream in streams for gap in stream.verdict.gaps}
    assert reasons == {"journal full"}


def test_who_cannot_make_a_file_durable_ends_and_goes_on_from_the_disk(place: Path) -> None:
    """It does not try the same file again: what the kernel could not write it may have forgotten."""
    fault = place / "fault"
    environment = {TEST_SYNC_FAULT_VARIABLE: str(fault)}
    with running(place, environment=environment, rate=600, symbols=SYMBOLS[:2]) as pipeline:
        faults = []
        journals = Path(pipeline.config.storage.journal_directory)
        for name, directory in (("writer", pipeline.data), ("ingest-BTCUSDT", journals / "ingest-BTCUSDT")):
            from_ns = time.time_ns()
            fault.write_text(str(directory), encoding="utf-8")
            assert pipeline.programs[name].wait(PATIENCE_S) == 74
            pipeline.alive(name)
            pipeline.start(name)  # while it lasts, it ends again
            assert pipeline.programs[name].wait(PATIENCE_S) == 74
            assert "Input/output error" in pipeline.log(name)
            fault.unlink()
            pipeline.restart(name, from_ns)
            pipeline.until("writer", lambda data: data["state"] == "recording", "it goes on")
            faults.append(Fault(f"fdatasync of {name} fails", from_ns))
        streams = pipeline.finish()
        check(streams, faults)
        assert {gap.reason for stream in streams for gap in stream.verdict.gaps} <= {"restart"}


@pytest.mark.slow
def test_read_only_disks_are_waited_for(mounted: Mounted) -> None:
    """They turn read-only while the process is away; the next one says what it waits for, and goes on by itself."""
    from_ns = mounted.kill("writer")
    mounted.remount("data", "ro")
    mounted.start("writer")
    eventually(lambda: "Read-only" in mounted.log("writer"), PATIENCE_S, what="the writer says what it waits for")
    _goes_on(mounted)
    mounted.remount("data", "rw")
    mounted.until("writer", lambda data: data["state"] == "recording", "it goes on by itself")
    faults = [Fault("data read-only", from_ns)]

    from_ns = mounted.kill("ingest-BTCUSDT")
    mounted.kill("ingest-ETHUSDT")  # nobody may have a file open for writing
    mounted.kill("rest")
    mounted.remount("journal", "ro")
    mounted.start("ingest-BTCUSDT")
    eventually(lambda: "Read-only" in mounted.log("ingest-BTCUSDT"), PATIENCE_S, what="the worker says it, too")
    mounted.remount("journal", "rw")
    mounted.start("rest", "ingest-ETHUSDT")
    mounted.wait_connected()
    mounted.downs.append(Down(None, from_ns, time.time_ns()))
    faults.append(Fault("journal read-only", from_ns))
    check(mounted.finish(), faults, mounted.downs)


def _damage(path: Path, random: Random) -> None:
    """Take a file away, or a part of its end."""
    if random.random() < 0.5:
        path.unlink()
    else:
        with path.open("rb+") as file:
            file.truncate(random.randrange(path.stat().st_size))


def test_files_damaged_under_the_writer_are_listed_and_recording_goes_on(place: Path) -> None:
    random = seeded()
    with running(place, rate=500, symbols=SYMBOLS[:2]) as pipeline:
        faults = []
        for suffix in random.sample(("aggTrade", "depth@0ms", "bookTicker", "kline_1m"), 3):
            sleep(1.5)
            faults.append(Fault(f"file of {suffix} damaged", time.time_ns()))
            _damage(pipeline.files_of("BTCUSDT", suffix)[-1], random)
            pipeline.until("writer", lambda data: data["state"] == "recording", "recording")
        pipeline.alive()
        streams = pipeline.finish()
    check(streams, faults)
    damaged = {stream.stream.symbol for stream in streams if stream.verdict.missing}
    assert damaged == {"BTCUSDT"}


def _break_ledger(data: Path, how: str, random: Random) -> None:
    path = data / LEDGER
    if how == "missing":
        for part in data.glob(f"{LEDGER}*"):
            part.unlink()
        return
    with path.open("rb+") as file:
        content = bytearray(file.read() or b"\0")
        for _ in range(200):
            content[random.randrange(len(content))] = random.randrange(256)
        file.seek(0)
        file.write(b"no database" if how == "overwritten" else content)


@pytest.mark.parametrize(
    "how", ["missing", *(pytest.param(how, marks=pytest.mark.slow) for how in ("overwritten", "bytes flipped"))]
)
def test_a_broken_ledger_is_rebuilt_from_the_files(place: Path, how: str) -> None:
    random = seeded()
    with running(place, rate=600, symbols=SYMBOLS[:2]) as pipeline:
        faults = []
        for _ in range(2):
            sleep(random.uniform(1, 2))
            from_ns = pipeline.kill("writer")
            _break_ledger(pipeline.data, how, random)
            pipeline.start("writer")
            faults.append(Fault(f"ledger {how}", from_ns))
            pipeline.until("writer", lambda data: data["state"] == "recording", "recording")
        streams = pipeline.finish()
    check(streams, faults)
    _without_missing(streams)
