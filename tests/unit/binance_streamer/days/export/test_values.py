"""Decimals as doubles and texts: exactly those that the decimal's own text gives."""

from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from binance_streamer.days.export.values import doubles, texts, units
from binance_streamer.days.schema import DECIMAL

EIGHT = Decimal("0.00000001")


@given(st.lists(st.integers(-(10**14), 10**14)), st.integers(0, 3))
def test_a_double_is_the_one_that_python_reads_from_the_text(numbers: list[int], digits: int) -> None:
    """Up to a hundred billion in thousandths, which no quantity of the exchange exceeds."""
    decimals = [Decimal(number).scaleb(-digits).quantize(EIGHT) for number in numbers if abs(number) < 10**11]
    assert doubles(pa.array(decimals, DECIMAL)).tolist() == [float(one) for one in decimals]


@given(st.lists(st.integers(-(2**53) + 1, 2**53 - 1)))
def test_a_double_of_eight_digits_is_exact_up_to_ninety_million(numbers: list[int]) -> None:
    decimals = [Decimal(number).scaleb(-8) for number in numbers]
    assert doubles(pa.array(decimals, DECIMAL)).tolist() == [float(one) for one in decimals]


@pytest.mark.parametrize(
    ("decimal", "text"),
    [
        ("84551.10", "84551.1"),
        ("0", "0"),
        ("0.00000001", "0.00000001"),
        ("-0.00000801", "-0.00000801"),
        ("100", "100"),
        ("-12.5", "-12.5"),
    ],
)
def test_a_text_has_the_digits_that_it_needs(decimal: str, text: str) -> None:
    column = pa.array([None, Decimal(decimal)], DECIMAL).slice(1)
    assert texts(column).to_pylist() == [text]


def test_a_null_is_an_empty_text() -> None:
    assert texts(pa.chunked_array([[None, Decimal(1)]], DECIMAL)).to_pylist() == ["", "1"]


def test_a_number_beyond_64_bits_is_refused() -> None:
    with pytest.raises(OverflowError, match="92 billion"):
        units(pa.array([Decimal(2) ** 40], DECIMAL))
