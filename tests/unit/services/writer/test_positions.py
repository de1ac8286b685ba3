"""The protocol's decisions, one by one."""

from binance_streamer.wire.frames import Ack, Batch, Position
from binance_streamer.wire.status_parts import WrittenStatus
from services.writer.positions import BatchVerdict, Loss, Offer, Positions

TAKE = BatchVerdict.TAKE


def batch(epoch: int, first: int, after: tuple[int, int] | None) -> Batch:
    return Batch("p", epoch, first, Position(*after) if after else None, b"x")


def having(*numbers: tuple[int, int]) -> Positions:
    return Positions("w", [("p", epoch, number) for epoch, number in numbers])


def test_an_unknown_producer_begins_where_its_journal_begins() -> None:
    assert having().try_take(batch(1, 0, None), 5) == Offer(TAKE)
    assert having().try_take(batch(1, 70, None), 5) == Offer(TAKE)
    assert having().try_take(batch(1, 70, (1, 69)), 5) == Offer(BatchVerdict.MISFIT)


def test_the_next_positions_are_taken_and_known_ones_skipped() -> None:
    positions = having((1, 10))
    assert positions.try_take(batch(1, 10, (1, 9)), 5) == Offer(TAKE)
    assert positions.try_take(batch(1, 10, (1, 9)), 5) == Offer(BatchVerdict.KNOWN)
    assert positions.try_take(batch(1, 0, None), 15) == Offer(BatchVerdict.KNOWN)
    assert positions.try_take(batch(1, 14, (1, 13)), 1) == Offer(BatchVerdict.KNOWN)
    assert positions.try_take(batch(1, 13, (1, 12)), 5) == Offer(TAKE, skip=2)
    assert positions.ack("p", "hello").received == (1, 18)


def test_a_batch_behind_a_lost_one_does_not_fit() -> None:
    positions = having((1, 10))
    assert positions.try_take(batch(1, 11, (1, 10)), 5) == Offer(BatchVerdict.MISFIT)
    assert positions.ack("p", "misfit") == Ack("w", Position(1, 10), Position(1, 10), "misfit")


def test_a_new_run_follows_the_end_of_the_old_one_only() -> None:
    positions = having((7, 10))
    assert positions.try_take(batch(3, 0, (7, 10)), 5) == Offer(BatchVerdict.MISFIT)
    assert positions.try_take(batch(3, 0, (7, 9)), 5) == Offer(TAKE)
    assert positions.ack("p", "hello") == Ack("w", Position(7, 10), Position(3, 5), "hello")


def test_a_journal_that_lost_its_end_is_behind_the_files() -> None:
    """To a power cut, or because a backup of it was restored."""
    assert having((7, 10)).try_take(batch(8, 0, (7, 5)), 5) == Offer(TAKE, loss=Loss.BEHIND)
    assert having((7, 10), (8, 3)).try_take(batch(9, 0, (7, 9)), 5) == Offer(TAKE, loss=Loss.BEHIND)
    assert having((7, 10), (8, 3)).try_take(batch(9, 0, (8, 2)), 5) == Offer(TAKE)


def test_positions_that_the_journal_lost_are_told() -> None:
    assert having((1, 10)).try_take(batch(1, 12, (1, 9)), 5) == Offer(TAKE, loss=Loss.JUMP)
    assert having((1, 10)).try_take(batch(1, 12, None), 5) == Offer(TAKE, loss=Loss.JUMP)
    assert having((1, 10)).try_take(batch(2, 3, (1, 9)), 5) == Offer(TAKE, loss=Loss.JUMP)
    assert having((1, 10)).try_take(batch(2, 0, None), 5) == Offer(TAKE, loss=Loss.WIPED)


def test_a_trimmed_journal_is_no_loss() -> None:
    assert having((1, 10)).try_take(batch(1, 8, None), 5) == Offer(TAKE, skip=2)
    assert having((1, 10)).try_take(batch(1, 10, None), 5) == Offer(TAKE)


def test_an_old_run_gets_no_new_positions() -> None:
    positions = having((1, 10), (2, 4))
    assert positions.try_take(batch(1, 0, None), 10) == Offer(BatchVerdict.KNOWN)
    assert positions.try_take(batch(1, 10, (1, 9)), 1) == Offer(BatchVerdict.REFUSED)
    assert positions.try_take(batch(2, 4, (2, 3)), 1) == Offer(TAKE)
    assert positions.status()["p"] == WrittenStatus(epoch=2, next_received=5, next_durable=4, refused=1)


def test_only_a_commit_makes_durable_and_the_old_run_comes_first() -> None:
    positions = having((1, 10))
    positions.try_take(batch(1, 10, (1, 9)), 2)
    positions.try_take(batch(2, 0, (1, 11)), 3)
    assert positions.ack("p", "hello") == Ack("w", Position(1, 10), Position(2, 3), "hello")
    moved = positions.moved()
    assert moved == (("p", 1, 12), ("p", 2, 3))
    positions.try_take(batch(2, 3, (2, 2)), 1)
    assert positions.commit(moved) == ["p"]
    assert positions.ack("p", "commit") == Ack("w", Position(2, 3), Position(2, 4), "commit")
    assert positions.moved() == (("p", 2, 4),)


def test_an_unknown_name_hears_that_nothing_is_known() -> None:
    assert having().ack("q", "hello") == Ack("w", None, None, "hello")


def test_nothing_moved_is_nothing_to_commit() -> None:
    assert having((1, 10)).moved() == ()
