"""Digits behind the point: how many the exchange wrote in a column, so that `84551.10` can be written again.

In: the texts of a column. Out: the least and the most digits of its numbers, by column; levels have two columns,
`bids.price` and `bids.quantity`. Zeros are counted apart, as `quantity=0`: a sum that is zero is written `0`, others
with all digits. A sealed file has them in its metadata, as JSON.
"""

import json
from collections.abc import Mapping
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from binance_streamer.days.schema import DECIMAL, LEVELS

SCALE = 8
"""Of all decimals (schema.DECIMAL)."""
KEY = "digits"
"""Of the metadata."""


class Digits(NamedTuple):
    """The least and the most digits behind the point in the numbers of a column; equal where all have as many."""

    least: int
    most: int


ANY = Digits(0, SCALE)
"""Of a column about which nothing is known: its numbers are written as short as they can be."""


def found_digits(field: pa.Field, texts: pa.StringArray) -> dict[str, Digits]:
    """Return the digits of a column of decimals or levels, as text; nothing for others, and where no number is."""
    if field.type == DECIMAL:
        return _digits(field.name, texts)
    if field.type != LEVELS:
        return {}
    prices, quantities = _of_levels(texts)
    return {**_digits(f"{field.name}.price", prices), **_digits(f"{field.name}.quantity", quantities)}


def joined_digits(first: Mapping[str, Digits], second: Mapping[str, Digits]) -> dict[str, Digits]:
    """Return the digits of two pieces of the same columns together."""
    both = {
        name: Digits(min(first[name].least, second[name].least), max(first[name].most, second[name].most))
        for name in first
        if name in second
    }
    return {**first, **second, **both}


def digits_metadata(digits: Mapping[str, Digits]) -> dict[str, str]:
    """Return metadata that say these digits."""
    return {KEY: json.dumps(digits, separators=(",", ":"))}


def digits_of(metadata: Mapping[str, str]) -> dict[str, Digits]:
    """Return the digits by column that metadata say; nothing where they were made without."""
    found = json.loads(metadata.get(KEY, "{}"))
    return {name: Digits(least, most) for name, (least, most) in found.items()}


def batch_digits(batch: pa.RecordBatch) -> dict[str, Digits]:
    """Return the digits that the metadata of a batch's schema say."""
    found = (batch.schema.metadata or {}).get(KEY.encode())
    return digits_of({KEY: found.decode()}) if found else {}


def digits_at(digits: Mapping[str, Digits], name: str) -> tuple[Digits, Digits]:
    """Return the digits of a column's numbers, and of those that are zero."""
    return digits.get(name, ANY), digits.get(f"{name}=0", Digits(0, 0))


def _digits(name: str, texts: pa.StringArray) -> dict[str, Digits]:
    """Return the digits of numbers. With exponents among them they count as any number of digits."""
    if pc.any(pc.match_substring_regex(texts, "[eE]")).as_py():
        return {name: ANY}
    is_zero = pc.invert(pc.match_substring_regex(texts, "[1-9]"))
    if not pc.any(is_zero).as_py():
        found = {name: _bounds(texts)}
    else:
        zeros = texts.filter(pc.and_(is_zero, pc.not_equal(texts, "")))
        found = {name: _bounds(texts.filter(pc.invert(is_zero))), f"{name}=0": _bounds(zeros)}
    return {key: digits for key, digits in found.items() if digits is not None}


def _bounds(texts: pa.StringArray) -> Digits | None:
    points = pc.find_substring(texts, ".")
    behind = pc.subtract(pc.subtract(pc.binary_length(texts), points), 1)
    bounds = pc.min_max(pc.if_else(pc.less(points, 0), 0, behind))
    least, most = bounds["min"].as_py(), bounds["max"].as_py()
    return None if least is None else Digits(least, min(most, SCALE))


def _of_levels(cells: pa.StringArray) -> tuple[pa.StringArray, pa.StringArray]:
    """Return the prices and the quantities in cells such as `[[84551.10,3],[84551,0]]`."""
    filled = cells.filter(pc.greater(pc.binary_length(pc.fill_null(cells, "")), len("[[,]]")))
    inner = pc.replace_substring(pc.utf8_slice_codeunits(filled, 2, -2), "],[", ",")
    pairs = pa.FixedSizeListArray.from_arrays(pc.split_pattern(inner, ",").flatten(), 2)
    return pc.list_element(pairs, 0), pc.list_element(pairs, 1)
