"""The words of a command line that name recorded days, and the end of a command that reads many of them.

In: words such as `20261122`, `2026-11-22`, `data`, `lake/depth`. Out: the UTC days and the places among them.
"""

import re
import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from binance_streamer.cli.errors import CommandError, Exit

_is_day = re.compile(r"\d{8}|\d{4}-\d{2}-\d{2}").fullmatch


def days_and_places(words: Iterable[str]) -> tuple[set[str], list[Path]]:
    """Return the UTC days (20261122) and the other words, which are places, in their order."""
    named = list(words)
    days = {word.replace("-", "") for word in named if _is_day(word)}
    return days, [Path(word) for word in named if not _is_day(word)]


def check_there(places: Iterable[Path], code: Exit) -> None:
    """Raise `CommandError` with this exit code where a place is not there."""
    for place in places:
        if not place.exists():
            raise CommandError(f"{place} is not there: was anything recorded?", code)


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
