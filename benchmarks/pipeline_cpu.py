"""CPU of ingest and writer over that of a plain loop, on the same messages, in alternating rounds of one call.

    ./run python -m benchmarks.pipeline_cpu                                  # depth, as fast as they are taken
    ./run python -m benchmarks.pipeline_cpu --stream bookTicker --rate 1000 --tap no
    ./run python -m benchmarks.pipeline_cpu --rate 100 --stack --before ../other-checkout

The plain loop is what one would write first: websocket-client's `recv` with its UTF-8 check switched off, `json.loads`,
`csv.writer` into one buffered file, the same columns. Ours are the real processes with their default settings: journal,
fdatasync, push, acks, CSV, SQLite, publishing to the bus; and a tap of all topics, unless `--tap no`. With `--stack`
order book, monitor and `rest` run too. `--before` takes the code of another checkout in each round beside this one.

CPU is user + system of all threads, from /proc, between the first message and the last durable row; of ours also by
main thread, ZeroMQ's and the others. It does not ask how long anything took, so that a busy machine disturbs less; what
others do to the processor's caches it does not leave out. So compare within one call, by medians.
"""

import argparse
import csv
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import websocket
import zmq

from benchmarks.feed import ROOT, SOURCES, Server, free_port
from binance_streamer.transport.sockets import bus_sub
from binance_streamer.wire.frames import decode_frame

FLOOD_COUNTS = {"depth@0ms": 40_000, "bookTicker": 120_000, "aggTrade": 120_000}
FILES = {"depth@0ms": "depth", "bookTicker": "bookticker", "aggTrade": "aggtrade"}
ROUTES = {"depth@0ms": "public", "bookTicker": "public", "aggTrade": "market"}
KEYS = {
    "depth@0ms": ("U", "u", "pu", "T", "E", "b", "a"),
    "bookTicker": ("u", "b", "B", "a", "A", "T", "E"),
    "aggTrade": ("a", "p", "q", "f", "l", "T", "m", "E"),
}
CONFIG = """
mode: development
modes: {{development: {{symbols: [{{symbol: BTCUSDT, streams: ["{stream}"], depth_snapshot: false}}]}}}}
network: {{websocket_url: "ws://127.0.0.1:{port}", rest_url: "http://127.0.0.1:1", connections: 1}}
storage: {{output_directory: data, journal_directory: journal}}
logging: {{file: "log/{{process}}.log"}}
endpoints: {{run_directory: run}}
monitor: {{address: "127.0.0.1:{monitor}"}}
"""


@dataclass(frozen=True)
class Load:
    """One stream, how many messages of it, and how many a second (0: as fast as they are taken)."""

    stream: str
    count: int
    rate: float


class Setting(NamedTuple):
    """Processes that run beside ingest and writer: a tap, or the whole stack."""

    has_tap: bool
    has_stack: bool


def plain_loop(port: int, load: Load, output: Path) -> None:
    """The recorder that one would write first; prints its CPU seconds."""
    connection = websocket.create_connection(
        f"ws://127.0.0.1:{port}/{ROUTES[load.stream]}/stream?streams=btcusdt@{load.stream}", skip_utf8_validation=True
    )
    epoch = time.time_ns()
    keys = KEYS[load.stream]
    levels = ("b", "a") if load.stream == "depth@0ms" else ()
    with output.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*keys, "recv_ns", "epoch", "seq", "source", "extra"])
        started_s = time.process_time()
        for seq in range(1, load.count + 1):
            text = connection.recv()
            recv_ns = time.time_ns()
            data = json.loads(text)["data"]
            for key in levels:
                data[key] = "[" + ",".join(f"[{price},{quantity}]" for price, quantity in data[key]) + "]"
            writer.writerow([*[data[key] for key in keys], recv_ns, epoch, seq, "ws", ""])
        print(time.process_time() - started_s, flush=True)
    connection.close()


def cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def thread_times_s(process: psutil.Process) -> dict[str, float]:
    """CPU so far of the main thread, of ZeroMQ's, and of all others."""
    found = dict.fromkeys(("main", "zeromq", "others"), 0.0)
    for task in Path(f"/proc/{process.pid}/task").iterdir():
        is_zeromq = (task / "comm").read_text(encoding="utf-8").startswith("ZMQ")
        kind = "main" if task.name == str(process.pid) else "zeromq" if is_zeromq else "others"
        found[kind] += int((task / "schedstat").read_text(encoding="utf-8").split()[0]) / 1e9
    return found


def round_of_plain(server: Server, port: int, load: Load, directory: Path) -> float:
    output = directory / "plain.csv"
    words = ["--plain", str(port), "--output", str(output), "--stream", load.stream, "--count", str(load.count)]
    command = [sys.executable, "-m", "benchmarks.pipeline_cpu", *words]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as loop:
        server.expect("connected")
        server.go()
        server.expect("sent")
        assert loop.stdout is not None
        seconds = float(loop.stdout.readline())
        server.go()
        assert loop.wait() == 0
    return seconds


def round_of_ours(
    server: Server, port: int, load: Load, directory: Path, *, code: Path, setting: Setting
) -> dict[str, dict[str, float]]:
    """CPU seconds by process and kind of thread."""
    directory.mkdir()
    config = directory / "streamer.yaml"
    config.write_text(CONFIG.format(port=port, stream=load.stream, monitor=free_port()))
    with ExitStack() as stack:

        def start(*words: str) -> psutil.Process:
            command = [sys.executable, "-m", *words, "-c", str(config)]
            environment = {**os.environ, "PYTHONPATH": str(code)}
            opened = subprocess.Popen(command, cwd=code, env=environment, stderr=subprocess.DEVNULL)
            process = stack.enter_context(opened)
            stack.callback(process.terminate)
            return psutil.Process(process.pid)

        processes = {"bus": start("services.bus"), "writer": start("services.writer")}
        if setting.has_stack:
            processes |= {name: start(f"services.{name}") for name in ("orderbook", "monitor", "rest")}
        if setting.has_tap:
            words = ["--tap-at", f"ipc://{directory}/run/bus.subscribe"]
            command = [sys.executable, "-m", "benchmarks.pipeline_cpu", *words]
            tap = stack.enter_context(subprocess.Popen(command, cwd=ROOT))
            stack.callback(tap.terminate)
            processes["tap"] = psutil.Process(tap.pid)
        time.sleep(3)  # let them settle: their start is not what is measured
        processes["ingest"] = start("services.ingest", "--symbol", "BTCUSDT")
        server.expect("connected")
        time.sleep(2)
        before = {name: thread_times_s(process) for name, process in processes.items()}
        server.go()
        server.expect("sent")
        wait_until_durable(directory / "run", load.count)
        used = {
            name: {kind: time_s - before[name][kind] for kind, time_s in thread_times_s(process).items()}
            for name, process in processes.items()
        }
        check_rows(directory / "data/BTCUSDT", load)
        server.go()
    return used


def wait_until_durable(run_directory: Path, count: int) -> None:
    """By what the worker says of the writer's acknowledgements."""
    context = zmq.Context()
    sub = bus_sub(context, f"ipc://{run_directory}/bus.subscribe", b"status.ingest-BTCUSDT.")
    deadline_s = time.monotonic() + 300
    try:
        while time.monotonic() < deadline_s:
            if sub.poll(1000):
                durable = decode_frame(sub.recv_multipart()[1])[1]["journal"]["durable"]
                if durable is not None and durable[1] >= count:
                    return
        raise TimeoutError(f"the writer did not make {count} rows durable")
    finally:
        context.destroy(linger=0)


def check_rows(directory: Path, load: Load) -> None:
    rows = 0
    for path in directory.glob(f"{FILES[load.stream]}_BTCUSDT_*.csv"):
        with path.open("rb") as file:
            rows += sum(1 for _ in file) - 1
    gaps = list(directory.glob("gap_*"))
    assert rows == load.count, f"{rows} rows of {load.count}, gaps: {gaps}"
    assert not gaps


def tap_everything(endpoint: str) -> None:
    sub = zmq.Context().socket(zmq.SUB)
    sub.connect(endpoint)
    sub.subscribe(b"")
    while True:
        sub.recv_multipart()


def compare(load: Load, rounds: int, codes: dict[str, Path], setting: Setting) -> None:
    """Print each round, then medians and ranges: of each process in µs a message, of ratios to the plain loop."""
    port = free_port()
    server = Server(port, load.stream, count=load.count, rate=load.rate)
    pace = f"{load.rate:.0f} a second" if load.rate else "as fast as they are taken"
    beside = ", ".join(name for name, is_there in zip(("tap", "whole stack"), setting, strict=True) if is_there)
    print(f"{load.count} {load.stream}, {pace}, beside it: {beside or 'nothing'}; {os.cpu_count()} cores, ", end="")
    print(f"load {os.getloadavg()[0]:.1f}, Python {sys.version.split()[0]}")
    found: dict[tuple[str, str], list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        for number in range(rounds):
            plain_s = round_of_plain(server, port, load, Path(folder))
            found["plain", "µs"].append(plain_s / load.count * 1e6)
            print(f"round {number + 1}: plain={found['plain', 'µs'][-1]:.1f}", end="", flush=True)
            for name, code in codes.items():
                place = Path(folder) / f"{name}{number}"
                used = round_of_ours(server, port, load, place, code=code, setting=setting)
                _note(found, name, used, plain_s, load.count)
                print(f" | {name}:", *[f"{one}={shown(times, load.count)}" for one, times in used.items()], end="")
            print(f" | load {os.getloadavg()[0]:.1f}", flush=True)
    server.process.terminate()
    for (name, what), values in found.items():
        print(f"{name} {what}: median {statistics.median(values):.3g} ({min(values):.3g} to {max(values):.3g})")


def _note(
    found: dict[tuple[str, str], list[float]], name: str, used: dict[str, dict[str, float]], plain_s: float, count: int
) -> None:
    sums_s: dict[str, Any] = {process: sum(times.values()) for process, times in used.items()}
    for process, used_s in sums_s.items():
        found[name, f"{process} µs"].append(used_s / count * 1e6)
    both_s = sums_s["ingest"] + sums_s["writer"]
    found[name, "ingest + writer of plain"].append(both_s / plain_s)
    found[name, "all but the tap of plain"].append((sum(sums_s.values()) - sums_s.get("tap", 0.0)) / plain_s)


def shown(used_s: dict[str, float], count: int) -> str:
    """µs a message, and how they are divided: main thread + ZeroMQ's + others."""
    each = [f"{time_s / count * 1e6:.1f}" for time_s in used_s.values()]
    return f"{sum(used_s.values()) / count * 1e6:.1f} ({' + '.join(each)})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stream", choices=SOURCES, default="depth@0ms")
    parser.add_argument("--rate", type=float, default=0.0, help="messages a second; default: as fast as they are taken")
    parser.add_argument("--count", type=int, help="messages a round; default: 8 s of them")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tap", choices=("yes", "no"), default="yes")
    parser.add_argument("--stack", action="store_true", help="with order book, monitor and rest")
    parser.add_argument("--before", type=Path, help="another checkout, measured in each round too")
    parser.add_argument("--plain", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--output", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--tap-at", help=argparse.SUPPRESS)
    options = parser.parse_args()
    count = options.count or (max(800, int(options.rate * 8)) if options.rate else FLOOD_COUNTS[options.stream])
    load = Load(options.stream, count, options.rate)
    if options.plain:
        plain_loop(options.plain, load, options.output)
    elif options.tap_at:
        tap_everything(options.tap_at)
    else:
        codes = {"before": options.before.resolve()} if options.before else {}
        compare(load, options.rounds, {**codes, "ours": ROOT}, Setting(options.tap == "yes", options.stack))


if __name__ == "__main__":
    main()
