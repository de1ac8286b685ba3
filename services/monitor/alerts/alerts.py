"""Decides when an alert is sent: for a problem that lasts, for one that goes on, and for one that is over.

A problem is opened when it has lasted `alerts.delay`, repeated every `alerts.repeat_interval`, and closed
when it has been over for `alerts.delay`: one that comes and goes within the delay gives one alert, not
many. A gap and a failed audit are events: such a problem is over when none has come for `EVENT_S`, and a
gap is told at once, because it never gets better by waiting.

| state of an episode | leaves it when |
|---|---|
| seen, no alert sent | it is due: `opened`; absent for the delay: forgotten without an alert |
| alert sent | the repeat interval is over: `still`; absent for the delay: `closed` |
| alert sent, hidden | its process is heard again; until then it is neither repeated nor closed |

Times `_s` are of a monotonic clock, which a restart begins anew; times `_ms` are of the wall clock, in what
is kept. No socket, file or thread: main thread only.
"""

from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple

import msgspec

from binance_streamer.config.schema import AlertsConfig, Condition
from binance_streamer.exchange.streams import suffix_of
from binance_streamer.health.judge import SILENT_S
from binance_streamer.health.observer import Key, is_hidden
from binance_streamer.health.problem import Problem
from services.monitor.snapshots.page import MonitorSnapshot

EVENT_S = 600.0
"""Ten minutes without another event, then its problem is over; gaps in a row are one problem and not one each."""

Happening = Literal["opened", "still", "closed"]
_EventKey = tuple[Condition, str]


class Notice(NamedTuple):
    """One alert that is to be sent. `lasted_s` is None while nobody knows since when the problem lasts.

    `happening` is `opened`, `still` or `closed`; of a closed one `problem` is as it was last seen.
    """

    happening: Happening
    problem: Problem
    lasted_s: float | None


class NotifiedEpisode(msgspec.Struct, frozen=True):
    """A problem of which an alert was sent and which is not over: when the last alert was sent, and how many were.

    It is the form that is saved; `told_ms` is the wall clock, since a monotonic one means nothing after a
    restart.
    """

    problem: Problem
    told_ms: int
    times: int


class NotifiedEvents(msgspec.Struct, frozen=True):
    """Events that are not over: how many, the last one, and the first one, by the wall clock."""

    condition: Condition
    what: str
    count: int
    last_ms: int
    since_ms: int


class Notified(msgspec.Struct, frozen=True):
    """The state that the next run of the monitor goes on with; times are of the wall clock.

    Its JSON is a file that a later version reads: new fields need a default.
    """

    episodes: tuple[NotifiedEpisode, ...] = ()
    events: tuple[NotifiedEvents, ...] = ()


class _Episode:
    """One problem from its first sight to its end; it stays the same while the text of the problem changes.

    `due_s` is the earliest first alert, `seen_s` when the problem was last there, `sent_s` the last alert,
    `times` how many were sent.
    """

    __slots__ = ("due_s", "problem", "seen_s", "sent_s", "times")

    def __init__(self, problem: Problem, due_s: float) -> None:
        self.problem = problem
        self.due_s = self.seen_s = self.sent_s = due_s
        self.times = 0


class Alerts:
    """Compares every snapshot with the alerts that were sent, and remembers these.

    A problem is known by condition, severity and subject. Its reason is no part of that: it may change each
    second.
    """

    def __init__(self, config: AlertsConfig) -> None:
        self._config = config
        self._episodes: dict[Key, _Episode] = {}
        self._events = EventNotices()
        self._all_heard_s: float | None = None

    def look(self, snapshot: MonitorSnapshot, now_s: float) -> list[Notice]:
        """Return the alerts that are due now, and count them as sent; call it with each snapshot, once.

        In the first ten seconds no problem of the judge is opened: processes that have not had time to say anything
        look like dead ones. A problem whose process is silent counts as present, so that it is not closed because
        nobody speaks of it.
        """
        if self._all_heard_s is None:
            self._all_heard_s = now_s + SILENT_S  # by then every process has said something
        delay_s = self._config.delay
        present = {_key(one): one for one in snapshot.page.problems}
        for key, problem in present.items():
            self._see(key, problem, now_s, due_s=max(now_s + delay_s, self._all_heard_s))
        for problem in self._events.problems(snapshot, now_s):
            present[_key(problem)] = problem
            self._see(_key(problem), problem, now_s, due_s=now_s + (0 if problem.condition == "gap" else delay_s))
        notices = []
        for key, episode in list(self._episodes.items()):
            happening: Happening | None = None
            if key in present:
                happening = self._going_on(episode, now_s)
            elif episode.times and is_hidden(key, present):
                episode.seen_s = max(episode.seen_s, now_s)
            elif now_s - episode.seen_s >= delay_s:
                happening = "closed" if episode.times else None
                del self._episodes[key]
            if happening is not None:
                notices.append(_notice(happening, episode, snapshot.page.time_ms))
        return notices

    def _see(self, key: Key, problem: Problem, now_s: float, *, due_s: float) -> None:
        """Note that a problem is there now, and make its episode at first sight; `due_s` counts only then."""
        episode = self._episodes.setdefault(key, _Episode(problem, due_s))
        episode.problem, episode.seen_s = problem, now_s

    def _going_on(self, episode: _Episode, now_s: float) -> Happening | None:
        """Return the alert that a present problem is due for, and count it; None where it is not due yet."""
        if now_s < (episode.sent_s + self._config.repeat_interval if episode.times else episode.due_s):
            return None
        episode.times += 1
        episode.sent_s = now_s
        return "still" if episode.times > 1 else "opened"

    def notified(self, now_s: float, now_ms: int) -> Notified:
        """Return the state for the next run: only episodes of which an alert was sent, and events that are not over.

        `now_s` and `now_ms` are one moment of both clocks; they convert times of the first into times of the
        second.
        """
        return Notified(
            tuple(
                NotifiedEpisode(one.problem, now_ms - int((now_s - one.sent_s) * 1000), one.times)
                for one in self._episodes.values()
                if one.times
            ),
            self._events.notified(now_s, now_ms),
        )

    def restore(self, earlier: Notified, now_s: float, now_ms: int) -> None:
        """Go on with the alerts of an earlier run. None is over before every process had the time to be heard.

        A time in the future, as after a clock that was set back, counts as now. Call it before the first `look`.
        """
        for one in earlier.episodes:
            episode = _Episode(one.problem, now_s)
            episode.seen_s = now_s + SILENT_S
            episode.sent_s = now_s - max(0, now_ms - one.told_ms) / 1000
            episode.times = one.times
            self._episodes[_key(one.problem)] = episode
        self._events.restore(earlier.events, now_s, now_ms)


class EventNotices:
    """Turns events into problems that last for a while: gaps, and audits that a book failed.

    It counts by differences of counters, so that an event between two snapshots is not missed.
    """

    def __init__(self) -> None:
        self._counts: dict[_EventKey, int] | None = None
        self._open: dict[_EventKey, tuple[int, float, int]] = {}  # how many, the last, when the first

    def notified(self, now_s: float, now_ms: int) -> tuple[NotifiedEvents, ...]:
        """Return the state for the next run: the events that are not over, by the wall clock."""
        return tuple(
            NotifiedEvents(*key, count, now_ms - int((now_s - last_s) * 1000), since_ms)
            for key, (count, last_s, since_ms) in self._open.items()
        )

    def restore(self, earlier: tuple[NotifiedEvents, ...], now_s: float, now_ms: int) -> None:
        """Go on with the events of an earlier run; a last one in the future counts as now."""
        for one in earlier:
            last_s = now_s - max(0, now_ms - one.last_ms) / 1000
            self._open[one.condition, one.what] = one.count, last_s, one.since_ms

    def problems(self, snapshot: MonitorSnapshot, now_s: float) -> Iterator[Problem]:
        """Count new events, and yield a problem for each kind of which one came within `EVENT_S`.

        Counters of the first snapshot are the base: what happened before this run is not told. A gap of a stream
        that is new counts from 0, because its counter began with the monitor; audits of a book that is new do not,
        as its process may have run long.
        """
        counts = dict(_counts(snapshot))
        before = counts if self._counts is None else self._counts
        for key, count in counts.items():
            at_first = 0 if key[0] == "gap" else count  # audits of before the monitor heard of the book
            more = count - before.get(key, at_first)
            if more > 0:  # below 0 the process was restarted, and counts anew
                known, _, since_ms = self._open.get(key, (0, now_s, snapshot.page.time_ms))
                self._open[key] = known + more, now_s, since_ms
        self._counts = before | counts
        self._open = {key: one for key, one in self._open.items() if now_s - one[1] < EVENT_S}
        for (condition, what), (count, _, since_ms) in self._open.items():
            why = f"{count} since then" if condition == "gap" else f"failed {count} audits since then"
            yield Problem(what=what, why=why, since_ms=since_ms, condition=condition, severity="warning")


def _key(problem: Problem) -> Key:
    """Return the parts by which a problem is known again in the next snapshot."""
    return problem.condition, problem.severity, problem.what


def _counts(snapshot: MonitorSnapshot) -> Iterator[tuple[_EventKey, int]]:
    """Yield the counter of each kind of event: ended gaps by stream, failed audits by book."""
    gaps: Mapping[tuple[str, str], int] = snapshot.ended_gaps
    for (symbol, stream), count in gaps.items():
        yield ("gap", f"{symbol} {suffix_of(stream)} gaps"), count
    for part in snapshot.page.symbols:
        if part.book is not None:
            yield ("book", f"{part.symbol} order book audit"), part.book.audits_failed


def _notice(happening: Happening, episode: _Episode, time_ms: int) -> Notice:
    """Make the alert, with the seconds that the problem has lasted by the wall clock, never below 0."""
    since_ms = episode.problem.since_ms
    return Notice(happening, episode.problem, None if since_ms is None else max(0.0, (time_ms - since_ms) / 1000))
