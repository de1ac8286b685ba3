"""Measures how much later than at the socket a message is at a tap, and in a row that can be read.

    ./run python -m benchmarks.latency --rates 100 1000 10000
    ./run python -m benchmarks.latency --rates 1000 --beside stalled    # a second tap that reads nothing
    ./run python -m benchmarks.latency --rates 1000 --beside fsync      # a program that makes 1 MiB durable at a time

Ours are the real processes with their default settings and one tap. "Socket" is the stamp of receipt, `recv_ns`; the
tap compares it with the clock when it has the message, and a reader of the daily file, which looks every millisecond,
with the clock when it sees the row.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple, get_args

import zmq

from benchmarks.feed import ROOT, Server
from benchmarks.pipeline_cpu import FILES, Setting, load_of, running
from binance_streamer.client.tap import Tap
from binance_streamer.transport.sockets import bus_sub
from tests.support.addresses import free_port

Beside = Literal["nothing", "stalled", "fsync"]
"""What runs beside the recorder: nothing, a tap that reads nothing, a program that calls fsync all the time."""


class Quantiles(NamedTuple):
    """Of a set of times, in ms."""

    p50: float
    p99: float
    p999: float

    def __str__(self) -> str:
        return f"p50 {self.p50:.2f}, p99 {self.p99:.2f}, p99.9 {self.p999:.2f} ms"


class Lateness(NamedTuple):
    """Of one load: from the socket to the tap, and to the row."""

    tap: Quantiles
    row: Quantiles


def quantiles(times_ns: Sequence[int]) -> Quantiles:
    """Return the quantiles of at least two times."""
    steps = statistics.quantiles(times_ns, n=1000, method="inclusive")
    return Quantiles(*(steps[at] / 1e6 for at in (499, 989, 998)))


def tapped(endpoint: str, topic: str, count: int) -> list[int]:
    """Receive so many messages, and return how old each was."""
    ages_ns: list[int] = []
    with Tap(endpoint, [topic]) as tap:
        while len(ages_ns) < count and (message := tap.receive(20)) is not None:
            ages_ns.append(time.time_ns() - message.data["recv_ns"])
    return ages_ns


def rows_seen(folder: Path, stem: str, count: int) -> list[int]:
    """Look every millisecond for whole rows that are new, until so many have come, and return how old each was."""
    ages_ns: list[int] = []
    end_s = time.monotonic() + 600
    files: dict[Path, BinaryIO] = {}
    rests: dict[Path, bytes] = {}
    with ExitStack() as stack:
        while len(ages_ns) < count and time.monotonic() < end_s:
            time.sleep(0.001)
            for path in folder.glob(f"{stem}_BTCUSDT_*.csv"):  # the recording begins anew: two days, by its times
                if path not in files:
                    files[path] = stack.enter_context(path.open("rb"))
                text = files[path].read()
                now_ns = time.time_ns()
                *lines, rests[path] = (rests.get(path, b"") + text).split(b"\n")
                stamps = (line.rsplit(b",", 5)[-5] for line in lines)  # recv_ns, epoch, seq, source, extra
                ages_ns += [now_ns - int(stamp) for stamp in stamps if stamp.isdigit()]
    return ages_ns


@contextmanager
def _fsync_storm(folder: Path) -> Iterator[None]:
    """Make 1 MiB after the other durable on the disk of this folder until the end of the block."""
    over = threading.Event()

    def blow() -> None:
        with (folder / "storm").open("wb", buffering=0) as file:
            while not over.is_set():
                file.seek(0)
                file.write(os.urandom(1 << 20))
                os.fsync(file.fileno())

    thread = threading.Thread(target=blow)
    thread.start()
    yield
    over.set()
    thread.join()


def measure(stream: str, rate: float, *, seconds: float, beside: Beside = "nothing") -> Lateness:
    """Let so many messages a second come for so long, and return how late they were."""
    load = load_of(stream, rate, int(rate * seconds))
    port = free_port()
    server = Server(port, stream, count=load.count, rate=rate)
    context = zmq.Context()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, ExitStack() as stack:
        stack.callback(server.process.terminate)
        stack.callback(context.destroy, linger=0)
        place = Path(folder) / "ours"
        setting = Setting(has_tap=False, has_stack=False)
        stack.enter_context(running(port, stream, place, code=ROOT, setting=setting))
        endpoint = f"ipc://{place}/run/bus.subscribe"
        if beside == "stalled":
            bus_sub(context, endpoint, b"")  # nobody reads it
        elif beside == "fsync":
            stack.enter_context(_fsync_storm(place))
        pool = stack.enter_context(ThreadPoolExecutor())
        rows = pool.submit(rows_seen, place / "data" / "BTCUSDT", FILES[stream], load.count)
        taps = [
            sys.executable,
            "-m",
            "benchmarks.latency",
            "--tap-at",
            endpoint,
            "--stream",
            stream,
            "--count",
            str(load.count),
        ]
        tap = stack.enter_context(subprocess.Popen(taps, cwd=ROOT, stdout=subprocess.PIPE, text=True))
        server.expect("connected")
        time.sleep(3)
        server.go()
        server.expect("sent")
        ages_ns = [int(age) for age in tap.communicate()[0].split()]
        result = Lateness(quantiles(ages_ns), quantiles(rows.result()))
        server.go()
    assert len(ages_ns) == load.count, f"the tap has {len(ages_ns)} of {load.count} messages"
    return result


def main() -> None:
    """Print a line for each rate."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stream", choices=FILES, default="depth@0ms")
    parser.add_argument("--rates", type=float, nargs="+", default=[100.0, 1000.0], help="messages a second")
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--beside", choices=get_args(Beside), default="nothing")
    parser.add_argument("--tap-at", help=argparse.SUPPRESS)
    parser.add_argument("--count", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.tap_at:
        print(*tapped(options.tap_at, FILES[options.stream], options.count))
        return
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, Python {sys.version.split()[0]}")
    for rate in options.rates:
        found = measure(options.stream, rate, seconds=options.seconds, beside=options.beside)
        print(
            f"{options.stream}, {rate:.0f} a second: socket to tap {found.tap}; socket to row {found.row}", flush=True
        )


if __name__ == "__main__":
    main()
