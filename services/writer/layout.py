"""Cells of messages that differ from an earlier one in numbers and levels alone, without decoding them. Pure.

An exchange spells all messages of a stream in the same way. What does not fit exactly is left to the JSON decoder.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

from binance_streamer.exchange import RowForm

_WHOLE_NUMBER = b"(0|[1-9][0-9]{0,18})"
"""Longer ones are left to the decoder too: Python refuses to convert a text of some thousand digits."""


class Parts(NamedTuple):
    """What one message has: its cells without levels, its levels as they came, and its time."""

    scalars: bytes
    levels: bytes
    day_ms: int


class Layout:
    """The spelling of one message, in which whole numbers before the levels, and the levels, may differ."""

    def __init__(self, head: bytes, middle: bytes, tail: bytes, groups: tuple[int, ...], day_group: int) -> None:
        self._match = re.compile(head).match
        self.middle = middle
        """Stands between the two lists of levels."""
        self._tail = tail
        self._groups = groups
        self._day_group = day_group

    def parts(self, event: bytes) -> Parts | None:
        """The parts of a message, None where it is spelt otherwise. The levels are not looked at."""
        match = self._match(event)
        if match is None or not event.endswith(self._tail):
            return None
        levels = event[match.end() : len(event) - len(self._tail)]
        return Parts(b",".join(match.group(*self._groups)), levels, int(match[self._day_group]))


def layout_of(event: bytes, members: Mapping[str, bytes], form: RowForm) -> Layout | None:
    """The layout of a message that has a row, None where numbers and levels alone do not make it.

    The form has two lists of levels.
    """
    fields = [(key, b'"%b":' % key.encode(), bytes(value)) for key, value in members.items()]
    if event != b"{" + b",".join([name + value for _, name, value in fields]) + b"}":
        return None  # with spaces, escapes or a key twice
    scalars = [key for _, key in form.columns if key not in form.levels]
    levels = [key for _, key in form.columns if key in form.levels]
    keys = list(members)
    at = keys.index(levels[0])
    numbers = [key for key in keys[:at] if key in scalars and bytes(members[key]).isdigit()]
    if keys[at : at + 2] != levels or len(numbers) != len(scalars):
        return None
    head = b"\\{"
    for key, name, value in fields[:at]:
        head += re.escape(name) + (_WHOLE_NUMBER if key in numbers else re.escape(value)) + b","
    tail = b"".join([b"," + name + value for _, name, value in fields[at + 2 :]]) + b"}"
    groups = tuple(numbers.index(key) + 1 for key in scalars)
    day_group = numbers.index(form.day) + 1
    return Layout(head + re.escape(fields[at][1]), b"," + fields[at + 1][1], tail, groups, day_group)
