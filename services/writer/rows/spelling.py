"""Learns from one message of a stream how the exchange spells all of them: fixed text, and values of known kinds.

The exchange spells all messages of a stream in the same way: same keys, same order, same spaces. The compiled kernel
(services/writer/kernel) tells a message by comparing it with such a spelling, in place of decoding it. Only values of
columns may differ; all other keys are fixed text, so that a message with anything new does not fit, and is decoded.
"""

import re
from collections.abc import Iterable, Iterator
from enum import IntEnum
from typing import NamedTuple

import msgspec

from binance_streamer.exchange.messages import UNREADABLE
from binance_streamer.exchange.rows import RowForm

_decode_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_is_whole = re.compile(rb"0|[1-9][0-9]{0,17}").fullmatch
_is_number = re.compile(rb"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?").fullmatch
_is_word = re.compile(rb"[A-Za-z0-9][A-Za-z0-9_]*").fullmatch
_QUOTE = b'"'
MOST_VALUES = 40
"""Of one message; the ticker has 17."""
_COMMAS = ((b",", b","), (b",", b", "), (b", ", b", "))
"""The exchange writes the bar within a kline with spaces, all else without (docs/exchange.md §2.6)."""


class Kind(IntEnum):
    """The kinds of values that may differ between messages, as the kernel numbers them."""

    WHOLE = 0
    """A number without sign, fraction and exponent, of 18 digits at most."""
    NUMBER = 1
    """A number without an exponent."""
    FLAG = 2
    """`true` or `false`."""
    WORD = 3
    """Letters, digits and underscores."""
    LEVELS = 4
    """A list of pairs of numbers in quotes."""


class EventSpelling(NamedTuple):
    """A message as steps of (fixed text, kind of the value behind it), and the text behind the last value."""

    steps: tuple[tuple[bytes, Kind], ...]
    tail: bytes
    keys: tuple[str, ...]
    """The keys of the values, in their order; `k.t` is the member t of the object k."""

    @property
    def whole_keys(self) -> frozenset[str]:
        """Return the keys whose values are whole numbers."""
        kinds = [kind for _, kind in self.steps]
        return frozenset(key for key, kind in zip(self.keys, kinds, strict=True) if kind is Kind.WHOLE)


def spelling_of(event: bytes, form: RowForm) -> EventSpelling | None:
    """Return the spelling of a message in this form.

    None where it is no object, has escapes or a key twice, spaces elsewhere than behind commas, or too many values.
    """
    if form.array:
        return None
    try:
        for commas in _COMMAS:
            pieces = list(_pieces(event, form.inner, "", commas))
            if b"".join([piece for piece, _ in pieces]) == event:
                return _spelling(pieces, form)
    except UNREADABLE:
        pass
    return None


def _pieces(event: bytes, inner: str, prefix: str, commas: tuple[bytes, bytes]) -> Iterator[tuple[bytes, str]]:
    """Yield a message in pieces: values with their keys, and what stands between them with an empty key.

    `commas` are those of the message, and those of the object within it.
    """
    before = b"{"
    for name, raw in _decode_members(event).items():
        yield before + b'"%b":' % name.encode(), ""
        value, before = bytes(raw), commas[bool(prefix)]
        if name == inner and not prefix:
            yield from _pieces(value, inner, f"{inner}.", commas)
        else:
            yield value, prefix + name
    yield b"}", ""


def _spelling(pieces: Iterable[tuple[bytes, str]], form: RowForm) -> EventSpelling | None:
    steps: list[tuple[bytes, Kind]] = []
    keys: list[str] = []
    columns = {key for _, key in form.columns}
    text = b""
    for piece, key in pieces:
        kind = _kind(piece, key, form) if key in columns else None
        if kind is None:
            text += piece
            continue
        quote = _QUOTE if piece[:1] == _QUOTE else b""
        steps.append((text + quote, kind))
        keys.append(key)
        text = quote
    is_simple = len(steps) <= MOST_VALUES and len(set(keys)) == len(keys)
    return EventSpelling(tuple(steps), text, tuple(keys)) if is_simple else None


def _kind(piece: bytes, key: str, form: RowForm) -> Kind | None:
    """Return the kind of a value that may differ; None for what is to be the same in all messages."""
    if key in form.levels:
        return Kind.LEVELS
    if key in form.flags:
        return Kind.FLAG if piece in (b"true", b"false") else None
    is_quoted = piece[:1] == _QUOTE
    bare = piece[1:-1] if is_quoted else piece
    if key in form.texts:
        return Kind.WORD if is_quoted and _is_word(bare) else None
    if not is_quoted and _is_whole(piece):
        return Kind.WHOLE
    return Kind.NUMBER if _is_number(bare) else None
