"""The command `binance-streamer`."""

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from binance_streamer.cli import operating
from binance_streamer.cli.commands import book as books
from binance_streamer.cli.commands import chaos as storms
from binance_streamer.cli.commands import keys as key_files
from binance_streamer.cli.commands import symbols as listing
from binance_streamer.cli.commands import tap as taps
from binance_streamer.cli.commands import up as ups
from binance_streamer.cli.demo import demo as demos
from binance_streamer.cli.errors import CommandError, Exit
from binance_streamer.cli.options import ConfigFile, Duration, before_the_command
from binance_streamer.config import own_config
from binance_streamer.config import schema as configuration
from binance_streamer.deploy.interpreter import be_utf8

app = typer.Typer(
    name="binance-streamer",
    epilog="Exit codes: 0 done; 1 something is missing or does not run; 2 wrong command line; 69 no supervisord to "
    "talk to, or one in the way; 78 the configuration is not valid; 130 cut short by Ctrl-C.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.callback()(before_the_command)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; ends the process with one of the codes of `Exit`."""
    if arguments is None:
        be_utf8()
    try:
        app(arguments)
    except configuration.ConfigError as error:
        _end(str(error), Exit.CONFIG)
    except CommandError as error:
        _end(str(error), error.code)


def _end(message: str, code: Exit) -> None:
    sys.stderr.write(f"binance-streamer: {message}\n")
    sys.exit(code)


@app.command()
def demo(  # noqa: PLR0913 (the options of the command line)
    *,
    symbols: Annotated[int, typer.Option(metavar="N", min=1, max=200, help="Symbols of the simulated market.")] = 3,
    duration: Duration = None,
    data_dir: Annotated[
        Path | None, typer.Option(metavar="D", help="Where to record; a new or empty folder. [default: ./demo-<time>]")
    ] = None,
    capture: Annotated[
        Path | None,
        typer.Option(metavar="FILE", exists=True, dir_okay=False, help="Replay this recording instead of a market."),
    ] = None,
    speed: Annotated[
        str, typer.Option(metavar="X", help="Of the replay: 1 as recorded, max as fast as it goes.")
    ] = "1",
    rate: Annotated[
        float, typer.Option(metavar="R", min=1, max=50_000, help="Messages a second of the simulated market.")
    ] = 300,
    seed: Annotated[int, typer.Option(metavar="N", help="Of the simulated market.")] = 1,
) -> None:
    """Record a simulated exchange and check the result.

    Needs no network. Ends at Ctrl-C, after --duration, or when the capture has been played; then every row is compared
    with what the simulator sent.

    \b
    Examples:
      binance-streamer demo
      binance-streamer demo --symbols 10 --rate 5000 --duration 60
      binance-streamer demo --capture recording/capture.gz --speed max --data-dir out
    """
    market: demos.Market = demos.SeededMarket(symbols, rate, seed)
    if capture is not None:
        market = demos.ReplayedMarket(capture, speed)
    raise typer.Exit(demos.run(market, data_dir, duration))


@app.command()
def init(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Where: for the configuration, and for what is recorded.")
    ] = configuration.OWN_PATH.parent,
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
    option = "" if path == configuration.OWN_PATH else f" -c {shlex.quote(str(path))}"
    typer.echo(f"made {path}: name your symbols and streams in it")
    typer.echo(f"then: binance-streamer doctor{option}    binance-streamer up{option}")


@app.command()
def up(duration: Duration = None, config: ConfigFile = configuration.DEFAULT_PATH) -> None:
    """Record what is configured, in the foreground.

    Ends at Ctrl-C, or after --duration or the configured run_duration, once everything received is in the files.

    \b
    Examples:
      binance-streamer up
      binance-streamer up --duration 3600 -c my.yaml
    """
    raise typer.Exit(ups.run(configuration.load(config), config, duration))


@app.command()
def symbols(config: ConfigFile = configuration.DEFAULT_PATH) -> None:
    """List the configured symbols and their streams.

    \b
    Example:
      binance-streamer symbols -c my.yaml
    """
    listing.symbols(configuration.load(config))


@app.command("config")
def show_config(config: ConfigFile = configuration.DEFAULT_PATH) -> None:
    """Print the effective configuration if it is valid.

    The verdict is a comment on top, so that the whole is a configuration again.

    \b
    Examples:
      binance-streamer config
      binance-streamer config -c my.yaml > effective.yaml
    """
    listing.configuration(configuration.load(config), config)


@app.command()
def tap(
    topics: Annotated[
        list[str] | None, typer.Argument(metavar="TOPIC", help="Prefixes: depth. or depth.BTCUSDT.")
    ] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per line.")] = False,
    count: Annotated[int | None, typer.Option(metavar="N", min=1, help="End after so many messages.")] = None,
    bus: Annotated[
        str | None,
        typer.Option(
            metavar="ENDPOINT", callback=taps.endpoint, help="Where to listen, in place of endpoints.bus_subscribe."
        ),
    ] = None,
    config: ConfigFile = configuration.DEFAULT_PATH,
) -> None:
    """Show live messages off the bus.

    Takes nothing from the recording. A line: topic, number, receive stamp (ns), latency, event.

    \b
    Examples:
      binance-streamer tap
      binance-streamer tap depth.BTCUSDT. aggtrade. --count 10
      binance-streamer tap status. --json | jq .
      binance-streamer tap --bus tcp://127.0.0.1:5702
    """
    taps.show(configuration.load(config).endpoints, topics or [], as_json=as_json, count=count, bus=bus)


@app.command()
def book(
    symbol: Annotated[str, typer.Argument(metavar="SYMBOL", help="BTCUSDT")],
    *,
    depth: Annotated[int, typer.Option(metavar="N", min=0, help="Levels of each side; 0: all.")] = 10,
    watch: Annotated[bool, typer.Option("--watch", help="Again and again, until Ctrl-C.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per line.")] = False,
    config: ConfigFile = configuration.DEFAULT_PATH,
) -> None:
    """Show the order book of a symbol as a ladder.

    Asks the order book service, which must run. Exits with 1 where the book is not valid now, and says why.

    \b
    Examples:
      binance-streamer book BTCUSDT
      binance-streamer book BTCUSDT --depth 20 --watch
      binance-streamer book BTCUSDT --depth 0 --json | jq '.bids | length'
    """
    loaded = configuration.load(config)
    raise typer.Exit(books.show(loaded, symbol, depth or None, is_watching=watch, as_json=as_json))


@app.command()
def keys(
    directory: Annotated[Path, typer.Argument(metavar="DIRECTORY", help="Where the keys lie, or shall lie.")],
    *,
    client: Annotated[str | None, typer.Option(metavar="NAME", help="Make keys for another machine.")] = None,
) -> None:
    """Make CURVE keys, which encrypt all sockets.

    Needed where an endpoint can be reached from other machines; see docs/security.md. Nothing is overwritten.

    \b
    Examples:
      binance-streamer keys keys
      binance-streamer keys keys --client analysis
    """
    key_files.run(directory, client)


@app.command()
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
    arguments = ["--minutes", str(minutes), "--symbols", str(symbols), "--rate", str(rate)]
    arguments += ["--seed", str(seed)] if seed is not None else []
    raise typer.Exit(storms.run(arguments))


app.add_typer(operating.app)
