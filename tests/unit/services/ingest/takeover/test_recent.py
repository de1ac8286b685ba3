"""The last seconds are remembered, and no more than there is room for; of a quiet stream the last message stays."""

import pytest

from binance_streamer.exchange.streams import stream_of
from services.ingest.connections.events import JOURNAL, Delivered, Lost
from services.ingest.streams.stream_set import StreamSet
from services.ingest.takeover import recent
from services.ingest.takeover.recent import RecentArrivals, StandbyStreams
from services.ingest.takeover.release import doubt, recall, release
from services.runtime.gaps.last_rows import LastRows
from services.runtime.gaps.stream_states import fold
from tests.support.drafts import singles
from tests.support.running_network import book_ticker, force_order, ns


def delivered(at_s: float, *messages: bytes, connection: int = 1) -> Delivered:
    stamps_ns = range(ns(at_s), ns(at_s) + len(messages))
    return Delivered(connection, stamps_ns, list(messages), sum(map(len, messages)))


def stamps(arrivals: RecentArrivals) -> list[int]:
    return [one.what.stamps_ns[0] for one in arrivals.all() if isinstance(one.what, Delivered)]


def test_what_is_older_than_ten_seconds_is_forgotten() -> None:
    arrivals = RecentArrivals([])
    for at_s in (1.0, 2.0, 11.5):
        arrivals.add(delivered(at_s, book_ticker(at_s)), at_s)
    assert stamps(arrivals) == [ns(2.0), ns(11.5)]
    assert arrivals.dropped == 0


def test_what_has_no_room_is_forgotten_before_its_time_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    size = len(book_ticker(1.0))
    monkeypatch.setattr(recent, "MOST_BYTES", 2 * size)
    arrivals = RecentArrivals([])
    for at_s in (1.0, 1.1, 1.2):
        arrivals.add(delivered(at_s, book_ticker(at_s)), at_s)
    assert stamps(arrivals) == [ns(1.1), ns(1.2)]
    assert arrivals.dropped == 1
    assert arrivals.size_bytes <= 2 * size


def test_the_last_message_of_a_quiet_stream_stays_for_each_connection_that_is_open() -> None:
    arrivals = RecentArrivals(["btcusdt@forceOrder"])
    arrivals.add(delivered(1.0, force_order(0.9), book_ticker(1.0), force_order(1.0)), 1.0)
    arrivals.add(delivered(1.5, force_order(1.0), connection=2), 1.5)
    arrivals.add(delivered(60.0, book_ticker(60.0)), 60.0)
    assert stamps(arrivals) == [ns(1.0) + 2, ns(1.5), ns(60.0)]
    arrivals.forget(2)
    assert stamps(arrivals) == [ns(1.0) + 2, ns(60.0)]


def test_the_end_of_a_connection_is_done_again_to_the_streams_that_record() -> None:
    streams = [stream_of("BTCUSDT", "bookTicker")]
    waiting = StandbyStreams("BTCUSDT", streams, last_rows={}, new_gap_id=lambda: "w")
    waiting.recent = RecentArrivals([])
    recording = StreamSet("BTCUSDT", streams, last_rows={}, new_gap_id=lambda: "g")
    waiting.recent.add(delivered(1.0, book_ticker(1.0)), 1.0)
    waiting.lose(Lost(1, "public", "disconnected", {}), 2.0)
    waiting.recent.add(delivered(3.0, book_ticker(3.0), connection=2), 3.0)
    for at_s, what in waiting.recent.all():
        if isinstance(what, Delivered):
            recording.deliver(what, at_s)
        else:
            what(recording)
    drafts = [draft for draft in recording.collect(1) if draft.stream_type == "gap"]
    assert [draft.span_ns for draft in drafts] == [(1, 1)]
    (gap,) = drafts
    assert not isinstance(gap, list)
    assert (gap.data["reason"], gap.data["from_ns"], gap.data["to_ns"]) == ("disconnected", ns(1.0), ns(3.0))  # type: ignore[union-attr]


FORCED = stream_of("BTCUSDT", "forceOrder")


def rows_and_gaps_behind(*times_s: float, ends_s: float | None = None) -> tuple[int, list[object]]:
    """Take a journal over at 32 s that has the first of these messages; the stream ends meanwhile, and comes back."""
    rows: LastRows = {}
    first, *others = (delivered(at_s, force_order(at_s)) for at_s in times_s)
    recorder = StreamSet("all-0", [FORCED], last_rows={}, new_gap_id=lambda: "g")
    recorder.deliver(first, times_s[0])
    (row,) = singles(recorder.collect(0))
    fold(rows, row)
    waiting = StandbyStreams("all-0", [FORCED], last_rows={}, new_gap_id=lambda: "w")
    waiting.recent = RecentArrivals([FORCED.name])
    waiting.recent.add(first, times_s[0])
    if ends_s:
        waiting.recent.add(delivered(ends_s, book_ticker(ends_s)), ends_s)
        waiting.let_go(FORCED, ends_s)
        waiting.recent.keep_last_of([])
        waiting.add(FORCED)
        waiting.recent.keep_last_of([FORCED.name])
    for other in others:
        waiting.recent.add(other, (other.stamps_ns[0] - ns(0)) / 1e9)
    streams = StreamSet("all-0", [FORCED], last_rows=rows, new_gap_id=lambda: "t")
    streams.take_over(waiting)
    recall(streams, {FORCED.name: [(row.data["recv_ns"], row.data["event"])]}, ns(32.0), 32.0)
    doubt(streams, ())
    release(streams, waiting.recent.all(), rows)
    streams.lose(Lost(JOURNAL, FORCED.route, "restart", {1: 0.0}), 32.0)
    streams.expire(60.0)
    drafts = list(singles(streams.collect(0)))
    new = sum("event" in one.data for one in drafts if one.stream_name == FORCED.name)
    return new, [one.data["reason"] for one in drafts if one.stream_type == "gap"]


def test_a_stream_that_came_all_the_time_goes_on_without_a_gap() -> None:
    assert rows_and_gaps_behind(1.0, 31.0) == (1, [])


@pytest.mark.parametrize("first_s", [1.0, 24.0], ids=["long ago", "within what is remembered"])
def test_a_stream_that_ended_and_came_back_has_a_gap_behind_a_takeover(first_s: float) -> None:
    assert rows_and_gaps_behind(first_s, 31.0, ends_s=25.0) == (1, ["restart"])


def test_the_stall_of_a_stream_that_has_ended_since_is_nothing_to_whoever_goes_on() -> None:
    ended = stream_of("ETHUSDT", "aggTrade")
    waiting = StandbyStreams("all-0", [FORCED, ended], last_rows={}, new_gap_id=lambda: "w")
    waiting.recent = RecentArrivals([])
    waiting.lose_streams([FORCED.name, ended.name], Lost(1, FORCED.route, "stall", {}), 1.0)
    waiting.let_go(ended, 2.0)
    streams = StreamSet("all-0", [FORCED], last_rows={}, new_gap_id=lambda: "g")
    streams.take_over(waiting)
    release(streams, waiting.recent.all(), {})
    assert streams.collect(0) == []
