"""CPU of ingest and writer over that of a plain loop, on the same messages, in alternating rounds of one call.

    ./run python -m benchmarks.pipeline_cpu                                  # depth, as fast as they are taken
    ./run python -m benchmarks.pipeline_cpu --stream bookTicker --rate 1000 --tap no
    ./run python -m benchmarks.pipeline_cpu --rate 100 --stack --before ../other-checkout
    ./run --group peers python -m benchmarks.pipeline_cpu --peers plain aiohttp picows
    ./run python -m benchmarks.pipeline_cpu --pure                           # with the compiled kernel, and without

The plain loop is what one would write first: websocket-client's `recv` with its UTF-8 check switched off,
`json.loads`, `csv.writer` into one buffered file, the same columns; `benchmarks/peers.py` has it and the others. Ours
are the real processes with their default settings: journal, fdatasync, push, acks, CSV, SQLite, publishing to the bus;
and a tap of all topics, unless `--tap no`. With `--stack` order book, monitor and `rest` run too. `--before` takes the
code of another checkout in each round beside this one.

CPU is user + system of all threads, from /proc, between the first message and the last durable row; of ours also by
main thread, ZeroMQ's and the others. It does not ask how long anything took, so that a busy machine disturbs less; what
others do to the processor's caches it does not leave out. So compare within one call, by medians.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import zmq

from benchmarks.feed import ROOT, SOURCES, Server
from benchmarks.peers import PEERS
from binance_streamer.transport.sockets import bus_sub
from binance_streamer.wire.frames import decode_frame
from services.writer.kernel import PURE_VARIABLE
from tests.support.addresses import free_port

FLOOD_COUNTS = {"depth@0ms": 40_000, "bookTicker": 120_000, "aggTrade": 120_000}
FILES = {"depth@0ms": "depth", "bookTicker": "bookticker", "aggTrade": "aggtrade"}
ROUTES = {"depth@0ms": "public", "bookTicker": "public", "aggTrade": "market"}
PURE = "pure"
"""The contender that is ours without the compiled kernel."""
OF_PLAIN = "of plain"
"""CPU over that of the plain loop of the same round; of ours that of ingest and writer."""
ALL_OF_PLAIN = "all but the tap, of plain"
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


def load_of(stream: str, rate: float, count: int | None = None) -> Load:
    """Return a load of so many messages; by default 8 s of them, and in a flood what takes some seconds."""
    return Load(stream, count or (max(800, int(rate * 8)) if rate else FLOOD_COUNTS[stream]), rate)


class Setting(NamedTuple):
    """Processes that run beside ingest and writer: a tap, or the whole stack; and whether the kernel is left unused."""

    has_tap: bool
    has_stack: bool
    is_pure: bool = False


def thread_times_s(process: psutil.Process) -> dict[str, float]:
    """CPU so far of the main thread, of ZeroMQ's, and of all others."""
    found = dict.fromkeys(("main", "zeromq", "others"), 0.0)
    for task in Path(f"/proc/{process.pid}/task").iterdir():
        is_zeromq = (task / "comm").read_text(encoding="utf-8").startswith("ZMQ")
        kind = "main" if task.name == str(process.pid) else "zeromq" if is_zeromq else "others"
        found[kind] += int((task / "schedstat").read_text(encoding="utf-8").split()[0]) / 1e9
    return found


def round_of_peer(peer: str, server: Server, port: int, load: Load, directory: Path) -> float:
    """CPU seconds of another recorder for the same messages."""
    url = f"ws://127.0.0.1:{port}/{ROUTES[load.stream]}/stream?streams=btcusdt@{load.stream}"
    words = [peer, "--url", url, "--output", str(directory / peer), "--stream", load.stream, "--count", str(load.count)]
    command = [sys.executable, "-m", "benchmarks.peers", *words]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as loop:
        server.expect("connected")
        server.go()
        server.expect("sent")
        assert loop.stdout is not None
        seconds = float(loop.stdout.readline())
        server.go()
        assert loop.wait() == 0
    return seconds


@contextmanager
def running(
    port: int, stream: str, directory: Path, *, code: Path, setting: Setting
) -> Iterator[dict[str, psutil.Process]]:
    """Run the processes of a recorder of this stream until the end of the block; by name, `ingest` last."""
    directory.mkdir()
    config = directory / "streamer.yaml"
    config.write_text(CONFIG.format(port=port, stream=stream, monitor=free_port()))
    with ExitStack() as stack:

        def start(module: str, *words: str, code: Path = code) -> psutil.Process:
            environment = {**os.environ, "PYTHONPATH": str(code)}
            if setting.is_pure:
                environment[PURE_VARIABLE] = "1"
            command = [sys.executable, "-m", module, *words]
            opened = subprocess.Popen(command, cwd=code, env=environment, stderr=subprocess.DEVNULL)
            process = stack.enter_context(opened)
            stack.callback(process.terminate)
            return psutil.Process(process.pid)

        names = ["bus", "writer", *(("orderbook", "monitor", "rest") if setting.has_stack else ())]
        processes = {name: start(f"services.{name}", "-c", str(config)) for name in names}
        if setting.has_tap:
            endpoint = f"ipc://{directory}/run/bus.subscribe"
            processes["tap"] = start("benchmarks.pipeline_cpu", "--tap-at", endpoint, code=ROOT)
        time.sleep(3)  # let them settle: their start is not what is measured
        yield processes | {"ingest": start("services.ingest", "--symbol", "BTCUSDT", "-c", str(config))}


def round_of_ours(
    server: Server, port: int, load: Load, directory: Path, *, code: Path, setting: Setting
) -> dict[str, dict[str, float]]:
    """CPU seconds by process and kind of thread."""
    with running(port, load.stream, directory, code=code, setting=setting) as processes:
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


Found = dict[tuple[str, str], list[float]]
"""By contender and what was measured of it: a value for each round."""


def compare(load: Load, rounds: int, peers: Sequence[str], codes: dict[str, Path], setting: Setting) -> Found:
    """Print each round, then medians and ranges: of each process in µs a message, of ratios to the plain loop.

    `plain` has to be among the peers. Returns what it printed.
    """
    port = free_port()
    server = Server(port, load.stream, count=load.count, rate=load.rate)
    pace = f"{load.rate:.0f} a second" if load.rate else "as fast as they are taken"
    beside = ", ".join(name for name, is_there in zip(("tap", "whole stack"), setting, strict=False) if is_there)
    print(f"{load.count} {load.stream}, {pace}, beside it: {beside or 'nothing'}; {os.cpu_count()} cores, ", end="")
    print(f"load {os.getloadavg()[0]:.1f}, Python {sys.version.split()[0]}")
    found: Found = defaultdict(list)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        for number in range(rounds):
            peers_s = {peer: round_of_peer(peer, server, port, load, Path(folder)) for peer in peers}
            plain_s = peers_s["plain"]
            print(f"round {number + 1}:", end="")
            for peer, used_s in peers_s.items():
                found[peer, "µs"].append(used_s / load.count * 1e6)
                found[peer, OF_PLAIN].append(used_s / plain_s)
                print(f" {peer}={found[peer, 'µs'][-1]:.1f}", end="", flush=True)
            for name, code in codes.items():
                place = Path(folder) / f"{name}{number}"
                its_setting = setting._replace(is_pure=name == PURE)
                used = round_of_ours(server, port, load, place, code=code, setting=its_setting)
                _note(found, name, used, plain_s, load.count)
                print(f" | {name}:", *[f"{one}={shown(times, load.count)}" for one, times in used.items()], end="")
            print(f" | load {os.getloadavg()[0]:.1f}", flush=True)
    server.process.terminate()
    for (name, what), values in found.items():
        print(f"{name} {what}: median {statistics.median(values):.3g} ({min(values):.3g} to {max(values):.3g})")
    return found


def _note(found: Found, name: str, used: dict[str, dict[str, float]], plain_s: float, count: int) -> None:
    sums_s: dict[str, Any] = {process: sum(times.values()) for process, times in used.items()}
    for process, used_s in sums_s.items():
        found[name, f"{process} µs"].append(used_s / count * 1e6)
    both_s = sums_s["ingest"] + sums_s["writer"]
    found[name, OF_PLAIN].append(both_s / plain_s)
    found[name, ALL_OF_PLAIN].append((sum(sums_s.values()) - sums_s.get("tap", 0.0)) / plain_s)


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
    parser.add_argument("--pure", action="store_true", help="without the compiled kernel too, in each round")
    parser.add_argument("--before", type=Path, help="another checkout, measured in each round too")
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=["plain"], help="others in each round; with plain")
    parser.add_argument("--tap-at", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.tap_at:
        tap_everything(options.tap_at)
    else:
        codes = {"before": options.before.resolve()} if options.before else {}
        codes |= {PURE: ROOT} if options.pure else {}
        setting = Setting(options.tap == "yes", options.stack)
        load = load_of(options.stream, options.rate, options.count)
        compare(load, options.rounds, options.peers, {**codes, "ours": ROOT}, setting)


if __name__ == "__main__":
    main()
