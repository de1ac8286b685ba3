"""The commands that operate a recording under supervisord, and look at it."""

from typing import Annotated

import typer

from binance_streamer import config as configuration
from binance_streamer import supervision
from binance_streamer.cli import applying, composes, daemon, reading, sites
from binance_streamer.cli.errors import CommandError, Exit
from binance_streamer.cli.options import ConfigFile, Names

app = typer.Typer(rich_markup_mode=None)


@app.command()
def start(names: Names = None, config: ConfigFile = configuration.DEFAULT_PATH) -> None:
    """Start recording in the background.

    Starts supervisord first where it does not run.

    \b
    Examples:
      binance-streamer start
      binance-streamer start ingest-BTCUSDT
    """
    daemon.start(configuration.load(config), config, names or [])


@app.command()
def stop(names: Names = None, config: ConfigFile = configuration.DEFAULT_PATH) -> None:
    """Stop programs, or everything.

    Without a name supervisord ends too. Producers stop first, then the writer, which makes durable what it has.

    \b
    Examples:
      binance-streamer stop ingest-BTCUSDT
      binance-streamer stop
    """
    daemon.stop(configuration.load(config), names or [])


@app.command()
def restart(names: Names = None, config: ConfigFile = configuration.DEFAULT_PATH) -> None:
    """Restart programs, one after the other.

    The others go on; the next one follows once this one runs.

    \b
    Examples:
      binance-streamer restart
      binance-streamer restart writer
    """
    daemon.restart(configuration.load(config), config, names or [])


@app.command()
def status(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    config: ConfigFile = configuration.DEFAULT_PATH,
) -> None:
    """Show whether everything is being recorded.

    supervisord's view of every process and what it says of itself; messages, age of the last one and today's gaps of
    every stream; backlog, room on the disk, the clock, and what is wrong. Exits with 0 only if everything that is
    configured is being recorded.

    \b
    Examples:
      binance-streamer status
      binance-streamer status --json | jq .problems
      binance-streamer status > /dev/null || echo "not recording"
    """
    raise typer.Exit(reading.status(configuration.load(config), as_json=as_json))


@app.command()
def apply(
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")] = False,
    compose: Annotated[bool, typer.Option("--compose", help="Generate docker-compose.yml, and nothing else.")] = False,
    config: ConfigFile = configuration.DEFAULT_PATH,
) -> None:
    """Take a changed configuration while everything else goes on recording.

    Says what it will do. Generates the files of supervisord, and has a running one take them: a new symbol's worker
    starts, that of a removed symbol stops, what its journal holds is written to the files, and the journal is deleted.
    Processes are restarted only where something changed that they read. Without a running supervisord it writes the
    files alone.

    \b
    Examples:
      binance-streamer apply --dry-run
      binance-streamer apply
      binance-streamer apply -c my.yaml
      binance-streamer apply --compose && docker compose up -d --remove-orphans
    """
    loaded = configuration.load(config)
    if compose:
        raise typer.Exit(composes.run(config, dry_run=dry_run))
    raise typer.Exit(applying.run(loaded, config, dry_run=dry_run))


@app.command("supervisor-config")
def supervisor_config(
    *,
    write: Annotated[bool, typer.Option("--write/--check", help="Write the files, or only compare them.")] = False,
    config: ConfigFile = configuration.DEFAULT_PATH,
) -> None:
    """Generate the files of supervisord.

    supervisord.conf lies in the folder above config/; supervisor.d/ beside the YAML. Files of symbols that are no
    longer configured are removed. A running supervisord takes the change with `supervisorctl update`, which starts
    and stops only what changed. modes.<mode>.run_duration is ignored by it; it ends `up`.

    \b
    Examples:
      binance-streamer supervisor-config
      binance-streamer supervisor-config --write && supervisorctl -c supervisord.conf update
    """
    loaded = configuration.load(config)
    site = supervision.checkout_site(loaded, config)
    texts = sites.site_files(site, loaded, config)
    if write:
        sites.write(site, texts)
    faults = sites.outdated(site, texts)
    if faults:
        raise CommandError("; ".join(faults) + "; mend with `binance-streamer supervisor-config --write`", Exit.CONFIG)
    typer.echo(f"up to date: {site.root / 'supervisord.conf'} and {len(texts) - 1} programs in {site.include}")
