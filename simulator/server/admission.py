"""Who gets in: refused connections, rejected and stalled upgrades, and the count of attempts."""

import time
from collections import deque
from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Literal

from simulator.server.http import HttpResponse

_RECENT_S = 300.0


class Admission:
    """Upgrade requests and refused TCP connections are attempts."""

    def __init__(self) -> None:
        self.attempts = 0
        self.is_hung = False
        self._recent: deque[float] = deque()
        self._refuse_until_s = 0.0
        self._stall_until_s = 0.0
        self._reject_until_s = 0.0
        self._rejection = HttpResponse(503)
        self._forbidden: dict[str, HttpResponse | Literal["close"]] = {}  # by shell pattern

    def refuse(self, seconds: float) -> None:
        self._refuse_until_s = time.monotonic() + seconds

    def stall(self, seconds: float) -> None:
        self._stall_until_s = time.monotonic() + seconds

    def reject(self, status: int, seconds: float, retry_after_s: int | None) -> None:
        headers = {} if retry_after_s is None else {"Retry-After": str(retry_after_s)}
        self._rejection = HttpResponse(status, b"rejected\n", headers, "text/plain")
        self._reject_until_s = time.monotonic() + seconds

    def forbid(self, pattern: str, status: int | None) -> None:
        """Whose URL names such a stream is answered this status; None: let in, and closed at once."""
        if status is None:
            self._forbidden[pattern] = "close"
        else:
            self._forbidden[pattern] = HttpResponse(status, b"no such stream\n", content_type="text/plain")

    def allow(self, pattern: str) -> None:
        self._forbidden.pop(pattern, None)

    def refuses(self) -> bool:
        """Asked at accept, before a byte was read."""
        if time.monotonic() >= self._refuse_until_s:
            return False
        self._count()
        return True

    def upgrade(self, names: Iterable[str]) -> HttpResponse | Literal["stall", "open", "close"]:
        """What becomes of a connection whose URL names these streams."""
        self._count()
        now_s = time.monotonic()
        if now_s < self._stall_until_s:
            return "stall"
        if now_s < self._reject_until_s:
            return self._rejection
        found = (self._forbidden[one] for one in self._forbidden if any(fnmatchcase(name, one) for name in names))
        return next(found, "open")

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
