"""The record of a series that is polled from REST: how it is asked for, and what its answers say.

In: an answer's bytes. Out: its time as a `Reading`, and what a change is judged by. The table is `rest_series`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, NamedTuple

import msgspec

from binance_streamer.exchange.messages import INTERVAL_MS, LARGEST_ID, UNREADABLE, ExchangeError, Reading
from binance_streamer.exchange.rows import RowForm


class RequestLimit(NamedTuple):
    """So many requests of an address in a window, whatever their weight is: a limit that some endpoints share.

    The exchange does not say how much of it is used, unlike with the weight: only our own count tells. It is kept over
    restarts, and our share of it is that of the weight.
    """

    name: str
    requests: int
    window_s: float


class AnswerKind(Enum):
    """The form of an answer."""

    OBJECT = "one object, which is the row"
    LIST = "a list, each element of which is a row"
    LIST_OF_SYMBOLS = "a list with an element for each symbol: one request serves all symbols"


class SeriesHistory(NamedTuple):
    """The past of a series that the exchange gives on request, by `startTime` and `endTime` in milliseconds.

    With a history nothing is lost while REST is away: the next window begins at the last row that is recorded.
    """

    kept_ms: int
    """The time that it reaches back; older rows are refused or left out."""
    most_rows: int
    """Of one answer."""
    begins_ms: int
    """So far in front of the first poll of all the record begins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RestSeries:
    """Everything that the recorder knows of one series. Immutable.

    The fields are asked instead of the name where series differ, so that a new one is a record. `binance_streamer`
    reads answers with it, the REST process asks with it, and the writer makes rows of `row`.
    """

    name: str
    """Our word: topic, file name, and `stream_type` of frames."""
    word: str
    """Its name in a configuration, in front of `@60s`."""
    path: str
    """At the exchange."""
    weight: int
    """Of one request, for one symbol."""
    interval_s: float
    """Between two answers of one symbol, where the configuration says nothing else."""
    row: RowForm | None = None
    """None: the whole answer is one cell, as it came."""
    limit: RequestLimit | None = None
    """Beside the weight."""
    answer: AnswerKind = AnswerKind.OBJECT
    time: str = ""
    """Key of the time of a row in ms: with history, rows are told apart by it. Empty: a row has none."""
    has_periods: bool = False
    """True where rows are buckets, whose length the configuration names: then a missing one shows in the times."""
    history: SeriesHistory | None = None
    steady: tuple[str, ...] = ()
    """A change is a change of one of these members, and nothing else is recorded: `constituents[].weight`."""

    def period_ms(self, variant: str) -> int | None:
        """Return the length of a bucket; None where rows are none."""
        return INTERVAL_MS.get(variant) if self.has_periods else None

    def reading(self, event: bytes, variant: str) -> Reading:
        """Return time and, of rows with history, the time as an id; raise `ExchangeError` where a row has none."""
        if not self.time:
            return Reading(None, None, 0)
        time_ms = _time_of(event, self.time)
        return Reading(None, None, time_ms) if self.history is None else self.reading_at(time_ms, variant)

    def reading_at(self, time_ms: int, variant: str) -> Reading:
        """Return the reading of a row with history, by its time.

        A bucket covers the ids in (time - length, time], so that buckets in a row join. Settled rates have times that
        only grow: the distance between two is 1, 4 or 8 hours and may change, so that nothing proves one missing.
        """
        period_ms = self.period_ms(variant)
        return Reading(None if period_ms is None else time_ms - period_ms, time_ms, time_ms)

    def content(self, event: bytes) -> object:
        """Return what a change is judged by: the members that `steady` names; the bytes where they are not JSON.

        Two answers with equal contents are the same for the record, whatever else has moved: prices and times do with
        every answer. What is missing counts as None, so that a member that comes or goes is a change, too.
        """
        try:
            value = msgspec.json.decode(event)
        except UNREADABLE:
            return event
        return [_member(value, place) for place in self.steady]


def _time_of(event: bytes, key: str) -> int:
    """Return the time of a row, a number or a text of digits; `ExchangeError` where there is none."""
    try:
        value = msgspec.json.decode(event, type=dict[str, Any]).get(key)
    except UNREADABLE as error:
        raise ExchangeError(f"expected an object with {key}: {error}") from error
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
        value = int(value)
    if type(value) is not int or not 0 <= value <= LARGEST_ID:
        raise ExchangeError(f"expected a time in {key}, got {value!r:.40}")
    return value


def _member(value: object, place: str) -> object:
    """Return the member at a place; `[]` goes into each element of a list. None where there is none."""
    head, _, rest = place.partition(".")
    key = head.removesuffix("[]")
    found = value.get(key) if isinstance(value, Mapping) else None
    if head.endswith("[]"):
        return [_member(one, rest) for one in found] if isinstance(found, list) else None
    return _member(found, rest) if rest else found
