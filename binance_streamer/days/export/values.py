"""Decimals of recorded rows as numbers and texts of other formats, exactly.

In: Arrow columns of `schema.DECIMAL`. Out: doubles, each the one nearest to the decimal, or texts without needless
zeros. Arrow's own conversions do neither: its doubles are off by a last bit, its texts of small numbers are `1E-8`.
"""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from binance_streamer.days.checks.order import flat

_DIGITS = 8
"""Behind the point, of all decimals (schema.DECIMAL)."""
_EXACT = 2**53
"""Below, every integer is a double, and its division by a power of ten is rounded once, so that it is the nearest."""
_COARSE = 10**5
"""Quantities above 90 million, which have three digits at most, are exact in thousandths."""

Doubles = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


def integers(column: pa.Array) -> Integers:
    """Return integers, or times in microseconds; 0 for null."""
    array = flat(column)
    return np.asarray(pc.fill_null(array.cast(pa.int64()), 0))


def units(column: pa.Array) -> Integers:
    """Return decimals in units of 10^-8; `OverflowError` beyond 64 bits, which is 92 billion. No nulls."""
    array = flat(column)
    if not len(array):
        return np.empty(0, np.int64)
    words = np.frombuffer(array.buffers()[1], np.int64)[2 * array.offset : 2 * (array.offset + len(array))]
    low, high = words[::2], words[1::2]
    if (high != low >> 63).any():
        raise OverflowError("a price or quantity is beyond 92 billion")
    return low


def doubles(column: pa.Array) -> Doubles:
    """Return the doubles nearest to decimals without nulls."""
    whole = units(column)
    is_coarse = (np.abs(whole) >= _EXACT) & (whole % _COARSE == 0)
    found: Doubles = whole / 10.0**_DIGITS
    found[is_coarse] = (whole[is_coarse] // _COARSE) / 1000.0
    return found


def texts(column: pa.Array) -> pa.Array:
    """Return decimals as text, with the digits that they need; an empty text for null."""
    array = flat(column)
    digits = pc.cast(_scaled(array), pa.string())
    signs = pc.if_else(pc.starts_with(digits, "-"), "-", "")
    digits = pc.ascii_lpad(pc.ascii_ltrim(digits, "-"), _DIGITS + 1, "0")
    whole, behind = pc.utf8_slice_codeunits(digits, 0, -_DIGITS), pc.utf8_slice_codeunits(digits, -_DIGITS)
    behind = pc.ascii_rtrim(behind, "0")
    points = pc.if_else(pc.equal(behind, ""), "", ".")
    return pc.fill_null(pc.binary_join_element_wise(signs, whole, points, behind, ""), "")


def _scaled(array: pa.Array) -> pa.Array:
    """Return decimals as whole numbers of 10^-8: the same bytes, read without a point."""
    return pa.Array.from_buffers(pa.decimal128(38, 0), len(array), array.buffers()[:2], offset=array.offset)
