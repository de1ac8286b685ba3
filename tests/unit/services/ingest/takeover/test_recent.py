"""The last seconds are remembered, and no more than there is room for; of a quiet stream the last message stays."""

import pytest

from binance_streamer.exchange.streams import stream_of
from services.ingest.connections.events import Delivered, Lost
from services.ingest.streams.stream_set import StreamSet
from services.ingest.takeover import recent
from services.ingest.takeover.recent import RecentArrivals, StandbyStreams
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
