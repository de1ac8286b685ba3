"""The recorded days that the words of a command line mean. Needs the extra `days`."""

from collections.abc import Sequence

from binance_streamer.cli.errors import CommandError, Exit
from binance_streamer.cli.recordings.words import days_and_places, readable_buckets
from binance_streamer.days.recorded.places import ReadableDay, days_at
from binance_streamer.days.sources import EXCHANGE
from binance_streamer.exchange.streams import UPPER


def chosen_days(
    words: Sequence[str], recording: Sequence[str], code: Exit, *, symbols: Sequence[str] = ()
) -> list[ReadableDay]:
    """Return the days that are meant, of those in the places that the words name, or else in the recording's.

    Of all symbols where none is given. `CommandError` with this exit code where there are none.
    """
    days, places = days_and_places(words, recording, code)
    names = {symbol if symbol == EXCHANGE else symbol.translate(UPPER) for symbol in symbols}
    with readable_buckets(code):
        found = [one for one in days_at(places) if (not days or one.day in days) and (not names or one.symbol in names)]
    if not found:
        raise nothing_of([*sorted(names), *sorted(days)], places, code)
    return found


def nothing_of(what: Sequence[str], places: Sequence[str], code: Exit) -> CommandError:
    """Return the error that says of what nothing is recorded, and where it was looked for."""
    return CommandError(f"no recorded files of {' '.join(what) or 'anything'} in {', '.join(places)}", code)
