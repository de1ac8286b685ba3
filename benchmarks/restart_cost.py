"""Measures what a restart of each process that has no standby costs: `python -m benchmarks.restart_cost`.

In: a recorder of three simulated symbols with order books. Each process in turn is ended by SIGTERM and started again
at once, as `restart` does, while a tap hears everything. Out: a line for each, the median and the worst of all rounds.

| | |
|---|---|
| ended | from the signal to the end of the process |
| away | from the signal to the first status of the next one |
| late | the age of the oldest message that came to the tap |
| missed | messages that never came there: holes in `seq` |
| no book | the longest time of a symbol without a valid top |
"""

import argparse
import os
import statistics
import tempfile
import threading
import time
from collections import defaultdict
from pathlib import Path
from typing import Any, NamedTuple

from binance_streamer.client.tap import Tap
from tests.chaos.pipeline import SYMBOLS, Pipeline, running

_PROCESSES = ("writer", "bus", "rest", "orderbook", "monitor")
_SETTLED_S = {"bus": 65.0}
"""Behind a restart. Books break with the bus, and one that breaks again within a minute is asked for later."""
_USUALLY_SETTLED_S = 6.0
_MONITOR: dict[str, Any] = {"enabled": True, "address": "127.0.0.1:18787"}


class Heard(NamedTuple):
    """The worst that a tap has heard since it was asked before."""

    late_s: float
    missed: int
    no_book_s: float
    silent_s: float
    """The longest time between two depth messages, of whatever symbol."""


class Listener(threading.Thread):
    """Hears depth messages and the tops of books on the bus."""

    def __init__(self, endpoint: str) -> None:
        super().__init__(daemon=True)
        self._endpoint = endpoint
        self._lock = threading.Lock()
        self._heard_s = time.monotonic()
        self._seqs: dict[tuple[str, int, str], int] = {}
        self._valid_s: dict[str, float] = {}
        self._worst: dict[str, float] = defaultdict(float)

    def take_worst(self) -> Heard:
        """Return what was worst since the last call; a book that is not valid now counts up to now."""
        with self._lock:
            now_s = time.monotonic()
            no_book_s = max([self._worst["no_book_s"], *(now_s - since_s for since_s in self._valid_s.values())])
            worst = self._worst
            heard = Heard(worst["late_s"], int(worst["missed"]), no_book_s, worst["silent_s"])
            self._worst.clear()
            self._valid_s = dict.fromkeys(self._valid_s, now_s)
            return heard

    def run(self) -> None:
        """Listen until the process ends."""
        with Tap(self._endpoint, ["depth.", "orderbook."]) as tap:
            for topic, stream_type, data in tap:
                with self._lock:
                    self._take(stream_type, str(topic), data)

    def _take(self, stream_type: str, topic: str, data: dict[str, Any]) -> None:
        worst, now_s = self._worst, time.monotonic()
        if stream_type == "depth":
            worst["late_s"] = max(worst["late_s"], (time.time_ns() - data["recv_ns"]) / 1e9)
            key = data["producer"], data["epoch"], topic
            worst["missed"] += max(0, data["seq"] - self._seqs.get(key, data["seq"] - 1) - 1)
            self._seqs[key] = data["seq"]
            worst["silent_s"] = max(worst["silent_s"], now_s - self._heard_s)
            self._heard_s = now_s
        elif data.get("valid"):
            symbol = data["symbol"]
            worst["no_book_s"] = max(worst["no_book_s"], now_s - self._valid_s.get(symbol, now_s))
            self._valid_s[symbol] = now_s


class Cost(NamedTuple):
    """One restart, in seconds and messages."""

    ended_s: float
    away_s: float
    late_s: float
    missed: float
    no_book_s: float


def _cost_of(pipeline: Pipeline, listener: Listener, name: str) -> Cost:
    listener.take_worst()
    begun_s = time.monotonic()
    pipeline.ask_to_end(name)
    pipeline.programs[name].wait(60)
    ended_s = time.monotonic()
    pipeline.start(name)
    pipeline.status(name)
    heard_s = time.monotonic()
    time.sleep(_SETTLED_S.get(name, _USUALLY_SETTLED_S))
    late_s, missed, no_book_s, _ = listener.take_worst()
    return Cost(ended_s - begun_s, heard_s - begun_s, late_s, missed, no_book_s)


def _line(name: str, costs: list[Cost]) -> str:
    columns = zip(*costs, strict=True)
    cells = [f"{statistics.median(values):.2f} ({max(values):.2f})" for values in columns]
    return " | ".join([f"| `{name}`", *cells]) + " |"


def main() -> None:
    """Print a table of all processes, and the load of the machine before and after."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("processes", nargs="*", default=_PROCESSES, help="those to restart (default: all)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rate", type=float, default=600, help="messages a second of all three symbols")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="bs-", dir="/tmp") as folder,
        running(Path(folder), rate=options.rate, symbols=SYMBOLS[:3], with_books=True, monitor=_MONITOR) as pipeline,
    ):
        pipeline.start("monitor")
        pipeline.until("orderbook", lambda status: status["valid"] == len(pipeline.symbols), "all books are valid")
        listener = Listener(pipeline.config.endpoints.bus_subscribe)
        listener.start()
        time.sleep(max(_SETTLED_S.get(name, _USUALLY_SETTLED_S) for name in options.processes))
        print(f"load {os.getloadavg()[0]:.1f}, undisturbed: {listener.take_worst()}")
        print("| process | ended s | away s | late s | missed | no book s |\n|---|---|---|---|---|---|")
        for name in options.processes:
            print(_line(name, [_cost_of(pipeline, listener, name) for _ in range(options.rounds)]), flush=True)
        print(f"load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
