"""Cells of typed rows as text, with the exchange's digits: the inverse of `rows`, which made values of text.

In: batches of a sealed file, and the number of digits behind the point of its decimals, which its metadata says. Out:
tables of text with the same columns; a null is an empty cell.
"""

from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc

from binance_streamer.days.recorded.digits import SCALE, Digits, digits_at
from binance_streamer.days.schema import DECIMAL, LEVELS, TIME


def as_texts(rows: pa.Table, digits: Mapping[str, Digits]) -> pa.Table:
    """Return rows with all cells as text. A text that would be empty is null where the column holds numbers."""
    arrays = [_texts(rows.column(name).combine_chunks(), name, digits) for name in rows.column_names]
    return pa.table(arrays, names=rows.column_names)


def _texts(values: pa.Array, name: str, digits: Mapping[str, Digits]) -> pa.Array:
    if isinstance(values, pa.ChunkedArray):
        values = pa.concat_arrays(values.chunks)
    kind = values.type
    if kind == DECIMAL:
        return decimal_texts(values, *digits_at(digits, name))
    if kind == LEVELS:
        return _level_texts(values, *(digits_at(digits, f"{name}.{member}") for member in ("price", "quantity")))
    if kind == TIME:
        return pc.cast(pc.divide(pc.cast(values, pa.int64()), 1000), pa.string())
    if kind == pa.float64():
        return pa.array([None if value is None else repr(value) for value in values.to_pylist()], pa.string())
    return pc.cast(values, pa.string())


def decimal_texts(values: pa.Array, digits: Digits, of_zero: Digits) -> pa.Array:
    """Return numbers with their digits behind the point: never fewer than the least, and no zeros beyond."""
    units = pa.Array.from_buffers(pa.decimal128(38, 0), len(values), values.buffers(), offset=values.offset)
    texts = pc.cast(units, pa.string())  # of a number with decimals the cast would be `1E-8`
    is_zero = pc.equal(texts, "0")
    signs = pc.if_else(pc.starts_with(texts, "-"), "-", "")
    texts = pc.ascii_lpad(pc.ascii_ltrim(texts, "-"), SCALE + 1, "0")
    whole, behind = pc.utf8_slice_codeunits(texts, 0, -SCALE), pc.utf8_slice_codeunits(texts, -SCALE)
    least, most = digits
    if least == most:
        behind = pc.utf8_slice_codeunits(behind, 0, least)
    else:
        behind = pc.replace_substring_regex(behind, f"^([0-9]{{{least}}}[0-9]*?)0*$", r"\1")
    points = pc.if_else(pc.equal(behind, ""), "", ".")
    zero = f"0.{'0' * of_zero.least}" if of_zero.least else "0"
    return pc.if_else(is_zero, zero, pc.binary_join_element_wise(signs, whole, points, behind, ""))


def _level_texts(lists: pa.ListArray, price: tuple[Digits, Digits], quantity: tuple[Digits, Digits]) -> pa.Array:
    """Return levels as in a daily file: `[[84551.10,3],[84551,0]]`."""
    levels = lists.flatten()
    prices, quantities = (
        decimal_texts(column, *digits) for column, digits in zip(levels.flatten(), (price, quantity), strict=True)
    )
    pairs = pc.binary_join_element_wise("[", prices, ",", quantities, "]", "")
    lengths = pc.fill_null(pc.list_value_length(lists), 0)
    offsets = pa.concat_arrays([pa.array([0], pa.int64()), pc.cumulative_sum(pc.cast(lengths, pa.int64()))])
    joined = pc.binary_join(pa.LargeListArray.from_arrays(offsets, pairs), ",")
    texts = pc.binary_join_element_wise("[", joined, "]", "")
    return pc.if_else(pc.is_valid(lists), texts, pa.scalar(None, pa.string()))
