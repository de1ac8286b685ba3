"""Measures how long a worker with a standby is away when it is killed: `python -m benchmarks.takeover`.

In: a recorder of one simulated symbol whose worker has a standby. Whoever records is killed by SIGKILL, again and
again, while a tap hears everything. Out: a line for each kill, the median and the worst of all.

| | |
|---|---|
| decided | from the end of the killed one until its standby knows what is to be recorded |
| silent | the longest time without a depth message at the tap |
| late | the age of the oldest depth message that came there |
"""

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from benchmarks.restart_cost import Listener
from tests.chaos.pipeline import SYMBOLS, Pipeline, running
from tests.support.waiting import eventually

SYMBOL = SYMBOLS[0]
PAIR = (f"ingest-{SYMBOL}", f"standby-{SYMBOL}")
PATIENCE_S = 60.0


class Takeover(NamedTuple):
    """One kill, in ms."""

    decided: float
    silent: float
    late: float


def kill(pipeline: Pipeline, listener: Listener) -> Takeover:
    """Kill the one that records once the other one is warm, and start it again as the one that waits."""
    eventually(lambda: pipeline.status(PAIR[1])["is_warm"], PATIENCE_S, what=f"{PAIR[1]} is warm")
    time.sleep(2)
    pid = pipeline.status(PAIR[0])["pid"]
    victim = next(name for name in PAIR if pipeline.programs[name].pid == pid)
    listener.take_worst()
    pipeline.kill(victim)
    status = pipeline.until(PAIR[0], lambda status: status["pid"] != pid, "another one records")
    worst = listener.take_worst()
    pipeline.start(victim)
    return Takeover(status["took_over_ms"], worst.silent_s * 1000, worst.late_s * 1000)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--rate", type=float, default=1000, help="messages a second of the simulator")
    arguments = parser.parse_args()
    found: list[Takeover] = []
    print("| kill | decided ms | silent ms | late ms | load |\n|---|---|---|---|---|", flush=True)
    with (
        tempfile.TemporaryDirectory(prefix="takeover-") as folder,
        running(Path(folder), rate=arguments.rate, symbols=(SYMBOL,)) as pipeline,
    ):
        pipeline.start(PAIR[1])
        listener = Listener(pipeline.config.endpoints.bus_subscribe)
        listener.start()
        for number in range(arguments.kills):
            found.append(kill(pipeline, listener))
            cells = " | ".join(f"{one:.0f}" for one in found[-1])
            print(f"| {number + 1} | {cells} | {os.getloadavg()[0]:.1f} |", flush=True)
    for name, of_all in (("median", statistics.median), ("worst", max)):
        print(f"| {name} | {' | '.join(f'{of_all(column):.0f}' for column in zip(*found, strict=True))} | |")


if __name__ == "__main__":
    main()
