"""The result of one check, as a line of JSON that one process writes and another one reads."""

from typing import Literal

import msgspec

State = Literal["ok", "warn", "fail"]


class Check(msgspec.Struct, frozen=True):
    """The subject of a check, its state, the finding, and advice (empty where nothing is to be done)."""

    what: str
    state: State
    found: str
    advice: str = ""


def line_of(check: Check) -> str:
    """Return one line of JSON, as `read_checks` reads it."""
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
