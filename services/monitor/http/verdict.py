"""Makes the answer of `/healthz`.

In: the newest snapshot and its age. Out: a structure, of which `web` makes the status and the JSON. A
container's health check and a load balancer read the status alone; the body says why.
"""

import msgspec

from binance_streamer.health.problem import Problem
from services.monitor.snapshots.page import MonitorSnapshot

_STANDS_STILL_S = 10.0
"""A snapshot is made every second: after ten that are missing it is not just a busy machine."""


class HealthAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """`healthy` decides the status: 200 or 503. `streams` holds the state of each, by symbol.

    `symbols` holds the trading status by symbol. `time_ms` is the wall clock of the snapshot, None without one.
    """

    healthy: bool
    time_ms: int | None
    mode: str
    problems: tuple[Problem, ...]
    symbols: dict[str, str]
    streams: dict[str, dict[str, str]]


def verdict_of(snapshot: MonitorSnapshot | None, age_s: float) -> HealthAnswer:
    """Answer by a snapshot that was made `age_s` ago; a monitor that stands still is not healthy.

    The HTTP server runs in a thread of its own, and would repeat the last good answer for ever where the thread
    of the bus hangs.
    """
    if snapshot is None or age_s > _STANDS_STILL_S:
        why = "nothing heard yet" if snapshot is None else f"has not looked at the bus for {age_s:.0f} s"
        problem = Problem(what="monitor", why=why, since_ms=None, condition="process", severity="failure")
        return HealthAnswer(healthy=False, time_ms=None, mode="", problems=(problem,), symbols={}, streams={})
    page = snapshot.page
    return HealthAnswer(
        healthy=page.healthy,
        time_ms=page.time_ms,
        mode=page.mode,
        problems=page.problems,
        symbols={symbol.symbol: symbol.status for symbol in page.symbols},
        streams={symbol.symbol: {stream.stream: stream.state for stream in symbol.streams} for symbol in page.symbols},
    )
