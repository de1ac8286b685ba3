"""Measures how many messages a second of one symbol are recorded, and how fast a writer takes what has gathered.

    ./run python -m benchmarks.capacity
    ./run python -m benchmarks.capacity --streams depth@0ms --rounds 1

A flood is sent as fast as it is taken. Ours are the real processes with their default settings and no tap, on the cores
that the sender uses, too.

| | |
|---|---|
| taken | messages a second that the worker journals |
| recorded | messages a second up to the last readable row: above that rate a backlog grows |
| drained | the same for a writer that stood still while all came, from its first moment on |
"""

import argparse
import os
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from benchmarks.feed import ROOT, Server
from benchmarks.pipeline_cpu import FILES, Setting, check_rows, load_of, running
from tests.support.addresses import free_port

_COUNTS = {"depth@0ms": 200_000, "bookTicker": 600_000, "aggTrade": 600_000}
_ALONE = Setting(has_tap=False, has_stack=False)
_LONGEST_S = 600.0
_LOOK_S = 0.05


class Capacity(NamedTuple):
    """Messages a second of one round."""

    taken: float
    recorded: float
    drained: float


def _rows_in(folder: Path, stem: str) -> Iterator[int]:
    """Yield for ever how many rows can be read."""
    read: dict[Path, int] = {}
    lines: dict[Path, int] = {}
    while True:
        for path in folder.glob(f"{stem}_BTCUSDT_*.csv"):
            with path.open("rb") as file:
                file.seek(read.get(path, 0))
                lines[path] = lines.get(path, -1) + file.read().count(b"\n")  # the first line is no row
                read[path] = file.tell()
        yield sum(lines.values())


def _wait_for_rows(folder: Path, stem: str, count: int) -> None:
    end_s = time.monotonic() + _LONGEST_S
    for rows in _rows_in(folder, stem):
        if rows >= count:
            return
        if time.monotonic() > end_s:
            raise TimeoutError(f"{rows} rows of {count} can be read after {_LONGEST_S:.0f} s")
        time.sleep(_LOOK_S)


@contextmanager
def _stopped(pid: int, *, is_stopped: bool) -> Iterator[None]:
    if is_stopped:
        os.kill(pid, signal.SIGSTOP)
    yield
    if is_stopped:
        os.kill(pid, signal.SIGCONT)


def _flood(stream: str, count: int, *, is_stopped: bool) -> tuple[float, float]:
    """Return the seconds of the sending, and from its begin (of a stopped writer: from its end) to the last row."""
    port, load = free_port(), load_of(stream, 0, count)
    server = Server(port, stream, count=count, rate=0)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, ExitStack() as stack:
        stack.callback(server.process.terminate)
        place = Path(folder) / "ours"
        processes = stack.enter_context(running(port, stream, place, code=ROOT, setting=_ALONE))
        server.expect("connected")
        time.sleep(2)
        with _stopped(processes["writer"].pid, is_stopped=is_stopped):
            began_s = time.monotonic()
            server.go()
            server.expect("sent")
            sent_s = time.monotonic()
        data = place / "data" / "BTCUSDT"
        _wait_for_rows(data, FILES[stream], count)
        ended_s = time.monotonic()
        check_rows(data, load)
        server.go()
    return sent_s - began_s, ended_s - (sent_s if is_stopped else began_s)


def measure(stream: str, count: int) -> Capacity:
    """Return the rates of one round; `count` messages, which should take some seconds."""
    taken_s, recorded_s = _flood(stream, count, is_stopped=False)
    _, drained_s = _flood(stream, count, is_stopped=True)
    return Capacity(count / taken_s, count / recorded_s, count / drained_s)


def capacity_table(streams: Iterable[str], rounds: int) -> list[str]:
    """Return the lines of the table: medians of so many rounds."""
    lines = ["| flood, one symbol, messages a second | taken | recorded | drained |", "|---|---|---|---|"]
    print(*lines, sep="\n")
    for stream in streams:
        found = [measure(stream, _COUNTS[stream]) for _ in range(rounds)]
        cells = [f"{statistics.median(values):,.0f}" for values in zip(*found, strict=True)]
        lines.append(f"| {stream} | {' | '.join(cells)} |")
        print(lines[-1], flush=True)
    return lines


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", nargs="+", choices=_COUNTS, default=[*_COUNTS])
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, Python {sys.version.split()[0]}")
    capacity_table(options.streams, options.rounds)


if __name__ == "__main__":
    main()
