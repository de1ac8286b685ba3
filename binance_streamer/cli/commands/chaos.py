"""`chaos`: the fault suite's storm, which is part of a checkout and not of an installation."""

import subprocess
import sys
from pathlib import Path

from binance_streamer.cli.errors import CommandError

_CHECKOUT = Path(__file__).resolve().parents[3]


def run(arguments: list[str]) -> int:
    """Run it in a process of its own, and return how it ended."""
    if not (_CHECKOUT / "tests" / "chaos" / "__main__.py").is_file():
        raise CommandError(
            f"the fault suite is not installed: run this from a checkout ({_CHECKOUT} has no tests/chaos)"
        )
    command = [sys.executable, "-m", "tests.chaos", *arguments]
    return subprocess.run(command, check=False, cwd=_CHECKOUT).returncode  # noqa: S603 (our own command line)
