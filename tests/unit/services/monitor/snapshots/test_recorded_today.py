"""Rows and bytes of today are what the writer's counters say that was written since midnight, or since it was known."""

from binance_streamer.wire.statuses import WriterStatus
from services.monitor.snapshots.page import RecordedToday
from services.monitor.snapshots.recorded_today import RecordedCounter

MIDNIGHT_MS = 1_795_651_200_000
HOUR_MS = 3_600_000


def writer(epoch: int, rows: int, *, started_ms: int, now_ms: int = MIDNIGHT_MS) -> WriterStatus:
    return WriterStatus(
        epoch=epoch, rows=rows, bytes=100 * rows, started_ns=started_ms * 1_000_000, recv_ns=now_ms * 1_000_000
    )


def test_a_writer_that_began_today_is_counted_from_its_start() -> None:
    counter = RecordedCounter()
    started = MIDNIGHT_MS + HOUR_MS
    assert counter.of(None, started) is None
    assert counter.of(writer(1, 500, started_ms=started), started + 1000) == RecordedToday(
        rows=500, bytes=50_000, since_ms=started
    )
    assert counter.of(writer(1, 700, started_ms=started), started + 2000) == RecordedToday(
        rows=700, bytes=70_000, since_ms=started
    )


def test_of_a_writer_that_runs_since_yesterday_only_what_is_seen_counts() -> None:
    counter = RecordedCounter()
    now = MIDNIGHT_MS + 5 * HOUR_MS
    first = writer(1, 9000, started_ms=MIDNIGHT_MS - HOUR_MS, now_ms=now)
    assert counter.of(first, now) == RecordedToday(rows=0, bytes=0, since_ms=now)
    later = writer(1, 9100, started_ms=MIDNIGHT_MS - HOUR_MS, now_ms=now + 1000)
    assert counter.of(later, now + 1000) == RecordedToday(rows=100, bytes=10_000, since_ms=now)


def test_midnight_begins_anew() -> None:
    counter = RecordedCounter()
    started = MIDNIGHT_MS - HOUR_MS
    counter.of(writer(1, 9000, started_ms=started), MIDNIGHT_MS - 1000)
    assert counter.of(writer(1, 9030, started_ms=started), MIDNIGHT_MS + 1000) == RecordedToday(
        rows=30, bytes=3000, since_ms=MIDNIGHT_MS
    )


def test_a_restarted_writer_goes_on_and_one_that_is_away_takes_nothing_back() -> None:
    counter = RecordedCounter()
    started = MIDNIGHT_MS + HOUR_MS
    counter.of(writer(1, 500, started_ms=started), started + 1000)
    assert counter.of(None, started + 2000) == RecordedToday(rows=500, bytes=50_000, since_ms=started)
    again = writer(2, 40, started_ms=started + 3000)
    assert counter.of(again, started + 4000) == RecordedToday(rows=540, bytes=54_000, since_ms=started)
