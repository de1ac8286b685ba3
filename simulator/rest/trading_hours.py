"""Hours of the markets behind TradFi contracts: a made-up /fapi/v1/tradingSchedule (docs/exchange.md §5.3).

Markets are open around the clock but for the breaks that a command makes.
"""

from itertools import pairwise

from simulator.server.http import compact_json

MARKETS = ("EQUITY", "COMMODITY")
_DAY_MS = 86_400_000


class Sessions:
    """Breaks by market, in ms of the exchange's clock."""

    def __init__(self) -> None:
        self._breaks: dict[str, list[tuple[int, int]]] = {market: [] for market in MARKETS}

    def close(self, market: str, start_ms: int, end_ms: int) -> None:
        """Close a market in [start_ms, end_ms)."""
        self._breaks[market].append((start_ms, end_ms))

    def is_open(self, market: str, now_ms: int) -> bool:
        """Return True where no break covers this moment."""
        return not any(start_ms <= now_ms < end_ms for start_ms, end_ms in self._breaks.get(market, ()))

    def body(self, now_ms: int) -> bytes:
        """Return the answer: a week of sessions from the day before on, cut at days and breaks."""
        first_ms = (now_ms // _DAY_MS - 1) * _DAY_MS
        schedules = {market: {"sessions": self._sessions(market, first_ms)} for market in MARKETS}
        return compact_json({"updateTime": now_ms, "marketSchedules": schedules}).encode()

    def _sessions(self, market: str, first_ms: int) -> list[dict[str, object]]:
        last_ms = first_ms + 7 * _DAY_MS
        edges = {first_ms + day * _DAY_MS for day in range(8)}
        edges.update(ms for one in self._breaks[market] for ms in one if first_ms < ms < last_ms)
        return [
            {
                "startTime": start_ms,
                "endTime": end_ms,
                "type": "REGULAR" if self.is_open(market, start_ms) else "NO_TRADING",
            }
            for start_ms, end_ms in pairwise(sorted(edges))
        ]
