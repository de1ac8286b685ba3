"""What `/healthz` answers."""

import msgspec

from services.monitor.view.picture import ProblemPart, Snapshot

_STANDS_STILL_S = 10.0


class HealthAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """`healthy` decides the status: 200 or 503. `streams` holds the state of each, by symbol."""

    healthy: bool
    time_ms: int | None
    mode: str
    problems: tuple[ProblemPart, ...]
    symbols: dict[str, str]
    streams: dict[str, dict[str, str]]


def verdict_of(snapshot: Snapshot | None, age_s: float) -> HealthAnswer:
    """The verdict of a snapshot that was made so long ago."""
    if snapshot is None or age_s > _STANDS_STILL_S:
        why = "nothing heard yet" if snapshot is None else f"has not looked at the bus for {age_s:.0f} s"
        problem = ProblemPart(what="monitor", why=why, since_ms=None, condition="process", severity="failure")
        return HealthAnswer(healthy=False, time_ms=None, mode="", problems=(problem,), symbols={}, streams={})
    picture = snapshot.picture
    return HealthAnswer(
        healthy=picture.healthy,
        time_ms=picture.time_ms,
        mode=picture.mode,
        problems=picture.problems,
        symbols={symbol.symbol: symbol.status for symbol in picture.symbols},
        streams={
            symbol.symbol: {stream.stream: stream.state for stream in symbol.streams} for symbol in picture.symbols
        },
    )
