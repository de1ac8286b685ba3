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
    inner = pl.col("cell").str.slice(2).str.strip_suffix("]]").str.split("],[").explode()
    pair = inner.str.split_exact(",", 1).struct.rename_fields(_MEMBERS)
    filled = pl.DataFrame({"cell": cells}).filter(pl.col("cell") != "[]")
    levels = filled.select(pair.alias("pair")).unnest("pair").unique("price", keep="last", maintain_order=True)
    return pl.DataFrame({name: _decimals(levels[name]) for name in _MEMBERS})


def _decimals(texts: pl.Series) -> pl.Series:
    """Return numbers, exactly as a daily file is sealed; `ArrowInvalid` where a text is none."""
    found = pc.cast(texts.to_arrow(compat_level=pl.CompatLevel.oldest()).cast(pa.string()), DECIMAL)
    if found.null_count:
        raise pa.ArrowInvalid("a level lacks its price or quantity")
    return pl.Series(found)
