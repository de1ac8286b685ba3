"""The simulator that a demo records: its command line, its port, its one-line commands."""

import json
import re
import socket
import time
from pathlib import Path
from typing import Any, NamedTuple

from binance_streamer.cli.demo.captures import CapturedStreams, contents
from binance_streamer.cli.errors import CommandError, Exit
from binance_streamer.config.schema import DEFAULT_STREAMS
from binance_streamer.deploy.interpreter import module_command
from binance_streamer.deploy.supervisord import SIMULATOR, Program

_LEASH = Path(__file__).parents[1] / "supervisor" / "die_with_parent.py"
_LISTEN_S = 30.0
_LEAST_WITH_SPARE = 3
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
    """A seeded market of `symbols` symbols, `rate` messages a second in all."""

    symbols: int
    rate: float
    seed: int

    @property
    def spare(self) -> str | None:
        """A symbol that is traded and not recorded, for whoever wants to add one; a small market has none."""
        return self._names[self.symbols] if self.symbols >= _LEAST_WITH_SPARE else None

    def contents(self) -> CapturedStreams:
        """The symbols that are recorded, and their streams."""
        return CapturedStreams(dict.fromkeys(self._names[: self.symbols], DEFAULT_STREAMS), {})

    def arguments(self) -> list[str]:
        """For the simulator; `rate` is that of the symbols that are recorded."""
        names = self._names[: self.symbols + (self.spare is not None)]
        rate = self.rate * len(names) / self.symbols
        return ["--symbols", ",".join(names), "--rate", str(rate), "--seed", str(self.seed)]

    @property
    def _names(self) -> list[str]:
        return [*_SYMBOLS, *(f"SYM{number:03}USDT" for number in range(len(_SYMBOLS), self.symbols + 1))]


class ReplayedMarket(NamedTuple):
    """A recording; `speed` is a number, or `max`."""

    capture: Path
    speed: str
    spare: str | None = None

    def contents(self) -> CapturedStreams:
        """Its symbols and streams."""
        return contents(self.capture)

    def arguments(self) -> list[str]:
        """For the simulator."""
        return ["--capture", str(self.capture.absolute()), "--speed", self.speed]


Market = SeededMarket | ReplayedMarket


class Simulator:
    """The simulator as a program under supervisord; started once, never again: its tape is the truth."""

    def __init__(self, market: Market, tape: Path, state: Path) -> None:
        self._control = state / "simulator.sock"
        self._output = state / "simulator.log"
        command = module_command("simulator", "--tape", str(tape), "--control", str(self._control), *market.arguments())
        # tied to supervisord by the leash, for it knows nothing of ours
        self.program = Program(SIMULATOR, (str(_LEASH), *command), 5, autorestart=False)

    def port(self) -> int:
        """Where it listens, once it does."""
        deadline_s = time.monotonic() + _LISTEN_S
        while time.monotonic() < deadline_s:
            text = self._output.read_text(encoding="utf-8", errors="replace") if self._output.exists() else ""
            found = re.search(r"^listening (\d+)$", text, re.MULTILINE)
            if found:
                return int(found[1])
            time.sleep(0.05)
        raise CommandError(f"the simulator does not listen: {text.strip() or 'it says nothing'}", Exit.INCOMPLETE)

    def command(self, line: str) -> str:
        """What the simulator answers to a one-line command; `CommandError` where it refuses, or is gone."""
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
        """The last line of its traceback, a full disk perhaps; "" where it left none."""
        text = self._output.read_text(encoding="utf-8", errors="replace") if self._output.exists() else ""
        return text.strip().splitlines()[-1] if "Traceback" in text else ""

    def stats(self) -> dict[str, Any]:
        """What it counts."""
        values: dict[str, Any] = json.loads(self.command("stats"))
        return values
