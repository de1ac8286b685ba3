"""`python -m tests.chaos`: the storm from a command line. `binance-streamer chaos` runs it."""

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

from tests.chaos.storm import Plan, run
from tests.chaos.table import LEGEND


def main() -> int:
    """0 where nothing was lost, doubled or grew; 1 otherwise, and the files are kept."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--symbols", type=int, default=5)
    parser.add_argument("--rate", type=float, default=1000, help="messages a second in all")
    parser.add_argument("--every", type=float, default=8, metavar="S", help="seconds between faults, on average")
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else time.time_ns() % 1_000_000
    print(f"seed {seed}", flush=True)
    place = Path(tempfile.mkdtemp(prefix="bs-", dir="/tmp"))  # ipc paths are at most 107 bytes long
    plan = Plan(options.minutes * 60, seed, options.symbols, options.rate, options.every)
    try:
        outcome = run(place, plan, lambda text: print(text, flush=True))
    except AssertionError as error:
        print(f"{error}\nthe files are in {place}", file=sys.stderr)
        return 1
    print(outcome.table)
    print(LEGEND)
    print("most memory:", ", ".join(f"{kind} {size / 2**20:.0f} MB" for kind, size in outcome.highest_bytes.items()))
    print(f"seed {seed}")
    for text in outcome.wrong:
        print(text, file=sys.stderr)
    if outcome.wrong:
        print(f"the files are in {place}", file=sys.stderr)
        return 1
    shutil.rmtree(place)
    return 0


if __name__ == "__main__":
    sys.exit(main())
