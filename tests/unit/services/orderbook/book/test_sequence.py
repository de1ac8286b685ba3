"""Validity, applied updates and requests for snapshots, one documented case each."""

from itertools import pairwise

import pytest

from binance_streamer.exchange.depth import read_update
from services.orderbook.book import update_buffer as module
from services.orderbook.book.audit import Outcome
from services.orderbook.book.sequence import BookSequence, SyncState
from services.orderbook.book.snapshot_pacing import RANGE, SnapshotNeed
from tests.support.chance import Chance
from tests.support.depth import pairs, snapshot, update

BIDS, ASKS = "99x1 98x1", "101x1 102x1"


def new() -> BookSequence:
    return BookSequence(retry_s=5.0, rng=Chance(0.5))


def synced(*, at: int = 100, now_s: float = 0.0) -> BookSequence:
    """A valid book at id `at`, long enough for its next request to be free."""
    sequence = new()
    sequence.take_update(update(f"{at - 10}>{at}", at_ms=1), now_s)
    sequence.take_snapshot(snapshot(at, bids=BIDS, asks=ASKS), now_s)
    assert sequence.is_valid
    return sequence


def test_a_snapshot_is_asked_for_when_the_first_update_is_there() -> None:
    sequence = new()
    assert (sequence.tick(0), sequence.state) == (None, SyncState.BUFFERING)
    assert sequence.take_update(update("90>100"), 1) == SnapshotNeed(90, "starting")
    assert sequence.state is SyncState.SNAPSHOT_REQUESTED
    assert not sequence.is_valid


def test_a_request_is_repeated_until_a_snapshot_is_seen() -> None:
    sequence = new()
    sequence.take_update(update("90>100"), 1)
    assert [sequence.tick(at_s) for at_s in (2, 5.9)] == [None, None]
    assert sequence.tick(6) == SnapshotNeed(90, "starting")
    assert sequence.take_update(update("100>110"), 7) is None
    sequence.take_snapshot(snapshot(105), 7)
    assert [sequence.tick(at_s) for at_s in (12, 100)] == [None, None]


def test_updates_up_to_the_snapshot_are_dropped_and_the_rest_is_applied() -> None:
    sequence = new()
    for ids in ("80>90", "90>100", "100>110", "110>120"):
        sequence.take_update(update(ids, bids=f"{ids[-2:]}x{ids[-2:]}"), 0)
    sequence.take_snapshot(snapshot(105, bids=BIDS, asks=ASKS), 1)
    assert sequence.state is SyncState.VALID
    assert (sequence.book.update_id, sequence.updates) == (120, 2)
    assert sequence.book.bids.levels() == pairs("99x1 98x1 20x20 10x10")


def test_the_first_update_may_hang_on_the_snapshot_itself() -> None:
    """`pu == L`: no update has U <= L <= u then."""
    sequence = new()
    sequence.take_update(update("100>160"), 0)
    sequence.take_snapshot(snapshot(100, bids=BIDS, asks=ASKS), 1)
    assert sequence.is_valid
    assert sequence.book.update_id == 160


def test_an_update_that_ends_at_the_snapshot_anchors_the_chain() -> None:
    sequence = new()
    sequence.take_update(update("90>100"), 0)
    sequence.take_snapshot(snapshot(100, bids=BIDS, asks=ASKS), 1)
    assert sequence.is_valid
    assert sequence.book.update_id == 100
    assert sequence.take_update(update("95>120"), 20) == SnapshotNeed(95, "gap")


def test_a_snapshot_ahead_of_the_stream_waits_and_asks_for_nothing() -> None:
    sequence = new()
    sequence.take_update(update("90>100"), 0)
    assert sequence.take_snapshot(snapshot(150, bids=BIDS, asks=ASKS), 1) is None
    assert sequence.take_update(update("100>140"), 20) is None
    assert (sequence.state, sequence.tick(30)) == (SyncState.BRIDGING, None)
    assert sequence.take_update(update("140>155", bids="99x7"), 31) is None
    assert sequence.is_valid
    assert sequence.book.best_bid == ("99", "7")
    assert sequence.updates == 1


def test_a_snapshot_older_than_the_stream_is_asked_for_again() -> None:
    sequence = new()
    sequence.take_update(update("90>100"), 0)
    assert sequence.take_snapshot(snapshot(89, bids=BIDS, asks=ASKS), 1) is None
    assert not sequence.is_valid
    assert sequence.tick(5) == SnapshotNeed(90, "snapshot older than the stream")
    sequence.take_snapshot(snapshot(90, bids=BIDS, asks=ASKS), 6)
    assert sequence.is_valid
    assert sequence.book.update_id == 100


def test_the_buffer_outlives_snapshots_that_do_not_help() -> None:
    sequence = new()
    for ids in ("90>100", "100>110", "110>120"):
        sequence.take_update(update(ids, asks="101x0" if ids == "90>100" else ""), 0)
    for at_s in (1, 2, 3):
        sequence.take_snapshot(snapshot(80 + at_s, bids=BIDS, asks=ASKS), at_s)
    sequence.take_snapshot(snapshot(95, bids=BIDS, asks=ASKS), 4)
    assert sequence.is_valid
    assert sequence.updates == 3
    assert sequence.book.best_ask == ("102", "1")


def test_a_snapshot_that_comes_before_any_update_is_kept() -> None:
    sequence = new()
    sequence.take_snapshot(snapshot(95, bids=BIDS, asks=ASKS), 0)
    assert sequence.state is SyncState.BRIDGING
    assert sequence.take_update(update("90>100"), 1) is None
    assert sequence.is_valid


def test_an_update_beyond_a_waiting_snapshot_shows_that_it_is_too_old() -> None:
    sequence = new()
    sequence.take_snapshot(snapshot(80, bids=BIDS, asks=ASKS), 0)
    assert sequence.take_update(update("90>100"), 1) == SnapshotNeed(90, "snapshot older than the stream")
    assert not sequence.is_valid


def test_ids_are_sparse_and_only_pu_counts() -> None:
    sequence = synced()
    sequence.take_update(update("100>5000"), 1)
    sequence.take_update(update("5000>5001"), 2)
    assert sequence.is_valid
    assert sequence.book.update_id == 5001


def test_a_gap_ends_validity_and_asks_for_what_the_rest_hangs_on() -> None:
    sequence = synced()
    assert sequence.take_update(update("110>120"), 10) == SnapshotNeed(110, "gap")
    assert (sequence.is_valid, sequence.reason, sequence.resyncs) == (False, "gap", 1)
    sequence.take_update(update("120>130", bids="97x5"), 11)
    sequence.take_snapshot(snapshot(115, bids=BIDS, asks=ASKS), 12)
    assert (sequence.is_valid, sequence.reason) == (True, "")
    assert sequence.book.bids.levels() == pairs("99x1 98x1 97x5")


def test_a_second_gap_behind_the_first_asks_for_more() -> None:
    sequence = synced()
    sequence.take_update(update("110>120"), 10)
    sequence.take_update(update("130>140"), 11)
    assert sequence.tick(15) == SnapshotNeed(130, "gap")
    sequence.take_snapshot(snapshot(120, bids=BIDS, asks=ASKS), 16)
    assert not sequence.is_valid
    sequence.take_snapshot(snapshot(130, bids=BIDS, asks=ASKS), 17)
    assert sequence.is_valid
    assert sequence.book.update_id == 140


def test_a_straggler_that_fills_the_gap_makes_the_book_valid_without_a_snapshot() -> None:
    sequence = synced()
    sequence.take_update(update("110>120", bids="97x2", at_ms=3), 10)
    sequence.take_update(update("130>140", bids="95x3", at_ms=5), 10)
    sequence.take_update(update("120>130", bids="96x2", at_ms=4), 10)
    assert not sequence.is_valid
    assert sequence.take_update(update("100>110", bids="97x1", at_ms=2), 11) is None
    assert sequence.is_valid
    assert sequence.book.update_id == 140
    assert sequence.book.bids.levels() == pairs("99x1 98x1 97x2 96x2 95x3")
    assert sequence.tick(60) is None


def test_repeats_change_nothing() -> None:
    sequence = synced()
    step = update("100>110", bids="99x2", at_ms=5)
    for _ in range(3):
        sequence.take_update(step, 1)
    sequence.take_update(update("90>100", bids="99x3", at_ms=1), 2)
    assert (sequence.is_valid, sequence.updates, sequence.repeats) == (True, 1, 3)
    assert sequence.book.best_bid == ("99", "2")


def test_copies_that_were_sent_later_change_nothing() -> None:
    sequence = synced()
    sequence.take_update(update("100>110", bids="99x2", at_ms=5, event_ms=5), 1)
    assert sequence.take_update(update("100>110", bids="99x2", at_ms=5, event_ms=6), 2) is None
    assert sequence.take_update(update("90>100", bids="99x3", at_ms=1, event_ms=9), 3) is None
    sequence.take_update(update("110>120", bids="99x4", at_ms=6, event_ms=6), 4)
    assert (sequence.is_valid, sequence.updates, sequence.repeats) == (True, 2, 2)
    assert sequence.book.best_bid == ("99", "4")


def test_repeats_in_the_buffer_are_applied_once() -> None:
    sequence = new()
    for ids in ("90>100", "100>110", "90>100", "100>110"):
        sequence.take_update(update(ids), 0)
    sequence.take_snapshot(snapshot(95, bids=BIDS, asks=ASKS), 1)
    assert (sequence.is_valid, sequence.updates) == (True, 2)


@pytest.mark.parametrize(
    ("ids", "at_ms"),
    [("4999990>5000000", 1), ("6000110>6000115", 3)],
    ids=["far back", "a little back, at a later time"],
)
def test_ids_that_fall_are_another_book(ids: str, at_ms: int) -> None:
    sequence = synced(at=6_000_100)
    sequence.take_update(update("6000100>6000120", at_ms=2), 1)
    first = int(ids.split(">", maxsplit=1)[0])
    assert sequence.take_update(update(ids, at_ms=at_ms), 20) == SnapshotNeed(first, "ids went back")
    assert not sequence.is_valid
    sequence.take_snapshot(snapshot(first, bids="50x1", asks="51x1"), 21)
    assert sequence.is_valid
    assert sequence.book.best_bid == ("50", "1")


def test_a_snapshot_of_an_earlier_count_is_given_up_after_a_minute() -> None:
    sequence = new()
    sequence.take_snapshot(snapshot(9_000_000, bids=BIDS, asks=ASKS), 0)
    assert sequence.take_update(update("90>100"), 1) is None
    assert sequence.take_update(update("100>110"), 61) == SnapshotNeed(100, "ids stay below the snapshot's")
    assert not sequence.is_valid


def test_a_snapshot_of_a_later_count_replaces_one_that_waits() -> None:
    sequence = new()
    sequence.take_snapshot(snapshot(9_000_000, bids=BIDS, asks=ASKS), 0)
    sequence.take_update(update("90>100"), 1)
    sequence.take_snapshot(snapshot(105, bids="50x1", asks="51x1"), 2)
    sequence.take_update(update("100>110"), 3)
    assert sequence.is_valid
    assert sequence.book.best_bid == ("50", "1")


@pytest.mark.parametrize("bids", ["101x1", "101.5x1"], ids=["locked", "crossed"])
def test_a_crossed_book_is_not_valid(bids: str) -> None:
    sequence = synced()
    assert sequence.take_update(update("100>110", bids=bids), 10) == SnapshotNeed(110, "crossed")
    assert not sequence.is_valid
    sequence.take_update(update("110>120"), 11)
    sequence.take_snapshot(snapshot(115, bids=BIDS, asks=ASKS), 12)
    assert sequence.is_valid


def test_a_book_may_be_crossed_within_an_update() -> None:
    sequence = synced()
    sequence.take_update(update("100>110", bids="101x1", asks="101x0"), 10)
    assert sequence.is_valid


def test_a_crossed_snapshot_is_not_believed() -> None:
    sequence = new()
    sequence.take_update(update("90>100"), 0)
    sequence.take_snapshot(snapshot(100, bids="101x1", asks="101x1"), 1)
    assert (sequence.is_valid, sequence.reason) == (False, "crossed")
    assert sequence.tick(6) == SnapshotNeed(100, "crossed")


def test_empty_sides_are_a_valid_book() -> None:
    sequence = new()
    sequence.take_update(update("90>100"), 0)
    sequence.take_snapshot(snapshot(95), 1)
    assert sequence.is_valid
    assert (sequence.book.best_bid, sequence.book.counts) == (None, (0, 0))


def test_an_update_that_cannot_be_read_ends_validity() -> None:
    sequence = synced()
    broken = b'{"e":"depthUpdate","E":9,"T":9,"s":"BTCUSDT","U":1,"u":110,"pu":100,"b":[["1",2]],"a":[]}'
    request = sequence.take_update(read_update(broken), 10)
    assert request is not None
    assert request.last_update_id == 110
    assert not sequence.is_valid


def test_a_book_that_keeps_failing_asks_less_and_less() -> None:
    sequence = synced()
    asked = []
    final, now_s = 100, 10.0
    while now_s < 400:
        now_s += 0.5
        request = sequence.take_update(update(f"{final}>{final + 10}", bids="101x1"), now_s) or sequence.tick(now_s)
        final += 10
        if request is not None:
            asked.append(now_s)
            sequence.take_snapshot(snapshot(final, bids=BIDS, asks=ASKS), now_s)
    pauses = [later - earlier for earlier, later in pairwise(asked)]
    assert pauses[0] <= 6
    assert max(pauses) >= 75
    assert len(asked) < 15


def test_a_book_that_was_valid_for_long_asks_at_once() -> None:
    sequence = synced()
    sequence.take_update(update("110>120"), 10)
    sequence.take_snapshot(snapshot(120, bids=BIDS, asks=ASKS), 11)
    assert sequence.is_valid
    assert sequence.take_update(update("130>140"), 100) == SnapshotNeed(130, "gap")


def test_the_buffer_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_BUFFERED", 10)
    sequence = new()
    for first in range(0, 1000, 10):
        sequence.take_update(update(f"{first}>{first + 10}"), 0)
    assert sequence.tick(10) == SnapshotNeed(900, "starting")
    sequence.take_snapshot(snapshot(899, bids=BIDS, asks=ASKS), 11)
    assert not sequence.is_valid
    sequence.take_snapshot(snapshot(900, bids=BIDS, asks=ASKS), 12)
    assert sequence.is_valid


def test_old_updates_leave_the_buffer() -> None:
    sequence = new()
    sequence.take_update(update("90>100", at_ms=0), 0)
    assert sequence.take_update(update("100>110", at_ms=20_001), 20) == SnapshotNeed(100, "starting")


def test_a_doubted_book_is_valid_again_with_its_next_update() -> None:
    sequence = synced()
    sequence.doubt("silent")
    assert (sequence.is_valid, sequence.reason, sequence.tick(60)) == (False, "silent", None)
    sequence.take_update(update("90>100", at_ms=1), 60)
    assert not sequence.is_valid
    sequence.take_update(update("100>110", at_ms=2), 61)
    assert sequence.is_valid
    assert sequence.resyncs == 0


def test_a_doubted_book_that_missed_something_asks() -> None:
    sequence = synced()
    sequence.doubt("silent")
    assert sequence.take_update(update("105>110", at_ms=2), 61) == SnapshotNeed(105, "gap")
    assert (sequence.is_valid, sequence.resyncs) == (False, 1)


def test_a_failed_audit_begins_anew_with_the_snapshot() -> None:
    sequence = synced()
    sequence.expect_snapshot()
    sequence.take_update(update("100>110", bids="97x1", at_ms=2), 1)
    sequence.take_update(update("110>120", bids="96x1", at_ms=3), 2)
    found = sequence.audit(snapshot(110, bids="99x1 98x5 97x1", asks=ASKS), 3)
    assert found is not None
    assert found.outcome is Outcome.FAILED
    assert (sequence.is_valid, sequence.resyncs, sequence.book.update_id) == (True, 1, 120)
    assert sequence.book.bids.levels() == pairs("99x1 98x5 97x1 96x1")


def test_an_invalid_book_is_not_audited() -> None:
    sequence = new()
    sequence.take_update(update("90>100"), 0)
    found = sequence.audit(snapshot(95), 1)
    assert found is not None
    assert found.outcome is Outcome.NOT_COMPARABLE


def test_a_snapshot_is_compared_only_where_it_was_expected() -> None:
    sequence = synced()
    unexpected = sequence.audit(snapshot(100, bids=BIDS, asks=ASKS), 1)
    sequence.take_update(update("100>110", at_ms=2), 1)
    sequence.expect_snapshot()
    sequence.take_update(update("110>120", at_ms=3), 2)
    sequence.expect_snapshot()
    assert sequence.comparable_from == 110
    early = sequence.audit(snapshot(109, bids=BIDS, asks=ASKS), 3)
    assert sequence.comparable_from == 110
    right = sequence.audit(snapshot(110, bids=BIDS, asks=ASKS), 3)
    assert sequence.comparable_from is None
    found = [one.outcome for one in (unexpected, early, right) if one is not None]
    assert found == [Outcome.NOT_COMPARABLE, Outcome.NOT_COMPARABLE, Outcome.PASSED]


def test_a_snapshot_that_does_not_come_is_expected_for_half_a_minute() -> None:
    sequence = synced()
    sequence.expect_snapshot()
    sequence.take_update(update("100>110", at_ms=1), 1)
    sequence.take_update(update("110>120", at_ms=30_001), 31)
    assert sequence.comparable_from == 100
    sequence.take_update(update("120>130", at_ms=30_002), 32)
    assert sequence.comparable_from == 100
    sequence.take_update(update("130>140", at_ms=30_003), 33)
    assert sequence.comparable_from is None


def test_what_was_asked_for_is_needed_until_the_book_has_it() -> None:
    sequence = new()
    sequence.take_update(update("90>100"), 0)
    assert (sequence.needs_snapshot_for("starting"), sequence.needs_snapshot_for(RANGE)) == (True, False)
    sequence = fallen(500)
    assert (sequence.needs_snapshot_for("starting"), sequence.needs_snapshot_for(RANGE)) == (False, False)
    sequence = fallen(501)
    assert (sequence.needs_snapshot_for("starting"), sequence.needs_snapshot_for(RANGE)) == (False, True)


def test_a_doubted_book_whose_stream_is_quiet_is_right_when_a_snapshot_has_nothing_newer() -> None:
    sequence = synced()
    sequence.doubt("its stream: disconnected")
    assert sequence.tick(60) is None
    sequence.end_doubt()
    assert (sequence.tick(61), sequence.tick(62)) == (SnapshotNeed(100, "doubt"), None)
    sequence.take_snapshot(snapshot(99, bids=BIDS, asks=ASKS), 63)
    assert not sequence.is_valid
    sequence.take_snapshot(snapshot(100, bids=BIDS, asks=ASKS), 63)
    assert (sequence.is_valid, sequence.resyncs) == (True, 0)
    sequence.take_update(update("100>110", at_ms=2), 64)
    assert sequence.is_valid


def test_a_doubted_book_asks_only_while_nothing_keeps_its_stream_from_coming() -> None:
    sequence = synced()
    sequence.doubt("its stream: disconnected")
    sequence.end_doubt()
    sequence.doubt("its stream: disconnected")
    assert sequence.tick(60) is None


def test_a_doubted_book_begins_anew_with_a_snapshot_that_has_something_newer() -> None:
    sequence = synced()
    sequence.doubt("its stream: disconnected")
    sequence.take_snapshot(snapshot(105, bids="99x5 98x1", asks=ASKS), 63)
    assert (sequence.is_valid, sequence.state) == (False, SyncState.BRIDGING)
    sequence.take_update(update("100>110", at_ms=2), 64)
    assert (sequence.is_valid, sequence.book.best_bid) == (True, ("99", "5"))


def test_a_snapshot_at_the_newest_id_makes_a_refuted_book_right_at_once() -> None:
    sequence = synced()
    sequence.refute("its top is not bookTicker's", 1)
    sequence.take_snapshot(snapshot(100, bids=BIDS, asks=ASKS), 2)
    assert sequence.is_valid
    sequence.take_update(update("105>110", at_ms=2), 3)
    assert not sequence.is_valid


def test_a_snapshot_before_any_update_proves_nothing() -> None:
    sequence = new()
    sequence.take_snapshot(snapshot(-1, bids=BIDS, asks=ASKS), 0)
    assert not sequence.is_valid


def test_gaps_that_stragglers_close_do_not_delay_the_next_request() -> None:
    sequence = synced()
    for number in range(5):
        first = 100 + 20 * number
        sequence.take_update(update(f"{first + 10}>{first + 20}", at_ms=2 + 2 * number), 10 + number)
        sequence.take_update(update(f"{first}>{first + 10}", at_ms=1 + 2 * number), 10.1 + number)
        assert sequence.is_valid
    assert sequence.take_update(update("205>210", at_ms=50), 20) == SnapshotNeed(205, "gap")


def test_a_wider_snapshot_is_asked_for_whenever_the_book_failed_last() -> None:
    sequence = fallen(501)
    for now_s in (11, 12):
        sequence.refute("wrong", now_s)
        sequence.take_snapshot(snapshot(110, bids=thousand(4499, -1), asks="6000x1"), now_s)
    assert sequence.is_valid
    sequence.take_update(update("110>120", bids=" ".join(f"{price}x0" for price in range(4499, 3998, -1))), 12.1)
    assert sequence.tick(12.2) == SnapshotNeed(120, "range")


def test_a_snapshot_that_is_no_wider_is_not_asked_for_again_and_again() -> None:
    """The book is denser where the price is now: its 1000 levels end before those that are known."""
    sequence = fallen(501)
    assert sequence.tick(20) == SnapshotNeed(110, "range")
    dense = " ".join(f"{4499 - number / 4:.2f}x1" for number in range(1000))
    sequence.take_update(update("110>120", bids=dense), 20)
    sequence.expect_snapshot()
    found = sequence.audit(snapshot(120, bids=dense, asks="6000x1"), 21)
    assert found is not None
    assert (found.outcome, found.learnt) == (Outcome.PASSED, 0)
    assert sequence.tick(60) is None


def test_what_is_kept_for_an_audit_goes_when_ids_go_back() -> None:
    sequence = synced(at=9_000_100)
    sequence.expect_snapshot()
    sequence.take_update(update("90>100", at_ms=5), 1)
    assert sequence.comparable_from is None


def thousand(best: int, step: int) -> str:
    return " ".join(f"{best + step * number}x1" for number in range(1000))


def fallen(by: int) -> BookSequence:
    """A book whose snapshot had bids from 5000 down to 4001, after the best `by` of them went."""
    sequence = new()
    sequence.take_update(update("90>100"), 0)
    sequence.take_snapshot(snapshot(100, bids=thousand(5000, -1), asks="6000x1"), 1)
    sequence.take_update(update("100>110", bids=" ".join(f"{price}x0" for price in range(5000, 5000 - by, -1))), 10)
    return sequence


def test_a_valid_book_asks_before_its_price_leaves_the_snapshot() -> None:
    assert fallen(500).tick(20) is None
    sequence = fallen(501)
    assert (sequence.tick(20), sequence.tick(21)) == (SnapshotNeed(110, "range"), None)
    assert sequence.is_valid
    assert sequence.comparable_from is None
    sequence.expect_snapshot()
    found = sequence.audit(snapshot(110, bids=thousand(4499, -1), asks="6000x1"), 22)
    assert found is not None
    assert (found.outcome, found.learnt) == (Outcome.PASSED, 501)
    assert (sequence.is_valid, sequence.book.counts, sequence.tick(60)) == (True, (1000, 1), None)


def test_beyond_the_levels_of_the_snapshot_a_book_follows_and_is_not_valid() -> None:
    assert fallen(999).is_valid
    sequence = fallen(1000)
    assert (sequence.is_valid, sequence.reason) == (False, "beyond the levels of the snapshot")
    sequence.take_update(update("110>120", bids="3900x7"), 20)
    assert (sequence.is_valid, sequence.book.best_bid) == (False, ("3900", "7"))
    assert sequence.tick(20) == SnapshotNeed(120, "range")
    sequence.expect_snapshot()
    found = sequence.audit(snapshot(120, bids="3950x1 3900x7", asks="6000x1"), 21)
    assert found is not None
    assert (found.outcome, found.learnt) == (Outcome.PASSED, 1)
    assert (sequence.is_valid, sequence.resyncs, sequence.book.best_bid) == (True, 0, ("3950", "1"))


def test_a_stale_snapshot_does_not_replace_a_book_that_waits_for_a_straggler() -> None:
    sequence = synced()
    sequence.take_update(update("110>120", bids="97x2", at_ms=3), 10)
    sequence.take_snapshot(snapshot(95, bids="50x1", asks="51x1"), 11)
    sequence.take_update(update("100>110", bids="97x1", at_ms=2), 12)
    assert sequence.is_valid
    assert sequence.book.bids.levels() == pairs("99x1 98x1 97x2")
