"""How long whoever has turned us away is left alone."""

from datetime import UTC
from email.utils import parsedate_to_datetime

LONGEST_STAND_DOWN_S = 4 * 86_400.0
"""The exchange's bans last three days at most (docs/exchange.md): whatever says more is wrong."""


def http_date_s(text: str) -> float | None:
    """Seconds since the epoch of a `Date` or `Retry-After` (RFC 9110 §10.2.3); None where the text is no date."""
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
