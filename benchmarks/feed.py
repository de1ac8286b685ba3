"""Recorded messages of one stream as a server sends them: endless, with ids and times that go on, at a given rate.

Input: BTCUSDT of usdm-btceth-20240808 in $MARKET_DATA or ../shared/data. It has no aggTrade: those are made of its
trades, one each, as the exchange spells them since 2025-12-31. The server is a process of its own; frames are built
before the first connection.
"""

import base64
import gzip
import hashlib
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HANDSHAKE_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
SOURCES = {"depth@0ms": "depth@0ms", "bookTicker": "bookTicker", "aggTrade": "trade"}
"""By stream: the stream of the recording that it is made of."""
NUMBERS = re.compile(rb'"(E|T|U|u|pu|t|a|f|l)":(\d+)')
TIMES = (b"E", b"T")
LAST_IDS = (b"u", b"a", b"t")


def messages(stream: str, count: int) -> list[bytes]:
    """Combined frames; where the recording is over it begins again, with ids and times that go on."""
    found = recorded(stream)
    first, last = (dict(NUMBERS.findall(frame)) for frame in (found[0], found[-1]))
    key = next(key for key in LAST_IDS if key in first)
    id_step = int(last[key]) - int(first.get(b"pu", int(first[key]) - 1))
    time_step = int(last[b"E"]) - int(first[b"E"]) + 1

    def moved(frame: bytes, times: int) -> bytes:
        def number(match: re.Match[bytes]) -> bytes:
            step = time_step if match[1] in TIMES else id_step
            return b'"%s":%d' % (match[1], int(match[2]) + step * times)

        return NUMBERS.sub(number, frame)

    endless = (moved(frame, times) for times in range(count) for frame in found)
    return list(islice(endless, count))


def recorded(stream: str) -> list[bytes]:
    """The messages of one stream of BTCUSDT, as they came."""
    folder = Path(os.environ.get("MARKET_DATA", ROOT.parent / "shared" / "data")) / "usdm-btceth-20240808"
    begin = f'{{"stream":"btcusdt@{SOURCES[stream]}"'.encode()
    with gzip.open(folder / "capture.gz", "rb") as file:
        lines = (line.rstrip(b"\n").partition(b" ")[2] for line in file)
        found = [line for line in lines if line.startswith(begin)]
    if stream != "aggTrade":
        return found
    trade = re.compile(rb'.*"E":(\d+),"T":(\d+),.*"t":(\d+),"p":"([^"]+)","q":"([^"]+)",.*"m":(true|false)}}')
    matches = [match for match in map(trade.fullmatch, found) if match is not None]
    return [
        b'{"stream":"btcusdt@aggTrade","data":{"e":"aggTrade","E":%s,"a":%s,"s":"BTCUSDT","p":"%s","q":"%s",'
        b'"nq":"%s","f":%s,"l":%s,"T":%s,"m":%s,"st":1}}'
        % (one[1], one[3], one[4], one[5], one[5], one[3], one[3], one[2], one[6])
        for one in matches
    ]


def frame_of(payload: bytes) -> bytes:
    size = len(payload)
    if size < 126:
        return bytes((0x81, size)) + payload
    if size < 65536:
        return b"\x81\x7e" + size.to_bytes(2, "big") + payload
    return b"\x81\x7f" + size.to_bytes(8, "big") + payload


def serve(port: int, stream: str, count: int, rate: float) -> None:
    """For every connection on /public or /market: all messages, once a line comes in on stdin."""
    frames = [frame_of(message) for message in messages(stream, count)]
    with socket.create_server(("127.0.0.1", port)) as server:
        print("ready", flush=True)
        while True:
            peer, _ = server.accept()
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
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


class Server:
    """The server as its parent knows it: what it says, and when it goes on."""

    def __init__(self, port: int, stream: str, *, count: int, rate: float) -> None:
        words = ["--port", str(port), "--stream", stream, "--count", str(count), "--rate", str(rate)]
        command = [sys.executable, "-m", "benchmarks.feed", *words]
        self.process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.expect("ready")

    def expect(self, word: str) -> None:
        assert self.process.stdout is not None
        line = self.process.stdout.readline().strip()
        assert line == word, f"server said {line!r}, expected {word!r}"

    def go(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()


def main() -> None:
    words = sys.argv[1:]
    options = dict(zip(words[::2], words[1::2], strict=True))
    number: Callable[[str], int] = lambda name: int(options[name])  # noqa: E731
    serve(number("--port"), options["--stream"], number("--count"), float(options["--rate"]))


if __name__ == "__main__":
    main()
