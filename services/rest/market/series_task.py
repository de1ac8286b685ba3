"""Polls one series of all its symbols: the order of their turns, what answers add, and who is refused."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import msgspec

from binance_streamer.exchange.rest_series import REST_SERIES, Polled, series_from_name
from binance_streamer.exchange.series_types import AnswerKind, RestSeries
from binance_streamer.health.gaps import UNREPAIRABLE
from services.rest.answers import Odd, RestAnswer, decode, refusal
from services.rest.market.series_record import SeriesRecord, Taken, Window
from services.rest.messages import FrameSink
from services.rest.oddities import Oddities
from services.rest.schedule.task import Moment, RestRequest, Task
from services.runtime.gaps.drafts import Draft
from services.runtime.gaps.last_rows import LastRow

_AT_ONCE_S = float("-inf")
_NOT_POLLED = "the series is polled no more"
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
    wanted_s: float = _AT_ONCE_S
    """Since then the poll is due: a failure puts it behind others, and leaves this."""

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
    have their turn in the order of their records. Symbols are a few hundred at most: the one that is due first is
    looked for, without a queue that could disagree with their times.
    """

    refused_by = (400, 401, 404)

    parts: SeriesParts
    series: RestSeries
    polls: Sequence[Poll] = ()

    def follow(self, records: Sequence[SeriesRecord]) -> None:
        """Poll these records, in place of those before."""
        known = {poll.records: poll for poll in self.polls}
        for poll in self.polls:
            self.parts.refused_series.pop(poll.label, None)
        if self.series.answer is AnswerKind.LIST_OF_SYMBOLS:
            together = [tuple(records)] if records else []
        else:
            together = [(record,) for record in records]
        self.polls = [
            known.get(some) or Poll(some, min(record.polled.interval_s for record in some)) for some in together
        ]

    def next(self, now: Moment, delayed: Collection[str]) -> RestRequest[Asked] | None:
        """Return the request for the symbol whose turn it is."""
        if self.series.name in delayed or not self.polls:
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
            if now.s > poll.wanted_s + poll.interval_s and poll.wanted_s != _AT_ONCE_S:
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
            poll.due_s = poll.wanted_s = now.s
            return
        due_s = poll.due_s
        poll.due_s = poll.wanted_s = (due_s if now.s - due_s < interval_s else now.s) + interval_s


class SeriesTasks:
    """The tasks of all series, and the symbols that each of them polls: groups get members and let them go."""

    def __init__(
        self, parts: SeriesParts, last_rows: Callable[[], Mapping[str, LastRow]], new_gap_id: Callable[[], str]
    ) -> None:
        """`last_rows` returns where streams stand in the journal."""
        self.tasks = [SeriesTask(parts, series) for series in REST_SERIES.values()]
        self._sink = parts.sink
        self._last_rows = last_rows
        self._new_gap_id = new_gap_id

    def follow(self, polled: Sequence[Polled]) -> None:
        """Poll these from now on: those that are polled already keep their times, others begin where they stand."""
        rows = self._last_rows()
        for task in self.tasks:
            known = {record.polled: record for poll in task.polls for record in poll.records}
            wanted = [one for one in polled if one.series is task.series]
            task.follow([known.get(one) or SeriesRecord(one, rows.get(one.name), self._new_gap_id) for one in wanted])

    def end_others(self, recv_ns: int) -> bool:
        """List open gaps of series that are polled no more as unrepairable: nobody will ask for what they lack.

        Return False where the journal has not taken all of them: call it again. Those that it has are open no more.
        """
        polled = {record.polled.name for task in self.tasks for poll in task.polls for record in poll.records}
        for name, row in self._last_rows().items():
            found = series_from_name(name)
            if found is None or name in polled:
                continue
            record = SeriesRecord(Polled(found[0], row.symbol, found[1], 0.0), row, self._new_gap_id)
            ended = [record.gap_row(gap, UNREPAIRABLE, recv_ns, _NOT_POLLED) for gap in row.open_gaps]
            if ended and not self._sink.append(ended):
                return False
        return True


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
