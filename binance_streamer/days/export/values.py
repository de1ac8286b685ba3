"""Decimals of recorded rows as numbers and texts of other formats, exactly.

In: Arrow columns of `schema.DECIMAL`. Out: doubles, each the one nearest to the decimal, or texts without needless
zeros. Arrow's own conversions do neither: its doubles are off by a last bit, its texts of small numbers are `1E-8`.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from binance_streamer.days.checks.order import flat
from binance_streamer.days.recorded.digits import ANY, SCALE
from binance_streamer.days.recorded.texts import decimal_texts

_EXACT = 2**53
"""Below, every integer is a double, and its division by a power of ten is rounded once, so that it is the nearest."""
_COARSE = 10**5
"""Quantities above 90 million, which have three digits at most, are exact in thousandths."""

Doubles = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


def pieces(table: pa.Table, most_rows: int) -> Iterator[pa.Table]:
    """Yield a table in parts of so many rows, each of one chunk."""
    for start in range(0, len(table), most_rows):
        yield table.slice(start, most_rows).combine_chunks()


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
    found: Doubles = whole / 10.0**SCALE
    found[is_coarse] = (whole[is_coarse] // _COARSE) / 1000.0
    return found


def texts(column: pa.Array) -> pa.Array:
    """Return decimals as text, with the digits that they need; an empty text for null."""
    return pc.fill_null(decimal_texts(flat(column), ANY, ANY), "")
