"""A book as it is shown: times, validity, audits, and the stream that it is built from."""

from random import Random

import pytest

from binance_streamer.exchange.depth import DepthUpdate
from services.orderbook import messages
from services.orderbook.book.audit import Audit, Outcome
from services.orderbook.book.sequence import SyncState
from services.orderbook.keeper import Keeper, Now, Stamps
from tests.support.depth import quote, snapshot, update

BIDS, ASKS = "99x1 98x1", "101x1 102x1"
NAMES = ("btcusdt@depth@0ms", "btcusdt@depth@100ms", "btcusdt@depth", "btcusdt@depth@500ms")


def at(now_s: float) -> Now:
    return Now(now_s, int(now_s * 1e9))


def new(*, with_quotes: bool = False) -> Keeper:
    return Keeper("BTCUSDT", retry_s=5, rng=Random(1), with_quotes=with_quotes)


def take(keeper: Keeper, one: DepthUpdate, now_s: float, speed: int = 0) -> None:
    if keeper.try_follow(speed, NAMES[speed], at(now_s)):
        keeper.take_update(one, int(now_s * 1e9) - 5, at(now_s))


def synced(*, with_quotes: bool = False) -> Keeper:
    """One that expects a snapshot to compare with."""
    keeper = new(with_quotes=with_quotes)
    take(keeper, update("90>100", at_ms=1), 1)
    keeper.take_snapshot(snapshot(95, bids=BIDS, asks=ASKS), at(2))
    assert keeper.is_valid
    assert keeper.has_changed_validity
    keeper.has_changed_validity = False
    keeper.sequence.expect_snapshot()
    return keeper


def test_a_book_that_becomes_valid_says_since_when_and_of_which_update_it_is() -> None:
    keeper = new()
    take(keeper, update("90>100", at_ms=1), 1)
    assert keeper.snapshot_need is not None
    take(keeper, update("100>110", at_ms=2), 1.5)
    data = messages.live_draft(keeper, 20, 7).data
    assert (data["valid"], data["state"], data["reason"]) == (False, "snapshot_requested", "starting")
    assert (data["update_id"], data["bids"], data["asks"], data["levels"]) == (None, (), (), (0, 0))
    keeper.take_snapshot(snapshot(95, bids=BIDS, asks=ASKS), at(2))
    data = messages.live_draft(keeper, 1, 7).data
    assert (data["valid"], data["valid_since_ns"], data["state"], data["reason"]) == (True, 2 * 10**9, "valid", "")
    assert (data["update_id"], data["event_time_ms"], data["depth_recv_ns"]) == (110, 2, 1_499_999_995)
    assert (data["bids"], data["asks"], data["levels"]) == ((("99", "1"),), (("101", "1"),), (2, 2))
    assert data["stream"] == "btcusdt@depth@0ms"


def test_a_straggler_that_closes_a_gap_does_not_lend_its_times() -> None:
    keeper = synced()
    take(keeper, update("110>120", at_ms=120), 3)
    assert not keeper.is_valid
    assert (keeper.valid_since_ns, keeper.has_changed_validity) == (None, True)
    take(keeper, update("100>110", at_ms=110), 4)
    assert keeper.is_valid
    assert keeper.book.update_id == 120
    assert keeper.stamps == Stamps(120, 120, 3 * 10**9 - 5)


def test_a_snapshot_that_is_ahead_waits_for_the_book() -> None:
    keeper = synced()
    keeper.take_snapshot(snapshot(110, bids="99x5 98x1", asks=ASKS), at(3))
    assert keeper.findings == []
    take(keeper, update("100>110", bids="99x5", at_ms=2), 4)
    assert keeper.findings == [Audit(Outcome.PASSED, 110, compared=4, kind="depth_snapshot")]
    assert (keeper.resyncs, keeper.has_changed_validity) == (0, False)


def test_a_snapshot_that_somebody_else_asked_for_is_not_compared() -> None:
    keeper = new()
    take(keeper, update("90>100", at_ms=1), 1)
    keeper.take_snapshot(snapshot(95, bids=BIDS, asks=ASKS), at(2))
    keeper.take_snapshot(snapshot(99, bids="99x7 98x1", asks=ASKS), at(3))
    assert (keeper.findings, keeper.is_valid) == ([], True)


@pytest.mark.parametrize("last_update_id", [100, 105])
def test_one_that_the_book_has_still_to_come_to_is_compared_whoever_asked_for_it(last_update_id: int) -> None:
    keeper = new()
    take(keeper, update("90>100", at_ms=1), 1)
    keeper.take_snapshot(snapshot(95, bids=BIDS, asks=ASKS), at(2))
    keeper.take_snapshot(snapshot(last_update_id, bids="99x7 98x1", asks=ASKS), at(3))
    take(keeper, update("100>110", at_ms=2), 4)
    assert [finding.outcome for finding in keeper.findings] == [Outcome.FAILED]


def test_a_snapshot_waits_for_a_slow_stream() -> None:
    keeper = synced()
    take(keeper, update("100>110", at_ms=10), 3)
    keeper.take_snapshot(snapshot(115, bids="99x5 98x1", asks=ASKS), at(4))
    take(keeper, update("110>120", bids="99x5", at_ms=50_000), 50)
    assert [finding.outcome for finding in keeper.findings] == [Outcome.PASSED]


def test_a_quote_is_not_compared_with_a_book_that_an_audit_has_replaced() -> None:
    keeper = synced(with_quotes=True)
    take(keeper, update("100>110", at_ms=2), 3)
    keeper.take_snapshot(snapshot(110, bids="99x7 98x1", asks=ASKS), at(3))
    assert (keeper.is_valid, keeper.resyncs) == (True, 1)
    keeper.take_quote(quote(110, bid="99x7", ask="101x1"), at(4))
    assert [finding.kind for finding in keeper.findings] == ["depth_snapshot"]
    assert keeper.is_valid


def test_a_failed_audit_is_a_resync_with_the_snapshot() -> None:
    keeper = synced()
    keeper.take_snapshot(snapshot(100, bids="99x7 98x1", asks=ASKS), at(3))
    (finding,) = keeper.findings
    assert (finding.outcome, finding.differences[0].ours, finding.differences[0].theirs) == (Outcome.FAILED, "1", "7")
    assert (keeper.resyncs, keeper.has_changed_validity, keeper.audits[Outcome.FAILED]) == (1, True, 1)
    take(keeper, update("100>110", at_ms=2), 4)
    assert keeper.is_valid
    assert keeper.book.best_bid == ("99", "7")
    data = messages.audit_draft(keeper, finding, 5).data
    assert (data["outcome"], data["different"], data["differences"]) == ("failed", 1, [["bid", "99", "1", "7"]])


def test_a_snapshot_that_waits_serves_a_book_that_breaks_meanwhile() -> None:
    keeper = synced()
    keeper.take_snapshot(snapshot(125, bids="90x1", asks=ASKS), at(3))
    take(keeper, update("120>130", bids="91x1", at_ms=2), 4)
    assert keeper.is_valid
    assert keeper.book.top(5)[0] == [("91", "1"), ("90", "1")]
    assert keeper.resyncs == 1


def test_a_top_that_differs_from_the_quote_at_the_same_id_is_a_resync() -> None:
    keeper = synced(with_quotes=True)
    take(keeper, update("100>110", at_ms=2), 3)
    keeper.take_quote(quote(110, bid="99x1", ask="101x1"), at(3))
    assert keeper.findings == []
    keeper.take_quote(quote(120, bid="99x1", ask="101x1"), at(3))
    take(keeper, update("110>120", asks="101x3", at_ms=3), 4)
    (finding,) = keeper.findings
    assert (finding.kind, finding.last_update_id) == ("bookticker", 120)
    assert finding.differences == (("ask", "", "101 3", "101 1"),)
    assert (keeper.is_valid, keeper.resyncs, keeper.sequence.reason) == (False, 1, "its top is not bookTicker's")


def test_doubt_lasts_until_the_next_update() -> None:
    keeper = synced()
    keeper.doubt("silent", at(20))
    assert (keeper.is_valid, keeper.sequence.reason, keeper.sequence.state) == (False, "silent", SyncState.UNRELIABLE)
    take(keeper, update("100>110", at_ms=2), 21)
    assert (keeper.is_valid, keeper.resyncs, keeper.valid_since_ns) == (True, 0, 21 * 10**9)


def test_the_fastest_stream_makes_the_book() -> None:
    keeper = new()
    take(keeper, update("50>100", at_ms=1), 1, speed=3)
    assert keeper.stream == "btcusdt@depth@500ms"
    take(keeper, update("90>100", at_ms=1), 1, speed=0)
    take(keeper, update("100>150", at_ms=2), 1, speed=3)
    keeper.take_snapshot(snapshot(95, bids=BIDS, asks=ASKS), at(2))
    take(keeper, update("100>110", at_ms=2), 2, speed=0)
    assert (keeper.stream, keeper.is_valid, keeper.book.update_id) == ("btcusdt@depth@0ms", True, 110)
    assert (keeper.updates, keeper.resyncs) == (2, 0)


def test_a_slower_stream_takes_over_when_the_faster_one_comes_no_more() -> None:
    keeper = synced()
    for number in range(19):
        take(keeper, update(f"{100 + number}>{101 + number}", at_ms=2), 40, speed=1)
    assert keeper.is_valid
    take(keeper, update("119>120", at_ms=3), 40, speed=1)
    assert (keeper.stream, keeper.is_valid, keeper.resyncs, keeper.has_changed_validity) == (NAMES[1], False, 1, True)
    keeper.take_snapshot(snapshot(119, bids=BIDS, asks=ASKS), at(41))
    assert (keeper.is_valid, keeper.updates, keeper.resyncs) == (True, 2, 1)


def test_a_summary_has_the_spread_in_the_exchanges_digits() -> None:
    keeper = synced()
    take(keeper, update("100>110", bids="99.10x2", asks="99.20x1", at_ms=7), 3)
    data = messages.summary_draft(keeper, 1, 9).data
    assert (data["best_bid"], data["best_ask"], data["spread"]) == ("99.10", "99.20", "0.10")
    assert (data["synchronised"], data["last_update_id"], data["transact_time"]) == (True, 110, 7)
    assert (data["bids"], data["bid_levels"]) == ([("99.10", "2")], 3)
    take(keeper, update("120>130", at_ms=8), 4)
    data = messages.summary_draft(keeper, 1, 9).data
    assert (data["synchronised"], data["state"], data["bids"], "best_bid" in data) == (
        False,
        "unreliable",
        [],
        False,
    )


def test_an_empty_side_has_no_best_price_and_no_spread() -> None:
    keeper = new()
    take(keeper, update("90>100", at_ms=1), 1)
    keeper.take_snapshot(snapshot(95, bids=BIDS, asks=""), at(2))
    data = messages.summary_draft(keeper, 1, 9).data
    assert (data["best_bid"], data["best_ask"], data["spread"]) == ("99", None, None)


def test_a_book_beyond_its_snapshot_is_valid_again_with_a_wider_one() -> None:
    keeper = new()
    bids = " ".join(f"{price}x1" for price in range(5000, 4000, -1))
    take(keeper, update("90>100", at_ms=1), 1)
    keeper.take_snapshot(snapshot(100, bids=bids, asks="6000x1"), at(2))
    keeper.has_changed_validity = False
    gone = " ".join(f"{price}x0" for price in range(5000, 4000, -1))
    take(keeper, update("100>110", bids=f"{gone} 3900x7", at_ms=2), 10)
    assert (keeper.is_valid, keeper.has_changed_validity, keeper.valid_since_ns) == (False, True, None)
    data = messages.live_draft(keeper, 20, 7).data
    assert (data["valid"], data["reason"], data["bids"]) == (False, "beyond the levels of the snapshot", ())
    keeper.has_changed_validity = False
    keeper.tick(at(11))
    assert keeper.snapshot_need is not None
    assert keeper.snapshot_need.reason == "range"
    keeper.sequence.expect_snapshot()
    keeper.take_snapshot(snapshot(115, bids="3950x1 3900x7", asks="6000x1"), at(12))
    assert not keeper.is_valid
    take(keeper, update("110>120", at_ms=3), 13)
    assert (keeper.is_valid, keeper.has_changed_validity, keeper.valid_since_ns) == (True, True, 13 * 10**9)
    assert (keeper.book.best_bid, keeper.resyncs) == (("3950", "1"), 0)
