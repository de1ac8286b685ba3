"""Lines of messages that differ from an earlier one in numbers and levels alone, without decoding them.

An exchange spells all messages of a stream in the same way. What does not fit exactly is left to the JSON decoder.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from binance_streamer.exchange.rows import RowForm
from services.runtime.delivery.events import Known, MessageColumns

NUMBER_BYTES = b"0123456789."
_QUOTE = b'"'
_WHOLE_NUMBER = b"(0|[1-9][0-9]{0,18})"
"""Longer ones are left to the decoder too: Python refuses to convert a text of some thousand digits."""
_MAX_SKELETONS, _LARGEST_SKELETON_BYTES = 2000, 16_384
"""Of 2000 levels and more, or of what only looks like levels, they are made anew each time."""

_decode_raw = msgspec.json.Decoder(msgspec.Raw).decode


class _Skeletons(dict[int, bytes]):
    """By their size: the brackets, quotes and commas of lists of pairs of numbers; `[]` where none has that size."""

    def __missing__(self, size: int) -> bytes:
        count, rest = divmod(size - 1, 8)
        if rest or count < 1:
            return b"[]"
        text = b"[" + b",".join([b'["",""]'] * count) + b"]"
        if len(self) < _MAX_SKELETONS and size <= _LARGEST_SKELETON_BYTES:
            self[size] = text
        return text


SKELETONS = _Skeletons()


class Spelling(NamedTuple):
    """How a message with two lists of levels is written: `head`, bids, `middle`, asks, `tail`.

    `pattern` is that of the head, with a group for each number; `cells` are the groups that a row begins with, and
    `day` is the one that decides its day.
    """

    pattern: bytes
    cells: tuple[int, ...]
    day: int
    head: bytes
    middle: bytes
    tail: bytes


class Lines(NamedTuple):
    """Lines of a file, and the time of each that decides the day."""

    lines: list[bytes]
    days_ms: list[int]


class Layout:
    """Makes the lines of messages in one spelling, whose last cell, `extra`, is the same."""

    def __init__(self, spelling: Spelling, extra: bytes) -> None:
        self._spelling = spelling
        self._match = re.compile(spelling.pattern).match
        cells = [b"%%b"] * len(spelling.cells) + [b'"%%b","%%b",%%d,%d,%%d,ws', extra.replace(b"%", b"%%%%")]
        self._line = b",".join(cells) + b"\n"

    def lines(self, messages: MessageColumns[Known], epoch: int) -> Lines | None:
        """The lines of messages that are JSON, None where one of them is written otherwise.

        Without digits each has to be what this spelling and two lists of pairs are without them. That all that the
        lists hold are numbers is checked at the end, for all together.
        """
        _, cells, day, full_head, full_middle, full_tail = self._spelling
        head, middle, tail = (part.translate(None, NUMBER_BYTES) for part in (full_head, full_middle, full_tail))
        match = self._match
        quotes = full_head.count(_QUOTE)
        to_colon, to_bare_colon = len(middle) - 1, len(middle) - middle.count(_QUOTE) - 1
        bare_tail = len(full_tail) - full_tail.count(_QUOTE)
        before_bids, around_asks = len(head), len(tail) + 1
        line = self._line % epoch
        lines: list[bytes] = []
        days_ms: list[int] = []
        levels: list[bytes] = []
        for seq, recv_ns, event in zip(messages.seqs, messages.stamps_ns, messages.events, strict=True):
            found = match(event)
            if found is None or not event.endswith(full_tail):
                return None
            bones = event.translate(None, NUMBER_BYTES)
            colon = bones.find(b":", before_bids)
            bids, asks = SKELETONS[colon - to_colon - before_bids], SKELETONS[len(bones) - colon - around_asks]
            if bones != head + bids + middle + asks + tail:
                return None
            bare = event.translate(None, _QUOTE)
            start = found.end() - quotes
            colon = bare.find(b":", start)
            bids, asks = bare[start : colon - to_bare_colon], bare[colon + 1 : -bare_tail]
            levels += (bids, asks)
            days_ms.append(int(found[day]))
            lines.append(line % (*found.group(*cells), bids, asks, recv_ns, seq))
        return Lines(lines, days_ms) if is_json(b"[" + b",".join(levels) + b"]") else None


def is_json(text: bytes) -> bool:
    """Whether bare levels hold nothing but numbers: the decoder refuses "", 1.2.3 and 007."""
    try:
        _decode_raw(text)
    except msgspec.DecodeError:
        return False
    return True


def layout_of(event: bytes, members: Mapping[str, bytes], form: RowForm, extra: bytes) -> Layout | None:
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
    head, pattern = b"{", re.escape(b"{")
    for key, name, value in fields[:at]:
        head += name + value + b","
        pattern += re.escape(name) + (_WHOLE_NUMBER if key in numbers else re.escape(value)) + b","
    spelling = Spelling(
        pattern=pattern + re.escape(fields[at][1]),
        cells=tuple(numbers.index(key) + 1 for key in scalars),
        day=numbers.index(form.day) + 1,
        head=head + fields[at][1],
        middle=b"," + fields[at + 1][1],
        tail=b"".join([b"," + name + value for _, name, value in fields[at + 2 :]]) + b"}",
    )
    return Layout(spelling, extra)
