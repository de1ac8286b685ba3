"""Measures the commands and the page by the number of symbols: `./run python benchmarks/by_symbols.py 3 30 100 200`.

For each number a simulator and a recording of it under supervisord, in a folder of its own that is deleted afterwards.
Columns: seconds of `start` until it returns, and until `status` says that everything is recorded; of `status`; of
`apply` that adds one symbol; of the page from its request to its first whole snapshot; size of that snapshot
message, which comes once a second; of `stop`. Streams are the default ones; 10 messages a second and symbol.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from tests.support.configs import write_config
from tests.support.processes import Simulator

_STREAMS = ("aggTrade", "depth@0ms", "kline_1m")
_RATE_PER_SYMBOL = 10
_RECORDING_S = 300.0
_PAGE = "127.0.0.1:18787"


def names(count: int) -> list[str]:
    """Return so many symbols of the simulator's market."""
    return [f"SYM{number:03}USDT" for number in range(count)]


def seconds_of(config: Path, *words: str) -> float:
    """Return how long a command takes; it has to succeed."""
    began_s = time.monotonic()
    command = [sys.executable, "-m", "binance_streamer", *words, "-c", str(config)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    took_s = time.monotonic() - began_s
    assert done.returncode == 0, f"{words}: {done.returncode}\n{done.stdout}{done.stderr}"
    return took_s


def page() -> tuple[float, int]:
    """Return the seconds from the page's request for its events to the end of the first snapshot, and its bytes."""
    began_s = time.monotonic()
    with urllib.request.urlopen(f"http://{_PAGE}/events", timeout=60) as answer:
        while not (line := answer.readline()).startswith(b"data: "):
            assert line, "the page's events have ended"
    return time.monotonic() - began_s, len(line)


def write(place: Path, symbols: Sequence[str], simulator: Simulator) -> Path:
    """Write the configuration of a recording of these symbols, and return its path."""
    return write_config(
        place,
        dict.fromkeys(symbols, _STREAMS),
        {**simulator.urls, "connect_attempts": 10_000, "snapshot_spacing": 0.1},
        monitor={"enabled": True, "address": _PAGE},
    )


def measured(count: int) -> str:
    """Record so many symbols, and return the row of the table."""
    with tempfile.TemporaryDirectory(prefix="bs-symbols-") as folder:
        place = Path(folder)
        everything = names(count + 1)
        with Simulator(
            place, "--symbols", ",".join(everything), "--rate", str(_RATE_PER_SYMBOL * (count + 1))
        ) as simulator:
            config = write(place, everything[:-1], simulator)
            began_s = time.monotonic()
            start_s = seconds_of(config, "start")
            try:
                while not is_recorded(config):
                    assert time.monotonic() < began_s + _RECORDING_S, "not everything is recorded"
                recorded_s = time.monotonic() - began_s
                status_s = seconds_of(config, "status")
                page_s, size_bytes = page()
                write(place, everything, simulator)
                apply_s = seconds_of(config, "apply")
            finally:
                stop_s = seconds_of(config, "stop")
    return (
        f"| {count} | {start_s:.1f} | {recorded_s:.1f} | {status_s:.1f} | {apply_s:.1f} | {page_s:.2f} "
        f"| {size_bytes / 1000:.0f} | {stop_s:.1f} |"
    )


def is_recorded(config: Path) -> bool:
    """Return True once `status` says that everything that is configured is recorded."""
    command = [sys.executable, "-m", "binance_streamer", "status", "-c", str(config)]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


def main() -> None:
    """Print a table, a row for each number of symbols."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("counts", nargs="+", type=int, metavar="SYMBOLS")
    counts = parser.parse_args().counts
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the start")
    print("| symbols | start s | recorded s | status s | apply s | page s | snapshot kB | stop s |")
    print("|---|---|---|---|---|---|---|---|")
    for count in counts:
        print(measured(count), flush=True)
    print(f"load {os.getloadavg()[0]:.1f} at the end")


if __name__ == "__main__":
    main()
