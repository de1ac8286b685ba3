"""Rows and gaps of one series of one symbol: what an answer adds to what is recorded.

In: answers, and where the series stands in the journal. Out: drafts of rows and gaps. A successor goes on where the
journal ends, so that nothing is lost and nothing is there twice:

| kind (`binance_streamer/exchange/rest_series.py`) | a row | a gap |
|---|---|---|
| with history | a time behind the newest, in an open gap, or with another content than before | buckets that an answer
passes over, or that are overdue; open until a later answer has them |
| on change | another content than that of the last row | in front of a change, where polls were missed |
| sampled | every answer | in front of a row, where polls were missed |
"""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import NamedTuple

import msgspec

from binance_streamer.exchange.messages import ExchangeError, Reading
from binance_streamer.exchange.rest_series import Polled
from binance_streamer.health.gaps import OPEN, REPAIRED, UNREPAIRABLE
from services.rest.answers import AnswerError, RestAnswer, decode
from services.rest.schedule.task import Moment
from services.runtime.delivery.events import rest_data
from services.runtime.gaps.drafts import Draft, Gap, bounds_of, gap_draft
from services.runtime.gaps.last_rows import LastRow, latest_ms
from services.runtime.gaps.open_gaps import OpenGap, OpenGaps, with_row

SEQUENCE, RESTART, NOT_ANSWERED = "sequence", "restart", "not answered"
_MOST_TRIES = 12
"""Answers that still lack a bucket before it counts as missing for ever: with buckets of five minutes, an hour."""
_SETTLED_MS = 60_000
"""A bucket may be published so long after its end."""
_MARGIN_MS = 600_000
"""Ten minutes from the edge of what the exchange keeps, which moves on while we ask."""
_MISSED = 2
"""Intervals between two answers, from which on a poll was missed."""


class Window(NamedTuple):
    """The times that a request asks for, both inclusive, in ms."""

    start_ms: int
    end_ms: int


class _Standing(NamedTuple):
    """The place at which a series stands: newest time, stamp and event of the last row, what is missing below."""

    newest_ms: int | None = None
    recv_ns: int | None = None
    event: bytes = b""
    open_gaps: OpenGaps = ()


class Taken(NamedTuple):
    """The drafts that an answer leads to, in their order, and elements of it that are no rows, with the reason."""

    drafts: list[Draft]
    odd: list[tuple[bytes, str]]


class SeriesRecord:
    """One series of one symbol, from answer to answer.

    `take`, `take_list` and `list_overdue` return drafts and change nothing that lasts. Who has journalled the drafts
    calls `commit`; where the journal is full, what has a history is so asked for once more, and no row is lost.
    Nothing is kept beside the journal: the newest time, the last event and open gaps come from its last rows.
    """

    def __init__(self, polled: Polled, last: LastRow | None, new_gap_id: Callable[[], str]) -> None:
        self.polled = polled
        self._new_gap_id = new_gap_id
        self.at = _Standing(last.last_id, last.recv_ns, last.event, last.open_gaps) if last else _Standing()
        self._next = self.at
        self._answered_s: float | None = None
        self._recent: Mapping[int, bytes] = {}
        self._page_ms: int | None = None
        self._tries: Counter[str] = Counter()

    @property
    def label(self) -> str:
        """Symbol and name, for people."""
        variant = f"@{self.polled.variant}" if self.polled.variant else ""
        return f"{self.polled.symbol} {self.polled.series.word}{variant}"

    @property
    def is_empty(self) -> bool:
        """Return True where no row of it is recorded."""
        return self.at == _Standing()

    @property
    def is_behind(self) -> bool:
        """Return True where the last answer ended before the present: the next page can be asked for at once."""
        return self._page_ms is not None

    def window(self, now_ms: int) -> Window | None:
        """Return the times to ask for, None where a series has no history.

        They begin with the last two rows that are recorded, or with the oldest open gap, so that windows overlap. No
        window has more buckets than an answer: which of them would be left out is documented nowhere.
        """
        history = self.polled.series.history
        if history is None:
            return None
        step_ms = self.period_ms or 0
        start_ms = self._page_ms
        if start_ms is None and self.at.newest_ms is not None:
            start_ms = min([self.at.newest_ms, *(gap.from_id for gap in self.at.open_gaps)]) - step_ms
        elif start_ms is None:
            start_ms = now_ms - max(history.begins_ms, 2 * step_ms)
        start_ms = max(start_ms, now_ms - history.kept_ms + _MARGIN_MS)
        return Window(start_ms, min(now_ms, start_ms + (history.most_rows - 1) * step_ms) if step_ms else now_ms)

    def take(self, answer: RestAnswer, event: bytes, now: Moment) -> Taken:
        """Return the row of an answer that is one object; what is no row is recorded too, as it came."""
        decode(event, dict[str, msgspec.Raw], f"an answer of {self.polled.series.word}")
        series = self.polled.series
        is_news = not series.steady or not self.at.event or series.content(event) != series.content(self.at.event)
        drafts = [self.any_row(answer, event)] if is_news else []
        if is_news and self.at.recv_ns is not None:
            drafts = [*self._missed(self.at.recv_ns, answer.recv_ns, now), *drafts]
        self._next = self.at._replace(recv_ns=answer.recv_ns, event=event) if is_news else self.at
        self._answered_s = now.s
        return Taken(drafts, [])

    def take_list(self, answer: RestAnswer, window: Window, now: Moment) -> Taken:
        """Return the rows of a list that are not recorded yet, and gaps where buckets are missing.

        Windows overlap, so that most answers begin with rows that are known. Of these only one that differs from the
        answer before is a row: the exchange has corrected it, or had given it while it was still running.
        """
        rows, odd = self._read(answer)
        taken = _Listing(self, answer)
        for time_ms in sorted(rows):
            taken.add(time_ms, rows[time_ms], is_changed=self._recent.get(time_ms, rows[time_ms]) != rows[time_ms])
        taken.tell_of_gaps(self._tries)
        self._next = taken.at
        self._answered_s = now.s
        self._recent = dict(sorted(rows.items())[-3:])
        self._page_ms = self._page_behind(rows, window, now.exchange_ms)
        return Taken(taken.drafts, odd)

    def list_overdue(self, now_ms: int, recv_ns: int) -> list[Draft]:
        """List the buckets that the exchange must have by now, where the poll for them is overdue: once an outage.

        The gap ends with the last bucket that is over for a minute. Those that follow while the outage lasts are not
        listed: the first answer has them. The record stands at the end of the gap, so that a successor sees it, too.
        """
        period_ms, at = self.period_ms, self.at
        if period_ms is None or at.newest_ms is None or at.recv_ns is None:
            return []
        count = (now_ms - _SETTLED_MS - at.newest_ms) // period_ms - 1
        if count < 1 or any(gap.reason == NOT_ANSWERED for gap in at.open_gaps):
            return []
        to_ms = at.newest_ms + count * period_ms
        gap = OpenGap(self._new_gap_id(), at.newest_ms, to_ms, at.recv_ns, recv_ns, NOT_ANSWERED)
        self._next = at._replace(newest_ms=to_ms, open_gaps=(*at.open_gaps, gap))
        return [self.gap_row(gap, OPEN, recv_ns)]

    def commit(self) -> None:
        """Take it that the journal has what the last call returned; without this the next one returns it again."""
        self.at = self._next

    def gap_row(self, gap: OpenGap, state: str, recv_ns: int, why: str | None = None) -> Draft:
        """Return the row of a gap in this state."""
        bounds = gap.from_id, gap.to_id, gap.from_ns, gap.to_ns
        by = "rest" if state == REPAIRED else None
        row = Gap(gap.gap_id, self.polled.symbol, self.polled.name, state, *bounds, gap.reason, by, why)
        return gap_draft(row._replace(first_from_id=gap.first_from_id, first_to_id=gap.first_to_id), recv_ns)

    @property
    def period_ms(self) -> int | None:
        """The length of a bucket; None where rows are none."""
        return self.polled.series.period_ms(self.polled.variant)

    def hole(self, newest_ms: int, time_ms: int, times_ns: tuple[int, int]) -> OpenGap | None:
        """Return the gap of the buckets between two rows; None where there is none, or rows are no buckets.

        Half a bucket more or less is no hole: nothing says that times are exact.
        """
        period_ms = self.period_ms
        if period_ms is None or (time_ms - newest_ms + period_ms // 2) // period_ms <= 1:
            return None
        return OpenGap(self._new_gap_id(), newest_ms, time_ms - period_ms, min(times_ns), max(times_ns), SEQUENCE)

    def row(self, answer: RestAnswer, event: bytes, time_ms: int) -> Draft:
        """Return the row of an element with this time."""
        return self.any_row(answer, event, self.polled.series.reading_at(time_ms, self.polled.variant))

    def any_row(self, answer: RestAnswer, event: bytes, reading: Reading | None = None) -> Draft:
        """Return the row of an answer, or of a part of one; what is no row of the series the writer keeps raw."""
        series, symbol, variant, _ = self.polled
        stamps = {"recv_ns": answer.recv_ns, "requested_ns": answer.requested_ns}
        return Draft(series.name, symbol, variant, rest_data(symbol, self.polled.name, event, **stamps), reading)

    def _missed(self, from_ns: int, to_ns: int, now: Moment) -> list[Draft]:
        """Return the gap in front of a row where no answer came for two intervals: of then nobody has a value."""
        if self._answered_s is None:
            reason, silent_s = RESTART, (to_ns - from_ns) / 1e9
        else:
            reason, silent_s = NOT_ANSWERED, now.s - self._answered_s
        if silent_s <= _MISSED * self.polled.interval_s:
            return []
        bounds = bounds_of((None, None), (from_ns, to_ns))
        gap = Gap(self._new_gap_id(), self.polled.symbol, self.polled.name, UNREPAIRABLE, *bounds, reason)
        return [gap_draft(gap, to_ns)]

    def _read(self, answer: RestAnswer) -> tuple[dict[int, bytes], list[tuple[bytes, str]]]:
        """Return the rows of a list by their times, and the elements that have none."""
        what = f"a list of {self.polled.series.word}"
        rows: dict[int, bytes] = {}
        odd: list[tuple[bytes, str]] = []
        for element in decode(answer.body, list[msgspec.Raw], what):
            event = bytes(element)
            try:
                time_ms = self.polled.series.reading(event, self.polled.variant).last_id or 0
            except ExchangeError as error:
                odd.append((event, str(error)))
                continue
            if time_ms > latest_ms(answer.recv_ns):  # all real rows would lie in front of it, and be taken for known
                odd.append((event, f"expected a time of the present, got {time_ms}"))
                continue
            rows[time_ms] = event
        if odd and not rows:
            raise AnswerError(f"expected {what}: {odd[0][1]}")
        return rows, odd

    def _page_behind(self, rows: Mapping[int, bytes], window: Window, now_ms: int) -> int | None:
        """Return the beginning of the next page; None where this one reaches the present."""
        history, period_ms = self.polled.series.history, self.period_ms
        assert history is not None
        if period_ms is not None:
            return window.end_ms if window.end_ms < now_ms - period_ms else None
        return max(rows) if len(rows) >= history.most_rows else None


class _Listing:
    """One list on its way into the record: drafts, and where the series stands behind them.

    Gap rows stand in front of the row behind the hole, and changes of gaps behind the rows that fill them, as a worker
    writes them: so whoever reads the journal up to any place folds the same standing.
    """

    def __init__(self, record: SeriesRecord, answer: RestAnswer) -> None:
        self.at = record.at
        self.drafts: list[Draft] = []
        self._record = record
        self._answer = answer
        self._listed = {gap.gap_id: gap for gap in record.at.open_gaps}

    def add(self, time_ms: int, event: bytes, *, is_changed: bool) -> None:
        """Take one element: a row, or nothing where it is recorded already. They come in the order of their times."""
        newest_ms, gaps = self.at.newest_ms, self.at.open_gaps
        if newest_ms is not None and time_ms <= newest_ms:
            filled = next((gap for gap in gaps if gap.from_id < time_ms <= gap.to_id), None)
            if filled is None and not is_changed:
                return
            if filled is not None:
                gaps = with_row(gaps, time_ms - (self._record.period_ms or 0), time_ms)
            self.at = self.at._replace(open_gaps=gaps)
        else:
            gap = newest_ms is not None and self._hole(newest_ms, time_ms)
            if gap:
                self._listed[gap.gap_id] = gap
                self.drafts.append(self._record.gap_row(gap, OPEN, self._answer.recv_ns))
                gaps = (*gaps, gap)
            self.at = _Standing(time_ms, self._answer.recv_ns, event, gaps)
        self.drafts.append(self._record.row(self._answer, event, time_ms))

    def tell_of_gaps(self, tries: Counter[str]) -> None:
        """Append a row for each gap that is filled, smaller or given up; `tries` counts answers that lack it.

        A try is an answer whose window has the gap in it: windows begin at the oldest one. After a restart the count
        begins anew, which only makes the recorder more patient.
        """
        kept: list[OpenGap] = []
        for gap in self.at.open_gaps:
            state, why = OPEN, None
            tries[gap.gap_id] += 1
            if gap.from_id == gap.to_id:
                state = REPAIRED
            elif tries[gap.gap_id] > _MOST_TRIES:
                state, why = UNREPAIRABLE, f"{_MOST_TRIES} answers did not have it"
            if state == OPEN:
                kept.append(gap)
            listed = self._listed.get(gap.gap_id)
            if state != OPEN or gap != listed:
                told = listed if listed and state == REPAIRED else gap  # with the bounds of what was missing last
                self.drafts.append(self._record.gap_row(told, state, self._answer.recv_ns, why))
        for gap_id in tries.keys() - {gap.gap_id for gap in kept}:
            del tries[gap_id]
        self.at = self.at._replace(open_gaps=tuple(kept))

    def _hole(self, newest_ms: int, time_ms: int) -> OpenGap | None:
        times_ns = self._record.at.recv_ns or self._answer.recv_ns, self._answer.recv_ns
        return self._record.hole(newest_ms, time_ms, times_ns)
