"""The commands of docs/quickstart.md in their order, and the programs of the README, as a reader runs them."""

import importlib.util
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.data import REPOSITORY
from tests.support.processes import Program, Simulator, command_line
from tests.support.recorded import recorded_rows
from tests.support.waiting import eventually
from tests.support.writer_folder import WriterFolder

PAGE = (REPOSITORY / "docs" / "quickstart.md").read_text(encoding="utf-8")
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
DEMO = "-c demo-1/streamer.yaml"
Done = subprocess.CompletedProcess[str]


def commands(heading: str) -> list[str]:
    """The command lines below a heading of the page."""
    (section,) = re.findall(rf"^## {heading}\n(.*?)(?=^## |\Z)", PAGE, flags=re.MULTILINE | re.DOTALL)
    lines: list[str] = re.findall(r"^ {4}((?:\./run|head) .*)$", section, flags=re.MULTILINE)
    found = [line.partition(" #")[0].rstrip() for line in lines]
    assert found, heading
    return found


def run(line: str, place: Path) -> Done:
    """A command line of the page, with `place` where the reader has the checkout."""
    return subprocess.run(
        line.replace("./run binance-streamer", f"{shlex.quote(sys.executable)} -m binance_streamer"),
        shell=True,
        check=False,
        cwd=place,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=300,
    )


def succeed(line: str, place: Path) -> str:
    """What the command line prints; it must end with 0."""
    done = run(line, place)
    assert done.returncode == 0, f"{line}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def status(place: Path, configuration: str = DEMO) -> dict[str, Any]:
    """What `status --json` says; empty where it has no answer."""
    text = run(f"./run binance-streamer status --json {configuration}", place).stdout
    answer: dict[str, Any] = json.loads(text) if text.startswith("{") else {}
    return answer


def pid_of(name: str, place: Path) -> int | None:
    """The pid that `status` shows."""
    return next((found["pid"] for found in status(place)["programs"] if found["name"] == name), None)


@pytest.fixture
def demo(place: Path) -> Iterator[Program]:
    """The first command of the page, with rows in its files."""
    shutil.copytree(REPOSITORY / "config", place / "config")
    assert commands("See it record")[0] == "./run binance-streamer demo --data-dir demo-1"
    with command_line("demo", "--data-dir", place / "demo-1", output=place / "demo.out") as running:
        eventually(lambda: re.search(r" [1-9]\d* rows,", running.text()), 60, what="rows are recorded")
        eventually(lambda: "look at it: http://127.0.0.1:" in running.text(), 60, what="it says where the page is")
        yield running


def test_the_quick_start_does_what_it_says(place: Path, demo: Program) -> None:
    eventually(lambda: status(place).get("healthy"), 60, what="all of it is recorded", every_s=0.5)
    said = {line: succeed(line, place) for line in commands("See it record")[1:]}
    assert "RECORDING everything that is configured" in said[f"./run binance-streamer status {DEMO}"]
    assert len(said[f"./run binance-streamer tap aggtrade. --count 5 {DEMO}"].splitlines()) == 6
    assert "BTCUSDT  valid" in said[f"./run binance-streamer book BTCUSDT --depth 5 {DEMO}"]

    configuration = place / "demo-1" / "streamer.yaml"
    text = configuration.read_text(encoding="utf-8")
    (addition,) = re.findall(r"```yaml\n(.*?)```", PAGE, flags=re.DOTALL)
    head = addition.splitlines(keepends=True)[0]
    assert head in text
    before = {found["name"]: found["pid"] for found in status(place)["programs"]}
    configuration.write_text(text.replace(head, addition), encoding="utf-8")
    for line in commands("Add a symbol while it runs"):
        assert "BNBUSDT" in succeed(line, place)
    eventually(lambda: recorded_rows(place / "demo-1", "BNBUSDT", "aggtrade"), 60, what="the new symbol is recorded")
    for name in ("bus", "writer", "ingest-BTCUSDT", "ingest-ETHUSDT", "ingest-SOLUSDT"):
        assert pid_of(name, place) == before[name]

    for name in ("writer", "ingest-ETHUSDT"):
        os.kill(before[name], signal.SIGKILL)
    gaps = place / "demo-1" / "ETHUSDT"
    eventually(lambda: list(gaps.glob("gap_ETHUSDT_*.csv")), 60, what="the worker's gap is listed")
    eventually(lambda: status(place).get("healthy"), 60, what="all of it is recorded again", every_s=0.5)
    assert pid_of("writer", place) not in (None, before["writer"])

    for line in commands("Read the files"):
        assert succeed(line, place)


@pytest.mark.slow
def test_the_commands_for_the_exchange_record_it(place: Path) -> None:
    with Simulator(place, "--symbols", "BTCUSDT,ETHUSDT", "--rate", "200") as simulator:
        first, *others = commands("Record the exchange")
        assert first == "./run binance-streamer init"
        succeed(first, place)
        with (place / "recording" / "streamer.yaml").open("a", encoding="utf-8") as file:
            file.write(yaml.safe_dump({"network": simulator.urls, "monitor": {"enabled": False}}))
        for line in others:
            if line.endswith(" status"):
                eventually(lambda: status(place, "").get("healthy"), 60, every_s=0.5)
            succeed(line.replace("--duration 60", "--duration 3"), place)
        assert recorded_rows(place / "recording" / "data", "BTCUSDT", "aggtrade")


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a demo that has ended."""
    folder = tmp_path_factory.mktemp("readers")
    with command_line("demo", "--duration", "4", "--data-dir", folder / "data", output=folder / "demo.out") as demo:
        assert demo.wait(120) == 0, demo.text()
    return folder / "data"


@pytest.fixture(scope="module")
def compressed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a writer of `csv.zst`, two symbols in several frames; it still runs."""
    folder = WriterFolder(tmp_path_factory.mktemp("readers"), file_format="csv.zst")
    folder.start()
    peer = folder.peer()
    for start in (1, 21, 1041):
        peer.emit_both(range(start, start + 20))
        peer.emit_both(range(start, start + 1000), "ETHUSDT")
        peer.deliver()
    return folder.data


@pytest.mark.parametrize("file_format", ["csv", "csv.zst"])
@pytest.mark.parametrize("library", ["polars", "pandas", "duckdb"])
def test_a_readers_program_reads_the_files(library: str, file_format: str, request: pytest.FixtureRequest) -> None:
    if importlib.util.find_spec(library) is None:
        pytest.skip(f"{library} is not installed: ./run --group readers pytest tests -k readers")
    data: Path = request.getfixturevalue("recorded" if file_format == "csv" else "compressed")
    (program,) = (text for text in programs() if f"import {library}" in text)
    assert ".csv" in program
    program = program.replace("_*.csv", f"_*.{file_format}")
    done = subprocess.run(
        [sys.executable, "-c", program], check=False, cwd=data, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    dearest = max(float(row["price"]) for row in recorded_rows(data, "BTCUSDT", "aggtrade"))
    shown = {float(number) for number in re.findall(r"\d+\.\d+", done.stdout)}
    if library == "polars" and file_format == "csv":
        assert re.match(r"shape: \([1-9], 3\)", done.stdout), done.stdout  # a row for each minute, with its last price
    else:
        assert any(abs(number - dearest) <= 0.1 for number in shown), done.stdout


def programs() -> list[str]:
    """The Python programs of the README."""
    return re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
