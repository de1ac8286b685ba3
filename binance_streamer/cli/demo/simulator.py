"""The simulator that a demo records: its command line, its port, its one-line commands."""

import json
import re
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from binance_streamer.cli.demo.captures import CapturedStreams, contents
from binance_streamer.cli.errors import CommandError, Exit
from binance_streamer.cli.supervisor.die_with_parent import DIE_WITH_PARENT
from binance_streamer.config.schema import DEFAULT_STREAMS
from binance_streamer.deploy.interpreter import FLAGS, module_command

_LISTEN_S = 30.0
"""Until it has a port; it takes a second or two, on a machine under load much longer."""
_END_S = 5.0
"""Seconds from SIGTERM to SIGKILL at the end of a demo."""
_LEAST_WITH_SPARE = 3
"""Symbols of a market that has one more, which is traded and not recorded."""
_LEAST_WITH_STREAMS = 50
"""Symbols of a market that has no other streams than the recorded ones: these cost ten times as much as they."""
_SYMBOLS = (
    "BTCUSDT",
    "ETHUSDT",
    "SOLUSDT",
    "BNBUSDT",
    "XRPUSDT",
    "DOGEUSDT",
    "ADAUSDT",
    "LINKUSDT",
    "AVAXUSDT",
    "LTCUSDT",
)


class SeededMarket(NamedTuple):
    """A seeded market: `symbols` symbols, `rate` messages a second of all of them together.

    The same seed makes the same market, so that a demo that failed can be repeated.
    """

    symbols: int
    rate: float
    seed: int

    @property
    def spare(self) -> str | None:
        """A symbol that is traded and not recorded, for `apply` to add; None in a small market."""
        return self._names[self.symbols] if self.symbols >= _LEAST_WITH_SPARE else None

    def contents(self) -> CapturedStreams:
        """Return the symbols that are recorded, and their streams."""
        return CapturedStreams(dict.fromkeys(self._names[: self.symbols], DEFAULT_STREAMS), {})

    def arguments(self) -> list[str]:
        """Return the simulator's options; `rate` counts the messages of recorded symbols alone."""
        names = self._names[: self.symbols + (self.spare is not None)]
        rate = self.rate * len(names) / self.symbols
        streams = [] if self.symbols < _LEAST_WITH_STREAMS else ["--streams", ",".join(DEFAULT_STREAMS)]
        return ["--symbols", ",".join(names), "--rate", str(rate), "--seed", str(self.seed), *streams]

    @property
    def _names(self) -> list[str]:
        return [*_SYMBOLS, *(f"SYM{number:03}USDT" for number in range(len(_SYMBOLS), self.symbols + 1))]


class ReplayedMarket(NamedTuple):
    """A recording to be played; `speed` is a factor such as `2`, or `max`: as fast as the recorder reads."""

    capture: Path
    speed: str
    spare: str | None = None

    def contents(self) -> CapturedStreams:
        """Return the symbols and streams of the recording."""
        return contents(self.capture)

    def arguments(self) -> list[str]:
        """Return the simulator's options for the replay."""
        return ["--capture", str(self.capture.absolute()), "--speed", self.speed]


Market = SeededMarket | ReplayedMarket


class ServedMarket(NamedTuple):
    """A recording that is served at this port; 0 is a free one. `speed` is as on the command line."""

    capture: Path
    speed: str
    port: int

    def arguments(self) -> list[str]:
        """Return the simulator's options for serving it."""
        return ["--capture", str(self.capture.absolute()), "--speed", self.speed, "--port", str(self.port)]


class NamedMarket(NamedTuple):
    """A seeded market of these symbols, `rate` messages a second of all of them together."""

    symbols: tuple[str, ...]
    rate: float

    def arguments(self) -> list[str]:
        """Return the simulator's options for this market."""
        return ["--symbols", ",".join(self.symbols), "--rate", str(self.rate)]


class Simulator:
    """The simulator of a demo, a process of ours that lives as long as the `with` block; its tape is the truth.

    supervisord does not know it: started again, it would begin another tape.
    """

    def __init__(self, market: Market | ServedMarket | NamedMarket, tape: Path | None, place: Path) -> None:
        """`tape` is made by it, if there is to be one; `place` is for its control socket and for what it prints."""
        self._control = place / "simulator.sock"
        self._output = place / "simulator.log"
        self._command = module_command(
            "simulator", *(["--tape", str(tape)] if tape else []), "--control", str(self._control), *market.arguments()
        )
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        with self._output.open("wb") as output:
            # in a session of its own: Ctrl-C is for us alone; and it ends with us, of whom it knows nothing
            self._process = subprocess.Popen(  # noqa: S603 (our own command line)
                [sys.executable, *FLAGS, str(DIE_WITH_PARENT), *self._command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        assert self._process is not None
        self._process.terminate()
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def port(self) -> int:
        """Wait until it listens, and return its port; `CommandError` after `_LISTEN_S`, or where it has ended.

        The port is chosen by the kernel, so that several demos can run at the same time.
        """
        deadline_s = time.monotonic() + _LISTEN_S
        text = ""
        while time.monotonic() < deadline_s and not self._has_ended():
            text = self._printed()
            found = re.search(r"^listening (\d+)$", text, re.MULTILINE)
            if found:
                return int(found[1])
            time.sleep(0.05)
        raise CommandError(f"the simulator does not listen: {text.strip() or 'it says nothing'}", Exit.INCOMPLETE)

    def check(self) -> None:
        """Raise `CommandError` where it has ended by itself."""
        if self._has_ended():
            raise CommandError(f"the simulator ended: {self._why_it_ended() or 'it says nothing'}", Exit.INCOMPLETE)

    def _has_ended(self) -> bool:
        return self._process is not None and self._process.poll() is not None

    def command(self, line: str) -> str:
        """Send a one-line command, and return the answer; raise `CommandError` where it refuses, or is gone."""
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(10)
                connection.connect(str(self._control))
                connection.sendall(line.encode() + b"\n")
                with connection.makefile("r", encoding="utf-8") as answers:
                    word, _, answer = answers.readline().rstrip("\n").partition(" ")
        except OSError as error:
            found = self._why_it_ended() or error
            raise CommandError(f"the simulator does not answer: {found}", Exit.INCOMPLETE) from error
        if word != "ack":
            raise CommandError(f"simulator: {line}: {answer or 'no answer'}", Exit.INCOMPLETE)
        return answer

    def _why_it_ended(self) -> str:
        """Return the last line of its traceback, a full disk perhaps; empty where it left none."""
        text = self._printed()
        return text.strip().splitlines()[-1] if "Traceback" in text else ""

    def _printed(self) -> str:
        """Return all that it has printed so far; empty before its file exists."""
        return self._output.read_text(encoding="utf-8", errors="replace") if self._output.exists() else ""

    def stats(self) -> dict[str, Any]:
        """Return its counters by their names, as its one-line command `stats` gives them."""
        values: dict[str, Any] = json.loads(self.command("stats"))
        return values
