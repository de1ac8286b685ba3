"""Days that are exported, shown: which ones, a progress bar, a line for each file. Needs the extra `days`."""

import re
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import FrameType

import typer
from rich.console import Console
from rich.progress import Progress

from binance_streamer.cli.commands.tap import printable
from binance_streamer.cli.errors import CommandError, Exit
from binance_streamer.days.day_files import DayFiles, days_in
from binance_streamer.days.export.days import ExportDay, ExportFolder
from binance_streamer.days.export.formats import FORMATS
from binance_streamer.days.rows import NotSealable

_is_day = re.compile(r"\d{8}|\d{4}-\d{2}-\d{2}").fullmatch


def export_days(
    form: str, words: Sequence[str], recording: Sequence[Path], *, symbols: Sequence[str], to: Path
) -> Exit:
    """Export the days that the words of the command line name; return the exit code.

    Days of all places together are one, so that a row that is in a daily file and sealed comes once.
    """
    write = FORMATS.get(form)
    if write is None:
        raise CommandError(f"no format {form}: one of {', '.join(FORMATS)}", Exit.NOT_CHECKED)
    chosen = _chosen(words, recording, symbols)
    folder = ExportFolder(to)
    outcome = Exit.OK
    with (
        _terminated_as_interrupted(),
        Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as progress,
    ):
        for (symbol, day), places in chosen.items():
            task = progress.add_task(f"{symbol} {day}")
            with tempfile.TemporaryDirectory(prefix=".exporting-", dir=to) as spill:
                one = ExportDay(places, Path(spill), partial(progress.advance, task))
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
            typer.echo(printable(f"{file.path}: {file.rows} rows" + (f" ({file.note})" if file.note else "")))
    except (NotSealable, OverflowError) as error:
        typer.echo(printable(f"{day.symbol} {day.day}: {error}"), err=True)
        return False
    if not is_made:
        typer.echo(printable(f"{day.symbol} {day.day}: nothing recorded that {form} has a place for"), err=True)
    return is_made


def _chosen(
    words: Sequence[str], recording: Sequence[Path], symbols: Sequence[str]
) -> dict[tuple[str, str], list[DayFiles]]:
    """Return the places of each symbol and day that is meant, sorted."""
    days = {word.replace("-", "") for word in words if _is_day(word)}
    places = [Path(word) for word in words if not _is_day(word)]
    if not days:
        raise CommandError("name a day: `binance-streamer export parquet 20261122`", Exit.NOT_CHECKED)
    missing = next((place for place in places if not place.exists()), None)
    if missing is not None:
        raise CommandError(f"{missing} is not there", Exit.NOT_CHECKED)
    found: dict[tuple[str, str], list[DayFiles]] = {}
    for files in days_in(places or [place for place in recording if place.exists()]):
        if files.day in days and files.streams and (not symbols or files.symbol in symbols):
            found.setdefault((files.symbol, files.day), []).append(files)
    if not found:
        of = f" of {', '.join(symbols)}" if symbols else ""
        raise CommandError(f"nothing recorded{of} on {', '.join(sorted(days))}", Exit.NOT_CHECKED)
    return dict(sorted(found.items()))


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """While it is entered, SIGTERM is an exception as Ctrl-C is one, so that half files are removed on the way out."""

    def stop(number: int, _: FrameType | None) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
