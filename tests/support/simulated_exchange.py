"""The simulator as a process, with clients and a commander, as the tests of its own need them."""

import json
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import requests
import websocket

from binance_streamer.config.schema import NetworkConfig
from tests.support.processes import Simulator
from tests.support.tape import read_tape

DEADLINE_S = 60.0
Start = Callable[..., "SimulatedExchange"]


class TapeLine(NamedTuple):
    copies: int
    stream: str
    frame: str

    @property
    def data(self) -> dict[str, Any]:
        data: dict[str, Any] = json.loads(self.frame)["data"]
        return data


class SimulatedExchange(Simulator):
    def __init__(self, directory: Path, *arguments: str | Path) -> None:
        super().__init__(directory, *arguments)
        self._clients: list[websocket.WebSocket] = []

    @property
    def network(self) -> NetworkConfig:
        """The section `network` of a configuration that leads here."""
        return msgspec.convert(self.urls, NetworkConfig)

    def get(self, target: str, timeout_s: float = DEADLINE_S) -> requests.Response:
        return requests.get(
            f"http://127.0.0.1:{self.port}{target}", timeout=timeout_s, headers={"Connection": "close"}
        )  # fmt: skip

    def connect(self, target: str, timeout_s: float = DEADLINE_S) -> websocket.WebSocket:
        url = f"ws://127.0.0.1:{self.port}{target}"
        client = websocket.create_connection(url, timeout=timeout_s, skip_utf8_validation=True)
        self._clients.append(client)
        return client

    def public(self, *names: str) -> websocket.WebSocket:
        return self.connect(f"/public/stream?streams={'/'.join(names)}")

    def market(self, *names: str) -> websocket.WebSocket:
        return self.connect(f"/market/stream?streams={'/'.join(names)}")

    def ask(self, command: str) -> str:
        """The whole answer to a command, `ack …` or `nack …`."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(DEADLINE_S)
            connection.connect(str(self.control))
            connection.sendall(f"{command}\n".encode())
            with connection.makefile(encoding="utf-8") as answers:
                return answers.readline().rstrip("\n")

    def finish(self) -> None:
        """Ends it as a user would; afterwards the tape is complete."""
        for client in self._clients:
            client.shutdown()  # type: ignore[no-untyped-call]
        self._clients.clear()
        if self.exit_code is None:
            assert self.stop() == 0

    def lines(self, stream: str | None = None) -> list[TapeLine]:
        """The tape of one stream, or of all."""
        return [
            TapeLine(sent.copies, sent.stream, f'{{"stream":"{sent.stream}","data":{sent.event.decode()}}}')
            for sent in read_tape(self.tape)
            if stream in (None, sent.stream)
        ]

    def noise(self) -> list[tuple[str, int, str]]:
        """Stream, length, beginning."""
        lines = (self.tape / "noise.txt").read_text().splitlines()
        found = [line.split(" ", 3) for line in lines]
        return [(stream, int(length), json.loads(start)) for _, stream, length, start in found]


def read_until(client: websocket.WebSocket, is_last: Callable[[str], bool]) -> list[str]:
    """Frames up to and with one that is the last."""
    frames: list[str] = []
    until_s = time.monotonic() + DEADLINE_S
    while not frames or not is_last(frames[-1]):
        assert time.monotonic() < until_s, f"only {len(frames)} frames"
        frames.append(str(client.recv()))
    return frames


def read(client: websocket.WebSocket, count: int) -> list[str]:
    return [str(client.recv()) for _ in range(count)]


def read_all(client: websocket.WebSocket, quiet_s: float = 0.5) -> list[str]:
    """Return the messages until none comes for a while: for a market that is paused, or a stream that is silent."""
    client.settimeout(quiet_s)
    frames: list[str] = []
    try:
        while True:
            frames.append(str(client.recv()))
    except websocket.WebSocketTimeoutException:
        client.settimeout(DEADLINE_S)
        return frames
