"""Recorders that one would write with other libraries, for comparison: each takes the same messages into one text file.

    python -m benchmarks.peers websockets --url ws://127.0.0.1:9000/… --stream bookTicker --count 1000 --output rows

None keeps a guarantee: no journal, no fsync, no second connection, nothing checked but that a message is JSON. Each
prints its CPU seconds (user + system of all its threads) between the first connection and the last row. The libraries
come with `./run --group peers`.
"""

import argparse
import asyncio
import csv
import json
import time
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

KEYS = {
    "depth@0ms": ("U", "u", "pu", "T", "E", "b", "a"),
    "bookTicker": ("u", "b", "B", "a", "A", "T", "E"),
    "aggTrade": ("a", "p", "q", "f", "l", "T", "m", "E"),
}
"""By stream: the columns of a row."""


class Rows:
    """A file that rows of one stream are appended to, with the stamp of their receipt."""

    def __init__(self, stream: str, output: Path) -> None:
        self._keys = KEYS[stream]
        self._levels = ("b", "a") if stream == "depth@0ms" else ()
        self._file = output.open("w", newline="")
        self._writer = csv.writer(self._file)
        self._writer.writerow([*self._keys, "recv_ns", "epoch", "seq", "source", "extra"])
        self._epoch = time.time_ns()
        self.count = 0

    def add(self, data: dict[str, Any], recv_ns: int) -> None:
        """Append the data of a message, as a CSV row of the recorder's columns."""
        self.count += 1
        for key in self._levels:
            data[key] = "[" + ",".join(f"[{price},{quantity}]" for price, quantity in data[key]) + "]"
        self._writer.writerow([*[data[key] for key in self._keys], recv_ns, self._epoch, self.count, "ws", ""])

    def add_text(self, text: bytes, recv_ns: int) -> None:
        """Append the message as it came, as one line of text."""
        self.count += 1
        self._file.write(f"{recv_ns} {text.decode()}\n")

    def close(self) -> None:
        """Write what is buffered."""
        self._file.close()


def plain(url: str, rows: Rows, count: int) -> float:
    """websocket-client's `recv` with its UTF-8 check switched off, `json.loads`, `csv.writer`."""
    connection = import_module("websocket").create_connection(url, skip_utf8_validation=True)
    started_s = time.process_time()
    while rows.count < count:
        text = connection.recv()
        recv_ns = time.time_ns()
        rows.add(json.loads(text)["data"], recv_ns)
    used_s = time.process_time() - started_s
    connection.close()
    return used_s


def websockets(url: str, rows: Rows, count: int) -> float:
    """`websockets` with asyncio, `json.loads`, `csv.writer`."""
    connect: Any = import_module("websockets.asyncio.client").connect

    async def record() -> float:
        async with connect(url, compression=None, max_size=None) as connection:
            started_s = time.process_time()
            while rows.count < count:
                text = await connection.recv()
                recv_ns = time.time_ns()
                rows.add(json.loads(text)["data"], recv_ns)
            return time.process_time() - started_s

    return asyncio.run(record())


def aiohttp(url: str, rows: Rows, count: int) -> float:
    """`aiohttp`, `orjson`, `csv.writer`."""
    library: Any = import_module("aiohttp")
    loads: Any = import_module("orjson").loads

    async def record() -> float:
        async with library.ClientSession() as session, session.ws_connect(url, max_msg_size=0) as connection:
            started_s = time.process_time()
            while rows.count < count:
                text = await connection.receive_str()
                recv_ns = time.time_ns()
                rows.add(loads(text)["data"], recv_ns)
            return time.process_time() - started_s

    return asyncio.run(record())


def picows(url: str, rows: Rows, count: int) -> float:
    """`picows`, `orjson`, the message as one line of text: the cheapest loop of Python that was found."""
    library: Any = import_module("picows")
    loads: Any = import_module("orjson").loads
    done = asyncio.Event()

    class Listener(library.WSListener):  # type: ignore[misc]  # its base is Any
        def on_ws_frame(self, transport: Any, frame: Any) -> None:
            recv_ns = time.time_ns()
            text = frame.get_payload_as_bytes()
            loads(text)
            rows.add_text(text, recv_ns)
            if rows.count >= count:
                done.set()
                transport.disconnect()

    async def record() -> float:
        await library.ws_connect(Listener, url)
        started_s = time.process_time()
        await done.wait()
        return time.process_time() - started_s

    return asyncio.run(record())


class Peer(NamedTuple):
    """Another recorder: what runs it, and the modules that have to be installed."""

    run: Callable[[str, Rows, int], float]
    modules: tuple[str, ...]


PEERS = {
    "plain": Peer(plain, ("websocket",)),
    "websockets": Peer(websockets, ("websockets",)),
    "aiohttp": Peer(aiohttp, ("aiohttp", "orjson")),
    "picows": Peer(picows, ("picows", "orjson")),
}


def installed() -> tuple[list[str], list[str]]:
    """Return the peers that can run here, and those whose libraries are missing."""
    runs = [name for name, peer in PEERS.items() if all(map(find_spec, peer.modules))]
    return runs, [name for name in PEERS if name not in runs]


def main() -> None:
    """Run one peer."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("peer", choices=PEERS)
    parser.add_argument("--url", required=True)
    parser.add_argument("--stream", choices=KEYS, required=True)
    parser.add_argument("--count", type=int, required=True, help="messages until it ends")
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    rows = Rows(options.stream, options.output)
    used_s = PEERS[options.peer].run(options.url, rows, options.count)
    before_s = time.process_time()
    rows.close()
    print(used_s + time.process_time() - before_s, flush=True)


if __name__ == "__main__":
    main()
