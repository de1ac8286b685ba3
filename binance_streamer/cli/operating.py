"""The commands that operate a recording under supervisord, and look at it."""

from pathlib import Path
from typing import Annotated

import typer

from binance_streamer.cli.commands import apply as applying
from binance_streamer.cli.commands import doctor as doctors
from binance_streamer.cli.commands import latency as latencies
from binance_streamer.cli.commands import logs as log_files
from binance_streamer.cli.commands import status as reading
from binance_streamer.cli.errors import CommandError, Exit
from binance_streamer.cli.options import ConfigFile, Name, Names
from binance_streamer.cli.supervisor import compose_file as composes
from binance_streamer.cli.supervisor import daemon
from binance_streamer.cli.supervisor import files as sites
from binance_streamer.config import schema as configuration
from binance_streamer.deploy import supervisord as supervision

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
    raise typer.Exit(reading.status(configuration.load(config), config, as_json=as_json))


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


@app.command()
def logs(
    process: Name = None,
    *,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on with new lines until Ctrl-C.")] = False,
    lines: Annotated[int, typer.Option("-n", "--lines", metavar="N", min=1, help="So many of the last ones.")] = 40,
    as_json: Annotated[bool, typer.Option("--json", help="The lines as they stand in the files.")] = False,
    config: ConfigFile = configuration.DEFAULT_PATH,
) -> None:
    """Show the logs of the processes.

    Without a name, those of all processes in the order of their time (UTC); `supervisord` is supervisord's own.

    \b
    Examples:
      binance-streamer logs
      binance-streamer logs writer -n 200
      binance-streamer logs ingest-BTCUSDT -f
      binance-streamer logs --json | jq 'select(.level == "warning")'
    """
    log_files.show(configuration.load(config), process, count=lines, follow=follow, as_json=as_json)


@app.command()
def latency(
    places: Annotated[
        list[Path] | None,
        typer.Argument(metavar="FILE", help="Recorded files, or folders of them. [default: today's recording]"),
    ] = None,
    *,
    live: Annotated[bool, typer.Option("--live", help="Of messages that pass the bus now.")] = False,
    duration: Annotated[float, typer.Option(metavar="S", min=0.1, help="How long to listen to the bus.")] = 10,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    config: ConfigFile = configuration.DEFAULT_PATH,
) -> None:
    """Show how late messages come.

    Our receipt less the exchange's event time, per stream: count, min, mean, median, p95, p99, max and distribution,
    and how far the two clocks were apart, which is in all of these numbers.

    \b
    Examples:
      binance-streamer latency
      binance-streamer latency --live --duration 60
      binance-streamer latency data/BTCUSDT/depth_BTCUSDT_*.csv
      binance-streamer latency data --json | jq '.streams[] | [.stream, .latency.p99_ms]'
    """
    loaded = configuration.load(config)
    if live:
        raise typer.Exit(latencies.live(loaded, duration_s=duration, as_json=as_json))
    raise typer.Exit(latencies.of_files(loaded, places or [], as_json=as_json))


@app.command()
def doctor(
    *,
    seconds: Annotated[
        float, typer.Option(metavar="S", min=0.1, max=60, help="How long to wait for messages of each path.")
    ] = 10,
    offline: Annotated[bool, typer.Option("--offline", help="Send nothing to the exchange.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="A list of JSON objects.")] = False,
    config: ConfigFile = configuration.DEFAULT_PATH,
) -> None:
    """Check whether this machine can record what is configured.

    Python, configuration, supervisord's files, disks, open files, keys, priority; then the exchange: its time and ours,
    the request weight in use, and one message of every configured stream. That costs one request of weight 1 and one
    connection per path, out of the budget that all processes share; nothing is sent during a ban. Each line says ok,
    warn or fail, and what to do. Exits with 1 where anything fails.

    \b
    Examples:
      binance-streamer doctor
      binance-streamer doctor --offline
      binance-streamer doctor --json | jq '.[] | select(.state == "fail")'
    """
    loaded = configuration.load(config)
    raise typer.Exit(doctors.run(loaded, config, seconds=seconds, offline=offline, as_json=as_json))


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
