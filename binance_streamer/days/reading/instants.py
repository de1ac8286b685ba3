"""Instants as users write them, as nanoseconds since 1970 UTC."""

import re
from datetime import UTC, date, datetime

Instant = datetime | date | str | int
"""A datetime (UTC where it has no zone), a date (its beginning in UTC), ISO 8601 text of either, or ns since 1970."""

DAY_NS = 86_400_000_000_000
FOREVER_NS = 2**63 - 1
_LEAST_NS = 10**17
"""March 1973. A smaller number is milliseconds or microseconds by mistake: those of today are below it until 5138."""
_fraction = re.compile(r"(?<=[0-9][.,])([0-9]+)")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def to_ns(instant: Instant) -> int:
    """Return an instant in ns since 1970; `ValueError` where it is none. Text may have up to nine decimals."""
    if isinstance(instant, int):
        if 0 < instant < _LEAST_NS:
            raise ValueError(f"expected nanoseconds since 1970, got {instant}: too few digits")
        return instant
    if isinstance(instant, str):
        return _text_ns(instant)
    if not isinstance(instant, datetime):
        instant = datetime(instant.year, instant.month, instant.day, tzinfo=UTC)
    since = (instant if instant.tzinfo else instant.replace(tzinfo=UTC)) - _EPOCH
    return (since.days * 86_400 + since.seconds) * 10**9 + since.microseconds * 1000


def day_of_ns(ns: int) -> str:
    """Return the UTC day of a stamp, as 20261122; the first or last one that there is, beyond those."""
    seconds = min(max(ns // 10**9, 0), 253_402_300_799)
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y%m%d")


def _text_ns(text: str) -> int:
    """Python reads six decimals and passes over the others, so that they are read here."""
    found = _fraction.search(text)
    digits = found[1] if found else ""
    if len(digits) > 9:
        raise ValueError(f"expected at most nine decimals of a second, got {text!r}")
    whole = text.replace(f".{digits}", "", 1).replace(f",{digits}", "", 1) if digits else text
    return to_ns(datetime.fromisoformat(whole)) + int(digits.ljust(9, "0"))


_UNITS_NS = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9, "d": DAY_NS}
_is_length = re.compile(r"([0-9]+)(ns|us|ms|s|m|h|d)").fullmatch


def length_ns(text: str) -> int:
    """Return a length of time such as `100ms`, `1s`, `5m`, `1h`, `1d` in ns; `ValueError` where it is none."""
    found = _is_length(text)
    if found is None or not int(found[1]):
        raise ValueError(f"expected a length of time such as 100ms, 1s, 5m, 1h or 1d, got {text!r}")
    return int(found[1]) * _UNITS_NS[found[2]]
