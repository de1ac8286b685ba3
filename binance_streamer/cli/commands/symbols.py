"""What is configured."""

from pathlib import Path

import typer

from binance_streamer.config.schema import Config, shown, streams_of
from binance_streamer.exchange.streams import suffix_of


def symbols(config: Config) -> None:
    """A line per symbol, its streams and whether it is recorded."""
    width = max(len(symbol.symbol) for symbol in config.selected.symbols)
    for symbol in config.selected.symbols:
        streams = " ".join(suffix_of(stream.name) for stream in streams_of(symbol))
        snapshots = " + depth snapshots" if symbol.depth_snapshot else ""
        state = "" if symbol.enabled else " (not enabled)"
        typer.echo(f"{symbol.symbol:<{width}}  {streams}{snapshots}{state}")
    typer.echo(f"{len(config.symbols)} symbols are recorded in mode {config.mode}", err=True)


def configuration(config: Config, path: Path) -> None:
    """The effective YAML, the verdict above it as a comment: a configuration again, but for the webhooks' secrets."""
    typer.echo(f"# valid: {path}")
    if config.selected.run_duration:
        typer.echo(f"# run_duration {config.selected.run_duration:g} s ends `up`; a supervisord that stays ignores it")
    typer.echo(shown(config), nl=False)
