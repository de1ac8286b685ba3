"""A side of a book is the last quantity of each price, whether its levels come as text or typed."""

from decimal import Decimal

import polars as pl
import pyarrow as pa
import pytest

from binance_streamer.days.reading.book_levels import side_of
from binance_streamer.days.schema import LEVELS

SNAPSHOT = "[[84000.10,1],[84000.00,2],[83999.90,3]]"


def rows(*cells: str) -> pl.DataFrame:
    """Updates with these bids, whose ids follow each other."""
    return pl.DataFrame({"final_update_id": list(range(len(cells))), "bids": list(cells)})


def levels(snapshot: str, *updates: pl.DataFrame) -> list[tuple[str, str]]:
    side = side_of(pl.DataFrame({"bids": [snapshot]}), updates, "bids")
    return [(f"{price:f}".rstrip("0"), f"{quantity:f}".rstrip("0")) for price, quantity in side.levels.rows()]


def test_the_last_quantity_of_each_price_counts() -> None:
    found = levels(SNAPSHOT, rows("[[84000.00,5],[84000.20,6]]", "[]", "[[84000.10,0],[84000.00,7]]"), rows("[]"))
    assert found == [("84000.2", "6."), ("84000.", "7."), ("83999.9", "3.")]


@pytest.mark.parametrize(("first", "last"), [("84000.1", "84000.10"), ("84000.100", "84000.1")])
def test_one_price_in_other_digits_is_the_same_price(first: str, last: str) -> None:
    others = ",".join(f"[{84100 + number},1]" for number in range(500))
    found = levels(SNAPSHOT, rows(f"[[{first},8],{others}]", f"[[{last},0.5],{others}]"))
    assert found[-3:] == [("84000.1", "0.5"), ("84000.", "2."), ("83999.9", "3.")]
    assert len(found) == 503


def test_updates_are_taken_in_the_order_of_their_ids() -> None:
    assert levels("[]", rows("[[1,1]]", "[[1,2]]").reverse()) == [("1.", "2.")]


def test_typed_levels_give_the_same() -> None:
    cells = [
        [{"price": Decimal("84000.1"), "quantity": Decimal(0)}],
        [{"price": Decimal(84001), "quantity": Decimal(4)}],
    ]
    typed = pl.from_arrow(pa.table({"final_update_id": [1, 2], "bids": pa.array(cells, LEVELS)}))
    assert isinstance(typed, pl.DataFrame)
    assert levels(SNAPSHOT, typed) == [("84001.", "4."), ("84000.", "2."), ("83999.9", "3.")]


@pytest.mark.parametrize(
    "cell",
    [
        "", "[", "]", "5,3", "[5,3]", "[[5]]", "[[5,3]", "[5,3]]", "[[5,3,1]]", "[[5,]]", "[[,3]]", "[[5,x]]",
        "[[x,3]]", "[[5,3],[6]]", "[[5],[6,3]]", "[[5,3]][[6,3]]", "[[[5,3]]]", "1[[5,3]]", "[[5, 3]]", '[["5","3"]]',
    ],
)  # fmt: skip
def test_what_is_no_level_is_an_error(cell: str) -> None:
    with pytest.raises(pa.ArrowInvalid):
        levels(SNAPSHOT, rows("[[1,1]]", cell, "[[2,2]]"))


def test_two_halves_of_levels_do_not_make_a_whole_one() -> None:
    """Two cells that lack a half each have an even number of halves, those between the two in wrong places."""
    with pytest.raises(pa.ArrowInvalid):
        levels(SNAPSHOT, rows("[[1]]", "[[5,3]]", "[[3]]"))
