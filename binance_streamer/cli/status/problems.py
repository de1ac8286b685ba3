"""Problems of a snapshot as lines of text, one for each reason: fifty streams with one cause stay one line."""

from collections.abc import Iterable

from binance_streamer.health.judge import SILENT_S
from binance_streamer.health.problem import Problem
from binance_streamer.health.snapshot import Snapshot
from binance_streamer.wire.statuses import BLOCKED

_SHOWN = 3


def lasting_failures(snapshot: Snapshot) -> list[str]:
    """Return a line for each reason of failures that have lasted for `SILENT_S` seconds.

    Shorter ones belong to every start: streams are silent until their connections are open.
    """
    latest_ms = snapshot.time_ms - SILENT_S * 1000
    return lines_of([one for one in failures(snapshot.problems) if one.since_ms is None or one.since_ms <= latest_ms])


def settled_failures(snapshot: Snapshot) -> list[str]:
    """Return the lasting failures, and those of processes that cannot begin: these do not pass with a start."""
    is_blocked = {one.name for one in snapshot.processes if one.state.startswith(BLOCKED)}
    return [
        *lines_of([one for one in failures(snapshot.problems) if one.what in is_blocked]),
        *lasting_failures(snapshot),
    ]


def failures(problems: Iterable[Problem]) -> list[Problem]:
    """Return the problems that keep something from being recorded, in their order; no warnings."""
    return [one for one in problems if one.severity == "failure"]


def lines_of(problems: list[Problem]) -> list[str]:
    """Say what is wrong and why, all problems with the same reason in one line, in the order of the first of them."""
    named: dict[str, list[str]] = {}
    for problem in problems:
        named.setdefault(problem.why, []).append(problem.what)
    return [f"{_names(names)}: {why}" for why, names in named.items()]


def _names(names: list[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
