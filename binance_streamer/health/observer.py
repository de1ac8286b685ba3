"""Remembers the newest status of every configured process, and since when something is wrong."""

from collections.abc import Collection
from typing import Any

import msgspec

from binance_streamer.config.groups import MembersFile
from binance_streamer.config.schema import Config
from binance_streamer.health.builder import build
from binance_streamer.health.gaps import GapSummary
from binance_streamer.health.judge import Health, ReceivedStatus, is_present, judge, processes
from binance_streamer.health.problem import Problem
from binance_streamer.health.snapshot import Snapshot
from binance_streamer.wire.frames import WireError
from binance_streamer.wire.statuses import Status, read_status

Key = tuple[str, str, str]
"""Condition, severity and what: two problems with the same key are one problem that lasts."""
_SAID_BY = {"data disk": "writer", "clock": "rest"}


class Observer:
    """Fed with the data of status messages. Those of processes that are not configured are not kept."""

    def __init__(self, config: Config) -> None:
        self.received: dict[str, ReceivedStatus] = {}
        self.refused = 0
        """Status messages that could not be read."""
        self._members = MembersFile(config)
        self._expected = frozenset(processes(config))
        self._since_ms: dict[Key, int] = {}

    @property
    def config(self) -> Config:
        """The configuration by which it is judged, with the members of groups that are known now."""
        self._members.refresh()
        return self._members.config

    def follow(self, config: Config | None) -> None:
        """Judge by this configuration from now on; None leaves it as it is."""
        if config is not None:
            self._members = MembersFile(config)
            self._expected = frozenset(processes(config))

    def expects(self, name: str) -> bool:
        """Return True if the process is configured."""
        return name in self._expected

    def take(self, data: dict[str, Any], now_s: float) -> Status | None:
        """Take in a status message; return it, or None where its process is not configured or it cannot be read."""
        if data["producer"] not in self._expected:
            return None
        try:
            status = read_status(data)
        except WireError:
            self.refused += 1
            return None
        before = self.received.get(status.producer)
        cpu_percent = _cpu_percent(before.status, status) if before else None
        self.received[status.producer] = ReceivedStatus(status, now_s, cpu_percent)
        return status

    def present(self, now_s: float) -> dict[str, Status]:
        """Return the newest status of every process that has been heard lately, by name."""
        return {name: one.status for name, one in self.received.items() if is_present(one, now_s)}

    def health(self, now_s: float, now_ms: int) -> Health:
        """Judge now. A problem that does not say since when is as old as the first time it was seen here."""
        found = judge(self.config, self.received, now_s)
        present = {_key(one) for one in found.problems}
        hidden = {key: since for key, since in self._since_ms.items() if key not in present and is_hidden(key, present)}
        since_ms = {_key(one): self._since_ms.get(_key(one), one.since_ms or now_ms) for one in found.problems}
        self._since_ms = hidden | since_ms
        dated = (msgspec.structs.replace(one, since_ms=since_ms[_key(one)]) for one in found.problems)
        return Health(tuple(dated))

    def snapshot(self, gaps: GapSummary, now_s: float, now_ms: int) -> Snapshot:
        """Judge, and build the snapshot of now. `gaps` are today's, `now_s` is monotonic, `now_ms` the wall clock."""
        health = self.health(now_s, now_ms)
        return build(self.config, self.received, health, gaps, now_s=now_s, now_ms=now_ms)


def is_hidden(key: Key, present: Collection[Key]) -> bool:
    """Return True if a problem may go on unseen: its process is not heard, or the same has a failure now."""
    condition, severity, what = key
    if severity == "warning" and (condition, "failure", what) in present:
        return True
    away = {name for kind, _, name in present if kind == "process"}
    return "bus" in away or _said_by(condition, what) in away


def _said_by(condition: str, what: str) -> str:
    """Return the name of the process whose status tells of the problem."""
    if condition == "book":
        return "orderbook"
    first, _, rest = what.partition(" ")
    if what in _SAID_BY:
        return _SAID_BY[what]
    return first if rest in ("", "journal") else f"ingest-{first}"


def _cpu_percent(before: Status, status: Status) -> float | None:
    """The CPU used between two statuses of one run, in percent of a core."""
    if before.epoch != status.epoch or status.recv_ns <= before.recv_ns:
        return None
    return max(0.0, status.cpu_s - before.cpu_s) / ((status.recv_ns - before.recv_ns) / 1e9) * 100


def _key(problem: Problem) -> Key:
    return problem.condition, problem.severity, problem.what
