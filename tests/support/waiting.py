"""Deadlines instead of sleeps."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(found: Callable[[], T | None], deadline_s: float = 60.0, *, what: str = "", every_s: float = 0.05) -> T:
    """Ask until the answer is true, and return it; AssertionError with the last answer when the time is over."""
    end_s = time.monotonic() + deadline_s
    while True:
        answer = found()
        if answer:
            return answer
        if time.monotonic() >= end_s:
            raise AssertionError(
                f"not within {deadline_s:.0f} s: {what or repr(found)}; the last answer was {answer!r}"
            )
        time.sleep(every_s)
