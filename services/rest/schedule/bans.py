"""How long the exchange wants to be left alone, and how long to wait where it does not say.

Sources: facts page §4 (read 2026-11-22). `Retry-After` is not documented for futures but sent in practice; the text of
error -1003 names the end of a ban in exchange milliseconds. A request during a ban lengthens it.
"""

import re
from collections.abc import Mapping

from services.runtime.retry_after import LONGEST_STAND_DOWN_S, http_date_s

TOO_MANY = 429
BANNED = 418
FALLBACK_S = {TOO_MANY: 60.0, BANNED: 120.0}
"""The weight window is a minute; bans begin with two."""

_MARGIN_S = 1.0  # the end is named in whole seconds, or by a clock that we know to half a round trip
_BANNED_UNTIL = re.compile(rb"banned until (\d{10,16})")
_TEXT_BYTES = 4096


def stand_down_s(status: int, headers: Mapping[str, str], body: bytes, exchange_ms: float) -> float:
    """Seconds to send nothing after a 429 or 418: the longest that the answer names, else the fallback.

    `exchange_ms` is the exchange's clock as we know it; the answer's own `Date`, where there is one, is better.
    """
    date_s = http_date_s(headers.get("Date", ""))
    now_ms = date_s * 1000 if date_s else exchange_ms
    named_s = [
        seconds
        for seconds in (_retry_after_s(headers.get("Retry-After", ""), now_ms), _banned_for_s(body, now_ms))
        if seconds is not None and seconds > 0
    ]
    if not named_s:
        return FALLBACK_S[status]
    return min(max(named_s) + _MARGIN_S, LONGEST_STAND_DOWN_S)


def backoff_s(failures: int, *, first_s: float, ceiling_s: float, jitter: float) -> float:
    """After so many failures in a row: doubled up to the ceiling, then a random half taken off (`jitter` in 0..1)."""
    full_s = min(ceiling_s, first_s * 2.0 ** min(failures - 1, 30))
    return full_s * (1 - jitter / 2)


def _retry_after_s(text: str, now_ms: float) -> float | None:
    """Seconds or a date (RFC 9110 §10.2.3)."""
    if text.isascii() and text.strip().isdigit() and len(text) < 12:
        return float(text)
    date_s = http_date_s(text)
    return None if date_s is None else date_s - now_ms / 1000


def _banned_for_s(body: bytes, now_ms: float) -> float | None:
    match = _BANNED_UNTIL.search(body[:_TEXT_BYTES])
    return None if match is None else (int(match[1]) - now_ms) / 1000
