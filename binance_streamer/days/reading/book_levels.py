"""The levels of a book out of those of a snapshot and of updates: the last quantity of each price.

Levels come typed, as lists of (price, quantity), or as the text of a daily file (`[[84551.10,3],[84551,0]]`). Of text,
each price's last quantity is found before it is converted: an hour of updates names some thousand prices a thousand
times.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from binance_streamer.days.checks.levels import LEVELS_OF_SNAPSHOT
from binance_streamer.days.schema import DECIMAL

CROSSED = "crossed"
BEYOND = "beyond the levels of the snapshot"
_MEMBERS = ("price", "quantity")


class SideLevels(NamedTuple):
    """Price and quantity of one side, best first. Beyond `known_to` there may be others; None: all levels are known."""

    levels: pl.DataFrame
    known_to: Decimal | None

    @property
    def best(self) -> Decimal | None:
        """The best price; None where the side is empty."""
        found: Decimal | None = self.levels["price"].item(0) if len(self.levels) else None
        return found


def side_of(snapshot: pl.DataFrame, updates: Sequence[pl.DataFrame], name: str) -> SideLevels:
    """Return the side `name` (`bids`, `asks`) of a book: of one row of a snapshot and the updates from it on.

    `updates` has a column `final_update_id`, by which the rows of each frame are put in order; the frames are in order.
    Raises `ArrowInvalid` where a level is none.
    """
    is_bid = name == "bids"
    base = _levels(snapshot[name])
    worst: Decimal | None = base["price"].item(-1) if len(base) >= LEVELS_OF_SNAPSHOT else None
    changes = [_levels(_in_order(frame)[name]) for frame in updates]
    last = pl.concat([base, *changes]).unique("price", keep="last", maintain_order=True)
    return SideLevels(last.filter(pl.col("quantity") > 0).sort("price", descending=is_bid), worst)


def fault_of_sides(bids: SideLevels, asks: SideLevels) -> str:
    """Return why the levels that updates lead to are no book that is known; empty where they are."""
    bid, ask = bids.best, asks.best
    if bid is None or ask is None:
        return "" if bids.known_to is None and asks.known_to is None else BEYOND
    if bid >= ask:
        return CROSSED
    is_beyond = (bids.known_to is not None and bid < bids.known_to) or (
        asks.known_to is not None and ask > asks.known_to
    )
    return BEYOND if is_beyond else ""


def _in_order(updates: pl.DataFrame) -> pl.DataFrame:
    return updates if updates["final_update_id"].is_sorted() else updates.sort("final_update_id", maintain_order=True)


def _levels(cells: pl.Series) -> pl.DataFrame:
    """Return price and quantity of the last level of each price in the cells."""
    if cells.dtype != pl.String:
        levels = pl.DataFrame({"level": cells}).explode("level").drop_nulls().unnest("level")
        return levels.unique("price", keep="last", maintain_order=True)
    parts = cells.filter(cells != "[]").str.strip_prefix("[").str.strip_suffix("]").str.split(",").explode()
    if len(parts) % 2:
        raise pa.ArrowInvalid("a level lacks its price or quantity")
    # halves of levels as they stand, `[84551.10` and `3]`: taking them apart now would cost more than all the rest
    halves = pl.DataFrame({"price": parts.gather_every(2), "quantity": parts.gather_every(2, 1)})
    # an order that is kept costs as much as finding the last ones; texts of one price may differ, so that it counts
    last = halves.with_row_index("place").unique("price", keep="last").sort("place")
    return pl.DataFrame({"price": _decimals(last["price"], "[", ""), "quantity": _decimals(last["quantity"], "", "]")})


def _decimals(texts: pl.Series, before: str, behind: str) -> pl.Series:
    """Return the numbers between two marks, exactly as a daily file is sealed; `ArrowInvalid` where a text is none."""
    if not (texts.str.starts_with(before) & texts.str.ends_with(behind)).all():
        raise pa.ArrowInvalid("a level is no pair of price and quantity")
    inner = texts.str.strip_prefix(before).str.strip_suffix(behind)
    return pl.Series(pc.cast(inner.to_arrow(compat_level=pl.CompatLevel.oldest()).cast(pa.string()), DECIMAL))
