"""All figures of speed in one call: CPU beside other recorders, idle, memory, latency, capacity. For a quiet machine.

    ./run --group peers python -m benchmarks
    ./run python -m benchmarks --rounds 1 --only cpu      # a look, without the libraries of the others

Writes the tables into `benchmarks/RESULTS.md`, in place of those of the call before; the ratios into
`benchmarks/figures.json`, which `./run pytest tests -m benchmark` compares with; and the picture `docs/images/cpu.svg`.
Contenders run in turn within each round, so that what else the machine does meets all of them. The recording of
../shared/data (or $MARKET_DATA) is needed. Where the seal of days, books and commands are measured: RESULTS.md.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple, get_args

import psutil

from benchmarks.capacity import capacity_table
from benchmarks.feed import ROOT, Server
from benchmarks.latency import Beside, measure
from benchmarks.peers import installed
from benchmarks.picture import bars
from benchmarks.pipeline_cpu import (
    ALL_OF_PLAIN,
    FLOOD_COUNTS,
    OF_PLAIN,
    Found,
    Load,
    Setting,
    compare,
    load_of,
    running,
    thread_times_s,
)
from tests.support.addresses import free_port

RESULTS = ROOT / "benchmarks" / "RESULTS.md"
FIGURES = ROOT / "benchmarks" / "figures.json"
PICTURE = ROOT / "docs" / "images" / "cpu.svg"
HEADING = "## All figures in one call"
PARTS = ("cpu", "idle", "latency", "capacity")
_TAP = Setting(has_tap=True, has_stack=False)
_ALONE = Setting(has_tap=False, has_stack=False)
_STACK = Setting(has_tap=True, has_stack=True)
_IDLE_S = 20.0


class Case(NamedTuple):
    """A row of the table of CPU."""

    name: str
    load: Load
    setting: Setting

    @property
    def ours(self) -> str:
        """Return what is compared of ours: ingest and writer, or with the whole stack all processes but the tap."""
        return ALL_OF_PLAIN if self.setting.has_stack else OF_PLAIN


CASES = [
    Case("depth, flood", load_of("depth@0ms", 0), _TAP),
    Case("bookTicker, flood", load_of("bookTicker", 0), _TAP),
    Case("aggTrade, flood", load_of("aggTrade", 0), _TAP),
    Case("depth, 5,000/s", load_of("depth@0ms", 5000), _TAP),
    Case("depth, 1,000/s", load_of("depth@0ms", 1000), _TAP),
    Case("depth, 1,000/s, no tap", load_of("depth@0ms", 1000), _ALONE),
    Case("depth, 100/s", load_of("depth@0ms", 100), _TAP),
    Case("whole stack, depth, 1,000/s", load_of("depth@0ms", 1000), _STACK),
]


def ratios(case: Case, found: Found, names: Iterable[str]) -> dict[str, float]:
    """Return by contender the median of its CPU over the plain loop's of the same round."""
    return {name: statistics.median(found[name, case.ours if name == "ours" else OF_PLAIN]) for name in names}


def cpu_table(found: dict[Case, Found], peers: Sequence[str]) -> list[str]:
    """Return the lines of the table: CPU of the plain loop in µs a message, of the others over it, ours with ranges."""
    others = [peer for peer in peers if peer != "plain"]
    lines = [f"| | plain, µs | {' | '.join([*others, '**ours**', 'ingest, µs', 'writer, µs', 'bus, µs'])} |"]
    lines.append("|---" * (len(others) + 6) + "|")
    for case, values in found.items():
        ours = values["ours", case.ours]
        cells = [f"{statistics.median(values['plain', 'µs']):.1f}"]
        cells += [f"{one:.2f}" for one in ratios(case, values, others).values()]
        cells.append(f"**{statistics.median(ours):.2f}** ({min(ours):.2f} to {max(ours):.2f})")
        cells += [f"{statistics.median(values['ours', f'{one} µs']):.1f}" for one in ("ingest", "writer", "bus")]
        lines.append(f"| {case.name} | {' | '.join(cells)} |")
    return lines


def memory_mb(process: psutil.Process) -> tuple[float, float, float]:
    """Return resident memory, the process's share of it, and what is its own, in MB."""
    found = process.memory_full_info()
    return found.rss / 1e6, found.pss / 1e6, found.uss / 1e6


def idle_table() -> list[str]:
    """Return the lines of the table of CPU and memory of processes to which nothing is sent."""
    port = free_port()
    load = load_of("depth@0ms", 1, 1)
    server = Server(port, load.stream, count=load.count, rate=load.rate)
    lines = ["| nothing arrives | CPU, ms a second | RSS MB | PSS MB | own MB |", "|---|---|---|---|---|"]
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, ExitStack() as stack:
        stack.callback(server.process.terminate)
        setting = Setting(has_tap=False, has_stack=True)
        ours = running(port, load.stream, Path(folder) / "ours", code=ROOT, setting=setting)
        processes = stack.enter_context(ours)
        server.expect("connected")
        time.sleep(5)
        before_s = {name: sum(thread_times_s(process).values()) for name, process in processes.items()}
        time.sleep(_IDLE_S)
        for name, process in processes.items():
            used_ms = (sum(thread_times_s(process).values()) - before_s[name]) / _IDLE_S * 1000
            lines.append(f"| {name} | {used_ms:.1f} | {' | '.join(f'{one:.1f}' for one in memory_mb(process))} |")
            print(lines[-1], flush=True)
    return lines


def latency_table(rates: Sequence[float]) -> list[str]:
    """Return the lines of the table of latencies: socket to tap and to the row, alone and beside what disturbs."""
    lines = ["| depth, a second | to a tap: p50, p99, p99.9 ms | beside one that stands still | in an fsync storm |"]
    lines[0] += " to a row of the file | in an fsync storm |"
    lines.append("|---|---|---|---|---|---|")
    for rate in rates:
        free, stalled, storm = (measure("depth@0ms", rate, seconds=10, beside=one) for one in get_args(Beside))
        times = free.tap, stalled.tap, storm.tap, free.row, storm.row
        cells = [" / ".join(f"{one:.2f}" for one in quantiles) for quantiles in times]
        lines.append(f"| {rate:,.0f} | {' | '.join(cells)} |")
        print(lines[-1], flush=True)
    return lines


def machine() -> str:
    """Return what the figures depend on: commit, processors, load, Python."""
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    ).stdout.strip()
    processor = next(
        (line.partition(": ")[2] for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        platform.machine(),
    )
    cores = f"{os.cpu_count()} of {processor}"
    return f"{time.strftime('%Y-%m-%d')}, {commit or 'no git'}; {cores}; Python {platform.python_version()}"


def put_into_results(lines: Sequence[str]) -> None:
    """Replace the section of the call before, or add it in front of all others."""
    text = RESULTS.read_text(encoding="utf-8")
    head, *sections = text.split("\n## ")
    kept = [one for one in sections if not f"## {one}".startswith(HEADING)]
    mine = "\n".join([HEADING, "", *lines]).removeprefix("## ") + "\n"
    RESULTS.write_text("\n## ".join([head, mine, *kept]), encoding="utf-8")


def main() -> None:
    """Measure, print, and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="three take half an hour")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="parts; nothing is written then")
    options = parser.parse_args()
    peers, missing = installed()
    load = os.getloadavg()[0]
    lines = [f"`./run --group peers python -m benchmarks`: {machine()}; load {load:.1f} at the start.", ""]
    if missing:
        lines += [f"Not measured, because their libraries are not installed: {', '.join(missing)}.", ""]
    found: dict[Case, Found] = {}
    if "cpu" in options.only:
        found = {one: compare(one.load, options.rounds, peers, {"ours": ROOT}, one.setting) for one in CASES}
        lines += [f"CPU over the plain loop's of the same round, medians of {options.rounds} rounds:", ""]
        lines += [*cpu_table(found, peers), ""]
    if "idle" in options.only:
        lines += [*idle_table(), ""]
    if "latency" in options.only:
        lines += [*latency_table([100, 1000, 10_000]), ""]
    if "capacity" in options.only:
        lines += [*capacity_table(FLOOD_COUNTS, options.rounds), ""]
    lines += [f"Load {os.getloadavg()[0]:.1f} at the end."]
    print("\n".join(["", *lines]))
    if set(options.only) != set(PARTS):
        print("nothing is written: parts were left out", file=sys.stderr)
        return
    put_into_results(lines)
    rows = {case.name: ratios(case, values, [*peers, "ours"]) for case, values in found.items()}
    figures = {name: round(values["ours"], 3) for name, values in rows.items()}
    FIGURES.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    PICTURE.write_text(bars("CPU over that of a plain loop (websocket-client, json, csv)", rows), encoding="utf-8")


if __name__ == "__main__":
    main()
