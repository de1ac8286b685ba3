"""The demo of `docker-compose.yml` as a test runs it: under a name, on ports and in an image of its own."""

import json
import os
import re
import signal
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from binance_streamer.client.tap import Tap
from binance_streamer.config import schema as configuration
from binance_streamer.exchange.stream_types import file_stem
from binance_streamer.exchange.streams import stream_from_name
from tests.support.data import REPOSITORY
from tests.support.engine import Engine
from tests.support.waiting import eventually

PATIENCE_S = 240.0
_LABEL = "com.docker.compose"
_COMMAND = """
import socket, sys
with socket.socket(socket.AF_UNIX) as connection:
    connection.connect("/tmp/control.sock")
    connection.sendall(sys.argv[1].encode() + b"\\n")
    print(connection.makefile().readline().strip())
"""


class Stack:
    """All services of the profile `demo`; nothing of them is left at the end of the `with` block.

    `folder` has `docker-compose.yml` and `config/`: the checkout's, or others.
    """

    def __init__(self, engine: Engine, folder: Path = REPOSITORY) -> None:
        self.engine = engine
        self.folder = folder
        self.image = f"localhost/binance-streamer-test:{os.getpid()}"
        self.project = f"bstest{os.getpid()}"
        self.tap_port, page_port = free_port(), free_port()
        self._variables = {
            "DEMO_TAP_PORT": str(self.tap_port),
            "DEMO_PAGE_PORT": str(page_port),
            "HEALTH_INTERVAL": "5s",
        }
        self.page = f"http://127.0.0.1:{page_port}"
        self.symbols = configuration.load(folder / "config" / "demo.yaml").symbols

    def compose(self, *arguments: str) -> str:
        """`docker compose --profile demo …`."""
        variables = {**self._variables, "STREAMER_IMAGE": self.image}
        file = self.folder / "docker-compose.yml"
        return self.engine.compose(self.project, variables, "--profile", "demo", *arguments, file=file)

    def containers(self) -> dict[str, dict[str, Any]]:
        """What docker knows of each service."""
        names = self.engine.docker("ps", "--all", "--quiet", "--filter", f"label={_LABEL}.project={self.project}")
        found = self.engine.inspect(*names.split()) if names.split() else []
        return {container["Config"]["Labels"][f"{_LABEL}.service"]: container for container in found}

    def execute(self, service: str, *command: str) -> tuple[int, str]:
        """A command inside a container: its exit code and its stdout."""
        name = self.containers()[service]["Id"]
        try:
            return 0, self.engine.docker("exec", name, *command)
        except AssertionError as error:
            code = re.search(r": (\d+)\n", str(error))
            return int(code[1]) if code else -1, str(error)

    def wait_healthy(self) -> None:
        """Until docker's own health checks say so of every service."""

        def healthy() -> bool:
            states = {name: found["State"] for name, found in self.containers().items()}
            return bool(states) and all(state["Health"]["Status"] == "healthy" for state in states.values())

        try:
            eventually(healthy, PATIENCE_S, every_s=1)
        except AssertionError:
            raise AssertionError(f"not healthy within {PATIENCE_S:.0f} s:\n{self.told()}") from None

    def told(self) -> str:
        """State, last health check and last log lines of every container that is not well."""
        texts = []
        for name, found in self.containers().items():
            state = found["State"]
            if state["Status"] != "running" or state["Health"]["Status"] != "healthy":
                checks = [check["Output"] for check in state["Health"]["Log"][-1:]]
                logs = self.engine.docker("logs", "--tail", "5", found["Id"])
                texts.append(f"{name}: {state['Status']} {state['ExitCode']} {checks} {logs}")
        return "\n".join(texts)

    def kill(self, service: str) -> int:
        """SIGKILL to a container's first process, as a crash is: `docker kill` would count as a stop. Its number."""
        pid = int(self.containers()[service]["State"]["Pid"])
        os.kill(pid, signal.SIGKILL)
        return pid

    def simulate(self, command: str) -> str:
        """A command to the simulator; what stands behind `ack`."""
        code, answer = self.execute("simulator", "python", "-c", _COMMAND, command)
        word, _, text = answer.strip().partition(" ")
        assert (code, word) == (0, "ack"), answer
        return text

    def tap(self, *topics: str) -> Tap:
        """From this machine, through the published port."""
        return Tap(f"tcp://127.0.0.1:{self.tap_port}", topics)

    def status(self, process: str, found: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
        """The first status message of a process that is as wanted, and younger than the call."""
        asked_ns = time.time_ns()
        with self.tap(f"status.{process}.") as tap:
            end_s = time.monotonic() + PATIENCE_S
            data: dict[str, Any] = {}
            while time.monotonic() < end_s:
                message = tap.receive(1)
                if message is not None and message.data["recv_ns"] > asked_ns:
                    data = message.data
                    if found(data):
                        return data
        raise AssertionError(f"{process} does not say what was expected; at last it said {data}")

    def wait_health(self, status: int) -> str:
        """Until the monitor answers so to `/healthz`, through the published port; the text of its answer."""
        end_s = time.monotonic() + PATIENCE_S
        while (answer := self._health())[0] != status and time.monotonic() < end_s:
            time.sleep(1)
        assert answer[0] == status, answer
        return answer[1]

    def _health(self) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"{self.page}/healthz", timeout=20) as answer:
                return int(answer.status), answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except OSError as error:
            return 0, str(error)

    def wait_recorded(self) -> None:
        """Until the files end with what was sent last; to be called while the market stands still."""
        eventually(lambda: self._ends_of_tape() and not self._missing_ends(), PATIENCE_S, every_s=1)

    def _missing_ends(self) -> dict[str, str]:
        script = "cd demo/data && for file in */*.csv; do echo == $file; grep -v ,rest, $file | tail -n 1; done"
        code, text = self.execute("demo-writer", "sh", "-c", script)
        assert code == 0, text
        ends = dict(re.findall(r"^== \S+/(\S+)_\d{8}\.csv\n(.*)$", text, re.M))
        return {name: time_ms for name, time_ms in self._ends_of_tape().items() if time_ms not in ends.get(name, "")}

    def _ends_of_tape(self) -> dict[str, str]:
        """By file name: the event time of the last message that somebody was handed."""
        code, text = self.execute("simulator", "tail", "-n", "3000", "demo/tape/tape.txt")
        assert code == 0, text[-500:]
        found = {}
        for line in text.splitlines():
            _, copies, frame = line.split(" ", 2)
            if copies != "0":
                message = json.loads(frame)
                stream = stream_from_name(message["stream"])
                found[f"{file_stem(stream.stream_type, stream.variant)}_{stream.symbol}"] = str(message["data"]["E"])
        return found

    def fetch(self, place: Path) -> Path:
        """The demo's volume, and its configurations, as the containers see them; returns the configuration."""
        self.engine.docker("cp", f"{self.containers()['demo-writer']['Id']}:/app/demo", place / "demo")
        (place / "config").mkdir()
        for path in (self.folder / "config").glob("*.yaml"):
            (place / "config" / path.name).write_bytes(path.read_bytes())
        return place / "config" / "demo.yaml"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.compose("down", "--volumes", "--timeout", "5")
        self.engine.docker("image", "rm", "--force", self.image)


def exit_codes(containers: dict[str, dict[str, Any]], names: Sequence[str]) -> dict[str, int]:
    """Of containers that have ended."""
    return {name: containers[name]["State"]["ExitCode"] for name in names}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
