"""A book against a later snapshot: equal, different, or not comparable; and the top against bookTicker."""

import pytest

from services.orderbook.book.audit import Audit, Difference, Outcome, Trail, audit
from services.orderbook.book.book import OrderBook, TrustedRange
from services.orderbook.book.quotes import Top, TopComparison, TopDifference
from tests.support.depth import pairs, quote, snapshot, update

BIDS, ASKS = "99x1 98x1", "101x1 102x1"


class Kept:
    """A book with its trail."""

    def __init__(self, *, at: int = 100, bids: str = BIDS, asks: str = ASKS) -> None:
        self.book = OrderBook()
        self.book.load(snapshot(at, bids=bids, asks=asks))
        self.trail = Trail(self.book)

    def update(self, ids: str, *, bids: str = "", asks: str = "", at_ms: int = 0) -> "Kept":
        change = update(ids, bids=bids, asks=asks, at_ms=at_ms)
        self.book.apply(change)
        self.trail.record(change)
        return self

    def audit(self, last_update_id: int, *, bids: str = BIDS, asks: str = ASKS) -> Audit | None:
        return audit(self.book, self.trail, snapshot(last_update_id, bids=bids, asks=asks))


def outcome(found: Audit | None) -> Outcome:
    assert found is not None
    return found.outcome


def test_a_book_is_compared_as_it_was_at_the_snapshot() -> None:
    kept = Kept().update("100>110", bids="97x1").update("110>120", bids="97x0 99x0", asks="100x4")
    assert kept.audit(110, bids="99x1 98x1 97x1") == Audit(Outcome.PASSED, 110, compared=5)
    assert kept.audit(120, bids="98x1", asks="100x4 101x1 102x1") == Audit(Outcome.PASSED, 120, compared=4)
    assert kept.book.levels() == (pairs("98x1"), pairs("100x4 101x1 102x1"))


def test_every_kind_of_difference_is_found() -> None:
    found = Kept().update("100>110", bids="97x1").audit(110, bids="99x2 97x1 96x1")
    assert found == Audit(
        Outcome.FAILED,
        110,
        "levels differ",
        (Difference("bid", "96", None, "1"), Difference("bid", "98", "1", None), Difference("bid", "99", "1", "2")),
        compared=6,
    )


def test_levels_of_the_update_that_spans_the_snapshot_are_left_out() -> None:
    kept = Kept().update("100>110", bids="98x5", asks="101x0")
    assert outcome(kept.audit(105)) is Outcome.PASSED
    assert outcome(kept.audit(105, bids="99x1 98x3")) is Outcome.PASSED
    assert outcome(kept.audit(105, bids="99x2 98x3")) is Outcome.FAILED


def test_none_are_left_out_where_an_update_ends_at_the_snapshot() -> None:
    kept = Kept().update("100>110").update("110>120", bids="98x5")
    assert outcome(kept.audit(110, bids="99x1 98x3")) is Outcome.FAILED
    assert outcome(kept.audit(120, bids="99x1 98x3")) is Outcome.FAILED


def test_only_the_spanning_update_is_left_out() -> None:
    kept = Kept().update("100>110").update("110>120", bids="98x5").update("120>130", bids="99x6")
    assert outcome(kept.audit(115, bids="99x1 98x3")) is Outcome.PASSED
    assert outcome(kept.audit(115, bids="99x6 98x3")) is Outcome.FAILED


def test_a_level_that_changes_twice_in_one_update_is_taken_back_to_the_first() -> None:
    kept = Kept().update("100>110", bids="98x5 98x0 98x7")
    assert outcome(kept.audit(100)) is Outcome.PASSED


def test_numbers_are_compared_and_not_their_spelling() -> None:
    kept = Kept().update("100>110", bids="98.0x1.50")
    assert outcome(kept.audit(110, bids="99.00x1.0 98x1.5", asks="101.000x1 102x1.00")) is Outcome.PASSED


def test_a_snapshot_ahead_of_the_book_waits() -> None:
    kept = Kept()
    assert kept.audit(105) is None
    assert outcome(kept.update("100>110").audit(105)) is Outcome.PASSED


def test_a_snapshot_from_before_the_book_is_not_comparable() -> None:
    found = Kept().update("100>110").audit(99)
    assert found == Audit(Outcome.NOT_COMPARABLE, 99, "older than the updates that are kept")


def test_a_trail_is_full_after_thirty_seconds_and_with_half_a_megabyte(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Kept().update("100>110", at_ms=0).update("110>120", at_ms=30_000)
    assert not kept.trail.is_full
    assert kept.update("120>130", at_ms=30_001).trail.is_full
    monkeypatch.setattr("services.orderbook.book.audit.MOST_BYTES", 500)
    assert not Kept().update("100>110").update("110>120").trail.is_full
    assert Kept().update("100>110").update("110>120").update("120>130").trail.is_full
    assert Kept().update("100>110", bids=" ".join(f"{price}x1" for price in range(30, 60))).trail.is_full


def a_thousand(best: int, step: int) -> str:
    return " ".join(f"{best + step * number}x1" for number in range(1000))


def test_levels_that_the_book_could_not_know_are_learnt() -> None:
    """The price has fallen by 500: half of a new snapshot's bids lie below what the first one had."""
    kept = Kept(bids=a_thousand(5000, -1), asks="6000x1")
    gone = " ".join(f"{price}x0" for price in range(5000, 4500, -1))
    kept.update("100>110", bids=f"{gone} 3900x7").update("110>120", bids="3800x0")
    new = a_thousand(4500, -1).replace(" 3900x1", " 3900x7")
    found = kept.audit(110, bids=new, asks="6000x1")
    assert found == Audit(Outcome.PASSED, 110, compared=1001, learnt=498)
    assert kept.book.trusted_range == TrustedRange("3501", None)
    assert kept.book.counts == (999, 1)
    assert kept.book.bids.quantity("3800") is None
    kept.book.check()


def test_what_lies_beyond_the_snapshot_is_not_compared() -> None:
    kept = Kept(bids=a_thousand(5000, -1) + " 17x1", asks="6000x1")
    assert kept.audit(100, bids=a_thousand(5000, -1), asks="6000x1") == Audit(Outcome.PASSED, 100, compared=1001)


def test_a_wrong_level_beyond_the_trusted_range_is_a_difference() -> None:
    kept = Kept(bids=a_thousand(5000, -1), asks="6000x1").update("100>110", bids="5000x0 3900x7 4000x2")
    new = a_thousand(4999, -1)
    found = kept.audit(110, bids=new, asks="6000x1")
    assert found is not None
    assert found.differences == (Difference("bid", "4000", "2", "1"),)


def test_a_top_is_compared_with_the_quote_of_the_same_id_whichever_comes_first() -> None:
    tops, kept = TopComparison(), Kept()
    assert tops.take_quote(quote(100, bid="99.0x1", ask="101x1.0")) is None
    assert tops.take_book(kept.book) is None
    kept.update("100>110", bids="99x4")
    assert tops.take_book(kept.book) is None
    assert tops.take_quote(quote(105, bid="99x3", ask="101x1")) is None
    assert tops.take_quote(quote(110, bid="99x3", ask="101x1")) == TopDifference(
        110, Top(("99", "4"), ("101", "1")), Top(("99", "3"), ("101", "1"))
    )
    assert tops.compared == 2


def test_an_empty_side_equals_a_quote_without_quantity() -> None:
    tops, kept = TopComparison(), Kept(bids="")
    tops.take_book(kept.book)
    assert tops.take_quote(quote(100, bid="0.0x0.00", ask="101x1")) is None
    assert tops.take_quote(quote(100, bid="99.0x1", ask="101x1")) is not None


def test_a_comparison_forgets_what_has_no_partner() -> None:
    tops, kept = TopComparison(), Kept()
    tops.take_quote(quote(100, bid="1x1", ask="2x1"))
    for other in range(1000, 1300):
        tops.take_quote(quote(other, bid="1x1", ask="2x1"))
    assert tops.take_book(kept.book) is None
    assert tops.compared == 0


@pytest.mark.parametrize(("bid", "ask"), [("98x1", "101x1"), ("99x2", "101x1"), ("99x1", "102x1"), ("99x1", "101x2")])
def test_price_and_quantity_of_both_sides_of_a_top_are_compared(bid: str, ask: str) -> None:
    tops, kept = TopComparison(), Kept()
    tops.take_book(kept.book)
    assert tops.take_quote(quote(100, bid=bid, ask=ask)) is not None
