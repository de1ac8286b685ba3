"""Admission of connections: refused, rejected and stalled ones, and the count of attempts."""

import time
from collections import deque
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from typing import Literal

from simulator.server.http import HttpResponse

_RECENT_S = 300.0
_LEAST_CLOSE_CODE = 1000  # of a websocket; a status of HTTP is less


class Admission:
    """Decides about each new connection. Upgrade requests and refused TCP connections count as attempts."""

    def __init__(self) -> None:
        self.attempts = 0
        self.is_hung = False
        self._recent: deque[float] = deque()
        self._refuse_until_s = 0.0
        self._stall_until_s = 0.0
        self._reject_until_s = 0.0
        self._rejection = HttpResponse(503)
        self._forbidden: dict[str, HttpResponse | int | Literal["close"]] = {}  # by shell pattern
        self._unlisted: HttpResponse | None = None
        self.is_listed: Callable[[str], bool] = lambda _: True
        """Tells streams that exist from others, by name."""

    def refuse(self, seconds: float) -> None:
        """Close each TCP connection at once for so long."""
        self._refuse_until_s = time.monotonic() + seconds

    def stall(self, seconds: float) -> None:
        """Leave upgrade requests without an answer for so long."""
        self._stall_until_s = time.monotonic() + seconds

    def reject(self, status: int, seconds: float, retry_after_s: int | None) -> None:
        """Answer upgrade requests with this status for so long."""
        headers = {} if retry_after_s is None else {"Retry-After": str(retry_after_s)}
        self._rejection = HttpResponse(status, b"rejected\n", headers, "text/plain")
        self._reject_until_s = time.monotonic() + seconds

    def forbid(self, pattern: str, status: int | None) -> None:
        """Answer this status to a URL that names such a stream.

        None: let it in, and close it at once. A close code, from 1000 on: let it in, and close it with that code behind
        its first message.
        """
        if status is None:
            self._forbidden[pattern] = "close"
        elif status >= _LEAST_CLOSE_CODE:
            self._forbidden[pattern] = status
        else:
            self._forbidden[pattern] = _no_such_stream(status)

    def allow(self, pattern: str) -> None:
        """Lift `forbid` for this pattern."""
        self._forbidden.pop(pattern, None)

    def refuse_unlisted(self, status: int | None) -> None:
        """Answer this status to a URL that names a stream which does not exist; None: such a stream is just silent."""
        self._unlisted = None if status is None else _no_such_stream(status)

    def refuses(self) -> bool:
        """Return True where a connection is to be closed before a byte was read; counts the attempt then."""
        if time.monotonic() >= self._refuse_until_s:
            return False
        self._count()
        return True

    def upgrade(self, names: Sequence[str]) -> HttpResponse | int | Literal["stall", "open", "close"]:
        """Count an upgrade request, and return what becomes of a connection whose URL names these streams."""
        self._count()
        now_s = time.monotonic()
        if now_s < self._stall_until_s:
            return "stall"
        if now_s < self._reject_until_s:
            return self._rejection
        if self._unlisted and not all(map(self.is_listed, names)):
            return self._unlisted
        found = (self._forbidden[one] for one in self._forbidden if any(fnmatchcase(name, one) for name in names))
        return next(found, "open")

    def attempts_in_last_300_s(self) -> int:
        """Count attempts in the window of the exchange's limit (docs/exchange.md §3)."""
        self._forget(time.monotonic())
        return len(self._recent)

    def _count(self) -> None:
        self.attempts += 1
        self._recent.append(time.monotonic())
        self._forget(self._recent[-1])

    def _forget(self, now_s: float) -> None:
        while self._recent and now_s - self._recent[0] > _RECENT_S:
            self._recent.popleft()


def _no_such_stream(status: int) -> HttpResponse:
    return HttpResponse(status, b"no such stream\n", content_type="text/plain")
