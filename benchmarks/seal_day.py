"""Seals a synthetic day as the archiver does, and measures it: `./run python -m benchmarks.seal_day FOLDER`.

Writes daily files of `--symbols` symbols, `--rows` in all, in the writer's format: of a hundred rows 60 are bookTicker,
25 aggTrade, 15 depth with 20 levels a side on average, and one in ten thousand comes late. Then it runs the archiver
until all days have a certificate: once undisturbed, once killed `--kills` times at random moments; and compares
certificates and Parquet files of both. The folder takes some 200 bytes a row. `--only` makes one of the two runs,
`--nice` changes the archiver's own nice value, for a machine that is busy with other things.
"""

import argparse
import json
import multiprocessing
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

DAY = "20240808"
DAY_MS = 1_723_075_200_000
DAY_S = 86_400
EPOCH = 1_723_160_000_000_000_000
SHARES = {"bookticker": 60, "aggtrade": 25, "depth": 15}
LATE = 10_000
HEADERS = {
    "bookticker": "update_id,best_bid_price,best_bid_qty,best_ask_price,best_ask_qty,transaction_time,event_time",
    "aggtrade": "agg_trade_id,price,quantity,first_trade_id,last_trade_id,transact_time,is_buyer_maker,event_time,"
    "normal_quantity",
    "depth": "first_update_id,final_update_id,prev_final_update_id,transact_time,event_time,bids,asks",
}


class Run(NamedTuple):
    """Time, CPU and memory of one run of the archiver, or of several after kills."""

    seconds: float
    cpu_s: float
    peak_mb: float
    kills: int


def lines(stem: str, rows: int, rng: random.Random) -> Iterator[str]:
    """The rows of one stream of a day; a late one comes 100 rows behind its place."""
    held: list[tuple[int, str]] = []
    levels = [
        "["
        + ",".join(f"[{60_000 + rng.randrange(2000) / 10:.2f},{rng.randrange(20_000) / 1000:.3f}]" for _ in range(size))
        + "]"
        for size in (rng.randrange(41) for _ in range(500))
    ]
    price = 60_000.0
    for number in range(1, rows + 1):
        at_ms = DAY_MS + number * DAY_S * 1000 // (rows + 1)
        tail = f"{at_ms}{number % 1_000_000:06d},{EPOCH},{number},ws,"
        price += rng.choice((-0.1, 0, 0, 0, 0.1))
        quantity = f"{rng.randrange(1, 30_000) / 1000:.3f}"
        if stem == "bookticker":
            line = f"{number * 7},{price:.2f},{quantity},{price + 0.1:.2f},{quantity},{at_ms},{at_ms + 1},{tail}"
        elif stem == "aggtrade":
            line = f"{number},{price:.2f},{quantity},{number * 2},{number * 2 + 1},{at_ms},true,{at_ms + 1},,{tail}"
        else:
            bids, asks = rng.choice(levels), rng.choice(levels)
            line = f'{number * 9 - 8},{number * 9},{number * 9 - 9},{at_ms},{at_ms + 1},"{bids}","{asks}",{tail}'
        if number % LATE == 0:
            held.append((number + 100, line))
            continue
        yield line
        while held and held[0][0] <= number:
            yield held.pop(0)[1]
    yield from (line for _, line in held)


def write_day(data: Path, symbols: int, rows: int) -> int:
    """Write all daily files; return how many rows they have. What is there already is kept."""
    with multiprocessing.Pool(2) as pool:
        return sum(
            pool.starmap(write_symbol, [(data, index, rows // symbols) for index in range(symbols)], chunksize=1)
        )


def write_symbol(data: Path, index: int, rows: int) -> int:
    """Write the daily files of one symbol; return how many rows they have."""
    symbol = f"SYM{index:02d}USDT"
    (data / symbol).mkdir(parents=True, exist_ok=True)
    counts = {stem: rows * share // 100 for stem, share in SHARES.items()}
    for stem, count in counts.items():
        path = data / symbol / f"{stem}_{symbol}_{DAY}.csv"
        if not path.exists():
            with path.open("w", encoding="utf-8") as file:
                file.write(f"{HEADERS[stem]},recv_ns,epoch,seq,source,extra\n")
                file.writelines(f"{line}\n" for line in lines(stem, count, random.Random(index)))
    return sum(counts.values())


def config_of(folder: Path, data: Path, lake: Path) -> Path:
    """A configuration for the archiver alone, which writes nothing but the lake, its log and its run directory."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{lake.name}.yaml"
    values = {
        "mode": "development",
        "modes": {"development": {"symbols": [{"symbol": "SYM00USDT"}]}},
        "storage": {"output_directory": str(data), "journal_directory": str(folder / "journal"), "lake": str(lake)},
        "archiver": {"grace": 0, "interval": 1},
        "logging": {"file": str(folder / "{process}.log")},
        "endpoints": {"run_directory": str(folder / "run")},
        "monitor": {"enabled": False},
    }
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return path


def archive(config: Path, lake: Path, symbols: int, kills: list[float], *, nice: int | None) -> Run:
    """Run the archiver until every symbol has a certificate; kill it after each of these times, in seconds."""
    began_s, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    peak_mb = 0.0
    for after_s in [*kills, None]:
        process = subprocess.Popen([sys.executable, "-m", "services.archiver", "-c", str(config)])
        end_s = None if after_s is None else time.monotonic() + after_s
        while not is_done(lake, symbols) and (end_s is None or time.monotonic() < end_s):
            peak_mb = max(peak_mb, peak_of(process.pid))
            if nice is not None:
                os.setpriority(os.PRIO_PROCESS, process.pid, nice)
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM if end_s is None else signal.SIGKILL)
        process.wait()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Run(time.monotonic() - began_s, cpu_s, peak_mb, len(kills))


def peak_of(pid: int) -> float:
    """The largest resident memory of a process so far, in MB of 10^6 bytes; 0 where it has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    except FileNotFoundError:
        return 0.0
    return next((int(line.split()[1]) * 1024 / 1e6 for line in status.splitlines() if line.startswith("VmHWM")), 0.0)


def is_done(lake: Path, symbols: int) -> bool:
    """Return True if every symbol has a certificate."""
    return len(list((lake / "certificates").glob("*/*.json"))) == symbols


def essence(lake: Path) -> dict[str, Any]:
    """All certificates but for times and versions."""
    found = {path.name: json.loads(path.read_bytes()) for path in (lake / "certificates").glob("*/*.json")}
    for one in found.values():
        del one["sealed_at"], one["versions"]
    return found


def told(name: str, run: Run, rows: int, size: int, lake: Path) -> str:
    """A line on one run."""
    packed = sum(path.stat().st_size for path in lake.rglob("*.parquet"))
    cpu = f"CPU {run.cpu_s:.0f} s ({run.cpu_s / rows * 1e6:.1f} s per million rows)"
    sizes = f"{rows} rows, {size / 1e9:.2f} GB -> {packed / 1e9:.2f} GB"
    return f"{name}: {sizes}, {run.seconds:.0f} s, {cpu}, peak RSS {run.peak_mb:.0f} MB, {run.kills} kills"


def main() -> None:
    """Write the day, seal it twice, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--symbols", type=int, default=20)
    parser.add_argument("--rows", type=int, default=20_000_000)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--kill-within", type=float, default=60, help="seconds within which each kill comes")
    parser.add_argument("--only", choices=["undisturbed", "killed"])
    parser.add_argument("--nice", type=int)
    options = parser.parse_args()
    folder: Path = options.folder.resolve()
    data = folder / "data"
    rows = write_day(data, options.symbols, options.rows)
    size = sum(path.stat().st_size for path in data.rglob("*.csv"))
    time.sleep(20)  # until the files are quiet
    rng = random.Random(1)
    kills: dict[str, list[float]] = {
        "undisturbed": [],
        "killed": [rng.uniform(1, options.kill_within) for _ in range(options.kills)],
    }
    for name in [options.only] if options.only else kills:
        lake = folder / name
        shutil.rmtree(lake, ignore_errors=True)
        config = config_of(folder / f"{name}-run", data, lake)
        run = archive(config, lake, options.symbols, kills[name], nice=options.nice)
        print(told(name, run, rows, size, lake), flush=True)
    lakes = [folder / name for name in kills]
    if all(is_done(lake, options.symbols) for lake in lakes):
        one, two = ({path.name: path.read_bytes() for path in lake.rglob("*.parquet")} for lake in lakes)
        are_equal = essence(lakes[0]) == essence(lakes[1])
        print(f"certificates equal: {are_equal}; Parquet files equal: {one == two}")


if __name__ == "__main__":
    main()
