"""Options and arguments that several commands have."""

import logging
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from binance_streamer.cli.supervisor import files
from binance_streamer.config import schema as configuration
from binance_streamer.config.schema import LEVEL_VARIABLE


def _chosen(ctx: typer.Context, value: Path) -> Path:
    """Return the `-c` behind the command, else the one before it, else the user's own, else the example."""
    source = ctx.get_parameter_source("config")
    if source is not None and source.name != "DEFAULT":
        return value
    before = ctx.find_root().params.get("config")
    if isinstance(before, Path):
        return before
    return configuration.default_path() if value == configuration.DEFAULT_PATH else value


def _programs(ctx: typer.Context, incomplete: str) -> list[str]:
    """For the shell's completion; a configuration that cannot be read completes nothing."""
    path = _chosen(ctx, ctx.params.get("config") or configuration.DEFAULT_PATH)
    try:
        found = files.wanted_programs(configuration.load(path), path)
    except configuration.ConfigError:
        return []
    return [program.name for program in found if program.name.startswith(incomplete)]


ConfigFile = Annotated[
    Path, typer.Option("-c", "--config", metavar="FILE", help="The configuration.", callback=_chosen)
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
