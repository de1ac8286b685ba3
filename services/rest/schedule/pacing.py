"""When the next request may leave: a share of the exchange's weight limit, a distance between snapshots, stand-downs.

The limit is per address and per minute (facts page §4, read 2026-11-22), and it outlives our restarts: so all of
this can be saved and restored. Times are passed in, monotonic seconds.
"""

import re
from collections import deque
from collections.abc import Mapping
from typing import Annotated, NamedTuple

import msgspec

from binance_streamer.exchange.rest_series import REQUEST_LIMITS
from binance_streamer.exchange.series_types import RequestLimit
from services.runtime.retry import LONGEST_STAND_DOWN_S, STAND_DOWN_S, http_date_s, retry_after_s

_Seconds = Annotated[float, msgspec.Meta(ge=0)]
_Weight = Annotated[int, msgspec.Meta(ge=0)]
WINDOW_S = 60.0
HEAVY_WEIGHT = 20
"""Weight of a depth snapshot of 1000 levels; between two requests of this weight `spacing_s` must pass."""
LONGEST_DELAY_ROUNDS = 12
"""Of the retry time: what never succeeds costs one request a minute, with the usual five seconds."""

_MARGIN_S = 1.0  # the end of a ban is named in whole seconds, or by a clock that we know to half a round trip
_BANNED_UNTIL = re.compile(rb"banned until (\d{10,16})")
_TEXT_BYTES = 4096


class Sent(NamedTuple):
    """A request that has left us, with its weight."""

    at_s: float
    weight: int


class Pace:
    """The request weight used in the last minute, and the time until which nothing may be sent."""

    def __init__(self, *, limit: int, share: float, spacing_s: float) -> None:
        self.limit = limit
        self.stand_down_until_s = float("-inf")
        self._share = share
        self._spacing_s = spacing_s
        self._sent: deque[Sent] = deque()
        self._counted: dict[str, deque[float]] = {}  # when requests left, by the name of their limit
        self._reported: Sent | None = None

    @property
    def budget(self) -> float:
        """The weight per minute that we allow ourselves."""
        return self.limit * self._share

    @property
    def heavy_interval_s(self) -> float:
        """The least time between snapshots that can be kept up for ever."""
        return max(self._spacing_s, WINDOW_S * HEAVY_WEIGHT / self.budget)

    def sent(self, weight: int, now_s: float, limit: RequestLimit | None = None) -> None:
        """Count a request that leaves, before it is known what becomes of it; `limit`: one beside the weight."""
        self._sent.append(Sent(now_s, weight))
        if limit is not None:
            self._counted.setdefault(limit.name, deque()).append(now_s)
        self._forget(now_s)

    def reported(self, used_weight: int, now_s: float) -> None:
        """Take the weight that the exchange counts for this address, others behind the same address included."""
        self._reported = Sent(now_s, used_weight)

    def stand_down(self, until_s: float) -> None:
        """Let nothing leave before this time; a later end that was known already stays."""
        self.stand_down_until_s = max(self.stand_down_until_s, until_s)

    def held_s(self, weight: int, now_s: float, limit: RequestLimit | None = None) -> float:
        """Return the time until which such a request has to wait although others may leave; `now_s` if it has not.

        That is the distance between snapshots, and a limit of some endpoints: our share of it is counted in the window.
        The weight is not looked at here, because it is everybody's.
        """
        until_s = now_s
        if weight >= HEAVY_WEIGHT:
            last_s = max((sent.at_s for sent in self._sent if sent.weight >= HEAVY_WEIGHT), default=float("-inf"))
            until_s = max(until_s, last_s + self._spacing_s)
        sent_s = self._counted.get(limit.name) if limit else None
        if limit and sent_s:
            most = max(1, int(limit.requests * self._share))
            if len(sent_s) >= most:
                until_s = max(until_s, sent_s[-most] + limit.window_s)
        return until_s

    def earliest_s(self, weight: int, now_s: float, limit: RequestLimit | None = None) -> float:
        """Return the time at which a request of this weight may leave; `now_s` if at once."""
        start_s = max(self.held_s(weight, now_s, limit), self.stand_down_until_s)
        expiries_s = [sent.at_s + WINDOW_S for sent in (*self._sent, *self._reports())]
        # a budget smaller than one request must not stop everything: then one a minute
        candidates_s = sorted({start_s, *(expiry_s for expiry_s in expiries_s if expiry_s > start_s)})
        for candidate_s in candidates_s[:-1]:
            if self.used(candidate_s) + weight <= self.budget:
                return candidate_s
        return candidates_s[-1]

    def used(self, now_s: float) -> int:
        """Return the weight used in the last minute: our count, or the reported weight plus what we sent since."""
        after_s = now_s - WINDOW_S
        counted = sum(sent.weight for sent in self._sent if sent.at_s > after_s)
        if self._reported is None or self._reported.at_s <= after_s:
            return counted
        since = sum(sent.weight for sent in self._sent if sent.at_s > self._reported.at_s)
        return max(counted, self._reported.weight + since)

    def saved(self, now_s: float) -> "SavedPace":
        """Return all that the next process has to know, in seconds relative to now."""
        return SavedPace(
            stand_down_s=max(0.0, self.stand_down_until_s - now_s),
            sent=[(now_s - sent.at_s, sent.weight) for sent in self._sent],
            reported=[(now_s - sent.at_s, sent.weight) for sent in self._reports()],
            counted={name: [now_s - at_s for at_s in sent_s] for name, sent_s in self._counted.items()},
        )

    def restore(self, saved: "SavedPace", now_s: float, elapsed_s: float) -> None:
        """Go on where a predecessor stopped `elapsed_s` ago."""
        if saved.stand_down_s > elapsed_s:
            self.stand_down(now_s + min(saved.stand_down_s, LONGEST_STAND_DOWN_S) - elapsed_s)
        self._sent.extend(sorted(Sent(now_s - elapsed_s - age_s, weight) for age_s, weight in saved.sent))
        for name, ages_s in (saved.counted or {}).items():
            self._counted.setdefault(name, deque()).extend(sorted(now_s - elapsed_s - age_s for age_s in ages_s))
        for age_s, weight in saved.reported:
            self.reported(weight, now_s - elapsed_s - age_s)
        self._forget(now_s)

    def assume_used_up(self, now_s: float) -> None:
        """Count a full minute's weight as used now, because it is not known what was sent before the start."""
        self.reported(int(self.budget) + 1, now_s)

    def _reports(self) -> tuple[Sent, ...]:
        return () if self._reported is None else (self._reported,)

    def _forget(self, now_s: float) -> None:
        oldest_s = now_s - max(WINDOW_S, self._spacing_s)
        while self._sent and self._sent[0].at_s <= oldest_s:
            self._sent.popleft()
        for limit in REQUEST_LIMITS:
            sent_s = self._counted.get(limit.name)
            while sent_s and sent_s[0] <= now_s - limit.window_s:
                sent_s.popleft()


class SavedPace(NamedTuple):
    """The state of a `Pace`: ages in seconds, and weights."""

    stand_down_s: _Seconds
    sent: list[tuple[_Seconds, _Weight]]
    reported: list[tuple[_Seconds, _Weight]]
    counted: dict[str, list[_Seconds]] | None = None
    """Ages of requests by the name of their limit."""


def stand_down_s(status: int, headers: Mapping[str, str], body: bytes, exchange_ms: float) -> float:
    """Return the seconds to send nothing after a 429 or 418: the longest that the answer names, else `STAND_DOWN_S`.

    `Retry-After` is not documented for futures but sent in practice; the text of error -1003 names the end of a ban in
    milliseconds of the exchange's clock (docs/exchange.md §4). A request during a ban lengthens it. `exchange_ms` is
    that clock as we know it; the answer's own `Date`, where there is one, is better.
    """
    date_s = http_date_s(headers.get("Date", "")) or exchange_ms / 1000
    named_s = [retry_after_s(headers.get("Retry-After", ""), date_s), _banned_for_s(body, date_s)]
    longest_s = max(seconds or 0.0 for seconds in named_s)
    return min(longest_s + _MARGIN_S, LONGEST_STAND_DOWN_S) if longest_s > 0 else STAND_DOWN_S[status]


def _banned_for_s(body: bytes, now_s: float) -> float | None:
    match = _BANNED_UNTIL.search(body[:_TEXT_BYTES])
    return None if match is None else int(match[1]) / 1000 - now_s
