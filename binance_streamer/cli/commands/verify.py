"""`verify`: checks recorded days from their files alone, and against the exchange's archive."""

from pathlib import Path
from typing import Annotated

import typer

from binance_streamer.cli.errors import CommandError, Exit
from binance_streamer.cli.options import ConfigFile
from binance_streamer.config.schema import DEFAULT_PATH, load

_LIBRARIES = ("pyarrow", "deltalake")


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
    try:
        from binance_streamer.cli.recordings.verifying import verify_places  # noqa: PLC0415 (an extra may be missing)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _LIBRARIES:
            raise
        text = "verify needs pyarrow: `pip install 'binance-streamer[days]'`, in a checkout `./run --extra days …`"
        raise CommandError(text, Exit.NOT_CHECKED) from error
    loaded = load(config)
    recorded = [Path(place) for place in (loaded.storage.output_directory, loaded.storage.lake) if place]
    raise typer.Exit(verify_places(what or [], recorded, archive=archive, as_json=as_json))
