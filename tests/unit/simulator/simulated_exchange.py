"""Starts the simulator as a process of its own, and talks to it as its clients and commanders do."""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import requests
import websocket

DEADLINE_S = 30.0


class TapeLine(NamedTuple):
    copies: int
    stream: str
    frame: str

    @property
    def data(self) -> dict[str, Any]:
        data: dict[str, Any] = json.loads(self.frame)["data"]
        return data


class SimulatedExchange:
    def __init__(self, directory: Path, *arguments: str) -> None:
        self.tape_directory = directory / "tape"
        control = directory / "control"
        command = [sys.executable, "-m", "simulator", "--tape", str(self.tape_directory), "--control", str(control)]
        self.process = subprocess.Popen([*command, *arguments], stdout=subprocess.PIPE, text=True)
        self.port = int(self.line().removeprefix("listening "))
        self._control = socket.socket(socket.AF_UNIX)
        self._control.settimeout(DEADLINE_S)
        self._control.connect(str(control))
        self._answers = self._control.makefile("r", encoding="utf-8")
        self._clients: list[websocket.WebSocket] = []

    def line(self) -> str:
        """The next line on its stdout."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().rstrip("\n")

    def ask(self, command: str) -> str:
        """The answer to a command, `ack …` or `nack …`."""
        self._control.sendall(f"{command}\n".encode())
        return self._answers.readline().rstrip("\n")

    def command(self, command: str) -> str:
        """What is said after `ack`."""
        answer = self.ask(command)
        assert answer.startswith("ack"), answer
        return answer.removeprefix("ack").strip()

    def stats(self) -> dict[str, Any]:
        stats: dict[str, Any] = json.loads(self.command("stats"))
        return stats

    def get(self, target: str, timeout_s: float = DEADLINE_S) -> requests.Response:
        return requests.get(
            f"http://127.0.0.1:{self.port}{target}", timeout=timeout_s, headers={"Connection": "close"}
        )  # fmt: skip

    def connect(self, target: str, timeout_s: float = DEADLINE_S) -> websocket.WebSocket:
        client = websocket.create_connection(f"ws://127.0.0.1:{self.port}{target}", timeout=timeout_s)
        self._clients.append(client)
        return client

    def public(self, *names: str) -> websocket.WebSocket:
        return self.connect(f"/public/stream?streams={'/'.join(names)}")

    def market(self, *names: str) -> websocket.WebSocket:
        return self.connect(f"/market/stream?streams={'/'.join(names)}")

    def stop(self) -> None:
        """Ends it as a user would; afterwards the tape is complete."""
        for client in self._clients:
            client.shutdown()  # type: ignore[no-untyped-call]
        self._answers.close()
        self._control.close()
        if self.process.poll() is None:
            self.process.terminate()
        try:
            assert self.process.wait(DEADLINE_S) == 0
        finally:
            self.process.kill()
            assert self.process.stdout is not None
            self.process.stdout.close()

    def tape(self, stream: str | None = None) -> list[TapeLine]:
        """The lines of one stream, or all."""
        lines = []
        for line in (self.tape_directory / "tape.txt").read_text(encoding="utf-8").splitlines():
            _, copies, frame = line.split(" ", 2)
            lines.append(TapeLine(int(copies), json.loads(frame)["stream"], frame))
        return [line for line in lines if stream in (None, line.stream)]

    def noise(self) -> list[tuple[str, int, str]]:
        """Stream, length, beginning."""
        lines = (self.tape_directory / "noise.txt").read_text().splitlines()
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
    """What comes until nothing comes for a while: for a market that is paused, or a stream that is silent."""
    client.settimeout(quiet_s)
    frames: list[str] = []
    try:
        while True:
            frames.append(str(client.recv()))
    except websocket.WebSocketTimeoutException:
        client.settimeout(DEADLINE_S)
        return frames


def eventually(is_so: Callable[[], bool]) -> None:
    until_s = time.monotonic() + DEADLINE_S
    while not is_so():
        assert time.monotonic() < until_s
        time.sleep(0.02)
