"""The request weight of an address: a budget a minute, 429 beyond it, and a ban for those who go on.

Some endpoints have a limit beside it, which counts requests in five minutes.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Literal

from simulator.rest.series import WEIGHTS

_MINUTE_MS = 60_000
_LONGEST_BAN_MS = 3 * 86_400_000

Verdict = Literal["ok", "too_many", "banned"]


_WINDOW_MS = 300_000
REQUEST_LIMITS = {"/futures/data": 1000, "funding": 500}
"""Requests of an address in five minutes, by the name of the limit."""


def request_weight(path: str, limit: int, *, has_symbol: bool = True) -> int:
    """Return the weight of a request (https://developers.binance.com, read 2026-11); `limit` is the effective one."""
    if path in WEIGHTS:
        return WEIGHTS[path][0 if has_symbol else 1]
    name = path.removeprefix("/fapi/v1/")
    if name == "depth":
        return 2 if limit <= 50 else 5 if limit <= 100 else 10 if limit <= 500 else 20
    if name == "klines":
        return 1 if limit < 100 else 2 if limit < 500 else 5 if limit <= 1000 else 10
    if name == "tradingSchedule":
        return 5
    return 20 if name in ("aggTrades", "rpiDepth") else 1


def request_limit(path: str) -> str:
    """Return the name of the limit that counts requests of this path; empty where none does.

    It holds for all symbols together, and comes beside the weight, which is 0 for these paths.
    """
    if path.startswith("/futures/data/"):
        return "/futures/data"
    return "funding" if path in ("/fapi/v1/fundingRate", "/fapi/v1/fundingInfo") else ""


@dataclass(slots=True)
class RequestWeight:
    """One budget, because everything comes from one address here. Minutes are those of the exchange's clock."""

    limit: int = 2400
    bans_after: int = 5  # requests answered with 429 in a row
    ban_ms: int = 120_000
    used: int = 0
    banned_until_ms: int = 0
    requests_during_ban: int = 0
    _minute: int = 0
    _refused: int = 0
    _next_ban_ms: int = 0
    _counted: dict[str, deque[int]] = field(default_factory=lambda: {name: deque() for name in REQUEST_LIMITS})

    def admit(self, weight: int, now_ms: int, counted_by: str = "") -> Verdict:
        """Book a request's weight, or return the reason for not serving it; `counted_by` is a limit of requests.

        A request during a ban prolongs the ban, as the exchange does. More than `bans_after` refusals in a row begin
        one.
        """
        if now_ms < self.banned_until_ms:
            self.requests_during_ban += 1
            self.ban(self._next_ban_ms, now_ms)
            return "banned"
        if now_ms // _MINUTE_MS != self._minute:
            self._minute, self.used = now_ms // _MINUTE_MS, 0
        if self.used + weight <= self.limit and self._has_room(counted_by, now_ms):
            self.used += weight
            if counted_by:
                self._counted[counted_by].append(now_ms)
            self._refused = 0
            return "ok"
        self._refused += 1
        if self._refused > self.bans_after:
            self.ban(self.ban_ms, now_ms)
            return "banned"
        return "too_many"

    def _has_room(self, counted_by: str, now_ms: int) -> bool:
        if not counted_by:
            return True
        times_ms = self._counted[counted_by]
        while times_ms and times_ms[0] <= now_ms - _WINDOW_MS:
            times_ms.popleft()
        return len(times_ms) < REQUEST_LIMITS[counted_by]

    def ban(self, duration_ms: int, now_ms: int) -> None:
        """Ban the address until the later of now + duration and what stands; the next ban is twice as long.

        It ends at three days, the longest that the exchange names (docs/exchange.md §4).
        """
        self.banned_until_ms = max(self.banned_until_ms, now_ms + duration_ms)
        self._next_ban_ms = min(max(duration_ms, 1) * 2, _LONGEST_BAN_MS)
        self._refused = 0

    def pardon(self) -> None:
        """End the ban that stands, for a command of a test; the length of the next one stays."""
        self.banned_until_ms = 0

    def retry_after_s(self, now_ms: int) -> int:
        """Return the seconds until the ban ends, or else the minute; rounded up, so that waiting is enough."""
        minute_ends_ms = (now_ms // _MINUTE_MS + 1) * _MINUTE_MS
        until_ms = self.banned_until_ms if now_ms < self.banned_until_ms else minute_ends_ms
        return -(-(until_ms - now_ms) // 1000)
