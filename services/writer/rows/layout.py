"""Makes lines of depth messages that differ from an earlier one in numbers and levels alone, without decoding them.

An exchange spells all messages of a stream in the same way: same keys, same order, no spaces. So a message without its
digits is the same text as an earlier one without its digits, except for the number of levels. That is checked by
deleting all digits and dots in one pass, which is ten times quicker than decoding hundreds of levels. Whatever does not
fit exactly is left to the JSON decoder in `cells`, and a property test compares the two on changed messages.
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
"""Skeletons beyond this are made anew each time: of 2000 levels and more, or of what only looks like levels."""

_decode_raw = msgspec.json.Decoder(msgspec.Raw).decode


class _Skeletons(dict[int, bytes]):
    """Maps a size to the brackets, quotes and commas of a list of levels of that size without its numbers.

    One pair is `["",""]`, 7 bytes, and a comma stands between two: n pairs have 8n + 1 bytes with the outer brackets. A
    size that no list has maps to `[]`, which then differs from the message.
    """

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
    """The fixed parts of a message with two lists of levels: `head`, bids, `middle`, asks, `tail`.

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
    """Lines of a file, and for each the time in ms that decides its day; None for a message that has to be decoded."""

    lines: list[bytes | None]
    days_ms: list[int | None]


class Layout:
    """Makes the lines of messages in one spelling, all of which have the same cell `extra`."""

    def __init__(self, spelling: Spelling, extra: bytes) -> None:
        self._spelling = spelling
        self._match = re.compile(spelling.pattern).match
        cells = [b"%%b"] * len(spelling.cells) + [b'"%%b","%%b",%%d,%d,%%d,ws', extra.replace(b"%", b"%%%%")]
        self._line = b",".join(cells) + b"\n"

    def lines(self, messages: MessageColumns[Known], epoch: int) -> Lines | None:
        """Return the lines of messages that are JSON; None where one of them is written otherwise.

        Without digits each must equal this spelling with two lists of levels without digits. That the lists hold
        nothing but numbers (no `1.2.3`, no `007`) is checked at the end, by the JSON decoder, for all levels together.
        """
        _, cells, day, full_head, full_middle, full_tail = self._spelling
        head, middle, tail = (part.translate(None, NUMBER_BYTES) for part in (full_head, full_middle, full_tail))
        match = self._match
        quotes = full_head.count(_QUOTE)
        to_colon, to_bare_colon = len(middle) - 1, len(middle) - middle.count(_QUOTE) - 1
        bare_tail = len(full_tail) - full_tail.count(_QUOTE)
        before_bids, around_asks = len(head), len(tail) + 1
        line = self._line % epoch
        lines: list[bytes | None] = []
        days_ms: list[int | None] = []
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
    """Return True if the text is JSON: of numbers without quotes, the decoder refuses an empty one, 1.2.3 and 007."""
    try:
        _decode_raw(text)
    except msgspec.DecodeError:
        return False
    return True


def layout_of(event: bytes, members: Mapping[str, bytes], form: RowForm, extra: bytes) -> Layout | None:
    """Return the layout of a message that has a row; None where more than numbers and levels may differ in the next
    one.

    `members` are the message's keys and values, `form` has two lists of levels, `extra` is the last cell of its row.
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
