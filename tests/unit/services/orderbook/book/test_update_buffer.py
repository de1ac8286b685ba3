"""Updates that wait: their order, what is dropped, and what the buffer knows of the stream."""

import pytest

from binance_streamer.exchange.depth import DepthUpdate
from services.orderbook.book import update_buffer as module
from services.orderbook.book.update_buffer import UpdateBuffer
from tests.support.depth import update


def holding(*ids: str) -> UpdateBuffer:
    buffer = UpdateBuffer()
    for one in ids:
        assert buffer.add(update(one))
    return buffer


def drained(buffer: UpdateBuffer) -> list[int]:
    return [buffer.pop_first().final_update_id for _ in range(len(buffer))]


def test_an_empty_buffer_knows_nothing() -> None:
    buffer = UpdateBuffer()
    assert (len(buffer), buffer.first, buffer.newest_id, buffer.least_helpful_id()) == (0, None, -1, -1)
    assert not buffer.has_end_at(-1)
    with pytest.raises(IndexError):
        buffer.pop_first()


def test_updates_come_out_in_the_order_of_their_ids() -> None:
    buffer = holding("90>100", "120>130", "110>120", "100>110")
    assert buffer.newest_id == 130
    first = buffer.first
    assert first is not None
    assert first.final_update_id == 100
    assert drained(buffer) == [100, 110, 120, 130]
    assert buffer.newest_id == 130


def test_an_update_that_waits_already_is_not_added_again() -> None:
    buffer = holding("90>100", "100>110", "110>120")
    assert not buffer.add(update("100>110"))
    assert not buffer.add(update("110>120"))
    assert drained(buffer) == [100, 110, 120]


def test_what_a_book_has_is_dropped_and_nothing_else() -> None:
    buffer = holding("90>100", "100>110", "110>120")
    assert not buffer.has_known(99)
    assert buffer.has_known(100)
    buffer.drop_through(110)
    assert drained(buffer) == [120]


def test_ends_of_waiting_updates_and_of_the_newest_one_are_known() -> None:
    buffer = holding("90>100", "110>120")
    assert [buffer.has_end_at(at) for at in (99, 100, 101, 110, 120, 121)] == [False, True, False, False, True, False]
    buffer.note_newest(update("120>130"))
    assert (buffer.has_end_at(130), len(buffer)) == (True, 2)


@pytest.mark.parametrize(
    ("ids", "least"),
    [
        (["90>100"], 90),
        (["90>100", "100>110", "110>120"], 90),
        (["90>100", "105>110", "110>120"], 105),
        (["90>100", "100>110", "115>120"], 115),
    ],
)
def test_a_snapshot_helps_that_the_newest_unbroken_run_joins(ids: list[str], least: int) -> None:
    assert holding(*ids).least_helpful_id() == least


def test_with_nothing_waiting_a_snapshot_helps_from_the_newest_id_on() -> None:
    buffer = UpdateBuffer()
    buffer.note_newest(update("90>100"))
    assert buffer.least_helpful_id() == 100


@pytest.mark.parametrize(
    ("one", "is_new"),
    [
        (update("5000>2000100", at_ms=8), False),  # the next one
        (update("1990000>2000000", at_ms=7), False),  # a copy of the newest
        (update("1990000>2000000", at_ms=7, event_ms=9), False),  # a copy that was sent later
        (update("1980000>1990000", at_ms=6, event_ms=9), False),  # a straggler that was sent later
        (update("1990000>2000000", at_ms=8, event_ms=1), True),  # a later transaction, sent earlier: clocks differ
        (update("1990000>2000000", at_ms=8), True),  # the same id, but a later transaction
        (update("1980000>1990000", at_ms=6), False),  # a straggler
        (update("1980000>1990000", at_ms=8), True),
        (update("999990>1000000", at_ms=7), False),  # lower by no more than a million
        (update("999989>999999", at_ms=6), True),
    ],
)
def test_a_new_count_is_told_from_copies_and_stragglers(one: DepthUpdate, is_new: bool) -> None:
    buffer = UpdateBuffer()
    buffer.note_newest(update("1990000>2000000", at_ms=7))
    assert buffer.is_new_count(one) is is_new


def test_after_a_restart_nothing_of_the_old_count_is_left() -> None:
    buffer = holding("1990000>2000000")
    buffer.restart()
    assert (len(buffer), buffer.newest_id, buffer.has_end_at(2_000_000)) == (0, -1, False)
    assert buffer.add(update("5>10"))
    assert buffer.newest_id == 10


def test_the_oldest_go_when_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_BUFFERED", 3)
    assert drained(holding("0>10", "10>20", "20>30", "30>40", "40>50")) == [30, 40, 50]


def test_those_go_that_are_older_than_twenty_seconds() -> None:
    buffer = UpdateBuffer()
    for number, at_ms in enumerate((0, 1, 20_000, 20_001)):
        buffer.add(update(f"{number}>{number + 1}", at_ms=at_ms))
    assert drained(buffer) == [2, 3, 4]


def test_replaced_updates_wait_instead_of_the_others() -> None:
    buffer = holding("90>100", "100>110")
    buffer.replace([update("200>210"), update("210>220")])
    assert drained(buffer) == [210, 220]


def test_the_age_of_an_update_is_that_of_its_transaction() -> None:
    buffer = UpdateBuffer()
    for number, at_ms in enumerate((100_000, 110_000, 120_000)):
        buffer.add(update(f"{number}>{number + 1}", at_ms=at_ms, event_ms=1))
    assert drained(buffer) == [1, 2, 3]
