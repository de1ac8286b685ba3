"""`init`, `symbols`, `config` and `plan`: make a configuration, and show what one amounts to."""

import os
import shutil
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from binance_streamer.cli.errors import Exit
from binance_streamer.cli.hints import HINTS
from binance_streamer.cli.options import ConfigFile
from binance_streamer.config import own_config
from binance_streamer.config.groups import MembersFile, parts_of
from binance_streamer.config.schema import DEFAULT_PATH, OWN_PATH, load, part_name, shown
from binance_streamer.deploy.plan import Machine, plan_of
from binance_streamer.health.sizes import amount


def init(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Where: for the configuration, and for what is recorded.")
    ] = OWN_PATH.parent,
) -> None:
    """Make a configuration of your own.

    A commented YAML in a folder of its own, below which everything lies that is recorded with it. In the folder where
    this is called, all commands take recording/streamer.yaml from then on; another one is named with -c FILE. Nothing
    is overwritten.

    \b
    Examples:
      binance-streamer init
      binance-streamer init /srv/binance
    """
    path = own_config.create(folder)
    HINTS.config_path = None if path == OWN_PATH else path
    typer.echo(f"made {path}: name your symbols and streams in it")
    typer.echo(f"then: {HINTS.command('doctor')}    {HINTS.command('up')}")


def symbols(config: ConfigFile = DEFAULT_PATH) -> None:
    """List the configured symbols and groups, and their streams.

    \b
    Example:
      binance-streamer symbols -c my.yaml
    """
    members = MembersFile(load(config))
    loaded = members.config
    width = max((len(symbol.symbol) for symbol in loaded.selected.symbols), default=0)
    for symbol in loaded.selected.symbols:
        streams = " ".join(symbol.streams)
        snapshots = " + depth snapshots" if symbol.depth_snapshot else ""
        state = "" if symbol.enabled else " (not enabled)"
        typer.echo(f"{symbol.symbol:<{width}}  {streams}{snapshots}{state}")
    for group in loaded.groups:
        snapshots = " + depth snapshots" if group.depth_snapshot else ""
        typer.echo(f"group {group.name}, {amount(group.workers, 'worker')}: {' '.join(group.streams)}{snapshots}")
        for worker, served in parts_of(group).items() if members.knows(part_name(group, 0)) else ():
            typer.echo(f"  ingest-{worker}: {' '.join(served) or 'none'}")
    typer.echo(f"mode {loaded.mode} records {amount(len(loaded.symbols), 'symbol')}{_unknown(members)}", err=True)


def _unknown(members: MembersFile) -> str:
    """Return what is to be said behind the number of symbols, where the exchange has not told all of them yet."""
    if members.is_known:
        empty = [group.name for group in members.config.groups if not group.members]
        return "".join(f"; NOTHING is a member of group {name}" for name in empty)
    return ", and those of groups, which are known once rest has the list of the exchange; `doctor` asks it"


def config(config: ConfigFile = DEFAULT_PATH) -> None:
    """Print the effective configuration if it is valid.

    The verdict is a comment on top, so that the whole is a configuration again, but for the secrets of webhooks.

    \b
    Examples:
      binance-streamer config
      binance-streamer config -c my.yaml > effective.yaml
    """
    loaded = load(config)
    typer.echo(f"# valid: {config}")
    if loaded.selected.run_duration:
        typer.echo(f"# run_duration {loaded.selected.run_duration:g} s ends `up`; a supervisord that stays ignores it")
    typer.echo(shown(loaded), nl=False)


def plan(
    config: ConfigFile = DEFAULT_PATH,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="A list of JSON objects.")] = False,
) -> None:
    """Say what a configuration needs, before anything is started.

    Members of groups are those that the exchange named last; before the first start nobody knows them, so list them.

    Connections and attempts to open them, minutes until all is live, REST weight, messages and bytes a day, memory and
    cores, by measured rates of a large and a small symbol: a guide, and no promise. Nothing is asked of the exchange;
    `doctor` does that. A line that does not fit this machine or the exchange's limits says what to change. Exits with 1
    where one does not.

    \b
    Examples:
      binance-streamer plan
      binance-streamer plan -c my.yaml
    """
    loaded = MembersFile(load(config)).config
    lines = plan_of(loaded, _this_machine(Path(loaded.storage.output_directory)))
    if as_json:
        typer.echo(msgspec.json.encode([line._asdict() for line in lines]).decode())
    else:
        width = max(len(line.name) for line in lines)
        for line in lines:
            typer.echo(f"{'!' if line.advice else ' '} {line.name:<{width}}  {line.value}")
            if line.advice:
                typer.echo(f"  {'':<{width}}  does not fit: {line.advice}")
    if any(line.advice for line in lines):
        raise typer.Exit(Exit.INCOMPLETE)


def _this_machine(data: Path) -> Machine:
    """Return cores, memory, and the free bytes of the disk on which this folder is, or will be."""
    present = next(path for path in (data, *data.parents) if path.exists())
    memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return Machine(os.cpu_count() or 1, memory_bytes, shutil.disk_usage(present).free)
