"""The things that the exchange is asked for beside series: clock, list, hours of markets, snapshots, missing rows.

The order of their turns is that of `tasks_in_order`: what other answers are judged by comes first, then what somebody
waits for, and at last what can wait.
"""

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from binance_streamer.wire.requests import SnapshotRequest
from services.rest.answers import Odd, RestAnswer, read_clock_sample, read_rows, read_snapshot, read_turnovers, refusal
from services.rest.market.clock_offset import OffsetMeter
from services.rest.market.group_members import GroupMembers
from services.rest.market.listing import ListingRecorder
from services.rest.messages import FrameSink, backfill_draft, odd_row_draft, offset_draft, snapshot_draft
from services.rest.oddities import Oddities
from services.rest.paths import EXCHANGE_INFO, TIME, TRADING_SCHEDULE, TURNOVERS, Path, backfill_path, depth_path
from services.rest.schedule.backfill_queue import BackfillQueue, MissingRows
from services.rest.schedule.pacing import Pace
from services.rest.schedule.snapshot_queue import SnapshotQueue
from services.rest.schedule.task import AnyTask, Moment, RestRequest, Subject, Task

CLOCK_GROUP = "time"
_NEVER_S = float("inf")
_AT_ONCE_S = float("-inf")
_TURNOVER_S = 86_400.0
_PageRequest = RestRequest[MissingRows]


@dataclass(slots=True)
class Parts:
    """The state that the tasks share; the status message is made of it."""

    pace: Pace
    meter: OffsetMeter
    listing: ListingRecorder
    snapshots: SnapshotQueue
    backfill: BackfillQueue
    sink: FrameSink
    oddities: Oddities
    counts: Counter[str] = field(default_factory=lambda: Counter(snapshots=0, repair_pages=0, repair_refusals=0))
    """Since the start, by the names of the status message."""
    refused_series: dict[str, str] = field(default_factory=dict)
    """Series of symbols that the exchange does not give, with its words."""
    members: GroupMembers | None = None


@dataclass(slots=True)
class ClockTask(Task[None]):
    """Measures the exchange's clock: several requests one after the other, then none for an interval."""

    parts: Parts

    def next(self, now: Moment, delayed: Collection[str]) -> RestRequest[None] | None:
        """Return a request while a measurement is due."""
        return _request(TIME, CLOCK_GROUP, self, None) if now.s >= self.parts.meter.due_s else None

    def good(self, request: RestRequest[None], answer: RestAnswer, now: Moment) -> None:
        """Record the measurement that this sample completes, if it does."""
        measured = self.parts.meter.take(read_clock_sample(answer), now.s)
        if measured is not None:
            self.parts.sink.append([offset_draft(measured)])


@dataclass(slots=True)
class TurnoverTask(Task[None]):
    """Fetches the turnover of all symbols once a day, in front of the list: the `top` of groups are chosen by it."""

    members: GroupMembers
    due_s: float = _AT_ONCE_S

    def next(self, now: Moment, delayed: Collection[str]) -> RestRequest[None] | None:
        """Return a request once a day, where a group wants it."""
        is_due = self.members.needs_turnover and now.s >= self.due_s and "turnover" not in delayed
        return _request(TURNOVERS, "turnover", self, None) if is_due else None

    def good(self, request: RestRequest[None], answer: RestAnswer, now: Moment) -> None:
        """Have the members chosen by it with the next list."""
        self.members.take_turnover(read_turnovers(answer))
        self.due_s = now.s + _TURNOVER_S


@dataclass(slots=True)
class HoursTask(Task[None]):
    """Fetches the hours of the markets behind TradFi contracts, where such a contract is configured."""

    refused_by = (400, 404)

    parts: Parts
    interval_s: float
    due_s: float = _NEVER_S

    def follow(self, now_s: float, *, are_needed: bool) -> None:
        """Begin to fetch them at once where they are needed and were not, or fetch them no more."""
        if not are_needed:
            self.due_s = _NEVER_S
        elif self.due_s == _NEVER_S:
            self.due_s = now_s

    def next(self, now: Moment, delayed: Collection[str]) -> RestRequest[None] | None:
        """Return a request once every interval."""
        return _request(TRADING_SCHEDULE, "trading_schedule", self, None) if now.s >= self.due_s else None

    def good(self, request: RestRequest[None], answer: RestAnswer, now: Moment) -> None:
        """Record the hours where they have changed."""
        self.parts.listing.take_schedule(answer, now.s)
        self.due_s = now.s + self.interval_s

    def refused(self, request: RestRequest[None], answer: RestAnswer, now: Moment) -> bool:
        """An exchange without such hours is no trouble; ask again after the interval."""
        self.parts.listing.take_no_schedule()
        self.due_s = now.s + self.interval_s
        return True

    def failed(self, request: RestRequest[None], now: Moment) -> None:
        """Silence of such a contract must not count as a fault only because the hours do not come."""
        self.parts.listing.take_no_schedule()


@dataclass(slots=True)
class ListTask(Task[None]):
    """Fetches the list of symbols, and hands on what others need of it."""

    parts: Parts
    hours: HoursTask
    interval_s: float
    retry_s: float
    """After an answer that failed."""
    due_s: float = _AT_ONCE_S

    def next(self, now: Moment, delayed: Collection[str]) -> RestRequest[None] | None:
        """Return a request once every interval."""
        return _request(EXCHANGE_INFO, "exchange_info", self, None) if now.s >= self.due_s else None

    def good(self, request: RestRequest[None], answer: RestAnswer, now: Moment) -> None:
        """Record what has changed in the list, and follow the weight limit and the symbols that it names."""
        weight_limit = self.parts.listing.take(answer, now.s)
        if weight_limit is not None:
            self.parts.pace.limit = weight_limit
        self.parts.snapshots.stretch(self.parts.pace.heavy_interval_s)
        self.parts.snapshots.set_idle(self.parts.listing.idle)
        self.hours.follow(now.s, are_needed=self.parts.listing.follows_sessions)
        self.due_s = now.s + self.interval_s

    def failed(self, request: RestRequest[None], now: Moment) -> None:
        """A list that has lost much is believed when it comes twice: not twice within the same seconds."""
        self.due_s = now.s + min(self.interval_s, self.retry_s)


@dataclass(slots=True)
class SnapshotTask(Task[SnapshotRequest]):
    """Fetches the depth snapshots that `choose` picks of the queue, and records them."""

    parts: Parts
    choose: Callable[[Moment], SnapshotRequest | None]

    def next(self, now: Moment, delayed: Collection[str]) -> RestRequest[SnapshotRequest] | None:
        """Return a request for the snapshot whose turn it is."""
        wanted = None if "depth" in delayed else self.choose(now)
        return None if wanted is None else _request(depth_path(wanted.symbol), "depth", self, wanted)

    def good(self, request: RestRequest[SnapshotRequest], answer: RestAnswer, now: Moment) -> None:
        """Record the snapshot; where the journal is full it counts as failed, because no file will have it."""
        wanted = request.subject
        snapshot = read_snapshot(answer)
        self.parts.sink.append([snapshot_draft(wanted.symbol, answer, snapshot)])
        if self.parts.sink.is_full:
            self.parts.snapshots.note_failure(wanted, now.s)
            return
        self.parts.counts["snapshots"] += 1
        # by when it was asked for: one that was under way at midnight is not the new day's
        taken_ms = min(now.exchange_ms, self.parts.meter.exchange_ms(answer.requested_ns))
        self.parts.snapshots.note_recorded(wanted, snapshot.lastUpdateId, now.s, taken_ms)

    def refused(self, request: RestRequest[SnapshotRequest], answer: RestAnswer, now: Moment) -> bool:
        """The exchange has none of this symbol; others are asked for meanwhile."""
        self.parts.snapshots.note_refusal(request.subject, now.s, now.exchange_ms)
        return True

    def failed(self, request: RestRequest[SnapshotRequest], now: Moment) -> None:
        """Put this symbol behind the others."""
        self.parts.snapshots.note_failure(request.subject, now.s)


@dataclass(slots=True)
class BackfillTask(Task[MissingRows]):
    """Fetches missing rows page by page, and publishes each page for the worker that records them."""

    refused_by = (400, 404)

    parts: Parts

    def next(self, now: Moment, delayed: Collection[str]) -> _PageRequest | None:
        """Return a request for the stream whose turn it is; each stream type is a group."""
        missing = self.parts.backfill.next(now.s, without=delayed)
        if missing is None:
            return None
        return _request(backfill_path(missing), missing.stream.stream_type, self, missing)

    def good(self, request: _PageRequest, answer: RestAnswer, now: Moment) -> None:
        """Publish the page; one without rows says that the exchange does not have them.

        Elements that are no rows are recorded here, raw and once: the worker takes the others.
        """
        page = read_rows(answer, request.subject)
        if not page.rows:
            self._take_nothing(request, answer, now, why="")
            return
        stream = request.subject.stream
        for raw, why, has_id in page.odd:
            if self.parts.oddities.note(Odd(stream.name, raw, why)) and not has_id:
                self.parts.sink.append([odd_row_draft(stream, answer, raw)])
        self.parts.backfill.note_answer(request.subject)
        self.parts.counts["repair_pages"] += 1
        self.parts.sink.publish_live(backfill_draft(request.subject, answer, request.path, refusal=""))

    def refused(self, request: _PageRequest, answer: RestAnswer, now: Moment) -> bool:
        """Tell the worker in the exchange's words why there is nothing, if asking by time does not help either."""
        self._take_nothing(request, answer, now, why=refusal(answer))
        return True

    def failed(self, request: _PageRequest, now: Moment) -> None:
        """Put this stream behind the others."""
        self.parts.backfill.note_failure(request.subject, now.s)

    def _take_nothing(self, request: _PageRequest, answer: RestAnswer, now: Moment, *, why: str) -> None:
        missing = request.subject
        if self.parts.backfill.try_by_time(missing, now.exchange_ms):
            return
        self.parts.backfill.note_answer(missing)
        self.parts.counts["repair_refusals"] += 1
        self.parts.sink.publish_live(backfill_draft(missing, answer, request.path, refusal=why))


def tasks_in_order(
    parts: Parts, *, list_interval_s: float, list_retry_s: float, series: Sequence[AnyTask] = ()
) -> tuple[AnyTask, ...]:
    """Return the tasks in the order of their turn.

    `list_retry_s` is for a list of symbols that did not come; `series` are the tasks of what is polled.
    """
    snapshots = parts.snapshots
    hours = HoursTask(parts, list_interval_s)
    return (
        ClockTask(parts),
        *([TurnoverTask(parts.members)] if parts.members is not None else ()),
        ListTask(parts, hours, list_interval_s, list_retry_s),
        hours,
        SnapshotTask(parts, lambda now: snapshots.next_asked(now.s)),
        BackfillTask(parts),
        SnapshotTask(parts, lambda now: snapshots.next_periodic(now.s, now.exchange_ms)),
        *series,
        SnapshotTask(parts, lambda now: snapshots.next_audit(now.s)),
    )


def _request(path: Path, group: str, task: Task[Subject], subject: Subject) -> RestRequest[Subject]:
    return RestRequest(path.text, path.weight, group, task, subject)
