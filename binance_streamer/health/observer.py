"""The newest status of every configured process, and since when something is wrong."""

from collections.abc import Collection
from typing import Any

from binance_streamer.config.schema import Config
from binance_streamer.health.judge import Health, Problem, ReceivedStatus, is_present, judge, processes
from binance_streamer.wire.frames import WireError
from binance_streamer.wire.statuses import Status, read_status

Key = tuple[str, str, str]
"""Condition, severity, and what: by these a problem is told apart."""
_SAID_BY = {"data disk": "writer", "clock": "rest"}


class Observer:
    """Fed with the data of status messages; strangers on the bus take no memory."""

    def __init__(self, config: Config) -> None:
        self.told: dict[str, ReceivedStatus] = {}
        self.refused = 0
        """Status messages that could not be read."""
        self._config = config
        self._expected = frozenset(processes(config))
        self._since_ms: dict[Key, int] = {}

    def take(self, data: dict[str, Any], now_s: float) -> Status | None:
        """A status message; None where it is a stranger's, or cannot be read."""
        if data["producer"] not in self._expected:
            return None
        try:
            status = read_status(data)
        except WireError:
            self.refused += 1
            return None
        self.told[status.producer] = ReceivedStatus(status, now_s)
        return status

    def present(self, now_s: float) -> dict[str, Status]:
        """The newest status of every process that is there."""
        return {name: told.status for name, told in self.told.items() if is_present(told, now_s)}

    def health(self, now_s: float, now_ms: int) -> Health:
        """The judgement; a problem that does not say since when is as old as the first time it was seen here."""
        found = judge(self._config, self.told, now_s)
        present = {_key(one) for one in found.problems}
        hidden = {key: since for key, since in self._since_ms.items() if key not in present and is_hidden(key, present)}
        since_ms = {_key(one): self._since_ms.get(_key(one), one.since_ms or now_ms) for one in found.problems}
        self._since_ms = hidden | since_ms
        return Health(tuple(one._replace(since_ms=since_ms[_key(one)]) for one in found.problems))


def is_hidden(key: Key, present: Collection[Key]) -> bool:
    """Whether nobody can tell of a problem: its process is not heard, or something worse is told of the same."""
    condition, severity, what = key
    if severity == "warning" and (condition, "failure", what) in present:
        return True
    away = {name for kind, _, name in present if kind == "process"}
    return "bus" in away or _said_by(condition, what) in away


def _said_by(condition: str, what: str) -> str:
    """The process whose status tells of a problem."""
    if condition == "book":
        return "orderbook"
    first, _, rest = what.partition(" ")
    if what in _SAID_BY:
        return _SAID_BY[what]
    return first if rest in ("", "journal") else f"ingest-{first}"


def _key(problem: Problem) -> Key:
    return problem.condition, problem.severity, problem.what
