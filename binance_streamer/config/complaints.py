"""Complaints about a configuration in the words of YAML: the key, what is wrong with it, and the likely intention.

msgspec reports faults in the words of its types (`object`, `array`, `str`), and names neither the mode nor a near
spelling. Everything here turns such a report into a sentence for somebody who has only the YAML before him.
"""

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

import msgspec
import msgspec.inspect as shapes

_TOKEN = re.compile(r"\.?([A-Za-z_]\w*)|\[(\d+)\]")
"""One step of a place: the key of a map, or the index of a list in brackets."""
_YAML_TYPES = {
    "object": "a map",
    "array": "a list",
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "null": "nothing",
}
_NOT_SHOWN = "alerts"
"""Values below this key may be, or hold, the address of a webhook with its token: they are not repeated."""

Keys = tuple[str | int, ...]
"""The way to a value: keys of maps, and indices of lists from 0 on."""


def keys_of(place: str) -> Keys:
    """Return the keys in `modes.production.symbols[0].streams`, in their order; numbers of lists become integers."""
    return tuple(name or int(index) for name, index in _TOKEN.findall(place))


def nearest(word: str, known: Iterable[str]) -> str:
    """Return `; did you mean 'connections'?` where one of the known words is like this one, else an empty text."""
    by_lower = {one.lower(): one for one in known}
    found = get_close_matches(word.lower(), by_lower, 1)
    return f"; did you mean {by_lower[found[0]]!r}?" if found else ""


def complaint(plain: Mapping[str, Any], root: type[msgspec.Struct], report: str) -> tuple[str, str]:
    """Return the key that a report of msgspec is about, empty for the whole file, and the complaint about its value.

    `plain` is what stands in the file, `root` the struct that it should become.
    """
    text, _, place = report.rpartition(" - at ")
    text, place = (text, place.replace("`", "")) if text else (report, "")
    place = place.removeprefix("key in ").removeprefix("$").lstrip(".")
    keys = keys_of(place)
    if text.startswith("Object contains unknown field"):
        name = text.split("`")[1]
        return f"{place}.{name}".lstrip("."), _unknown(name, _fields(root, keys))
    if text.startswith("Object missing required field"):
        return place, f"the key {text.split('`')[1]!r} is missing"
    if text.startswith("Invalid enum value"):
        return place, _not_a_choice(text.removeprefix("Invalid enum value ").strip("'"), _choices(root, keys))
    expected = re.sub("`([^`]*)`", lambda found: _in_yaml(found[1]), text[0].lower() + text[1:])
    return place, expected + _value_shown(plain, keys)


def _unknown(name: str, known: list[str]) -> str:
    """Return the complaint about an unknown key: the nearest known key, or all keys where none is near."""
    return "there is no such key" + (nearest(name, known) or f"; there are {', '.join(known)}")


def _not_a_choice(word: str, choices: tuple[str, ...]) -> str:
    """Return the complaint about a word where only some words are allowed, with all of these."""
    return f"expected {' or '.join(choices)}, got {word!r}{nearest(word, choices)}"


def _in_yaml(types: str) -> str:
    """Return the words of YAML for types in the words of msgspec: `int | null` is `a whole number or nothing`."""
    return " or ".join(_YAML_TYPES.get(name, name) for name in types.split(" | "))


def _value_shown(plain: Mapping[str, Any], keys: Keys) -> str:
    """Return `: ` and the value that a complaint is about, 40 characters at most; empty for maps, lists and secrets.

    A symbol that was written without its key is a common mistake: for it the right spelling is added.
    """
    value: Any = plain
    for key in keys:
        value = value[key]
    if not isinstance(value, str | int | float) or keys[:1] == (_NOT_SHOWN,):
        return ""
    shown = f": {value!r:.40}"
    if len(keys) > 1 and keys[-2] == "symbols":
        return f"{shown}; write `- symbol: {value!s:.40}`"
    return shown


def _fields(root: type[msgspec.Struct], keys: Keys) -> list[str]:
    """Return the keys that the map at this place may have, in the order of the struct."""
    return [
        field.encode_name for shape in _at(root, keys) if isinstance(shape, shapes.StructType) for field in shape.fields
    ]


def _choices(root: type[msgspec.Struct], keys: Keys) -> tuple[str, ...]:
    """Return the words that are allowed at this place, as a value or as a key."""
    found = _at(root, keys)
    found += [one.key_type for one in found if isinstance(one, shapes.DictType)]
    return tuple(str(word) for one in found if isinstance(one, shapes.LiteralType) for word in one.values)


def _at(root: type[msgspec.Struct], keys: Keys) -> list[shapes.Type]:
    """Return the types that a value may have there; several for a union, none where the keys lead nowhere.

    msgspec reports a place and not the type that it expected there, so the way is walked again through the types.
    """
    found = _alternatives(shapes.type_info(root))
    for key in keys:
        found = [one for shape in found for inner in _inside(shape, key) for one in _alternatives(inner)]
    return found


def _inside(shape: shapes.Type, key: str | int) -> list[shapes.Type]:
    """Return the types behind one key or index; a list has one type for all indices."""
    if isinstance(shape, shapes.CollectionType):
        return [shape.item_type]
    if isinstance(shape, shapes.DictType):
        return [shape.value_type]
    if isinstance(shape, shapes.StructType):
        return [field.type for field in shape.fields if field.encode_name == key]
    return []


def _alternatives(shape: shapes.Type) -> list[shapes.Type]:
    """Return the members of a union, or the type itself; bounds (`Meta`) are stripped from it."""
    if isinstance(shape, shapes.Metadata):
        return _alternatives(shape.type)
    return list(shape.types) if isinstance(shape, shapes.UnionType) else [shape]
