"""The age of what the writer does not have: never told younger than it is, and nothing once all is durable."""

from binance_streamer.wire.frames import Position
from services.runtime.delivery.backlog import BacklogAge

EPOCH = 7


def test_nothing_waits_where_all_is_durable() -> None:
    backlog = BacklogAge(EPOCH, 0.0)
    assert backlog.age_s(0, None, backlog_bytes=0, now_s=1.0) == 0.0
    assert backlog.age_s(10, Position(EPOCH, 10), backlog_bytes=0, now_s=2.0) == 0.0


def test_the_oldest_record_that_is_not_durable_decides() -> None:
    backlog = BacklogAge(EPOCH, 0.0)
    backlog.age_s(10, None, backlog_bytes=1, now_s=1.0)
    backlog.age_s(20, Position(EPOCH, 5), backlog_bytes=1, now_s=2.0)
    assert backlog.age_s(30, Position(EPOCH, 5), backlog_bytes=1, now_s=3.0) == 3.0
    assert backlog.age_s(30, Position(EPOCH, 10), backlog_bytes=1, now_s=4.0) == 3.0
    assert backlog.age_s(30, Position(EPOCH, 29), backlog_bytes=1, now_s=9.0) == 7.0


def test_a_record_after_a_long_silence_is_young() -> None:
    backlog = BacklogAge(EPOCH, 0.0)
    backlog.age_s(10, Position(EPOCH, 10), backlog_bytes=0, now_s=1.0)
    backlog.age_s(10, Position(EPOCH, 10), backlog_bytes=0, now_s=100.0)
    assert backlog.age_s(11, Position(EPOCH, 10), backlog_bytes=1, now_s=101.0) == 1.0


def test_what_earlier_runs_left_is_as_old_as_this_run() -> None:
    backlog = BacklogAge(EPOCH, 50.0)
    assert backlog.age_s(0, Position(6, 3), backlog_bytes=9, now_s=60.0) == 10.0
    assert backlog.age_s(4, Position(6, 5), backlog_bytes=9, now_s=70.0) == 20.0
    assert backlog.age_s(4, Position(EPOCH, 2), backlog_bytes=9, now_s=71.0) == 11.0


def test_hours_without_a_writer_take_bounded_memory_and_keep_the_age() -> None:
    backlog = BacklogAge(EPOCH, 0.0)
    backlog.age_s(0, None, backlog_bytes=0, now_s=0.0)
    for second in range(1, 10_000):
        assert backlog.age_s(second * 3, None, backlog_bytes=1, now_s=float(second)) == second
    age_s = backlog.age_s(30_000, Position(EPOCH, 15_000), backlog_bytes=1, now_s=10_000.0)
    assert 5_000 <= age_s <= 5_010
    assert len(backlog._marks) < 4096
