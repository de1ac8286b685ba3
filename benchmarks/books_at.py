"""Times `book_at` on a day as large as one of BTC: `./run python -m benchmarks.books_at [HOURS [INSTANTS [MINUTES]]]`.

The day is made in a temporary folder (TMPDIR, some 3 GB for 24 hours): 19 depth updates a second of 33 levels a side,
as BTC had on 2024-08-08, with a depth snapshot of 1,000 levels a side every MINUTES: 10, as the audits of the order
book service have it, or 60, the periodic ones of a recorder without that service. It is read at random instants as it
is while it is recorded, in both formats, and sealed.
"""

import random
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from binance_streamer.days import Recording
from binance_streamer.days.lake import Lake
from binance_streamer.days.parquet import Place
from binance_streamer.days.schema import columns
from binance_streamer.days.seal import Part, seal
from services.writer.store.zstd_frames import FRAME_TEXT_BYTES, frames_of

DAY, START_MS = "20261122", 1_795_305_600_000
A_SECOND, LEVELS, DEPTH = 19, 33, 1000


def updates(hours: int) -> Iterator[str]:
    """Rows of depth updates, each of which hangs on the one before."""
    rng = random.Random(1)
    cells = [
        [
            "["
            + ",".join(
                f"[{base + sign * int(rng.expovariate(1 / 300)) / 10:.2f},{rng.randrange(9999) / 1000:.3f}]"
                for _ in range(LEVELS)
            )
            + "]"
            for _ in range(977 + sign)
        ]
        for base, sign in ((84_000, -1), (84_001, 1))
    ]
    for number in range(hours * 3600 * A_SECOND):
        ms = START_MS + number * 1000 // A_SECOND
        bids, asks = (side[number % len(side)] for side in cells)
        ids = f"{number * 10 + 1},{number * 10 + 10},{number * 10}"
        yield f'{ids},{ms},{ms},"{bids}","{asks}",{ms}000000,7,{number + 1},ws,\n'


def snapshots(hours: int, every_s: int) -> Iterator[str]:
    """A row of a snapshot every so many seconds."""
    bids, asks = (
        "[" + ",".join(f"[{base + sign * place / 10:.2f},1.000]" for place in range(DEPTH)) + "]"
        for base, sign in ((84_000, -1), (84_001, 1))
    )
    for count, second in enumerate(range(0, hours * 3600, every_s), 1):
        ms = START_MS + second * 1000 + 5
        number = second * A_SECOND * 10 + 10
        yield f'{number},{ms},{ms},"{bids}","{asks}",{ms}000000,{ms}000001,7,{count},rest,\n'


def write(folder: Path, stem: str, rows: Iterator[str]) -> Path:
    """Write a plain daily file."""
    path = folder / "BTCUSDT" / f"{stem}_BTCUSDT_{DAY}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        file.write(",".join(columns(stem)) + "\n")
        file.writelines(rows)
    return path


def compress(path: Path, folder: Path) -> None:
    """Write a daily file in frames as the writer closes them."""
    (folder / "BTCUSDT").mkdir(parents=True, exist_ok=True)
    with path.open("rb") as plain, (folder / "BTCUSDT" / f"{path.name}.zst").open("wb") as file:
        while lines := plain.readlines(FRAME_TEXT_BYTES):
            file.write(frames_of(lines, sum(map(len, lines))))


def cpu_s() -> float:
    """CPU of this process so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def measure(name: str, place: Path, hours: int, instants: int) -> None:
    """Print how long books at random instants took."""
    recording, rng = Recording(place), random.Random(2)
    took = []
    before = cpu_s()
    for _ in range(instants):
        ns = START_MS * 10**6 + rng.randrange(10**9, hours * 3600 * 10**9 - 10**9)
        start = time.perf_counter()
        assert recording.book_at("BTCUSDT", ns).is_known
        took.append(time.perf_counter() - start)
    took.sort()
    cpu = (cpu_s() - before) / instants
    print(
        f"{name:8} median {took[instants // 2]:.3f} s, p99 {took[instants * 99 // 100]:.3f} s, "
        f"slowest {took[-1]:.3f} s, CPU {cpu:.3f} s a book",
        flush=True,
    )


def main() -> None:
    """Make the day, and read it in each form."""
    hours = int(sys.argv[1]) if len(sys.argv) > 1 else 24
    instants = int(sys.argv[2]) if len(sys.argv) > 2 else 200
    minutes = int(sys.argv[3]) if len(sys.argv) > 3 else 10
    with tempfile.TemporaryDirectory(prefix="books-at-") as name:
        root = Path(name)
        files = {
            "depth": write(root / "csv", "depth", updates(hours)),
            "snapshot": write(root / "csv", "snapshot", snapshots(hours, 60 * minutes)),
        }
        print(
            f"{hours} hours: {files['depth'].stat().st_size / 1e6:.0f} MB of depth, a snapshot every {minutes} minutes",
            flush=True,
        )
        measure("csv", root / "csv", hours, instants)
        for path in files.values():
            compress(path, root / "zst")
        measure("csv.zst", root / "zst", hours, instants)
        lake = Lake(root / "lake")
        lake.begin()
        for stem, path in files.items():
            seal([Part(path, path.stat().st_size)], Place(stem, "BTCUSDT", DAY), lake)
        measure("sealed", root / "lake", hours, instants)


if __name__ == "__main__":
    main()
