"""Where a stream stands, as the next run finds it."""

import pytest

from binance_streamer.exchange.messages import Reading
from services.runtime.journal.segments import LastRow, following_row

BEFORE = LastRow("depth", "BTCUSDT", 100, 5000, 1)


@pytest.mark.parametrize(
    ("reading", "expected"),
    [
        (Reading(100, 110, 5010), (110, 5010)),
        (Reading(100, 110, 4990), (110, 5000)),
        (Reading(80, 90, 4990), (100, 5000)),  # a straggler
        (Reading(80, 90, 5000), (100, 5000)),
        (Reading(3, 7, 5010), (7, 5010)),  # the exchange counts anew
        (Reading(None, None, 5010), (100, 5010)),
    ],
)
def test_a_straggler_sets_nothing_back_but_a_new_count_does(reading: Reading, expected: tuple[int, int]) -> None:
    row = following_row(BEFORE, "depth", "BTCUSDT", reading, recv_ns=2)
    assert (row.last_id, row.event_time_ms, row.recv_ns) == (*expected, 2)


def test_a_corrected_bar_is_no_new_count() -> None:
    row = following_row(BEFORE, "kline", "BTCUSDT", Reading(30, 40, 6000), recv_ns=2)
    assert (row.last_id, row.event_time_ms) == (100, 6000)


def test_the_first_row_is_where_a_stream_stands() -> None:
    row = following_row(None, "trade", "BTCUSDT", Reading(6, 7, 8), recv_ns=9)
    assert row == LastRow("trade", "BTCUSDT", 7, 8, 9)
