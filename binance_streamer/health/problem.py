"""A problem of the recorder, as `judge` finds it."""

from typing import Literal

import msgspec

from binance_streamer.config.schema import Condition

Severity = Literal["failure", "warning"]


class Problem(msgspec.Struct, frozen=True):
    """Something that is not recorded, or may soon not be: `what` is concerned, and `why`.

    `since_ms` is the wall clock when it began; None where nobody knows.
    """

    condition: Condition
    severity: Severity
    what: str
    why: str
    since_ms: int | None = None
