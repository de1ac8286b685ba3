"""The verifier's book: from which snapshot it is built, when it begins anew, and what it compares."""

from decimal import Context, Decimal

import pyarrow as pa

from binance_streamer.days.checks.book import BookReplay, BookSnapshot, QuotedTop, SummaryRow, Update
from binance_streamer.days.checks.levels import LevelSide, unscaled
from binance_streamer.days.schema import DECIMAL

UNIT = 10**8


def side(*levels: tuple[int, int]) -> tuple[list[int], list[int]]:
    return [price * UNIT for price, _ in levels], [quantity * UNIT for _, quantity in levels]


def update(number: int, previous: int, bids: list[tuple[int, int]], asks: list[tuple[int, int]]) -> Update:
    return Update(number, previous, number, side(*bids), side(*asks))


def snapshot(number: int, bids: list[tuple[int, int]], asks: list[tuple[int, int]]) -> BookSnapshot:
    levels = [[(price * UNIT, quantity * UNIT) for price, quantity in one] for one in (bids, asks)]
    return BookSnapshot(number, number, *levels)


def top(number: int, bid: int, bid_quantity: int, ask: int, ask_quantity: int) -> QuotedTop:
    return QuotedTop(number, number, (bid * UNIT, bid_quantity * UNIT, ask * UNIT, ask_quantity * UNIT))


BIDS, ASKS = [(99, 1), (98, 2)], [(101, 1), (102, 2)]
FIRST = snapshot(10, BIDS, ASKS)


def replayed(
    updates: list[Update],
    snapshots: list[BookSnapshot],
    tops: list[QuotedTop] | None = None,
    summaries: list[SummaryRow] | None = None,
) -> BookReplay:
    replay = BookReplay("depth", {"depth": "d", "snapshot": "s", "bookticker": "b", "orderbook": "o"})
    replay.run(updates, snapshots, tops or [], summaries or [])
    return replay


def texts(replay: BookReplay) -> list[tuple[str, str, int | None]]:
    return [(finding.check, finding.file, finding.id) for finding in replay.findings()]


def test_updates_before_and_within_the_snapshot_are_left_out_or_joined() -> None:
    updates = [update(8, 5, [(99, 7)], []), update(12, 8, [(99, 3)], []), update(15, 12, [], [(101, 0)])]
    replay = replayed(updates, [FIRST], [top(12, 99, 3, 101, 1), top(15, 99, 3, 102, 2)])
    assert texts(replay) == []
    assert (replay.counts.built, replay.counts.updates, replay.counts.tops) == (1, 2, 2)


def test_a_snapshot_with_a_hole_behind_it_builds_nothing() -> None:
    replay = replayed([update(15, 12, [(99, 3)], [])], [FIRST])
    assert replay.counts.built == 0


def test_a_hole_ends_the_book_until_the_next_snapshot() -> None:
    updates = [update(12, 10, [], []), update(20, 15, [(50, 1)], []), update(25, 20, [], []), update(30, 25, [], [])]
    again = snapshot(20, [(90, 1)], [(91, 1)])
    replay = replayed(updates, [FIRST, again], [top(25, 90, 1, 91, 1)])
    assert texts(replay) == []
    assert (replay.counts.built, replay.counts.updates, replay.counts.tops) == (2, 3, 1)


def test_a_snapshot_within_an_update_leaves_out_what_that_update_changes() -> None:
    """It may have the quantity before or after the change, or one between."""
    later = snapshot(13, [(99, 5), (98, 2)], ASKS)
    updates = [update(12, 10, [], []), update(15, 12, [(99, 9)], [])]
    assert texts(replayed(updates, [FIRST, later])) == []
    wrong = snapshot(13, [(99, 5), (98, 3)], ASKS)
    assert texts(replayed(updates, [FIRST, wrong])) == [("book", "s", 13)]


def test_a_crossed_book_is_found_once_and_given_up() -> None:
    updates = [update(12, 10, [(101, 1)], []), update(13, 12, [(102, 1)], []), update(14, 13, [], [])]
    assert texts(replayed(updates, [FIRST])) == [("book", "d", 12)]


def test_one_of_several_quotes_with_one_id_is_enough() -> None:
    updates = [update(12, 10, [(99, 3)], [])]
    assert texts(replayed(updates, [FIRST], [top(12, 99, 1, 101, 1), top(12, 99, 3, 101, 1)])) == []
    assert texts(replayed(updates, [FIRST], [top(12, 99, 1, 101, 1), top(12, 99, 2, 101, 1)])) == [("tops", "b", 12)]


def test_a_summary_is_compared_level_by_level() -> None:
    updates = [update(12, 10, [(99, 3)], [])]
    right = SummaryRow(12, 1, side((99, 3), (98, 2)), side(*ASKS))
    assert texts(replayed(updates, [FIRST], [], [right])) == []
    wrong = right._replace(asks=side((101, 1), (102, 3)))
    assert texts(replayed(updates, [FIRST], [], [wrong])) == [("book", "o", 12)]


def test_a_top_beyond_what_the_snapshot_knows_is_unknown() -> None:
    """A thousand levels a side: when all known bids are gone, a deeper one is not proven to be the best."""
    levels = [(3000 - place, 1) for place in range(1000)]
    bids = LevelSide(-1, [(price * UNIT, quantity * UNIT) for price, quantity in levels])
    bids.apply([1500 * UNIT], [UNIT])
    assert bids.best() == 3000 * UNIT
    bids.apply([price * UNIT for price, _ in levels], [0] * 1000)
    assert bids.best() is None
    bids.learn([(2900 * UNIT - place * UNIT, UNIT) for place in range(1000)])
    assert not bids.knows(1500 * UNIT)
    assert bids.knows(1901 * UNIT)


def test_decimals_are_read_as_integers_of_any_size() -> None:
    numbers = ["0", "1.5", "-2", "92233720368.54775807", "92233720368.54775808", "-92233720368.54775809"]
    numbers += ["123456789012345678901234567890.12345678"]
    column = pa.array([Decimal(number) for number in numbers], DECIMAL)
    assert unscaled(column) == [int(Decimal(number).scaleb(8, Context(prec=60))) for number in numbers]
    assert unscaled(column[2:4]) == [-200_000_000, 2**63 - 1]
