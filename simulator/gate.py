"""Who gets in: refused connections, rejected and stalled upgrades, and the count of attempts."""

import time
from collections import deque
from typing import Literal

from simulator.http import Response

_RECENT_S = 300.0


class Gate:
    """Upgrade requests and refused TCP connections are attempts."""

    def __init__(self) -> None:
        self.attempts = 0
        self.is_hung = False
        self._recent: deque[float] = deque()
        self._refuse_until_s = 0.0
        self._stall_until_s = 0.0
        self._reject_until_s = 0.0
        self._rejection = Response(503)

    def refuse(self, seconds: float) -> None:
        self._refuse_until_s = time.monotonic() + seconds

    def stall(self, seconds: float) -> None:
        self._stall_until_s = time.monotonic() + seconds

    def reject(self, status: int, seconds: float, retry_after_s: int | None) -> None:
        headers = {} if retry_after_s is None else {"Retry-After": str(retry_after_s)}
        self._rejection = Response(status, b"rejected\n", headers, "text/plain")
        self._reject_until_s = time.monotonic() + seconds

    def refuses(self) -> bool:
        """Asked at accept, before a byte was read."""
        if time.monotonic() >= self._refuse_until_s:
            return False
        self._count()
        return True

    def upgrade(self) -> Response | Literal["stall", "open"]:
        self._count()
        now_s = time.monotonic()
        if now_s < self._stall_until_s:
            return "stall"
        return self._rejection if now_s < self._reject_until_s else "open"

    def attempts_in_last_300_s(self) -> int:
        self._forget(time.monotonic())
        return len(self._recent)

    def _count(self) -> None:
        self.attempts += 1
        self._recent.append(time.monotonic())
        self._forget(self._recent[-1])

    def _forget(self, now_s: float) -> None:
        while self._recent and now_s - self._recent[0] > _RECENT_S:
            self._recent.popleft()
