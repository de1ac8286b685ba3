"""What a look at one thing found, as a line that one process writes and another one reads."""

from typing import Literal

import msgspec

State = Literal["ok", "warn", "fail"]


class Check(msgspec.Struct, frozen=True):
    """What was looked at, how it is, what was found, and what to do about it (empty where nothing is to be done)."""

    what: str
    state: State
    found: str
    advice: str = ""


def line_of(check: Check) -> str:
    """One line of JSON."""
    return msgspec.json.encode(check).decode()


def read_checks(text: str) -> list[Check]:
    """The checks in these lines; others are passed over."""
    found = []
    for line in text.splitlines():
        try:
            found.append(msgspec.json.decode(line, type=Check))
        except msgspec.DecodeError:
            continue
    return found
