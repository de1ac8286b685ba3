"""Levels of one side: found by price, in order near the best one, each price once."""

import pytest

from binance_streamer.exchange.messages import ExchangeError
from services.orderbook.book import side as module
from services.orderbook.book.side import Side
from tests.support.depth import pairs


def bids(levels: str) -> Side:
    side = Side(1)
    side.load(pairs(levels))
    return side


def asks(levels: str) -> Side:
    side = Side(-1)
    side.load(pairs(levels))
    return side


def applied(side: Side, changes: str) -> None:
    side.apply(pairs(changes))
    side.check()


def test_the_best_bid_is_the_highest_and_the_best_ask_the_lowest() -> None:
    assert bids("99.9x1 100.0x2 9.5x3").best() == ("100.0", "2")
    assert asks("99.9x1 100.0x2 9.5x3").best() == ("9.5", "3")


def test_prices_are_ordered_as_numbers() -> None:
    side = asks("9.5x3 100.0x2 99.9x1 1000.0x4")
    assert side.levels() == pairs("9.5x3 99.9x1 100.0x2 1000.0x4")
    assert side.top(3) == pairs("9.5x3 99.9x1 100.0x2")
    assert side.top(9) == side.levels()


def test_digits_stay_as_they_came() -> None:
    side = bids("84551.00x2.000")
    applied(side, "84551.10x0.010")
    assert side.levels() == pairs("84551.10x0.010 84551.00x2.000")


def test_a_quantity_is_absolute_and_a_zero_of_any_scale_removes() -> None:
    side = bids("10x1 9x2 8x3 7x4")
    applied(side, "10x5 9x0 8x0.000 7x0.00000000")
    assert side.levels() == pairs("10x5")


def test_removing_an_unknown_level_is_normal() -> None:
    side = bids("10.0x1")
    applied(side, "9.0x0 9x0 9.00x0")
    assert side.levels() == pairs("10.0x1")


def test_an_empty_side_has_no_best_level() -> None:
    side = bids("")
    assert (side.best(), side.best_key(), side.top(5), side.levels(), len(side)) == (None, None, [], [], 0)
    applied(side, "10x1 10x0")
    assert side.best() is None
    side.check()


def test_the_next_level_is_best_when_the_best_one_goes() -> None:
    side = asks("10x1 11x2 12x3")
    applied(side, "10x0 11x0")
    assert side.best() == ("12", "3")


def test_a_level_that_comes_back_is_there_once() -> None:
    side = asks("10x1 11x2")
    applied(side, "10x0 10x4 10x0")
    assert side.top(5) == pairs("11x2")
    applied(side, "10x5")
    assert side.top(5) == pairs("10x5 11x2")


def test_one_price_spelt_two_ways_is_one_level() -> None:
    side = bids("1.0x5 0.9x6")
    applied(side, "1.00x7")
    assert side.levels() == pairs("1.00x7 0.90x6")
    applied(side, "0.9x0 1x8")
    assert side.levels() == pairs("1.00x8")
    applied(side, "1.000x0")
    assert len(side) == 0


def test_a_finer_tick_within_one_update() -> None:
    side = asks("1.0x5 1.1x6 1.2x7")
    applied(side, "1.1x8 1.15x1 1.2x0 1.1x0")
    assert side.levels() == pairs("1.00x5 1.15x1")


def test_whole_numbers_are_prices_too() -> None:
    side = bids("27000x1")
    applied(side, "27000.5x2 27000x0")
    assert side.levels() == pairs("27000.5x2")


def test_quantities_are_found_however_the_price_is_spelt() -> None:
    side = bids("1.50x5")
    assert [side.quantity(price) for price in ("1.5", "1.50", "1.500", "1.501", "2")] == ["5", "5", "5", None, None]


@pytest.mark.parametrize(
    "price",
    ["", "abc", "-1.0", "1e5", "1.2.3", "1_0.0", " 1.0", ".5", "1.", "01.0", "00.5", "\u0669.\u0669", "9" * 5000],
)
def test_a_price_that_is_none_is_refused(price: str) -> None:
    with pytest.raises(ExchangeError):
        bids("10.0x1").apply([(price, "1")])


def test_what_is_behind_a_price_that_is_none_leaves_the_side_whole() -> None:
    side = bids("10.0x1 9.0x1")
    with pytest.raises(ExchangeError):
        side.apply([("11.0", "5"), ("10.0", "7"), ("x", "1"), ("12.0", "1"), ("9.0", "0")])
    side.check()
    assert side.best() == ("10.0", "7")


@pytest.mark.parametrize("sign", [1, -1])
def test_prices_without_a_level_are_forgotten_when_they_are_many(sign: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LEAST_GONE", 4)
    side = Side(sign)
    side.load([(f"{price}.0", "1") for price in range(100, 120)])
    for price in range(1000, 1100):
        side.apply([(f"{price}.0", "1")])
        side.apply([(f"{price}.0", "0.000")])
        side.check()
        assert len(side) == 20
        assert len(side._quantities) <= 21 * 5 // 4 + 4
    assert side.best() == (("119.0", "1") if sign > 0 else ("100.0", "1"))


def test_levels_beyond_the_ordered_ones_come_up_when_those_are_gone() -> None:
    side = Side(-1)
    side.load([(f"{price}.0", "1") for price in range(1, 3001)])
    side.check()
    for price in range(1, 3001):
        assert side.best() == (f"{price}.0", "1")
        side.apply([(f"{price}.0", "0.000")])
    assert side.best() is None
    side.check()


def test_many_levels_near_the_best_push_the_worst_out_of_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_NEAR", 8)
    monkeypatch.setattr(module, "_LEAST_REFILL", 4)
    side = Side(1)
    for price in range(100, 160):
        applied(side, f"{price}x1")
        assert side.best() == (str(price), "1")
    assert side.top(4) == pairs("159x1 158x1 157x1 156x1")
    for price in range(159, 100, -1):
        applied(side, f"{price}x0")
        assert side.best() == (str(price - 1), "1")


@pytest.mark.parametrize("sign", [1, -1])
def test_prices_of_other_lengths_beyond_the_floor_are_ordered_as_numbers(
    monkeypatch: pytest.MonkeyPatch, sign: int
) -> None:
    monkeypatch.setattr(module, "_MOST_NEAR", 4)
    monkeypatch.setattr(module, "_LEAST_REFILL", 2)
    side = Side(sign)
    for price in (98, 99, 100, 101, 102, 9, 8, 1000, 1001, 10, 97, 103):
        applied(side, f"{price}.5x1")
    applied(side, "98.50x2 9.5x3 1000.5x4 7.5x0")
    assert [price for price, _ in side.levels()][::-sign] == [
        *("8.50", "9.50", "10.50", "97.50", "98.50", "99.50", "100.50", "101.50", "102.50", "103.50"),
        *("1000.50", "1001.50"),
    ]
