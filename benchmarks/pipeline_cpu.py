"""CPU of ingest and writer against a plain loop, on the same messages, in alternating rounds of one run.

    ./run python benchmarks/pipeline_cpu.py            # needs the recorded data: $MARKET_DATA or ../shared/data

Input: the BTCUSDT depth@0ms messages of usdm-btceth-20240808, repeated with ids and times that go on. A server blasts
them as prebuilt websocket frames, as fast as they are taken (or --rate messages a second). The plain loop is what one
would write first: websocket-client's `recv` with its UTF-8 check switched off, `json.loads`, `csv.writer` into one
buffered file, the same columns. Ours are the real processes with their default settings: journal, fdatasync, push,
acks, CSV, SQLite, publishing to the bus, and one tap of all topics. CPU is user + system of all threads, from /proc,
between the first message and the last durable row; of ours also by main thread, ZeroMQ's and the others (in ingest that
reads the socket, in both that waits for the disk).
"""

import argparse
import base64
import csv
import gzip
import hashlib
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import psutil
import websocket
import zmq

from binance_streamer.transport.sockets import bus_sub
from binance_streamer.wire.frames import decode_frame

ROOT = Path(__file__).resolve().parents[1]
HANDSHAKE_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
COLUMNS = [
    "first_update_id",
    "final_update_id",
    "prev_final_update_id",
    "transact_time",
    "event_time",
    "bids",
    "asks",
    "recv_ns",
    "epoch",
    "seq",
    "source",
    "extra",
]
IDS = re.compile(rb'"(E|T|U|u|pu)":(\d+)')

CONFIG = """
mode: development
modes:
  development:
    symbols:
      - symbol: BTCUSDT
        streams: [depth@0ms]
        depth_snapshot: false
network: {{websocket_url: "ws://127.0.0.1:{port}", rest_url: "http://127.0.0.1:1", connections: 1}}
storage: {{output_directory: data, journal_directory: journal}}
logging: {{file: "log/{{process}}.log"}}
endpoints: {{run_directory: run}}
"""


def messages(repeats: int) -> list[bytes]:
    """Combined frames; each repetition's ids and times begin where the one before it ended."""
    folder = Path(os.environ.get("MARKET_DATA", ROOT.parent / "shared" / "data")) / "usdm-btceth-20240808"
    with gzip.open(folder / "capture.gz", "rb") as file:
        lines = (line.rstrip(b"\n").partition(b" ")[2] for line in file)
        found = [line for line in lines if line.startswith(b'{"stream":"btcusdt@depth@0ms"')]
    first, last = (dict(IDS.findall(frame)) for frame in (found[0], found[-1]))
    id_step = int(last[b"u"]) - int(first[b"pu"])
    time_step = int(last[b"E"]) - int(first[b"E"]) + 1

    def moved(frame: bytes, times: int) -> bytes:
        def number(match: re.Match[bytes]) -> bytes:
            step = time_step if match[1] in b"ET" else id_step
            return b'"%s":%d' % (match[1], int(match[2]) + step * times)

        return IDS.sub(number, frame)

    return [moved(frame, times) for times in range(repeats) for frame in found]


def frame_of(payload: bytes) -> bytes:
    size = len(payload)
    if size < 126:
        return bytes((0x81, size)) + payload
    if size < 65536:
        return b"\x81\x7e" + size.to_bytes(2, "big") + payload
    return b"\x81\x7f" + size.to_bytes(8, "big") + payload


def serve(port: int, repeats: int, rate: float) -> None:
    """For every connection on /public: all messages, once a line comes in on stdin. In a process of its own."""
    frames = [frame_of(message) for message in messages(repeats)]
    with socket.create_server(("127.0.0.1", port)) as server:
        print("ready", flush=True)
        while True:
            peer, _ = server.accept()
            head = b""
            while b"\r\n\r\n" not in head:
                head += peer.recv(4096)
            key = re.search(rb"Sec-WebSocket-Key: (\S+)", head, re.IGNORECASE)
            assert key is not None
            accept = base64.b64encode(hashlib.sha1(key[1] + HANDSHAKE_GUID.encode()).digest())
            peer.sendall(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
            )
            print("connected", flush=True)
            sys.stdin.readline()
            send(peer, frames, rate)
            print("sent", flush=True)
            sys.stdin.readline()
            peer.close()


def send(peer: socket.socket, frames: list[bytes], rate: float) -> None:
    if not rate:
        for at in range(0, len(frames), 64):
            peer.sendall(b"".join(frames[at : at + 64]))
        return
    started_s = time.monotonic()
    for number, frame in enumerate(frames):
        ahead_s = started_s + number / rate - time.monotonic()
        if ahead_s > 0:
            time.sleep(ahead_s)
        peer.sendall(frame)


def plain_loop(port: int, count: int, output: Path) -> None:
    """The recorder that one would write first; prints its CPU seconds."""
    connection = websocket.create_connection(
        f"ws://127.0.0.1:{port}/public/stream?streams=btcusdt@depth@0ms", skip_utf8_validation=True
    )
    epoch = time.time_ns()
    with output.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        started_s = time.process_time()
        for seq in range(1, count + 1):
            text = connection.recv()
            recv_ns = time.time_ns()
            data = json.loads(text)["data"]
            bids = "[" + ",".join(f"[{price},{quantity}]" for price, quantity in data["b"]) + "]"
            asks = "[" + ",".join(f"[{price},{quantity}]" for price, quantity in data["a"]) + "]"
            writer.writerow(
                [data["U"], data["u"], data["pu"], data["T"], data["E"], bids, asks, recv_ns, epoch, seq, "ws", ""]
            )
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


class Server:
    def __init__(self, port: int, repeats: int, rate: float) -> None:
        command = [sys.executable, __file__, "--serve", str(port), "--repeats", str(repeats), "--rate", str(rate)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.expect("ready")

    def expect(self, word: str) -> None:
        assert self.process.stdout is not None
        line = self.process.stdout.readline().strip()
        assert line == word, f"server said {line!r}, expected {word!r}"

    def go(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()


def round_of_plain(server: Server, port: int, count: int, directory: Path) -> float:
    output = directory / "plain.csv"
    command = [sys.executable, __file__, "--plain", str(port), "--count", str(count), "--output", str(output)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as loop:
        server.expect("connected")
        server.go()
        server.expect("sent")
        assert loop.stdout is not None
        seconds = float(loop.stdout.readline())
        server.go()
        assert loop.wait() == 0
    return seconds


def round_of_ours(server: Server, port: int, count: int, directory: Path) -> dict[str, dict[str, float]]:
    """CPU seconds by process and kind of thread."""
    directory.mkdir()
    config = directory / "streamer.yaml"
    config.write_text(CONFIG.format(port=port))
    with ExitStack() as stack:

        def start(*words: str) -> psutil.Process:
            command = [sys.executable, "-m", *words, "-c", str(config)]
            process = stack.enter_context(subprocess.Popen(command, cwd=ROOT))
            stack.callback(process.terminate)
            return psutil.Process(process.pid)

        processes = {"bus": start("services.bus"), "writer": start("services.writer")}
        tap = stack.enter_context(
            subprocess.Popen([sys.executable, __file__, "--tap", f"ipc://{directory}/run/bus.subscribe"])
        )
        stack.callback(tap.terminate)
        processes["tap"] = psutil.Process(tap.pid)
        time.sleep(3)  # let them settle: their start is not what is measured
        processes["ingest"] = start("services.ingest", "--symbol", "BTCUSDT")
        server.expect("connected")
        time.sleep(2)
        before = {name: thread_times_s(process) for name, process in processes.items()}
        server.go()
        server.expect("sent")
        wait_until_durable(directory / "run", count)
        used = {
            name: {kind: time_s - before[name][kind] for kind, time_s in thread_times_s(process).items()}
            for name, process in processes.items()
        }
        check_rows(directory / "data/BTCUSDT", count)
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


def check_rows(directory: Path, count: int) -> None:
    rows = 0
    for path in directory.glob("depth_BTCUSDT_*.csv"):
        with path.open("rb") as file:
            rows += sum(1 for _ in file) - 1
    gaps = list(directory.glob("gap_*"))
    assert rows == count, f"{rows} rows of {count}, gaps: {gaps}"
    assert not gaps


def tap_everything(endpoint: str) -> None:
    sub = zmq.Context().socket(zmq.SUB)
    sub.connect(endpoint)
    sub.subscribe(b"")
    while True:
        sub.recv_multipart()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def compare(repeats: int, rounds: int, rate: float) -> None:
    count = len(messages(repeats))
    port = free_port()
    server = Server(port, repeats, rate)
    pace = f"{rate:.0f} messages a second" if rate else "as fast as they are taken"
    print(f"{count} depth messages, {pace}, {rounds} rounds; {os.cpu_count()} cores, Python {sys.version.split()[0]}")
    ratios = []
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        for number in range(rounds):
            plain_s = round_of_plain(server, port, count, Path(folder))
            ours = round_of_ours(server, port, count, Path(folder) / str(number))
            ours_s = sum(ours["ingest"].values()) + sum(ours["writer"].values())
            ratios.append(ours_s / plain_s)
            each = " ".join(f"{name}={shown(used_s, count)}" for name, used_s in ours.items())
            print(
                f"round {number + 1}: plain={plain_s / count * 1e6:.1f} {each} µs a message; ratio {ratios[-1]:.3f}",
                flush=True,
            )
    server.process.terminate()
    print(
        f"ingest + writer over plain loop: median {statistics.median(ratios):.3f}, "
        f"worst {max(ratios):.3f} (goal: 0.333)"
    )


def shown(used_s: dict[str, float], count: int) -> str:
    """µs a message, and how they are divided: main thread + ZeroMQ's + others."""
    each = [f"{time_s / count * 1e6:.1f}" for time_s in used_s.values()]
    return f"{sum(used_s.values()) / count * 1e6:.1f} ({' + '.join(each)})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rate", type=float, default=0.0)
    for hidden in ("--serve", "--plain", "--count"):
        parser.add_argument(hidden, type=int, help=argparse.SUPPRESS)
    parser.add_argument("--output", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--tap", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve, options.repeats, options.rate)
    elif options.plain:
        plain_loop(options.plain, options.count, options.output)
    elif options.tap:
        tap_everything(options.tap)
    else:
        compare(options.repeats, options.rounds, options.rate)


if __name__ == "__main__":
    main()
