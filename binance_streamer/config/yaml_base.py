"""YAML as the configuration takes it: strict, and laid over another file where it names one as its `base`.

    base: streamer.yaml
    endpoints: {insecure: true}

is `streamer.yaml` with one value changed. Maps are laid over maps, key by key; anything else, lists too, replaces what
the base has. A base lies in the same folder, so that the relative paths of both mean the same.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

_MAX_LAYERS = 8
"""Files on one another, far more than are needed; a file that stands on itself ends here."""
_INT = "tag:yaml.org,2002:int"
_MOST_DIGITS = 20
"""As many as an integer of 64 bits has, with its sign. Python itself refuses those of more than 4300, by a ValueError
that is no error of YAML."""
_MOST_CHARACTERS = 4096
"""Of one value: as long as the longest path. An error repeats the value, and stays readable."""
_KINDS = {list: "a list", str: "text", bool: "true or false"}


class LayerError(ValueError):
    """A file that cannot be read, or is no YAML that we take; the text names it."""


def text_of(path: Path) -> str:
    """Return the text of a file in UTF-8; `LayerError` where there is none."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise LayerError(f"{path}: {_why(error)}") from error


class Merged(NamedTuple):
    """The map of a file laid over its bases; `source` names the files, the upper one first, for error messages."""

    plain: dict[str, Any]
    source: str
    texts: tuple[tuple[Path, str], ...]

    def line_of(self, keys: Sequence[str | int]) -> str:
        """Return ` (line 4)`, with the name of the file where that is a base: where the value at these keys is given.

        The way may end before the last key: a missing value is looked for where it should stand. Empty where no file
        has the first key, since a default has no line.
        """
        for number, (path, text) in enumerate(self.texts):
            line = _line_in(text, keys)
            if line is not None:
                return f" ({path.name}, line {line})" if number else f" (line {line})"
        return ""


def merged(text: str, path: Path) -> Merged:
    """Return the map in a text laid over those it stands on; `LayerError` where one cannot be read."""
    layers, texts = [_map_in(text, path)], [(path, text)]
    while "base" in layers[-1]:
        base = _base(layers[-1].pop("base"), path, len(layers))
        texts.append((base, text_of(base)))
        layers.append(_map_in(texts[-1][1], base))
    whole = layers.pop()
    while layers:
        _lay(layers.pop(), whole)
    source = " over ".join([str(path), *(base.name for base, _ in texts[1:])])
    return Merged(whole, source, tuple(texts))


def _line_in(text: str, keys: Sequence[str | int]) -> int | None:
    """Return the line, from 1 on, where the value at these keys is given; None where its way does not exist."""
    node, line = yaml.compose(text, Loader=_StrictLoader), None
    for key in keys:
        if isinstance(node, yaml.MappingNode):
            found = next(((name, value) for name, value in node.value if name.value == key), None)
            if found is None:
                return line if line and key == keys[-1] else None
            line, node = found[0].start_mark.line + 1, found[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(key, int) and key < len(node.value):
            node = node.value[key]
            line = node.start_mark.line + 1
    return line


def _base(name: object, path: Path, count: int) -> Path:
    """Return the path of a base; `LayerError` where it is no name in the same folder, or the chain is too long."""
    if not isinstance(name, str) or not name or Path(name).name != name:
        raise LayerError(f"{path}: base: expected the name of a file in the same folder, got {name!r}")
    if count == _MAX_LAYERS:
        raise LayerError(f"{path}: base: more than {_MAX_LAYERS} files on one another, or one on itself")
    return path.with_name(name)


def _lay(upper: dict[str, Any], lower: dict[str, Any]) -> None:
    """Lay a map over another one, which is changed: maps key by key, anything else replaces what is there."""
    for key, value in upper.items():
        if isinstance(value, dict) and isinstance(lower.get(key), dict):
            _lay(value, lower[key])
        else:
            lower[key] = value


def _map_in(text: str, path: Path) -> dict[str, Any]:
    """Return the map in a text; `LayerError` where it is empty, no YAML, or no map."""
    try:
        plain = yaml.load(text, Loader=_StrictLoader)  # noqa: S506 (derived from SafeLoader)
    except (yaml.YAMLError, RecursionError) as error:
        raise LayerError(f"{path}: not valid YAML: {_where(error)}") from error
    if plain is None:
        raise LayerError(f"{path}: the file is empty; binance-streamer init makes one with comments")
    if not isinstance(plain, dict):
        raise LayerError(f"{path}: expected a map with the key 'mode', got {_KINDS.get(type(plain), 'a number')}")
    return plain


def _why(error: Exception) -> str:
    """Return the reason for which a file cannot be read, for an error message."""
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    if isinstance(error, IsADirectoryError):
        return "it is a folder"
    return f"cannot be read: {getattr(error, 'strerror', None) or error}"


def _where(error: Exception) -> str:
    """Return the fault in one line of text, with the line of the file."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        context = f" {error.context}" if error.context else ""
        return f"line {mark.line + 1}, column {mark.column + 1}: {error.problem}{context}"
    return str(error) or type(error).__name__


class _StrictLoader(yaml.SafeLoader):
    """SafeLoader that refuses duplicate keys, aliases and tags, and knows only true and false as booleans.

    The last of two equal keys would win silently, and nested aliases can make a few lines grow to gigabytes.
    A tag (`!!int x`) has the value read as what it is not, by code that fails in ways of its own.
    """

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()  # type: ignore[no-untyped-call]
            raise yaml.constructor.ConstructorError(None, None, "aliases are not supported", event.start_mark)
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if getattr(event, "tag", None) is not None:
            raise yaml.constructor.ConstructorError(
                None, None, f"tags are not supported: remove {event.tag!r}", event.start_mark
            )
        return super().compose_node(parent, index)

    def construct_scalar(self, node: Any) -> Any:
        value = super().construct_scalar(node)
        if node.tag == _INT and len(value) > _MOST_DIGITS:
            raise yaml.constructor.ConstructorError(
                None, None, f"a whole number has more than {_MOST_DIGITS} digits", node.start_mark
            )
        if not str(value).isprintable() and re.search("[\0\ud800-\udfff]", str(value)):
            raise yaml.constructor.ConstructorError(
                None, None, "a text holds a NUL character, or half of one (a surrogate)", node.start_mark
            )
        if len(value) > _MOST_CHARACTERS:
            raise yaml.constructor.ConstructorError(
                None, None, f"a value has more than {_MOST_CHARACTERS} characters", node.start_mark
            )
        return value

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise yaml.constructor.ConstructorError(None, None, f"key {key!r} is not text", key_node.start_mark)
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"duplicate key {key!r}", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


# YAML 1.1 reads NO as false, 1:30 as 90 and 010 as 8; this loader reads them as text, which the types then refuse.
_StrictLoader.yaml_implicit_resolvers = {}


class _Dumper(yaml.SafeDumper):
    """SafeDumper that also quotes what only this loader reads as something else than text: 1E3."""


for _tag, _pattern, _first in (
    ("bool", r"true|false", "tf"),
    ("int", r"-?(?:0|[1-9][0-9]*)", "-0123456789"),
    ("float", r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?", "-0123456789"),
    ("null", r"null|~|", ["n", "~", ""]),
):
    _StrictLoader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), list(_first))
    _Dumper.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), list(_first))


def dumped(plain: dict[str, Any]) -> str:
    """Return YAML that reads back as this map, by this module's loader; keys keep their order."""
    text: str = yaml.dump(plain, Dumper=_Dumper, sort_keys=False, allow_unicode=True)
    return text
