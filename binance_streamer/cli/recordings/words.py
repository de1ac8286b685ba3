"""The words of a command line that name recorded days, and the end of a command that reads many of them.

In: words such as `20261122`, `2026-11-22`, `data`, `lake/depth`. Out: the UTC days and the places among them, and
receive stamps of times.
"""

import re
import signal
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import typer

from binance_streamer.cli.errors import CommandError, Exit
from binance_streamer.config.schema import Config
from binance_streamer.days import INSTALL
from binance_streamer.days.reading.instants import Instant, to_ns
from binance_streamer.stores.opening import is_url
from binance_streamer.stores.store import BucketError

_LIBRARIES = ("deltalake", "duckdb", "numpy", "polars", "pyarrow")
_is_day = re.compile(r"\d{8}|\d{4}-\d{2}-\d{2}").fullmatch


def places_of(config: Config) -> list[str]:
    """Return the data folder of a configuration, and its lake, a folder or a URL; they need not be there."""
    return [place for place in (config.storage.output_directory, config.storage.lake) if place]


def days_and_places(words: Iterable[str], recording: Sequence[str], code: Exit) -> tuple[set[str], list[str]]:
    """Return the UTC days (20261122) among the words, and the places to read: those named, or else the recording's.

    A folder of the recording that is not made yet is passed over, such as a lake before the first day is sealed. Raises
    `CommandError` with this exit code where a place that was named is not there, or nothing of the recording.
    """
    named = list(words)
    days = {word.replace("-", "") for word in named if _is_day(word)}
    places = [word for word in named if not _is_day(word)]
    there = [place for place in places or recording if is_url(place) or Path(place).exists()]
    lost = [place for place in places if place not in there] or ([] if there else list(recording))
    if lost:
        raise CommandError(f"{', '.join(lost)} is not there: was anything recorded?", code)
    return days, there


@contextmanager
def readable_buckets(code: Exit) -> Iterator[None]:
    """Turn the fault of a bucket into an error that says what to look at, with this exit code."""
    try:
        yield
    except BucketError as error:
        hint = "address and credentials are those of AWS's own tools: AWS_ENDPOINT_URL, AWS_REGION, AWS_PROFILE, …"
        raise CommandError(f"{error}; {hint}", code) from error


@contextmanager
def terminated_as_interrupted() -> Iterator[None]:
    """While it is entered, SIGTERM is an exception as Ctrl-C is one: what lies half made is removed on the way out."""

    def stop(number: int, _: FrameType | None) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def stamp(given: str | None) -> str | None:
    """Return a time that `stamp_ns` reads; a usage error where it is none."""
    if given is not None:
        try:
            stamp_ns(given)
        except ValueError as error:
            raise typer.BadParameter(f"expected 2026-11-22T13:00 (UTC) or nanoseconds, got {given!r}") from error
    return given


def instant(text: str) -> Instant:
    """Return a typed time as readers of days take it: more digits than a day has are nanoseconds since 1970."""
    return int(text) if text.isdigit() and len(text) > len("20261122") else text


def stamp_ns(text: str) -> int:
    """Return a typed time as a receive stamp in nanoseconds; `ValueError` where it is none."""
    return to_ns(instant(text))


@contextmanager
def extra_for(command: str) -> Iterator[None]:
    """Turn a library that is not installed into an error that says how to install it."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _LIBRARIES:
            raise
        raise CommandError(f"{command} needs {error.name}: {INSTALL}", Exit.NOT_CHECKED) from error
