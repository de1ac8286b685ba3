"""Options and arguments that several commands have.

In: words of the command line. Out: values with their defaults, or a usage error (exit code 2).
"""

import logging
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from binance_streamer.cli.hints import HINTS
from binance_streamer.cli.supervisor import files
from binance_streamer.config import schema as configuration
from binance_streamer.config.schema import LEVEL_VARIABLE


def _chosen(ctx: typer.Context, value: Path) -> Path:
    """Return the `-c` behind the command, else the one before it, else the user's own, else the example."""
    before = ctx.find_root().params.get("config")
    named = value if is_given(ctx, "config") else before
    if isinstance(named, Path):
        HINTS.config_path = named
        return named
    HINTS.unnamed_path = configuration.default_path() if value == configuration.DEFAULT_PATH else value
    return HINTS.unnamed_path


def is_given(ctx: typer.Context, name: str) -> bool:
    """Return True if the user has written this option; False where its default stands."""
    source = ctx.get_parameter_source(name)
    return source is not None and source.name != "DEFAULT"


def refuse(ctx: typer.Context, why: str, *names: str) -> None:
    """Raise a usage error where one of these options is given; they would be ignored, `why` says so."""
    for name in filter(lambda name: is_given(ctx, name), names):
        raise typer.BadParameter(why, ctx, param_hint=f"--{name}")


def _programs(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the programs that complete a word in the shell; none where the configuration cannot be read."""
    path = _chosen(ctx, ctx.params.get("config") or configuration.DEFAULT_PATH)
    try:
        found = files.wanted_programs(configuration.load(path), path)
    except configuration.ConfigError:
        return []
    return [program.name for program in found if program.name.startswith(incomplete)]


ConfigFile = Annotated[
    Path,
    typer.Option(
        "-c",
        "--config",
        metavar="FILE",
        help=f"The configuration. Without it {configuration.OWN_PATH} where init has made it, "
        f"else {configuration.DEFAULT_PATH}.",
        show_default=False,
        callback=_chosen,
    ),
]
Names = Annotated[
    list[str] | None,
    typer.Argument(metavar="NAME", help="Programs; all of them without a name.", autocompletion=_programs),
]
Name = Annotated[
    str | None, typer.Argument(metavar="PROCESS", help="writer, ingest-BTCUSDT, …", autocompletion=_programs)
]
Duration = Annotated[
    float | None, typer.Option(metavar="S", min=0, help="Seconds from the first recorded message on; 0 is unlimited.")
]


def before_the_command(
    *,
    config: Annotated[
        Path | None, typer.Option("-c", "--config", metavar="FILE", help="The configuration, for any command.")
    ] = None,
    verbose: Annotated[
        bool,
        typer.Option(
            "-v", "--verbose", help="Say on stderr what is done; processes that are started now log debug lines."
        ),
    ] = False,
) -> None:
    """Record every message of Binance USDⓈ-M futures market data, lose nothing that was received, and prove it."""
    del config  # commands look for it themselves
    if verbose:
        os.environ[LEVEL_VARIABLE] = "debug"  # supervisord hands it on
        logging.basicConfig(level=logging.DEBUG, stream=sys.stderr, format="%(relativeCreated)6.0f ms  %(message)s")
