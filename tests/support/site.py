"""A folder laid out like a checkout, with a supervisord of its own that records the simulator."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from tests.support.configs import write_config
from tests.support.processes import Simulator, alive
from tests.support.recorded import recorded_rows
from tests.support.waiting import eventually

VENV = Path(sys.executable).parent


class Site(NamedTuple):
    """A folder laid out like a checkout: config/streamer.yaml, and what is generated from it."""

    root: Path
    simulator: Simulator

    @property
    def config(self) -> Path:
        return self.root / "config" / "streamer.yaml"

    @property
    def state(self) -> Path:
        return self.root / "config" / "run.supervisor"

    def call(self, *command: str | Path) -> "subprocess.CompletedProcess[str]":
        """A command as typed in an activated environment."""
        environment = {**os.environ, "PATH": f"{VENV}:{os.environ['PATH']}"}
        return subprocess.run(
            [str(word) for word in command],
            check=False,
            env=environment,
            cwd=self.root,
            capture_output=True,
            text=True,
            timeout=300,
        )

    def ours(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return self.call("binance-streamer", *arguments, "-c", self.config)

    def control(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return self.call("supervisorctl", "-c", "supervisord.conf", *arguments)

    def pids(self) -> Mapping[str, int]:
        """Of the programs that run."""
        words = [line.split() for line in self.control("status").stdout.splitlines()]
        return {word[0]: int(word[3].rstrip(",")) for word in words if word[1] == "RUNNING"}

    def supervisord_pid(self) -> int:
        return int((self.state / "supervisord.pid").read_text())

    def wait_until_all_run(self, programs: Sequence[str]) -> Mapping[str, int]:
        """Their process numbers, once these run and no others."""

        def found() -> Mapping[str, int] | None:
            pids = self.pids()
            return pids if sorted(pids) == sorted(programs) else None

        return eventually(found, 60, what="all programs run", every_s=0.3)

    def wait_for_rows(self, symbols: Collection[str], number: int = 1) -> None:
        """Until so many trades of each of them are recorded."""
        eventually(
            lambda: all(len(self.rows(symbol, "aggtrade")) >= number for symbol in symbols),
            60,
            what=f"{number} rows of each symbol",
            every_s=0.3,
        )

    def change_symbols(self, symbols: Mapping[str, Sequence[str]]) -> None:
        """Record these from the next `apply` on."""
        values = yaml.safe_load(self.config.read_text(encoding="utf-8"))
        values["modes"]["development"]["symbols"] = [
            {"symbol": symbol, "streams": list(streams)} for symbol, streams in symbols.items()
        ]
        self.config.write_text(yaml.safe_dump(values, allow_unicode=True), encoding="utf-8")

    def rows(self, symbol: str, stem: str) -> list[dict[str, str]]:
        """Return the rows of a stream that are recorded so far."""
        return recorded_rows(self.root / "config/data", symbol, stem)


@contextlib.contextmanager
def supervised(
    place: Path, simulator: Simulator, symbols: Mapping[str, Sequence[str]], **sections: Mapping[str, Any]
) -> Iterator[Site]:
    """A site with its files generated; a supervisord that is started there ends with the block."""
    (place / "config").mkdir()
    write_config(place / "config", symbols, simulator.urls, **sections)
    made = Site(place, simulator)
    assert made.ours("apply").returncode == 0
    try:
        yield made
    finally:
        if (made.state / "supervisord.pid").exists() and alive(made.supervisord_pid()):
            pid = made.supervisord_pid()
            os.kill(pid, signal.SIGTERM)
            eventually(lambda: not alive(pid), 60, what="supervisord ends")
