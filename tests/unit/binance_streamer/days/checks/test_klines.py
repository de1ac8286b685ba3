"""Closed bars against aggregates: what the ends of a bar and trades without an aggregate explain, and what not."""

from decimal import Decimal

import pyarrow as pa
import pytest

from binance_streamer.days.checks.klines import BarCounts, ClosedBar, KlineComparison
from binance_streamer.days.schema import table_schema

UNIT = 10**8
_SCHEMA = table_schema("aggtrade")


def trades(*rows: tuple[int, int, int, str, str, bool]) -> pa.Table:
    """Rows of (aggregate id, first trade, last trade, price, quantity, buyer is maker)."""
    names = ("agg_trade_id", "first_trade_id", "last_trade_id", "price", "quantity", "is_buyer_maker")
    values = [
        dict(zip(names, (*row[:3], Decimal(row[3]), Decimal(row[4]), row[5]), strict=True), source="ws") for row in rows
    ]
    return pa.Table.from_pylist(values, schema=_SCHEMA)


def bar(first: int, last: int, prices: tuple[int, int, int, int], *sums_of: int) -> ClosedBar:
    """A bar of trades; `sums_of` are volume, quote volume, and both of what buyers took."""
    opened, high, low, close = (price * UNIT for price in prices)
    sums = (number * UNIT for number in sums_of)
    return ClosedBar(60_000, 1, first, last, opened, high, low, close, *sums)


BEFORE = (1, 1, 9, "100", "1", True)
INSIDE = [(2, 10, 12, "100", "2", True), (3, 13, 13, "103", "1", False)]
BEHIND = (4, 14, 20, "101", "1", True)


def counts(rows: list[tuple[int, int, int, str, str, bool]], one: ClosedBar) -> tuple[list[str], BarCounts]:
    comparison = KlineComparison("kline_1m", "f", [one])
    comparison.take(trades(*rows))
    findings, found = comparison.finish()
    return [finding.text.partition(": ")[2] for finding in findings], found


def test_a_bar_of_its_aggregates_is_equal() -> None:
    whole = bar(10, 13, (100, 103, 100, 103), 3, 303, 1, 103)
    assert counts([BEFORE, *INSIDE, BEHIND], whole) == ([], BarCounts(1, 0, 0, 0))


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        (bar(10, 13, (100, 103, 100, 103), 4, 303, 1, 103), "volume 4, the aggregates have 3"),
        (bar(10, 13, (100, 103, 100, 103), 2, 303, 1, 103), "volume 2, the aggregates have 3"),
        (bar(10, 13, (100, 103, 100, 103), 3, 304, 1, 103), "quote_volume 304, the aggregates have 303"),
        (bar(10, 13, (100, 103, 100, 103), 3, 303, 0, 103), "taker_buy_volume 0, the aggregates have 1"),
        (bar(10, 13, (100, 104, 100, 103), 3, 303, 1, 103), "high 104, the aggregates have 103"),
        (bar(10, 13, (100, 103, 99, 103), 3, 303, 1, 103), "low 99, the aggregates have 100"),
        (bar(10, 13, (101, 103, 100, 103), 3, 303, 1, 103), "open 101, the aggregates have 100"),
        (bar(10, 13, (100, 103, 100, 102), 3, 303, 1, 103), "close 102, the aggregates have 103"),
    ],
)
def test_a_value_that_nothing_explains_is_found(wrong: ClosedBar, text: str) -> None:
    assert counts([BEFORE, *INSIDE, BEHIND], wrong) == ([text], BarCounts(0, 0, 1, 0))


def test_an_aggregate_over_the_end_of_a_bar_explains_as_much_as_it_has() -> None:
    """The bar ends with trade 15, in the middle of the aggregate 14 to 20 of quantity 1."""
    rows = [BEFORE, *INSIDE, BEHIND, (5, 21, 21, "101", "1", True)]
    for volume, quote in ((3, 303), (4, 404)):
        within = bar(10, 15, (100, 103, 100, 101), volume, quote, 1, 103)
        assert counts(rows, within) == ([], BarCounts(0, 1, 0, 0))
    texts, _ = counts([BEFORE, *INSIDE, BEHIND], bar(10, 15, (100, 103, 100, 101), 5, 303, 1, 103))
    assert texts == ["volume 5, the aggregates have 3"]


def test_trades_in_no_aggregate_may_add_and_never_take_away() -> None:
    """Trade 13 is of the insurance fund, so that the aggregates go from 12 to 14."""
    rows = [BEFORE, INSIDE[0], (3, 14, 20, "101", "1", True)]
    assert counts(rows, bar(10, 14, (100, 107, 100, 101), 9, 907, 4, 407)) == ([], BarCounts(0, 1, 0, 0))
    texts, _ = counts(rows, bar(10, 14, (100, 107, 100, 101), 1, 907, 4, 407))
    assert texts == ["volume 1, the aggregates have 2"]


def test_bars_with_missing_aggregates_and_bars_of_rest_are_not_compared() -> None:
    whole = bar(10, 13, (1, 1, 1, 1), 1, 1, 1, 1)
    assert counts([BEFORE, INSIDE[1], BEHIND], whole) == ([], BarCounts(0, 0, 0, 1))
    assert counts([INSIDE[1], BEHIND], whole) == ([], BarCounts(0, 0, 0, 1))
    assert counts([BEFORE, INSIDE[0]], whole) == ([], BarCounts(0, 0, 0, 1))
    assert counts([BEFORE, *INSIDE, BEHIND], whole._replace(first=-1, last=-1)) == ([], BarCounts(0, 0, 0, 1))
