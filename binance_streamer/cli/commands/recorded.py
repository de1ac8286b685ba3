"""`verify`, `export`, `replay`: recorded days are checked from their files, written for others, played again."""

import math
from pathlib import Path
from typing import Annotated

import typer

from binance_streamer.cli.options import ConfigFile, refuse
from binance_streamer.cli.recordings.words import extra_for, places_of, stamp, stamp_ns, terminated_as_interrupted
from binance_streamer.config.endpoints import EXPECTED, is_endpoint
from binance_streamer.config.schema import DEFAULT_PATH, load
from binance_streamer.stores.opening import is_url
from binance_streamer.stores.scratch import ScratchFolder


def verify(
    what: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[DAY|PATH]...",
            help="UTC days (20261122), and data folders, symbols' folders, lakes (s3://… too) or single files. "
            "[default: yesterday's recording, or today's where nothing is of yesterday]",
        ),
    ] = None,
    *,
    archive: Annotated[
        str | None,
        typer.Option(
            metavar="DIR|URL", help="Compare with the exchange's archive too: https://data.binance.vision, or a copy."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON object per symbol and day, one a line.")] = False,
    config: ConfigFile = DEFAULT_PATH,
) -> None:
    """Check that recorded days are whole, from their files alone.

    Nothing that the recorder says is believed: columns, order, ids, holes against gap rows in both directions, the
    order book rebuilt from its snapshots, klines against trades, checksums and digests against the certificate, all of
    it is done again. Exits with 0 where all is whole, 1 with findings, 2 where something could not be checked.

    \b
    Examples:
      binance-streamer verify
      binance-streamer verify 20261122 20261123
      binance-streamer verify data/BTCUSDT lake
      binance-streamer verify 20261122 --archive https://data.binance.vision
    """
    with extra_for("verify"):
        from binance_streamer.cli.recordings.verifying import verify_places  # noqa: PLC0415 (an extra may be missing)
    recorded = _recording(config, what or [])
    raise typer.Exit(verify_places(what or [], recorded, archive=archive, as_json=as_json))


def _recording(config: Path, words: list[str]) -> list[str]:
    """Return data folder and lake of the configuration; none is needed where the words name a place of their own."""
    if not config.exists() and any(is_url(word) or Path(word).exists() for word in words):
        return []
    return places_of(load(config))


def export(
    form: Annotated[
        str,
        typer.Argument(
            metavar="FORMAT", help="hftbacktest, tardis, nautilus, raw, raw-zstd, csv or parquet (docs/exporting.md)."
        ),
    ],
    days: Annotated[
        list[str],
        typer.Argument(
            metavar="DAY|PATH...",
            help="UTC days (20261122) of the recording, or of data folders and lakes (s3://… too) that are named; "
            "without a day all that these have.",
        ),
    ],
    *,
    symbols: Annotated[
        str, typer.Option(metavar="A,B", help="Only these symbols. [default: all that are recorded]")
    ] = "",
    to: Annotated[Path, typer.Option("--to", metavar="DIR", help="The folder for the files; it is made.")] = Path(
        "export"
    ),
    config: ConfigFile = DEFAULT_PATH,
) -> None:
    """Write recorded days in a format of others.

    Sealed days and those that are being recorded are read alike, each row once; the books of backtests are cleared at
    gaps. A file has its name when it is whole: Ctrl-C leaves no half one. Exits with 1 where a file was not made.

    \b
    Examples:
      binance-streamer export hftbacktest 20261122 --symbols BTCUSDT
      binance-streamer export tardis 20261122 20261123 --to /data/tardis
      binance-streamer export parquet 20261122 /media/copy/lake
    """
    with extra_for("export"):
        from binance_streamer.cli.recordings.exporting import export_days  # noqa: PLC0415 (an extra may be missing)
    recording = _recording(config, days)
    wanted = [symbol for symbol in symbols.upper().split(",") if symbol]
    raise typer.Exit(export_days(form, days, recording, symbols=wanted, to=to))


_LAST_NS = 2**63 - 1


def _speed(given: str) -> str:
    """Return a speed that is a number above 0, or `max`."""
    try:
        is_speed = given == "max" or 0 < float(given) < math.inf
    except ValueError:
        is_speed = False
    if not is_speed:
        raise typer.BadParameter(f"expected a number above 0, or max, got {given!r}")
    return given


def _endpoint(given: str | None) -> str | None:
    """Return the given endpoint; a usage error where it is none."""
    if given is not None and not is_endpoint(given):
        raise typer.BadParameter(f"{EXPECTED}, got {given!r}")
    return given


def replay(  # noqa: PLR0913 (the options of the command line)
    ctx: typer.Context,
    what: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[DAY|PATH]...",
            help="UTC days (20261122), and data folders, symbols' folders, lakes (s3://… too) or single files. "
            "[default: all of the recording]",
        ),
    ] = None,
    *,
    symbols: Annotated[str, typer.Option(metavar="A,B", help="Only these symbols.")] = "",
    streams: Annotated[
        str,
        typer.Option(metavar="A,B", help="Only these streams: depth@0ms, aggTrade, or files' words: snapshot, gap."),
    ] = "",
    speed: Annotated[
        str,
        typer.Option(metavar="X", callback=_speed, help="1 as recorded, 10 ten times as fast, max without waiting."),
    ] = "1",
    from_: Annotated[
        str | None, typer.Option("--from", metavar="TIME", callback=stamp, help="Receipt, UTC: 2026-11-22T13:00.")
    ] = None,
    to: Annotated[
        str | None, typer.Option("--to", metavar="TIME", callback=stamp, help="The same; itself left out.")
    ] = None,
    bind: Annotated[
        str | None,
        typer.Option(metavar="ENDPOINT", callback=_endpoint, help="Where to be a bus. [default: a new ipc path]"),
    ] = None,
    connect: Annotated[
        str | None,
        typer.Option(metavar="ENDPOINT", callback=_endpoint, help="Publish to the bus that runs there, instead."),
    ] = None,
    as_exchange: Annotated[
        bool, typer.Option("--as-exchange", help="Be the exchange: its websocket and REST, on loopback.")
    ] = False,
    port: Annotated[
        int, typer.Option(metavar="N", min=0, max=65535, help="Of --as-exchange. [default: a free one]")
    ] = 0,
    config: ConfigFile = DEFAULT_PATH,
) -> None:
    """Publish recorded days again.

    On topics and frames of a running recorder, symbols merged by the time of receipt; only producer (`replay`), epoch
    and seq are others. It begins when somebody subscribes, and waits for subscribers that are slow: none loses a
    message. Ctrl-C ends it.

    \b
    Examples:
      binance-streamer replay 20261122 --symbols BTCUSDT --speed 10
      binance-streamer replay 20261122 --from 2026-11-22T13:00 --to 2026-11-22T14:00 --bind tcp://127.0.0.1:5799
      binance-streamer replay lake --as-exchange --port 8080
    """
    if as_exchange:
        refuse(ctx, "means nothing with --as-exchange", "bind", "connect")
    else:
        refuse(ctx, "means nothing without --as-exchange", "port")
    if bind and connect:
        raise typer.BadParameter("--bind and --connect exclude one another")
    with extra_for("replay"):
        from binance_streamer.cli.recordings import replaying  # noqa: PLC0415 (an extra may be missing)
        from binance_streamer.days.rows import Span  # noqa: PLC0415
    span = Span(stamp_ns(from_) if from_ else 0, stamp_ns(to) if to else _LAST_NS)
    choice = replaying.Choice(tuple(what or ()), _names(symbols), _names(streams), span)
    factor = 0.0 if speed == "max" else float(speed)
    loaded = load(config)
    try:
        with terminated_as_interrupted(), ScratchFolder("binance-streamer-") as place:
            endpoint = connect or bind or f"ipc://{place / 'replay'}"
            raise typer.Exit(
                replaying.replay_as_exchange(loaded, choice, speed=speed, port=port)
                if as_exchange
                else replaying.replay_on_bus(
                    loaded, choice, speed=factor, endpoint=endpoint, is_running=connect is not None
                )
            )
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def _names(text: str) -> tuple[str, ...]:
    return tuple(name for name in text.split(",") if name)
