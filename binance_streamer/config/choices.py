"""Which words a key of typed structs takes: for error messages."""

import re
from typing import Any

import msgspec.inspect as shapes

_TOKEN = re.compile(r"\.?([A-Za-z_]\w*)|\[[^\]]*\]")


def choices_of(root: Any, key: str) -> tuple[str, ...]:
    """The words that `alerts.webhooks[0].format` may be, of a struct type; empty where it is not a choice."""
    found: list[shapes.Type] = [shapes.type_info(root)]
    for token in _TOKEN.finditer(key):
        found = [inner for shape in found for inner in _inside(shape, token[1])]
    return tuple(
        str(word) for shape in found for one in _alternatives(shape) if isinstance(one, shapes.LiteralType)
        for word in one.values
    )  # fmt: skip


def _inside(shape: shapes.Type, name: str | None) -> list[shapes.Type]:
    inner: list[shapes.Type] = []
    for one in _alternatives(shape):
        if name is None and isinstance(one, shapes.CollectionType):
            inner.append(one.item_type)
        elif name is None and isinstance(one, shapes.DictType):
            inner.append(one.value_type)
        elif name is not None and isinstance(one, shapes.StructType):
            inner += [field.type for field in one.fields if field.encode_name == name]
    return inner


def _alternatives(shape: shapes.Type) -> tuple[shapes.Type, ...]:
    if isinstance(shape, shapes.Metadata):
        return _alternatives(shape.type)
    return shape.types if isinstance(shape, shapes.UnionType) else (shape,)
