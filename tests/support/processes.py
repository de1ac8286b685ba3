"""The system as real processes: the simulator, the services, and whatever else a test starts and may kill."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.support.data import REPOSITORY
from tests.support.waiting import eventually


class Program:
    """A process that ends with the `with` block; its stdout and stderr go to `output`."""

    def __init__(
        self, command: Sequence[str | Path], output: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        self.output = output
        with output.open("ab") as file:
            self._process = subprocess.Popen(
                [str(word) for word in command],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                env={**os.environ, "PYTHONUNBUFFERED": "1", **(environment or {})},
                cwd=REPOSITORY,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._process.poll()

    def text(self) -> str:
        """Return the output so far."""
        return self.output.read_text(encoding="utf-8", errors="replace")

    def send(self, number: int) -> None:
        """A signal to this one process."""
        self._process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        self._process.kill()
        self._process.wait()

    def stop(self, deadline_s: float = 60) -> int:
        """SIGTERM, and wait; returns the exit code."""
        self._process.terminate()
        return self.wait(deadline_s)

    def wait(self, deadline_s: float = 60) -> int:
        """The exit code, once it has ended by itself."""
        try:
            return self._process.wait(deadline_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {deadline_s:.0f} s:\n{self.text()[-4000:]}") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        if self.exit_code is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
            self._process.wait()


class Simulator(Program):
    """The fake Binance with a tape and a control socket; `directory` must be short enough for a unix socket."""

    def __init__(self, directory: Path, *arguments: str | Path) -> None:
        self.tape = directory / "tape"
        self.control = directory / "control.sock"
        command = [sys.executable, "-m", "simulator", "--tape", self.tape, "--control", self.control, *arguments]
        super().__init__(command, directory / "simulator.out")
        self.port = eventually(self._listening, what="the simulator listens")

    def _listening(self) -> int | None:
        assert self.exit_code is None, f"the simulator ended:\n{self.text()}"
        found = re.search(r"^listening (\d+)$", self.text(), re.MULTILINE)
        return int(found[1]) if found else None

    @property
    def urls(self) -> dict[str, str]:
        """For the `network` section of a configuration."""
        return {
            "websocket_url": f"ws://127.0.0.1:{self.port}",
            "rest_url": f"http://127.0.0.1:{self.port}",
        }

    def command(self, line: str) -> str:
        """One line to the control socket; returns what stands behind `ack`."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(60)
            connection.connect(str(self.control))
            with connection.makefile("rw", encoding="utf-8") as lines:
                lines.write(line + "\n")
                lines.flush()
                word, _, answer = lines.readline().rstrip("\n").partition(" ")
        assert word == "ack", f"{line}: {word} {answer}"
        return answer

    def stats(self) -> dict[str, Any]:
        """Return the counts of the simulator."""
        values: dict[str, Any] = json.loads(self.command("stats"))
        return values


def service(
    name: str, config: Path, *arguments: str, output: Path, environment: Mapping[str, str] | None = None
) -> Program:
    """`python -m services.<name> -c CONFIG …`."""
    return Program([sys.executable, "-m", f"services.{name}", "-c", config, *arguments], output, environment)


def command_line(*arguments: str | Path, output: Path, environment: Mapping[str, str] | None = None) -> Program:
    """`binance-streamer …`."""
    return Program([sys.executable, "-m", "binance_streamer", *arguments], output, environment)


def alive(pid: int) -> bool:
    """Return True if a process runs; one that has ended and is not yet reaped does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state not in "ZX"


def kill_all_of(folder: Path) -> list[int]:
    """Kill every process that names this folder in its command line, or works in it; return their numbers, once they
    are gone.

    A process group would not do: supervisord leaves that of its starter, and gives each of its programs one.
    """
    killed: set[int] = set()

    def gone() -> bool:
        left = _pids_of(folder)
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        killed.update(left)
        return not left

    eventually(gone, 60, what=f"no process of {folder} runs")
    return sorted(killed)


def _pids_of(folder: Path) -> list[int]:
    """Return the processes that run, but this one, which name the folder or work in it."""
    pids = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal() or int(entry.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            working = (entry / "cwd").readlink()
            if os.fsencode(folder) in (entry / "cmdline").read_bytes() or working.is_relative_to(folder):
                pids.append(int(entry.name))
    return pids


def resident_bytes(pid: int) -> int:
    """Return the resident memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
