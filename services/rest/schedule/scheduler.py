"""What is asked next, and when, and what an answer means for that. Times are passed in."""

from collections import Counter
from typing import Literal, NamedTuple

from services.rest.answers import (
    EXCHANGE_INFO,
    TIME,
    TRADING_SCHEDULE,
    RestAnswer,
    RestRequest,
    Verdict,
    depth_request,
    repair_request,
    used_weight,
    verdict,
)
from services.rest.market.clock_offset import Measurement, OffsetMeter, Sample
from services.rest.schedule.backfill_queue import BackfillQueue
from services.rest.schedule.pacing import Pace, stand_down_s
from services.rest.schedule.snapshot_queue import SnapshotQueue
from services.runtime.retry import Backoff, KeyedBackoff, RandomSource

Condition = Literal["starting", "answered", "standing down", "forbidden", "trouble"]
_FORBIDDEN_CEILING = 60
"""403 and 451 do not go away by asking: first the longest ordinary delay, at last so many times that (an hour)."""
_LEAST = 0.5
"""Of each delay; the rest is random. A server in trouble is left alone for at least half of it."""


class Queues(NamedTuple):
    """What is waited for."""

    snapshots: SnapshotQueue
    repairs: BackfillQueue


class Scheduler:
    """One request at a time: the clock first, then what the exchange lists and the hours of markets, then what somebody
    waits for: snapshots, then rows that are missing; then periodic snapshots, and audits at last.

    A ban is for the whole address. Trouble is for its kind of request alone: an exchange that gives no snapshots may
    well give rows, and one that gives nothing is asked for each of a few kinds less and less.
    """

    def __init__(
        self,
        pace: Pace,
        queues: Queues,
        *,
        delays_s: tuple[float, float],
        intervals_s: tuple[float, float],
        rng: RandomSource,
    ) -> None:
        """`intervals_s`: between two looks at the list, between two measurements of the clock."""
        self._interval_s, clock_interval_s = intervals_s
        self.pace = pace
        self.snapshots, self.repairs = queues
        self.condition: Condition = "starting"
        self.clock = OffsetMeter(clock_interval_s)
        self.answers: Counter[str] = Counter()
        first_s, self._longest_delay_s = delays_s
        self._failing = KeyedBackoff[str](first_s=first_s, ceiling_s=self._longest_delay_s, rng=rng, least=_LEAST)
        self._forbidden = Backoff(
            first_s=self._longest_delay_s, ceiling_s=self._longest_delay_s * _FORBIDDEN_CEILING, rng=rng, least=_LEAST
        )
        self._exchange_info_due_s = float("-inf")
        self._schedule_due_s = float("inf")

    def next(self, now_s: float, now_ms: int) -> RestRequest | None:
        """The request that may leave now, counted as sent; None when there is none, or it is too early."""
        request = self._wanted(now_s, now_ms)
        if request is None or self.pace.earliest_s(request.weight, now_s) > now_s:
            return None
        self.pace.sent(request.weight, now_s)
        return request

    def wait_s(self, now_s: float, now_ms: int) -> float | None:
        """How long until `next` has something, None while nothing is wanted."""
        request = self._wanted(now_s, now_ms)
        return None if request is None else self.pace.earliest_s(request.weight, now_s) - now_s

    def judge(self, request: RestRequest, answer: RestAnswer, now_s: float, now_ms: int) -> Verdict:
        """What the answer's status means; all that follows from it, except for a good one, is done here."""
        self.answers[str(answer.status or "none")] += 1
        used = used_weight(answer)
        if used is not None:
            self.pace.reported(used, now_s)
        found = verdict(answer)
        is_schedule = request.kind == "trading_schedule"
        if answer.status == 404 and (is_schedule or request.repair is not None):
            found = "refused"
        if found == "banned":
            self._forbidden.reset()
            self.condition = "standing down"
            self.pace.stand_down(now_s + stand_down_s(answer.status, answer.headers, answer.body, now_ms))
        elif found == "forbidden":
            self.condition = "forbidden"
            self.pace.stand_down(now_s + self._forbidden.next_delay_s())
        elif found == "refused" and is_schedule:
            self._schedule_due_s = now_s + self._interval_s
        elif found == "refused" and request.wanted is not None:
            self.snapshots.refused(request.wanted, now_s, now_ms)
        elif found != "good" and (found != "refused" or request.repair is None):
            self.failed(request, now_s)
        return found

    def failed(self, request: RestRequest, now_s: float) -> None:
        """No answer, or not to what was asked: later again, and something else first."""
        self._failing.fail(_kind(request), now_s)
        self.condition = "trouble"
        if request.wanted is not None:
            self.snapshots.failed(request.wanted, now_s)
        elif request.kind == "time":
            self.clock.postpone(now_s + self._longest_delay_s)
        elif request.repair is not None:
            self.repairs.failed(request.repair, now_s)
        elif request.kind == "exchange_info":
            self._exchange_info_due_s = now_s + min(self._interval_s, self._longest_delay_s)
        elif request.kind == "trading_schedule":
            self._schedule_due_s = now_s + min(self._interval_s, self._longest_delay_s)

    def succeeded(self, request: RestRequest, now_s: float) -> None:
        """An answer that was what it should be."""
        self._forbidden.reset()
        self._failing.succeed(_kind(request))
        self.condition = "trouble" if self._failing.remembers_any(now_s) else "answered"

    def silent_s(self, now_s: float) -> float:
        """How long everything, or one kind of request, is left alone."""
        return max(self.pace.stand_down_until_s - now_s, self._failing.longest_wait_s(now_s))

    def took_time(self, sample: Sample, now_s: float) -> Measurement | None:
        """The exchange told its time; the measurement of its clock that is complete by that."""
        self.succeeded(TIME, now_s)
        return self.clock.take(sample, now_s)

    def took_exchange_info(self, weight_limit: int | None, now_s: float, *, follows_sessions: bool = False) -> None:
        """What the exchange lists is known, how much weight it allows, and whether the hours of markets matter."""
        self.succeeded(EXCHANGE_INFO, now_s)
        self._exchange_info_due_s = now_s + self._interval_s
        if weight_limit is not None:
            self.pace.limit = weight_limit
        if not follows_sessions:
            self._schedule_due_s = float("inf")
        elif self._schedule_due_s == float("inf"):
            self._schedule_due_s = now_s

    def took_schedule(self, now_s: float) -> None:
        """The hours of the markets are known, days ahead."""
        self.succeeded(TRADING_SCHEDULE, now_s)
        self._schedule_due_s = now_s + self._interval_s

    def _wanted(self, now_s: float, now_ms: int) -> RestRequest | None:
        left_alone = self._failing.delayed(now_s)
        for request, due_s in (
            (TIME, self.clock.due_s),
            (EXCHANGE_INFO, self._exchange_info_due_s),
            (TRADING_SCHEDULE, self._schedule_due_s),
        ):
            if now_s >= due_s and request.kind not in left_alone:
                return request
        gives_depth = "depth" not in left_alone
        wanted = self.snapshots.next_asked(now_s) if gives_depth else None
        if wanted is None and (missing := self.repairs.next(now_s, without=left_alone)) is not None:
            return repair_request(missing)
        if wanted is None and gives_depth:
            wanted = self.snapshots.next_periodic(now_s, now_ms) or self.snapshots.next_audit(now_s)
        return None if wanted is None else depth_request(wanted)


def _kind(request: RestRequest) -> str:
    """What fails or succeeds together: of missing rows, those of one type of stream."""
    return request.kind if request.repair is None else request.repair.stream.stream_type
