"""Who is left alone for a while, longer each time, so that others come first."""

from typing import NamedTuple

MOST_ROUNDS = 12
"""Longest pause: what never succeeds costs one request a minute."""


class _Hold(NamedTuple):
    until_s: float
    rounds: int


class Holds:
    """By name, in rounds of `retry_s`: who waits repeats itself so often."""

    def __init__(self, retry_s: float) -> None:
        self._retry_s = retry_s
        self._holds: dict[str, _Hold] = {}

    def hold(self, name: str, now_s: float) -> None:
        """A round at first, then doubled each time until `release`, or until nothing was heard for long."""
        before = self._holds.get(name)
        rounds = min(before.rounds * 2, MOST_ROUNDS) if before else 1
        longest_s = MOST_ROUNDS * self._retry_s
        self._holds = {name: hold for name, hold in self._holds.items() if now_s < hold.until_s + longest_s}
        self._holds[name] = _Hold(now_s + rounds * self._retry_s, rounds)

    def release(self, name: str) -> None:
        """It succeeded."""
        self._holds.pop(name, None)

    def is_held(self, name: str, now_s: float) -> bool:
        """Whether others come first."""
        hold = self._holds.get(name)
        return hold is not None and now_s < hold.until_s
