"""Decides which request leaves next, and when, and does what an answer's status demands.

States of the REST process, as its status says them (`condition`):

| condition | since | until |
|---|---|---|
| starting | the start | the first answer |
| answered | a good answer, where no group of requests is in trouble | something else comes |
| trouble | an answer that failed its group of requests | every group has succeeded, or is asked for no more |
| forbidden | 403 or 451: this address or region is not served | a good answer; asked again after 1 to 60 minutes |
| standing down | 429 or 418: the address has asked too often | the time that the answer named is over |
"""

from collections import Counter
from collections.abc import Sequence
from typing import Literal

from services.rest.answers import AnswerError, RestAnswer, Verdict, shown, used_weight, verdict
from services.rest.schedule.pacing import Pace, stand_down_s
from services.rest.schedule.task import AnyRequest, AnyTask, Moment
from services.runtime.retry import Backoff, KeyedBackoff, RandomSource

Condition = Literal["starting", "answered", "standing down", "forbidden", "trouble"]
_FORBIDDEN_CEILING = 60
"""403 and 451 do not go away by asking: first the longest ordinary delay, at last so many times that (an hour)."""
_LEAST = 0.5
"""Of each delay; the rest is random. A server in trouble is left alone for at least half of it."""


class Scheduler:
    """Sends one request at a time, of the first of its tasks that wants one.

    A ban holds for the whole address. Trouble holds for the group of a request alone: an exchange that gives no
    snapshots may well give rows, and one that gives nothing is asked for each of a few groups less and less.
    """

    def __init__(
        self, pace: Pace, tasks: Sequence[AnyTask], *, delays_s: tuple[float, float], rng: RandomSource
    ) -> None:
        """`tasks` in the order of their turn. `delays_s`: after the first failure of a group, and at the most."""
        first_s, longest_s = delays_s
        self.condition: Condition = "starting"
        self.fault = ""
        """The path and the reason of the newest failure, while one lasts."""
        self.answers: Counter[str] = Counter()
        """Answers by HTTP status; `none` where none came."""
        self._pace = pace
        self._tasks = tasks
        self._groups = KeyedBackoff[str](first_s=first_s, ceiling_s=longest_s, rng=rng, least=_LEAST)
        self._forbidden = Backoff(first_s=longest_s, ceiling_s=longest_s * _FORBIDDEN_CEILING, rng=rng, least=_LEAST)

    def take_next(self, now: Moment) -> AnyRequest | None:
        """Return the request that may leave now, counted as sent; None where none is wanted, or it is too early."""
        request = self._wanted(now)
        if request is None or self._pace.earliest_s(request.weight, now.s, request.limit) > now.s:
            return None
        self._pace.sent(request.weight, now.s, request.limit)
        return request

    def wait_s(self, now: Moment) -> float | None:
        """Return the seconds until `take_next` has something, None while nothing is wanted."""
        request = self._wanted(now)
        return None if request is None else self._pace.earliest_s(request.weight, now.s, request.limit) - now.s

    def take_answer(self, request: AnyRequest, answer: RestAnswer, now: Moment) -> Verdict:
        """Hand the answer to its task, and delay what must not be asked now. Return what came of it."""
        self.answers[str(answer.status or "none")] += 1
        used = used_weight(answer)
        if used is not None:
            self._pace.reported(used, now.s)
        found: Verdict = "refused" if answer.status in request.task.refused_by else verdict(answer)
        if found == "good":
            return self._take_good(request, answer, now)
        if found == "refused" and request.task.refused(request, answer, now):
            return found
        self.fault = f"{request.path}: {shown(answer)}"
        if found == "banned":
            self._forbidden.reset()
            self._stand_down("standing down", stand_down_s(*answer[:3], now.exchange_ms), now)
        elif found == "forbidden":
            self._stand_down("forbidden", self._forbidden.next_delay_s(), now)
        else:
            self._fail(request, now)
        return found

    def silent_s(self, now_s: float) -> float:
        """Return the seconds for which everything, or one group of requests, is left alone yet."""
        return max(self._pace.stand_down_until_s - now_s, self._groups.longest_wait_s(now_s))

    def _take_good(self, request: AnyRequest, answer: RestAnswer, now: Moment) -> Verdict:
        try:
            request.task.good(request, answer, now)
        except AnswerError as error:
            self._fail(request, now)
            self.fault = f"{request.path}: {error}"
            return "trouble"
        self._forbidden.reset()
        self._groups.succeed(request.group)
        if self._groups.remembers_any(now.s):
            self.condition = "trouble"  # what fails outlasts the good answers to other requests
        else:
            self.condition, self.fault = "answered", ""
        return "good"

    def _fail(self, request: AnyRequest, now: Moment) -> None:
        self.condition = "trouble"
        self._groups.fail(request.group, now.s)
        request.task.failed(request, now)

    def _stand_down(self, condition: Condition, delay_s: float, now: Moment) -> None:
        self.condition = condition
        self._pace.stand_down(now.s + delay_s)

    def _wanted(self, now: Moment) -> AnyRequest | None:
        """Return the request of the first task that wants one.

        One that is held for itself, by the distance between snapshots or a limit of its endpoint, lets others pass: it
        is returned where no other one is wanted. One for which the weight is used up lets none pass, because cheap ones
        would take what it waits for.
        """
        delayed = self._groups.delayed(now.s)
        held: tuple[float, AnyRequest] | None = None
        for task in self._tasks:
            request = task.next(now, delayed)
            if request is None or request.group in delayed:
                continue
            until_s = self._pace.held_s(request.weight, now.s, request.limit)
            if until_s <= now.s:
                return request
            if held is None or until_s < held[0]:
                held = until_s, request
        return held[1] if held else None
