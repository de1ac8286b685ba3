"""Days that are exported, shown: which ones, a progress bar, a line for each file. Needs the extra `days`."""

import sys
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import typer
from rich.console import Console
from rich.progress import Progress

from binance_streamer.cli.commands.tap import printable
from binance_streamer.cli.errors import CommandError, Exit
from binance_streamer.cli.recordings.choosing import chosen_days
from binance_streamer.cli.recordings.words import readable_buckets, terminated_as_interrupted
from binance_streamer.days.export.days import ExportDay, ExportFolder
from binance_streamer.days.export.formats import FORMATS
from binance_streamer.days.recorded.places import ReadableDay
from binance_streamer.days.rows import NotSealable
from binance_streamer.days.sources import EXCHANGE
from binance_streamer.health.sizes import amount
from binance_streamer.stores.scratch import ScratchFolder


def export_days(form: str, words: Sequence[str], recording: Sequence[str], *, symbols: Sequence[str], to: Path) -> Exit:
    """Export the days that the words of the command line name; return the exit code.

    Days of all places together are one, so that a row that is in a daily file and sealed comes once.
    """
    write = FORMATS.get(form)
    if write is None:
        raise CommandError(f"no format {form}: one of {', '.join(FORMATS)}", Exit.NOT_CHECKED)
    with (
        readable_buckets(Exit.NOT_CHECKED),
        terminated_as_interrupted(),
        Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as progress,
    ):
        chosen = _chosen(words, recording, symbols)
        folder = ExportFolder(to)
        outcome = Exit.OK
        for (symbol, day), places in chosen.items():
            task = progress.add_task(f"{symbol} {day}")
            with ExitStack() as stack:
                spill = stack.enter_context(ScratchFolder(".exporting-", to))
                files = [stack.enter_context(place.here()) for place in places]
                one = ExportDay(files, spill, partial(progress.advance, task))
                progress.update(task, total=one.size_bytes)
                if not _export_day(one, form, folder):
                    outcome = Exit.INCOMPLETE
            progress.remove_task(task)
    return outcome


def _export_day(day: ExportDay, form: str, folder: ExportFolder) -> bool:
    """Export one day, and say what was made; return False where nothing was, or not all."""
    is_made = False
    try:
        for file in FORMATS[form](day, folder):
            is_made = True
            rows = amount(file.rows, "row")
            typer.echo(printable(f"{file.path}: {rows}" + (f" ({file.note})" if file.note else "")))
    except (NotSealable, OverflowError) as error:
        typer.echo(printable(f"{day.symbol} {day.day}: {error}"), err=True)
        return False
    if not is_made and day.symbol == EXCHANGE:
        return True  # clock and list of symbols have a place in few formats, and nobody named them
    if not is_made:
        typer.echo(printable(f"{day.symbol} {day.day}: nothing recorded that {form} has a place for"), err=True)
    return is_made


def _chosen(
    words: Sequence[str], recording: Sequence[str], symbols: Sequence[str]
) -> dict[tuple[str, str], list[ReadableDay]]:
    """Return the places of each symbol and day that is meant, sorted."""
    found: dict[tuple[str, str], list[ReadableDay]] = {}
    for one in chosen_days(words, recording, Exit.NOT_CHECKED, symbols=symbols):
        if one.stems:
            found.setdefault((one.symbol, one.day), []).append(one)
    return dict(sorted(found.items()))
