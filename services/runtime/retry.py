"""Delays between attempts at something that failed, and the time for which a server asks us to stay away.

Nothing here reads a clock or sleeps: it says how long to wait, and the caller waits. Four cases, one for each question:

| question | answer |
|---|---|
| when to repeat a request until it is answered | `spread_s`: the same pause each time, a little random |
| when to try one thing again that failed | `Backoff`: pauses that double |
| when to try one of many things again | `KeyedBackoff`: a `Backoff` for each key |
| for how long a server refuses us | `retry_after_s`, and `STAND_DOWN_S` where it does not say |
"""

from collections.abc import Hashable
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Generic, Protocol, TypeVar

TOO_MANY = 429
BANNED = 418
STAND_DOWN_S = {TOO_MANY: 60.0, BANNED: 120.0}
"""Seconds to stay away by HTTP status, where the answer names no time: the exchange counts weight by the minute, and
its bans begin with two minutes (docs/exchange.md §4)."""
LONGEST_STAND_DOWN_S = 4 * 86_400.0
"""The exchange's bans last three days at most (docs/exchange.md §4): an answer that names more is wrong."""

_SPREAD = 0.2
"""Of the pause, to either side: the workers of a hundred symbols that were cut off together ask one after the other."""
_MOST_DOUBLINGS = 60
"""More are of no use, and a float cannot hold 2**1024."""
_LONGEST_NUMBER = 12

Key = TypeVar("Key", bound=Hashable)


class RandomSource(Protocol):
    """`random.Random`, or the module `random`; a test gives its own."""

    def random(self) -> float:
        """Return a number from 0 up to 1."""


def spread_s(pause_s: float, rng: RandomSource) -> float:
    """Return the pause, up to a fifth shorter or longer, so that those who wait alike do not ask at the same moment."""
    return pause_s * (1 - _SPREAD + 2 * _SPREAD * rng.random())


def doubled_s(failures: int, *, first_s: float, ceiling_s: float) -> float:
    """Return the delay after so many failures in a row: `first_s` after one, twice as long each time, at most the
    ceiling."""
    return min(ceiling_s, first_s * 2.0 ** min(max(0, failures - 1), _MOST_DOUBLINGS))


@dataclass(slots=True, kw_only=True)
class Backoff:
    """Growing delays: each is random between a part and the whole of a bound, which doubles from `first_s` on.

    `least` is that part. With 0, which is full jitter, the attempts of all symbols that one cut took down spread over
    the whole delay; with more, a server is left alone for at least that part. Without `rng` a delay is the bound.
    """

    first_s: float
    ceiling_s: float
    rng: RandomSource | None = None
    least: float = 0.0
    _failures: int = 0

    def next_delay_s(self, lasted_s: float = 0.0) -> float:
        """Return the seconds to wait after something that worked for `lasted_s`, 0 where it did not work at all.

        Only what worked for as long as the ceiling ends the doubling: a success of a moment proves nothing.
        """
        if self.has_lasted(lasted_s):
            self.reset()
        self._failures += 1
        bound_s = doubled_s(self._failures, first_s=self.first_s, ceiling_s=self.ceiling_s)
        if self.rng is None:
            return bound_s
        return bound_s * (self.least + (1 - self.least) * self.rng.random())

    def has_lasted(self, lasted_s: float) -> bool:
        """Return True if this is long enough to forget the failures before it."""
        return lasted_s >= self.ceiling_s

    def reset(self) -> None:
        """Forget earlier failures: the next delay is the first again."""
        self._failures = 0


@dataclass(slots=True, kw_only=True)
class KeyedBackoff(Generic[Key]):
    """Back-off per key: each failure doubles the delay of its key, and of no other.

    A key that has not failed again for `ceiling_s` after the end of its delay is forgotten, because nobody asks for it
    any more: so the memory is bounded by the keys that fail. `now_s` is monotonic.
    """

    first_s: float
    ceiling_s: float
    rng: RandomSource | None = None
    least: float = 0.0
    _failed: dict[Key, tuple[Backoff, float]] = field(default_factory=dict)
    """By key, with the end of its delay."""

    def fail(self, key: Key, now_s: float) -> None:
        """Delay this key from now on, longer than the time before."""
        self._failed = {key: kept for key, kept in self._failed.items() if self._is_remembered(kept[1], now_s)}
        new = Backoff(first_s=self.first_s, ceiling_s=self.ceiling_s, rng=self.rng, least=self.least)
        backoff, _ = self._failed.get(key, (new, now_s))
        self._failed[key] = backoff, now_s + backoff.next_delay_s()

    def succeed(self, key: Key) -> None:
        """Forget the failures of this key: the next request for it is not delayed."""
        self._failed.pop(key, None)

    def remembers_any(self, now_s: float) -> bool:
        """Return True while the failure of any key is remembered, also when its delay is over."""
        return any(self._is_remembered(until_s, now_s) for _, until_s in self._failed.values())

    def is_delayed(self, key: Key, now_s: float) -> bool:
        """Return True while this key waits, so that others come first."""
        return key in self._failed and now_s < self._failed[key][1]

    def delayed(self, now_s: float) -> set[Key]:
        """Return the keys that wait now."""
        return {key for key in self._failed if self.is_delayed(key, now_s)}

    def longest_wait_s(self, now_s: float) -> float:
        """Return the seconds until no key waits, 0 where none does."""
        return max([0.0, *(until_s - now_s for _, until_s in self._failed.values())])

    def _is_remembered(self, until_s: float, now_s: float) -> bool:
        return now_s < until_s + self.ceiling_s


def retry_after_s(text: str, now_s: float) -> float | None:
    """Return the seconds that a `Retry-After` names, a number of them or a date (RFC 9110 §10.2.3).

    `now_s` is the server's clock, seconds since 1970. None where the text is neither; never below 0, nor above
    `LONGEST_STAND_DOWN_S`.
    """
    text = text.strip()
    if text.isascii() and text.isdigit() and len(text) <= _LONGEST_NUMBER:
        return min(float(text), LONGEST_STAND_DOWN_S)
    date_s = http_date_s(text)
    return None if date_s is None else min(max(0.0, date_s - now_s), LONGEST_STAND_DOWN_S)


def http_date_s(text: str) -> float | None:
    """Return the seconds since 1970 of a `Date` or `Retry-After` (RFC 9110 §5.6.7); None where the text is no date."""
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
