"""Decimal numbers as texts."""

import pytest

from binance_streamer.exchange.messages import ExchangeError
from services.orderbook.book.decimal_text import digits_of, padded, places_of, same_number


def test_the_same_number_may_be_spelt_in_several_ways() -> None:
    assert same_number("1.50", "1.5")
    assert same_number("0.000", "0")
    assert not same_number("1.5", "1.51")


def test_a_text_that_is_no_number_equals_only_itself() -> None:
    assert same_number("abc", "abc")
    assert not same_number("abc", "1")


def test_decimals_are_counted_and_added() -> None:
    assert [places_of(text) for text in ("60000", "60000.1", "0.00100")] == [0, 1, 5]
    assert (padded("60000", 2), padded("60000.1", 2)) == ("60000.00", "60000.10")


def test_all_digits_make_one_integer() -> None:
    assert (digits_of("60000.10"), digits_of("0.001")) == (6_000_010, 1)
    for text in ("", "-1.5", "abc", "1.2.3"):
        with pytest.raises(ExchangeError):
            digits_of(text)
