"""Measures what ingest and writer would cost if they did nothing but what the contract makes unavoidable.

    ./run python -m benchmarks.pipeline_floor      # needs the recorded data: $MARKET_DATA or ../shared/data

Two processes of one thread each, beside the real bus and a tap, on the input of pipeline_cpu.py and in alternation with
its plain loop. The first one reads the socket in bulk, splits frames, checks the JSON of each message for its ids,
builds its frame, checksums it, writes the journal, and sends on PUB (each) and PUSH (a batch a read). The second one
receives batches, makes the CSV row of each message without a look at its levels, and writes. Left out: every other
check, fragmentation, continuity, gaps, copies, acks, fdatasync, the ledger, status, day changes, other streams, other
processes' pace. At full speed what ours costs beside it is the price of what is left out. With --rate it is no floor:
it wakes for every message, ours for bunches.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import msgspec
import psutil
import websocket
import zmq
from zlib_ng.zlib_ng import crc32

from benchmarks.feed import ROOT, Server
from benchmarks.pipeline_cpu import Load, round_of_peer
from binance_streamer.transport.sockets import bus_pub, intake_pull, intake_push
from tests.support.addresses import free_port

PREFIX = b'{"stream":"btcusdt@depth@0ms","data":'
TOPIC = b"depth.BTCUSDT.0ms"
BUFFER_BYTES = 256 * 1024  # as ours: of a larger one the messages drop out of the processor's cache
HEAD = b"\x92\xa5depth\x89" + b"h" * 150
"""As long as the fixed part of a real frame."""
CONFIG = """
mode: development
modes: {{development: {{symbols: [{{symbol: BTCUSDT, streams: [depth@0ms]}}]}}}}
storage: {{output_directory: data, journal_directory: journal}}
logging: {{file: "log/{{process}}.log"}}
endpoints: {{run_directory: {run}}}
"""


class Ids(msgspec.Struct):
    u: int
    pu: int


HEAD_OF_UPDATE = re.compile(
    rb'\{"e":"depthUpdate","E":(\d+),"T":(\d+),"s":"BTCUSDT","U":(\d+),"u":(\d+),"pu":(\d+),"b":'
)

QUOTES_BEFORE_BIDS = 20


def ingest(port: int, folder: Path, count: int) -> None:
    context = zmq.Context()
    pub, push = bus_pub(context, f"ipc://{folder}/run/bus.publish"), intake_push(context, f"ipc://{folder}/run/intake")
    url = f"ws://127.0.0.1:{port}/public/stream?streams=btcusdt@depth@0ms"
    sock = websocket.create_connection(url).sock
    assert sock is not None
    journal = os.open(folder / "journal", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    publish = super(zmq.Socket, pub).send  # without pyzmq's wrapper, as ours
    topic_flags, frame_flags = int(zmq.SNDMORE | zmq.DONTWAIT), int(zmq.DONTWAIT)
    ids_of = msgspec.json.Decoder(Ids).decode
    buffer = bytearray(BUFFER_BYTES)
    view = memoryview(buffer)
    end = seq = last_id = 0
    sock.settimeout(None)
    while seq < count:
        end += sock.recv_into(view[end:])
        stamp_ns = time.time_ns()
        at = 0
        batch: list[bytes] = []
        records: list[bytes] = []
        while end - at >= 4:
            size, begin = buffer[at + 1], at + 2
            if size == 126:
                size, begin = buffer[at + 2] << 8 | buffer[at + 3], at + 4
            if begin + size > end:
                break
            event = bytes(view[begin + len(PREFIX) : begin + size - 1])
            at = begin + size
            found = ids_of(event)
            assert found.pu == last_id or not last_id
            last_id = found.u
            seq += 1
            frame = b"%s%019d%08d\xc5%s%s" % (HEAD, stamp_ns, seq, len(event).to_bytes(2, "big"), event)
            records += (crc32(frame).to_bytes(4, "big"), len(frame).to_bytes(4, "big"), frame)
            batch.append(frame)
            publish(TOPIC, topic_flags)
            publish(frame, frame_flags)
        view[: end - at] = view[at:end]
        end -= at
        if batch:
            os.write(journal, b"".join(records))
            push.send_multipart((b"ingest-BTCUSDT", b"header", b"".join(batch)))
    time.sleep(2)
    print(time.process_time(), flush=True)
    context.destroy(linger=0)


def writer(folder: Path, count: int) -> None:
    context = zmq.Context()
    pull = intake_pull(context, f"ipc://{folder}/run/intake")
    print("ready", flush=True)
    file = os.open(folder / "depth.csv", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    rows, length = 0, len(HEAD)
    while rows < count:
        frames = pull.recv_multipart()[2]
        at, lines = 0, []
        while at < len(frames):
            body = at + length + 30
            size = int.from_bytes(frames[body - 2 : body], "big")
            stamp, seq = frames[at + length : at + length + 19], frames[at + length + 19 : at + length + 27]
            at = body + size
            event = frames[body:at]
            found = HEAD_OF_UPDATE.match(event)
            assert found is not None
            bare = event.translate(None, b'"')
            begin = found.end() - QUOTES_BEFORE_BIDS
            colon = bare.find(b":", begin)
            first, last, previous, transact_time, event_time = found.group(3, 4, 5, 2, 1)
            lines.append(
                b'%s,%s,%s,%s,%s,"%s","%s",%s,1790000000000000001,%s,ws,\n'
                % (
                    first, last, previous, transact_time, event_time,
                    bare[begin : colon - 2], bare[colon + 1 : -1], stamp, seq,
                )
            )  # fmt: skip
        rows += len(lines)
        os.write(file, b"".join(lines))
    print(time.process_time(), flush=True)
    context.destroy(linger=0)


def cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def round_of_floor(server: Server, port: int, count: int, folder: Path) -> tuple[float, float]:
    folder.mkdir()
    config = folder / "streamer.yaml"
    config.write_text(CONFIG.format(run=folder / "run"))
    with ExitStack() as stack:

        def start(*command: str) -> "subprocess.Popen[str]":
            words = [sys.executable, "-m", *command]
            process = stack.enter_context(subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True))
            stack.callback(process.terminate)
            return process

        def seconds(process: "subprocess.Popen[str]") -> float:
            assert process.stdout is not None
            return float(process.stdout.readline())

        start("services.bus", "-c", str(config))
        start("benchmarks.pipeline_cpu", "--tap-at", f"ipc://{folder}/run/bus.subscribe")
        time.sleep(3)
        me = ("benchmarks.pipeline_floor", "--count", str(count), "--folder", str(folder))
        to_files = start(*me, "--part", "writer")
        assert to_files.stdout is not None
        assert to_files.stdout.readline() == "ready\n"
        from_socket = start(*me, "--part", "ingest", "--port", str(port))
        server.expect("connected")
        time.sleep(1)
        begun = [cpu_s(psutil.Process(process.pid)) for process in (from_socket, to_files)]
        server.go()
        server.expect("sent")
        used = [seconds(process) for process in (from_socket, to_files)]
        server.go()
    return used[0] - begun[0], used[1] - begun[1]


def compare(count: int, rounds: int, rate: float) -> None:
    port = free_port()
    load = Load("depth@0ms", count, rate)
    server = Server(port, load.stream, count=count, rate=rate)
    pace = f"{rate:.0f} messages a second" if rate else "as fast as they are taken"
    print(f"{count} depth messages, {pace}; {os.cpu_count()} cores, Python {sys.version.split()[0]}")
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        for number in range(rounds):
            plain_s = round_of_peer("plain", server, port, load, Path(folder))
            first_s, second_s = round_of_floor(server, port, count, Path(folder) / str(number))
            each = [seconds / count * 1e6 for seconds in (plain_s, first_s, second_s)]
            print(
                f"round {number + 1}: plain={each[0]:.1f} ingest={each[1]:.1f} writer={each[2]:.1f} µs a message; "
                f"ratio {(first_s + second_s) / plain_s:.3f}",
                flush=True,
            )
    server.process.terminate()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rate", type=float, default=0.0)
    parser.add_argument("--count", type=int, default=26_204)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--part", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part == "ingest":
        ingest(options.port, options.folder, options.count)
    elif options.part == "writer":
        writer(options.folder, options.count)
    else:
        compare(options.count, options.rounds, options.rate)


if __name__ == "__main__":
    main()
