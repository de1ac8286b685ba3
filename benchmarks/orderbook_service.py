"""CPU and memory of the order book service, on recorded depth messages of a busy symbol under many names.

    ./run python benchmarks/orderbook_service.py --symbols 50 --rate 1000 --seconds 60

Input: the BTCUSDT depth@0ms messages of usdm-btceth-20240808 (68 levels each on average; $MARKET_DATA or
../shared/data). A feeder stands for all workers and for REST: it publishes them to a real bus at a fixed rate, each
symbol's from the beginning, and answers requests with the recorded snapshot. The service is the real process with its
default settings; there is no writer, so its rows stay in the journal. CPU is user + system of all threads, as the
service says itself, between the first status with all books valid and the last one.
"""

import argparse
import gzip
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import msgpack
import yaml
import zmq

from binance_streamer.config import schema as configuration
from binance_streamer.transport.sockets import bus_pub, bus_sub

ROOT = Path(__file__).resolve().parents[1]
DEPTH, SNAPSHOT = b'{"stream":"btcusdt@depth@0ms","data":', b'{"rest":"/fapi/v1/depth?symbol=BTCUSDT'


def recorded() -> tuple[list[bytes], bytes]:
    """The depth events behind the snapshot, and the snapshot."""
    folder = Path(os.environ.get("MARKET_DATA", ROOT.parent / "shared" / "data")) / "usdm-btceth-20240808"
    with gzip.open(folder / "capture.gz", "rb") as file:
        lines = [line.rstrip(b"\n").partition(b" ")[2] for line in file]
    body = next(line.partition(b'"body":')[2][:-1] for line in lines if line.startswith(SNAPSHOT))
    last_id = json.loads(body)["lastUpdateId"]
    events = [line.removeprefix(DEPTH)[:-1] for line in lines if line.startswith(DEPTH)]
    return [event for event in events if json.loads(event)["u"] > last_id], body


class Feeder:
    """All workers and REST."""

    def __init__(self, config: configuration.Config, symbols: list[str]) -> None:
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.pub = bus_pub(self.context, config.endpoints.bus_publish)
        self.sub = bus_sub(self.context, config.endpoints.bus_subscribe, b"request.", b"status.orderbook.")
        self.symbols = symbols
        self.events, self.snapshot = recorded()
        self.seqs: Counter[str] = Counter()
        self.status: dict[str, Any] = {}
        self.requests = 0

    def publish(self, stream_type: str, symbol: str, variant: str, **fields: Any) -> None:
        """One message."""
        topic = f"{stream_type}.{symbol}.{variant}"
        self.seqs[topic] += 1
        data = {"symbol": symbol, "recv_ns": time.time_ns(), "producer": f"ingest-{symbol}", "epoch": 1,
                "seq": self.seqs[topic], "source": "ws", "connection": 1, **fields}  # fmt: skip
        self.pub.send_multipart([topic.encode(), msgpack.packb((stream_type, data))])

    def depth(self, symbol: str, number: int) -> None:
        """The update of this number."""
        event = self.events[number].replace(b"BTCUSDT", symbol.encode(), 2)
        self.publish("depth", symbol, "0ms", stream=f"{symbol.lower()}@depth@0ms", event=event)

    def not_valid(self) -> list[str]:
        """The symbols whose books are not valid yet."""
        return [symbol for symbol, book in self.status["books"].items() if not book["valid"]]

    def hear(self, timeout_s: float) -> None:
        """Answer requests, and take the service's status."""
        while self.sub.poll(int(timeout_s * 1000)):
            stream_type, data = msgpack.unpackb(self.sub.recv_multipart()[1])
            timeout_s = 0
            if stream_type == "status":
                self.status = data
            else:
                self.requests += 1
                symbol = data["symbol"]
                self.publish("depth_snapshot", symbol, "", stream="/fapi/v1/depth", event=self.snapshot)


def main() -> None:
    """Print one line of numbers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--symbols", type=int, default=50)
    parser.add_argument("--rate", type=float, default=1000, help="updates a second of all symbols together")
    parser.add_argument("--seconds", type=float, default=60)
    given = parser.parse_args()
    symbols = [f"S{number:03}USDT" for number in range(given.symbols)]
    with tempfile.TemporaryDirectory(prefix="bs-") as place:
        path = Path(place) / "streamer.yaml"
        path.write_text(yaml.safe_dump({
            "mode": "development",
            "modes": {"development": {"symbols": [{"symbol": name, "streams": ["depth@0ms"]} for name in symbols]}},
            "storage": {"output_directory": "data", "journal_directory": "journal"},
            "logging": {"file": "log/{process}.log"}, "endpoints": {"run_directory": "run"},
        }))  # fmt: skip
        programs = [
            subprocess.Popen(
                [sys.executable, "-m", f"services.{name}", "-c", path], cwd=ROOT, stderr=subprocess.DEVNULL
            )
            for name in ("bus", "orderbook")
        ]
        try:
            print(measured(Feeder(configuration.load(path), symbols), given.rate, given.seconds))
        finally:
            for program in programs:
                program.terminate()
                program.wait()


def measured(feeder: Feeder, rate: float, seconds: float) -> str:
    """Feed, and compare the first status with the last."""
    while not feeder.status:
        feeder.hear(0.5)
    began_s = time.monotonic()
    while waiting := feeder.not_valid():
        for symbol in waiting:
            feeder.depth(symbol, 0)
        told_s = time.monotonic() + 1  # again for those to which the subscription came too late
        while feeder.status["valid"] < len(feeder.symbols) and time.monotonic() < told_s:
            feeder.hear(0.1)
    valid_s = time.monotonic() - began_s
    first, start_s, sent = feeder.status, time.monotonic(), 0
    total = int(min(rate * seconds, (len(feeder.events) - 1) * len(feeder.symbols)))
    while sent < total:
        due = min(total, int((time.monotonic() - start_s) * rate))
        for number in range(sent, due):
            feeder.depth(feeder.symbols[number % len(feeder.symbols)], 1 + number // len(feeder.symbols))
        sent = due
        feeder.hear(0.002)
    time.sleep(1.5)
    feeder.hear(1.5)
    last = feeder.status
    updates = last["updates"] - first["updates"]
    cpu_s = last["cpu_s"] - first["cpu_s"]
    elapsed_s = (last["recv_ns"] - first["recv_ns"]) / 1e9
    levels = [sum(book["levels"]) for book in last["books"].values()]
    return (
        f"{len(feeder.symbols)} symbols: all valid {valid_s:.1f} s after the first update; {updates} updates in "
        f"{elapsed_s:.0f} s: {cpu_s / updates * 1e6:.1f} us of CPU each, {cpu_s / elapsed_s:.1%} of a core; "
        f"{last['rss_bytes'] / 1e6:.1f} MB resident, {sum(levels) // len(levels)} levels a book; "
        f"{last['missed']} missed, {last['resyncs']} resyncs, {feeder.requests} requests"
    )


if __name__ == "__main__":
    main()
