"""The times at which a book may ask for its next snapshot."""

from services.orderbook.book.snapshot_pacing import SnapshotPacing
from tests.support.chance import Chance


def new() -> SnapshotPacing:
    return SnapshotPacing(retry_s=5, rng=Chance(0.5))


def next_due_s(pacing: SnapshotPacing, from_s: int) -> int:
    """The first whole second from `from_s` on in which a request may be sent; it is sent then."""
    return next(now_s for now_s in range(from_s, from_s + 1000) if pacing.try_request(now_s))


def test_a_request_is_due_at_once_and_again_after_the_retry_time() -> None:
    pacing = new()
    assert [now_s for now_s in range(10, 30) if pacing.try_request(now_s)] == [10, 15, 20, 25]


def test_requests_of_a_valid_book_have_times_of_their_own() -> None:
    pacing = new()
    assert pacing.try_range_request(10)
    assert pacing.try_request(11)
    assert [pacing.try_range_request(at_s) for at_s in (14.9, 15)] == [False, True]


def test_the_first_snapshot_is_no_reason_to_wait_and_each_further_one_doubles_the_pause() -> None:
    pacing = new()
    pacing.count_reload()
    pacing.delay_next(0)
    assert pacing.try_request(0)
    waited_s, now_s = [], 100
    for _ in range(6):
        pacing.count_reload()
        pacing.delay_next(now_s)
        due_s = next_due_s(pacing, now_s)
        waited_s.append(due_s - now_s)
        now_s = due_s + 100
    assert waited_s == [5, 10, 20, 40, 80, 80]


def test_a_book_that_was_valid_for_a_minute_may_ask_at_once() -> None:
    for lasted_s, due_s in ((59, 164), (60, 160)):
        pacing = new()
        pacing.count_reload()
        pacing.count_reload()
        pacing.start_valid(100)
        pacing.end_valid(100 + lasted_s)
        pacing.delay_next(100 + lasted_s)
        assert next_due_s(pacing, 100 + lasted_s) == due_s, lasted_s
