"""Holes that the writer lists: true, finite, in order."""

import pytest

from binance_streamer.wire.frames import Topic
from services.writer.rows.daily_files import DailyFile
from services.writer.rows.rows import Row, Run
from services.writer.store.losses import DamagedFile, Hole, LossTracker
from tests.support.writer_peer import aggregate

NAME = "ingest-BTCUSDT"
TRADES = "btcusdt@aggTrade"
TARGET = DailyFile("BTCUSDT/aggtrade_BTCUSDT_20260927.csv", b"", "BTCUSDT/aggtrade")
QUOTES = DailyFile("BTCUSDT/bookticker_BTCUSDT_20260927.csv", b"", "BTCUSDT/bookticker")


def trade(number: int, *, epoch: int, seq: int, recv_ns: int) -> Row:
    topic = Topic("aggtrade", "BTCUSDT", "")
    return Row(TARGET, b"", TARGET.series, epoch, seq, topic, TRADES, recv_ns, aggregate(number))


def of_rest(*, epoch: int, seq: int, recv_ns: int) -> Row:
    topic = Topic("aggtrade", "BTCUSDT", "")
    return Row(TARGET, b"", TARGET.series, epoch, seq, topic, TRADES, recv_ns, None)


def quote(*, epoch: int, seq: int, recv_ns: int) -> Row:
    topic = Topic("bookticker", "BTCUSDT", "")
    return Row(QUOTES, b"", QUOTES.series, epoch, seq, topic, "btcusdt@bookTicker", recv_ns, b"{}")


def behind_a_wiped_journal(last: Row, first: Row) -> list[Hole]:
    streams = LossTracker()
    streams.note(NAME, [last])
    streams.lost_positions(Run(NAME, first.epoch), any_stream=True)
    return streams.note(NAME, [first])


def test_ids_that_follow_each_other_prove_that_a_wiped_journal_held_nothing() -> None:
    assert (
        behind_a_wiped_journal(
            trade(10, epoch=1, seq=5, recv_ns=1000),
            trade(11, epoch=2, seq=1, recv_ns=2000),
        )
        == []
    )


def test_a_row_that_is_gone_is_listed_though_the_ids_follow_each_other() -> None:
    """Of REST, far behind: sequence numbers say that it was there, nothing says what it filled."""
    streams = LossTracker()
    streams.note(NAME, [trade(10, epoch=1, seq=1, recv_ns=1000)])
    streams.lost_positions(Run(NAME, 1), any_stream=False)
    (hole,) = streams.note(NAME, [trade(11, epoch=1, seq=3, recv_ns=2000)])
    assert (hole.from_id, hole.to_id, hole.from_ns, hole.to_ns) == (None, None, 1000, 2000)


def test_ids_that_went_back_say_nothing_of_what_is_missing() -> None:
    (hole,) = behind_a_wiped_journal(trade(10, epoch=1, seq=5, recv_ns=1000), trade(3, epoch=2, seq=1, recv_ns=2000))
    assert (hole.from_id, hole.to_id, hole.from_ns, hole.to_ns) == (None, None, 1000, 2000)


def test_a_clock_that_was_set_back_turns_no_hole_around() -> None:
    (hole,) = behind_a_wiped_journal(quote(epoch=1, seq=5, recv_ns=3000), quote(epoch=2, seq=1, recv_ns=2000))
    assert (hole.from_ns, hole.to_ns) == (2000, 3000)


def test_of_a_stream_without_an_earlier_row_only_the_time_is_known() -> None:
    streams = LossTracker()
    streams.note(NAME, [quote(epoch=1, seq=1, recv_ns=1000)])
    streams.lost_positions(Run(NAME, 1), any_stream=False)
    (hole,) = streams.note(NAME, [trade(7, epoch=1, seq=3, recv_ns=2000)])
    assert (hole.from_id, hole.to_id, hole.from_ns, hole.to_ns) == (None, None, 1000, 2000)


def test_a_row_that_rest_brought_ends_no_hole() -> None:
    streams = LossTracker()
    streams.note(NAME, [trade(10, epoch=1, seq=1, recv_ns=1000)])
    streams.lost_positions(Run(NAME, 1), any_stream=False)
    assert streams.note(NAME, [of_rest(epoch=1, seq=3, recv_ns=1500)]) == []
    (hole,) = streams.note(NAME, [trade(13, epoch=1, seq=4, recv_ns=2000)])
    assert (hole.from_id, hole.to_id, hole.to_ns) == (10, 12, 2000)


@pytest.mark.parametrize(("first", "expected"), [(11, [(None, None)]), (13, [(10, 12)]), (4, [(None, None)])])
def test_a_damaged_file_is_a_hole_up_to_the_next_row_that_says_more(
    first: int, expected: list[tuple[int | None, int | None]]
) -> None:
    streams = LossTracker([], [DamagedFile(TARGET.path, "BTCUSDT", 10, 3000)])
    holes = streams.note(NAME, [of_rest(epoch=1, seq=1, recv_ns=1500), trade(first, epoch=1, seq=2, recv_ns=2000)])
    assert [(hole.from_id, hole.to_id) for hole in holes] == expected
    assert [(hole.from_ns, hole.to_ns) for hole in holes] == [(2000, 3000)] * len(expected)


@pytest.mark.parametrize(("topic", "finite"), [("aggtrade", True), ("depth", False), ("aggtrade", False)])
def test_only_what_rest_can_be_asked_for_is_open(topic: str, *, finite: bool) -> None:
    hole = Hole("BTCUSDT", "s", 1 if finite else None, 5 if finite else None, 1, 2, "file damaged")
    stream = {"aggtrade": TRADES, "depth": "btcusdt@depth@0ms"}[topic]
    assert hole._replace(stream=stream).state == ("open" if finite else "unrepairable")
