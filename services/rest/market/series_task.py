"""Polls one series of all its symbols: the order of their turns, what answers add, and who is refused."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import msgspec

from binance_streamer.exchange.rest_series import Polled
from binance_streamer.exchange.series_types import AnswerKind, RestSeries
from services.rest.answers import Odd, RestAnswer, decode, refusal
from services.rest.market.series_record import SeriesRecord, Taken, Window
from services.rest.messages import FrameSink
from services.rest.oddities import Oddities
from services.rest.schedule.task import Moment, RestRequest, Task
from services.runtime.gaps.drafts import Draft
from services.runtime.gaps.last_rows import LastRows

_AT_ONCE_S = float("-inf")
_REFUSED_S = 600.0
"""Until somebody who was refused is asked for again, where the interval is shorter."""


class SeriesParts(Protocol):
    """The part of what the tasks share that a series needs."""

    sink: FrameSink
    oddities: Oddities
    refused_series: dict[str, str]


@dataclass(slots=True)
class Poll:
    """One request again and again: of one symbol, or of all together where one answer serves all."""

    records: tuple[SeriesRecord, ...]
    interval_s: float
    due_s: float = _AT_ONCE_S
    """A poll keeps its times: after an answer that came late the next one is asked for as if it had been in time."""

    @property
    def label(self) -> str:
        """The series for people, of one symbol or of all."""
        first = self.records[0]
        return first.label if len(self.records) == 1 else first.polled.series.word


class Asked(NamedTuple):
    """The subject of a request: the poll, and the times where its series has a history."""

    poll: Poll
    window: Window | None


@dataclass(slots=True)
class SeriesTask(Task[Asked]):
    """Polls one series, the symbol that is due first before others.

    A task for each series, so that one whose limit is used up, or whose endpoint fails, holds none of the others. They
    have their turn in the order in which the configuration names them first. Symbols are a few hundred at most: the
    one that is due first is looked for, without a queue that could disagree with their times.
    """

    refused_by = (400, 401, 404)

    parts: SeriesParts
    series: RestSeries
    polls: Sequence[Poll]

    def next(self, now: Moment, delayed: Collection[str]) -> RestRequest[Asked] | None:
        """Return the request for the symbol whose turn it is."""
        if self.series.name in delayed:
            return None
        poll = min(self.polls, key=lambda one: one.due_s)
        if now.s < poll.due_s:
            return None
        window = poll.records[0].window(now.exchange_ms)
        path = self._path(poll.records[0].polled, window)
        return RestRequest(path, self.series.weight, self.series.name, self, Asked(poll, window), self.series.limit)

    def good(self, request: RestRequest[Asked], answer: RestAnswer, now: Moment) -> None:
        """Record what is new in the answer; what is no row of the series is kept raw by the writer."""
        poll, window = request.subject
        if self.series.answer is AnswerKind.LIST_OF_SYMBOLS:
            found = _elements_by_symbol(answer, [one.polled.symbol for one in poll.records])
            for record in poll.records:
                if record.polled.symbol in found:
                    self._record(record, record.take(answer, found[record.polled.symbol], now), answer)
            self.parts.refused_series.pop(poll.label, None)
        else:
            (record,) = poll.records
            taken = record.take(answer, answer.body, now) if window is None else record.take_list(answer, window, now)
            self._record(record, taken, answer)
            if record.is_empty:
                self.parts.refused_series[poll.label] = "the exchange has no rows of it"
            else:
                self.parts.refused_series.pop(poll.label, None)
        self._wait(poll, now, poll.interval_s)

    def refused(self, request: RestRequest[Asked], answer: RestAnswer, now: Moment) -> bool:
        """The exchange has none of this symbol now: a warning says so, and others are asked for meanwhile.

        No symbol (-1121), not trading (-1122), an API key that is wanted (401): whichever it is, its words are shown.
        """
        poll = request.subject.poll
        self.parts.refused_series[poll.label] = refusal(answer)
        self._wait(poll, now, max(poll.interval_s, _REFUSED_S))
        return True

    def failed(self, request: RestRequest[Asked], now: Moment) -> None:
        """Put this symbol behind all others that are due."""
        request.subject.poll.due_s = now.s

    def list_overdue(self, now: Moment, now_ns: int) -> None:
        """List what is missing of polls that are late by a whole interval; to be called once a second."""
        for poll in self.polls:
            if now.s > poll.due_s + poll.interval_s and poll.due_s != _AT_ONCE_S:
                for record in poll.records:
                    drafts = record.list_overdue(now.exchange_ms, now_ns)
                    if drafts and self.parts.sink.append(drafts):
                        record.commit()

    def _record(self, record: SeriesRecord, taken: Taken, answer: RestAnswer) -> None:
        """Journal what an answer adds; where the journal is full, what has a history is asked for again."""
        drafts: list[Draft] = list(taken.drafts)
        for raw, why in taken.odd:
            if self.parts.oddities.note(Odd(record.polled.name, raw, why)):
                drafts.append(record.any_row(answer, raw))
        is_kept = not drafts or self.parts.sink.append(drafts)
        if is_kept or self.series.history is None:
            record.commit()

    def _path(self, polled: Polled, window: Window | None) -> str:
        if self.series.answer is AnswerKind.LIST_OF_SYMBOLS:
            return self.series.path
        history = self.series.history
        if window is None or history is None:
            return polled.name
        return f"{polled.name}&startTime={window.start_ms}&endTime={window.end_ms}&limit={history.most_rows}"

    def _wait(self, poll: Poll, now: Moment, interval_s: float) -> None:
        if any(record.is_behind for record in poll.records):
            poll.due_s = now.s
            return
        due_s = poll.due_s
        poll.due_s = (due_s if now.s - due_s < interval_s else now.s) + interval_s


def series_tasks(
    parts: SeriesParts, polled: Sequence[Polled], last_rows: LastRows, new_gap_id: Callable[[], str]
) -> list[SeriesTask]:
    """Return a task for each series that is polled of any symbol, in the order in which they are named first.

    `last_rows` is where they stand in the journal.
    """
    records: dict[str, list[SeriesRecord]] = {}
    for one in polled:
        record = SeriesRecord(one, last_rows.get(one.name), new_gap_id)
        records.setdefault(one.series.name, []).append(record)
    return [SeriesTask(parts, found[0].polled.series, _polls(found)) for found in records.values()]


def _polls(records: Sequence[SeriesRecord]) -> list[Poll]:
    if records[0].polled.series.answer is AnswerKind.LIST_OF_SYMBOLS:
        return [Poll(tuple(records), min(record.polled.interval_s for record in records))]
    return [Poll((record,), record.polled.interval_s) for record in records]


def _elements_by_symbol(answer: RestAnswer, symbols: Sequence[str]) -> dict[str, bytes]:
    """Return the element of each of these symbols in a list for all symbols; without those that it does not have.

    Symbols that nobody has configured are most of such a list, and are passed over without reading more of them.
    """
    wanted = set(symbols)
    found: dict[str, bytes] = {}
    for element in decode(answer.body, list[msgspec.Raw], "a list for all symbols"):
        symbol = decode(element, _OfSymbol, "an element with a symbol").symbol
        if symbol in wanted:
            found[symbol] = bytes(element)
    return found


class _OfSymbol(msgspec.Struct):
    symbol: str
