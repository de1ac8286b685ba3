"""Makes CSV cells of the exchange's JSON messages, with their digits and spelling.

Nothing is parsed into a number and printed again: a cell is the message's own bytes without the quotes, so that `1.10`
stays `1.10`. A message whose values are not what the row form says is a `RowFault`, never a guess.

Three ways lead to the same cells, from the quickest to the one that decides: whole lines by `layout` (depth), the shape
of a message among shapes that were decided before, and value by value. Property tests compare them.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from operator import itemgetter
from typing import NamedTuple

import msgspec
from msgspec import Raw

from binance_streamer.exchange import csv_cells
from binance_streamer.exchange.rows import IMPLIED_BY_FILE, RowForm
from services.runtime.delivery.events import Known, MessageColumns
from services.writer import kernel
from services.writer.rows.layout import NUMBER_BYTES, SKELETONS, Layout, Lines, is_json, layout_of
from services.writer.rows.spelt_rows import SpeltRows

_Members = dict[str, Raw]

_decode_members = msgspec.json.Decoder(_Members).decode
_decode_elements = msgspec.json.Decoder(list[Raw]).decode
_decode_text = msgspec.json.Decoder(str).decode
_decode_levels = msgspec.json.Decoder(list[tuple[Raw, Raw]]).decode

EXPECTED_KEYS = frozenset({"st", "ps"})
"""No column has them and every message does (since 2026-06-30): kept in `extra`, but not news."""

_DIGITS = b'0123456789.-"'
"""Left out of the shape of a message, because two messages of one shape differ in them: digits, signs, and quotes."""
_QUOTE = b'"'
_EMPTY_TEXT = b'""'
_FLAGS = frozenset({b"true", b"false"})
_FORMULA_STARTS = ("=", "+", "-", "@")
"""A spreadsheet takes a text that begins so for a formula; no word of the exchange does."""
_is_number = re.compile(rb"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?").fullmatch
has_control = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]").search
"""Finds what ends a line or makes a text look other than it is: control characters, and marks of its direction."""

_MAX_REMEMBERED_EXTRAS = 1000
_MAX_SHAPES = 1000
"""Of one stream: signs of numbers times texts; 30 are usual."""
_MAX_LAYOUTS = 32
"""Messages from which a reader learns a layout; in a stream that changes its spelling more often it would not pay."""
_MAX_NEW_KEYS = 20
_MAX_NEW_KEY_CHARACTERS = 40


class RowFault(ValueError):  # noqa: N818 (a fault of the message, not of the program)
    """A message that has no row form; the text is the reason, as the raw file says it."""


class Cells(NamedTuple):
    """A row's own columns joined by commas, the cell `extra` with all other keys, and the time that decides the day."""

    columns: bytes
    extra: bytes
    day_ms: int | None


class CellReader:
    """Makes the cells of one stream's messages.

    `implied` are the values, by key, that the place of the file says already (`{"e": b'"trade"'}`); where a message
    has another value there, it is kept in `extra`.
    """

    def __init__(self, form: RowForm, implied: dict[str, bytes]) -> None:
        scalars = [pair for pair in form.columns if pair[1] not in form.levels]
        levels = [pair for pair in form.columns if pair[1] in form.levels]
        assert list(form.columns) == scalars + levels, "levels stand behind all other columns"
        self._inner = form.inner
        self._scalars = scalars
        self._levels = levels
        self._optional = form.optional
        self._flags = form.flags
        self._texts = form.texts
        self._pick = itemgetter(*(key for _, key in scalars))
        others, texts = ([key for _, key in scalars if (key in form.texts) is wanted] for wanted in (False, True))
        self._pick_others, self._pick_texts = _picker(others), _picker(texts or others)
        self._shapes: set[bytes] = set()
        self._day = form.day
        self._columns = frozenset(key for _, key in form.columns)
        self._implied = {key: Raw(value) for key, value in implied.items()}
        self._form = form
        self._layout: Layout | None = None
        self._layouts_left = _MAX_LAYOUTS if len(levels) == 2 and not form.inner else 0
        self._spelt = SpeltRows(form, kernel.template_class) if kernel.template_class else None
        self._remembered_extras: dict[tuple[str | bytes, ...], bytes] = {}
        self.new_keys: set[str] = set()

    def lines(self, messages: MessageColumns[Known], epoch: int) -> Lines | None:
        """Return the lines of messages of a websocket that are JSON; None where `read` has to decide about each."""
        if self._spelt is not None:
            return self._spelt.lines(messages, epoch)
        found = self._layout.lines(messages, epoch) if self._layout else None
        if found is None and self._layouts_left:
            self._layout = None  # the next message has a newer one
        return found

    def read(self, event: bytes) -> Cells:
        """Return the cells of one message; `RowFault` where it has no row form."""
        try:
            if not event.isascii():
                event.decode()
            members = self._named(event) if self._form.array else _decode_members(event)
            if self._inner:
                members = self._flattened(members)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise RowFault(f"not a JSON object: {error}") from error
        columns = self._scalar_cells(members)
        for column, key in self._levels:
            level_list = members.get(key)
            if level_list is None:
                raise RowFault(f"the key {key} ({column}) is missing")
            columns += b',"' + level_cell(bytes(level_list), key) + _QUOTE
        extra = self._extra_cell(members)
        cells = Cells(columns, extra, _milliseconds(members.get(self._day)))
        if self._spelt is not None:
            self._spelt.learn(event, cells, partial(self._scalar_cell, members))
        elif self._layout is None and self._layouts_left:
            self._layouts_left -= 1
            self._layout = layout_of(event, members, self._form, extra)
        return cells

    def _named(self, event: bytes) -> _Members:
        """Return an array's elements by their keys; those that no key is known for by their number."""
        keys, values = self._form.array, _decode_elements(event)
        members = {keys[number] if number < len(keys) else str(number): value for number, value in enumerate(values)}
        return members | {key: Raw(value) for key, value in self._form.constants}

    def _flattened(self, members: _Members) -> _Members:
        prefix = self._inner + "."
        inner = members.pop(self._inner, None)
        if inner is None:
            raise RowFault(f"the key {self._inner} is missing")
        for key, value in _decode_members(inner).items():
            members[prefix + key] = value
        return members

    def _scalar_cells(self, members: _Members) -> bytes:
        try:
            joined = b",".join(self._pick(members))
        except KeyError:
            return self._scalar_cells_one_by_one(members)
        bare = joined.replace(_QUOTE, b"")
        if self._texts:
            others = b",".join(self._pick_others(members))
            shape = others.translate(None, _DIGITS) + b",".join(self._pick_texts(members))
            numbers = others.replace(_QUOTE, b"")
        else:
            shape, numbers = joined.translate(None, _DIGITS), bare
        if shape in self._shapes and is_json(b"[" + numbers + b"]"):
            return bare
        cells = self._scalar_cells_one_by_one(members)
        if cells == bare and b"null" not in shape and len(self._shapes) < _MAX_SHAPES:
            self._shapes.add(shape)
        return cells

    def _scalar_cells_one_by_one(self, members: _Members) -> bytes:
        return b",".join([self._scalar_cell(members, column, key) for column, key in self._scalars])

    def _scalar_cell(self, members: _Members, column: str, key: str) -> bytes:
        raw = members.get(key)
        if raw is None or (key in self._optional and bytes(raw) == b"null"):
            if key in self._optional:
                return b""
            raise RowFault(f"the key {key} ({column}) is missing")
        value = bytes(raw)
        if value[:1] in b"[{n":
            raise RowFault(f"{key} is {value[:20].decode(errors='replace')}, not a plain value")
        text = _decode_text(value) if value[:1] == _QUOTE else value.decode()
        if key in self._texts:
            if text.startswith(_FORMULA_STARTS):
                raise RowFault(f"{key} ({column}) begins like a formula")
            return text_cell(text, key)
        cell = text.encode()
        if key in self._flags:
            if cell not in _FLAGS:
                raise RowFault(f"{key} ({column}) is neither true nor false")
        elif not _is_number(cell):
            if cell:
                raise RowFault(f"{key} ({column}) is no number")
            return _EMPTY_TEXT
        return cell

    def _extra_cell(self, members: _Members) -> bytes:
        implied = self._implied
        known = self._columns
        extra = [key for key in members if key not in known and implied.get(key) != members[key]]
        if not extra:
            return b""
        values = b",".join([members[key] for key in extra])
        remembered: tuple[str | bytes, ...] = (*extra, values)
        cell = self._remembered_extras.get(remembered)
        if cell is None:
            cell = self._new_extra_cell([(key, members[key]) for key in extra])
            if len(self._remembered_extras) < _MAX_REMEMBERED_EXTRAS and len(values) < 200:
                self._remembered_extras[remembered] = cell
        return cell

    def _new_extra_cell(self, extra: Iterable[tuple[str, Raw]]) -> bytes:
        outer: list[bytes] = []
        inner: list[bytes] = []
        prefix = self._inner + "."
        for key, value in extra:
            is_inner = bool(self._inner) and key.startswith(prefix)
            own_key = key[len(prefix) :] if is_inner else key
            (inner if is_inner else outer).append(msgspec.json.encode(own_key) + b":" + bytes(value))
            if own_key not in EXPECTED_KEYS and own_key not in IMPLIED_BY_FILE and len(self.new_keys) < _MAX_NEW_KEYS:
                self.new_keys.add(key[:_MAX_NEW_KEY_CHARACTERS])
        if inner:
            outer.append(msgspec.json.encode(self._inner) + b":{" + b",".join(inner) + b"}")
        return quoted(b"{" + b",".join(outer) + b"}")


def _picker(keys: Sequence[str]) -> Callable[[_Members], Iterable[Raw]]:
    """Return a function that gets the values of these keys, that of a single one twice.

    `itemgetter` gives a tuple only for two keys and more; nothing here minds a value that comes twice.
    """
    return itemgetter(*keys) if len(keys) > 1 else itemgetter(*keys, *keys)


def level_cell(levels: bytes, key: str) -> bytes:
    """Return the levels without quotes: `[[1.20,3]]` for `[["1.20","3"]]`; `RowFault` for all but pairs of numbers."""
    return _plain_level_cell(levels) or _level_cell_one_by_one(levels, key)


def _plain_level_cell(levels: bytes) -> bytes | None:
    """Return the cell of levels in the exchange's own spelling; None where they are written otherwise."""
    skeleton = levels.translate(None, NUMBER_BYTES)
    if skeleton != SKELETONS[len(skeleton)]:
        return None
    bare = levels.translate(None, _QUOTE)
    return bare if is_json(bare) else None


def _level_cell_one_by_one(levels: bytes, key: str) -> bytes:
    try:
        pairs = _decode_levels(levels)
    except (msgspec.DecodeError, RecursionError) as error:
        raise RowFault(f"{key} is not a list of [price, quantity]") from error
    rendered = []
    for pair in pairs:
        price, quantity = (_bare_number(bytes(value), key) for value in pair)
        rendered.append(b"[" + price + b"," + quantity + b"]")
    return b"[" + b",".join(rendered) + b"]"


def _bare_number(value: bytes, key: str) -> bytes:
    bare = value[1:-1] if value[:1] == _QUOTE else value
    if not _is_number(bare):
        raise RowFault(f"{key} holds a price or quantity that is no number")
    return bare


def text_cell(text: str, what: str) -> bytes:
    """Return a text as a CSV cell; the empty text is `""`, unlike a value that is missing."""
    if has_control(text):
        raise RowFault(f"{what} holds a control character")
    return csv_cells.text_cell(text.encode())


def quoted(cell: bytes) -> bytes:
    """Return a cell in quotes, with its own quotes doubled; `RowFault` for a line break, since a row is one line."""
    if b"\n" in cell or b"\r" in cell:
        raise RowFault("a value holds a line break")
    return csv_cells.quoted(cell)


def _milliseconds(value: Raw | None) -> int | None:
    if value is None:
        return None
    try:
        return int(bytes(value))
    except ValueError:
        return None
