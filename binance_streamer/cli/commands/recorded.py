"""`verify` and `export`: recorded days are checked from their files alone, and written in the formats of others."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from binance_streamer.cli.errors import CommandError, Exit
from binance_streamer.cli.options import ConfigFile
from binance_streamer.config.schema import DEFAULT_PATH, load

_LIBRARIES = ("deltalake", "numpy", "pyarrow")


@contextmanager
def _extra_for(command: str) -> Iterator[None]:
    """Turn a library that is not installed into an error that says how to install it."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _LIBRARIES:
            raise
        how = "`pip install 'binance-streamer[days]'`, in a checkout `./run --extra days …`"
        raise CommandError(f"{command} needs {error.name}: {how}", Exit.NOT_CHECKED) from error


def verify(
    what: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[DAY|PATH]...",
            help="UTC days (20261122), and data folders, symbols' folders, lakes or single files. "
            "[default: yesterday's recording]",
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
    with _extra_for("verify"):
        from binance_streamer.cli.recordings.verifying import verify_places  # noqa: PLC0415 (an extra may be missing)
    loaded = load(config)
    recorded = [Path(place) for place in (loaded.storage.output_directory, loaded.storage.lake) if place]
    raise typer.Exit(verify_places(what or [], recorded, archive=archive, as_json=as_json))


def export(
    form: Annotated[
        str,
        typer.Argument(metavar="FORMAT", help="One of: hftbacktest, tardis, parquet (docs/exporting.md)."),
    ],
    days: Annotated[
        list[str],
        typer.Argument(
            metavar="DAY|PATH...",
            help="UTC days (20261122), of the recording or of data folders and lakes that are named behind them.",
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
    with _extra_for("export"):
        from binance_streamer.cli.recordings.exporting import export_days  # noqa: PLC0415 (an extra may be missing)
    storage = load(config).storage
    recording = [Path(storage.output_directory), *(Path(lake) for lake in [storage.lake] if lake)]
    wanted = [symbol for symbol in symbols.upper().split(",") if symbol]
    raise typer.Exit(export_days(form, days, recording, symbols=wanted, to=to))
