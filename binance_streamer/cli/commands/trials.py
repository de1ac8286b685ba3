"""`chaos` and `fieldtest`: the recorder is tried out, against faults of a simulated exchange, and against the real one.

`chaos` is the storm of the fault suite, which is part of a checkout and not of an installation.
"""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from binance_streamer.cli.demo.simulator import NamedMarket, Simulator
from binance_streamer.cli.errors import CommandError, Exit
from binance_streamer.cli.fieldtest.question import Verdict
from binance_streamer.cli.fieldtest.questions import QUESTIONS
from binance_streamer.cli.fieldtest.recorder import run_folder
from binance_streamer.cli.fieldtest.report import answered, report_of
from binance_streamer.cli.fieldtest.run import FieldTest, nothing_seen, preflight
from binance_streamer.cli.options import ConfigFile, is_given
from binance_streamer.config.schema import DEFAULT_PATH, NetworkConfig, load

_CHECKOUT = Path(__file__).resolve().parents[3]
_SIMULATED = NamedMarket(("BTCUSDT", "LTCUSDT", "币安人生USDT"), 60)
"""A liquid, a quiet and a non-ASCII symbol, as far as a simulated market has such."""
_REPORT = "report.md"


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


def fieldtest(  # noqa: PLR0913 (the options of the command line)
    ctx: typer.Context,
    *,
    minutes: Annotated[float, typer.Option(metavar="N", min=0.2, max=360, help="How long to record.")] = 30,
    symbols: Annotated[
        str, typer.Option(metavar="A,B,C", help="A liquid symbol, a quiet one, and others. [default: chosen]")
    ] = "",
    to: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="A new or empty folder for everything. [default: fieldtest-<time>]"),
    ] = None,
    simulated: Annotated[
        bool, typer.Option("--simulated", help="Of a simulated exchange: proves nothing but that the command works.")
    ] = False,
    config: ConfigFile = DEFAULT_PATH,
) -> None:
    """Answer from a live run what docs/exchange.md can only assume.

    Records a liquid, a quiet and a non-ASCII symbol in a folder of its own, with plain connections beside the recorder,
    within a tenth of every limit. Of the configuration the addresses of the exchange are taken, nothing else. Prints a
    report in Markdown without personal data: please send it. Exits with 0 where nothing contradicts our assumptions,
    with 1 where something does, and with 2 where it could not run.

    \b
    Examples:
      binance-streamer fieldtest
      binance-streamer fieldtest --minutes 240 --symbols BTCUSDT,LTCUSDT
    """
    folder = _new_folder(to or Path(time.strftime("fieldtest-%Y%m%d-%H%M%S", time.gmtime())))
    wanted = tuple(filter(None, symbols.split(",")))
    with _exchange(ctx, config, is_simulated=simulated) as network:
        asker, chosen = preflight(network, wanted)
        seen = nothing_seen(chosen, minutes)
        seen.is_simulated = simulated
        try:
            FieldTest(network, asker, seen, data=folder, say=_tell).run()
        except CommandError as error:
            raise CommandError(str(error), Exit.NOT_CHECKED) from error
    answers = answered(QUESTIONS, seen)
    report = report_of(answers, seen)
    (folder / _REPORT).write_text(report, encoding="utf-8")
    typer.echo(report)
    _tell(f"the report: {folder / _REPORT}")
    if not seen.recorder.rows:
        raise CommandError("nothing was recorded: `binance-streamer doctor` says what is reached", Exit.NOT_CHECKED)
    is_contradicted = any(answer.verdict is Verdict.CONTRADICTED for _, answer in answers)
    raise typer.Exit(Exit.INCOMPLETE if is_contradicted else Exit.OK)


@contextmanager
def _exchange(ctx: typer.Context, config: Path, *, is_simulated: bool) -> Iterator[NetworkConfig]:
    """Give the addresses of the exchange: the configured ones, or those of a simulator that ends with the block."""
    if not is_simulated:
        yield load(config).network
        return
    if is_given(ctx, "config"):
        raise typer.BadParameter("means nothing with --simulated", ctx, param_hint="--config")
    with run_folder() as place, Simulator(_SIMULATED, None, place) as simulator:
        address = f"127.0.0.1:{simulator.port()}"
        yield NetworkConfig(websocket_url=f"ws://{address}", rest_url=f"http://{address}")


def _new_folder(path: Path) -> Path:
    """Make the folder and return its path; `CommandError` where it cannot be made, or has content."""
    try:
        path.mkdir(mode=0o750, parents=True, exist_ok=True)
        if any(path.iterdir()):
            raise CommandError(f"{path} is not empty: name another folder with --to", Exit.NOT_CHECKED)
    except OSError as error:
        raise CommandError(f"{path} cannot be made: {error}", Exit.NOT_CHECKED) from error
    return path.resolve()


def _tell(line: str) -> None:
    """Print a line of progress on stderr: stdout has the report alone."""
    typer.echo(line, err=True)
