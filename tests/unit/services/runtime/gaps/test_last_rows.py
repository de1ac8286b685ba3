"""Where a stream stands, as the next run finds it."""

from typing import Any

import pytest

from binance_streamer.exchange.messages import Reading
from services.runtime.gaps.last_rows import LastRow, LastRows, behind_row, fold_message
from services.runtime.gaps.open_gaps import OpenGap

BEFORE = LastRow("depth", "BTCUSDT", 100, 5000, 1)
GAP = OpenGap("g1", 10, 20, 1, 2, "sequence")
NAME = "btcusdt@aggTrade"
DAY_MS = 86_400_000


@pytest.mark.parametrize(
    ("reading", "expected"),
    [
        (Reading(100, 110, 5010), (110, 5010, 2)),
        (Reading(100, 110, 4990), (110, 5000, 2)),
        (Reading(80, 90, 4990), (100, 5000, 1)),  # a straggler
        (Reading(80, 90, 5010), (100, 5000, 1)),  # one that the exchange has stamped later
        (Reading(120, 130, 5000), (130, 5000, 2)),  # behind damage of the journal
        (Reading(120, 130, 4999), (100, 5000, 1)),  # left over from before the ids began anew
        (Reading(None, None, 5010), (100, 5010, 2)),
        (Reading(100, 110, DAY_MS + 5000), (110, 5000, 2)),  # a clock is wrong
    ],
)
def test_a_row_moves_its_stream_on_unless_it_comes_late(reading: Reading, expected: tuple[int, int, int]) -> None:
    row = behind_row(BEFORE, "depth", "BTCUSDT", reading, recv_ns=2)
    assert (row.last_id, row.event_time_ms, row.recv_ns) == expected


def test_a_corrected_bar_sets_nothing_back() -> None:
    row = behind_row(BEFORE, "kline", "BTCUSDT", Reading(40, 100, 6000), recv_ns=2)
    assert (row.last_id, row.event_time_ms, row.recv_ns) == (100, 6000, 2)
    assert behind_row(BEFORE, "kline", "BTCUSDT", Reading(30, 40, 6000), recv_ns=2) == BEFORE


def test_the_first_row_is_where_a_stream_stands() -> None:
    row = behind_row(None, "trade", "BTCUSDT", Reading(6, 7, 8), recv_ns=9)
    assert row == LastRow("trade", "BTCUSDT", 7, 8, 9)


def gap(from_id: int | None, to_id: int | None, state: str = "open") -> dict[str, Any]:
    return {"stream": NAME, "gap_id": "g2", "state": state, "from_id": from_id, "to_id": to_id, "from_ns": 1,
            "to_ns": 7_000_000_000, "reason": "sequence"}  # fmt: skip


def behind(stream_type: str, stream_data: dict[str, Any], *, newest: int = 100) -> LastRow:
    rows: LastRows = {NAME: LastRow("aggtrade", "BTCUSDT", newest, 5000, 1, (GAP,))}
    fold_message(rows, stream_type, stream_data)
    return rows[NAME]


@pytest.mark.parametrize(
    ("fields", "last_id", "event_time_ms"),
    [
        (gap(100, 120), 120, 7000),
        (gap(100, 120, "unrepairable"), 120, 7000),
        (gap(30, 40), 100, 5000),
        (gap(100, 3, "unrepairable"), 3, 5000),  # the ids began anew
        (gap(100, 3, "repaired"), 100, 5000),  # they had not
        (gap(None, None, "unrepairable"), 100, 5000),
    ],
)
def test_a_stream_stands_where_its_newest_gap_ends(
    fields: dict[str, Any], last_id: int | None, event_time_ms: int
) -> None:
    row = behind("gap", fields)
    assert (row.last_id, row.event_time_ms) == (last_id, event_time_ms)


def test_a_straggler_narrows_the_gap_that_it_lies_in_whoever_brings_it() -> None:
    event = b'{"e":"aggTrade","E":9,"s":"BTCUSDT","a":11}'
    live = {"symbol": "BTCUSDT", "stream": NAME, "recv_ns": 9, "source": "ws", "event": event}
    expected = LastRow("aggtrade", "BTCUSDT", 100, 5000, 1, (OpenGap("g1", 11, 20, 1, 2, "sequence", 10, 20),))
    assert behind("aggtrade", live) == expected
    assert behind("aggtrade", {**live, "source": "rest", "event": b'{"a":11}'}) == expected


def test_what_nobody_can_read_moves_nothing() -> None:
    for source in ("ws", "rest"):
        data = {"symbol": "BTCUSDT", "stream": NAME, "recv_ns": 9, "source": source, "event": b"x"}
        assert behind("aggtrade", data).last_id == 100
        assert behind("raw", data).last_id == 100
