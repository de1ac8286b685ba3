"""`chaos`: the storm of the fault suite, which is part of a checkout and not of an installation."""

import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from binance_streamer.cli.errors import CommandError

_CHECKOUT = Path(__file__).resolve().parents[3]


def chaos(
    *,
    minutes: Annotated[float, typer.Option(metavar="N", min=0.1, help="How long faults come.")] = 60,
    seed: Annotated[
        int | None, typer.Option(metavar="S", help="Of the schedule. [default: another one each time]")
    ] = None,
    symbols: Annotated[int, typer.Option(metavar="N", min=1, max=200, help="Symbols of the simulated market.")] = 5,
    rate: Annotated[float, typer.Option(metavar="R", min=1, max=50_000, help="Messages a second in all.")] = 1000,
) -> None:
    """Kill, stop and cut off at random while recording, and check the result.

    Needs no network, but a checkout: it is the storm of tests/chaos. Exits with 1 where anything was lost or doubled
    without being listed, or where memory, descriptors, threads or lag grew.

    \b
    Examples:
      binance-streamer chaos --minutes 5
      binance-streamer chaos --minutes 60 --seed 42 --symbols 50
    """
    if not (_CHECKOUT / "tests" / "chaos" / "__main__.py").is_file():
        raise CommandError(
            f"the fault suite is not installed: run this from a checkout ({_CHECKOUT} has no tests/chaos)"
        )
    arguments = ["--minutes", str(minutes), "--symbols", str(symbols), "--rate", str(rate)]
    arguments += ["--seed", str(seed)] if seed is not None else []
    command = [sys.executable, "-m", "tests.chaos", *arguments]
    raise typer.Exit(subprocess.run(command, check=False, cwd=_CHECKOUT).returncode)  # noqa: S603 (our own command)
