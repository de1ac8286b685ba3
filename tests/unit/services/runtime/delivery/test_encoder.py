"""Drafts get their producer's name, its epoch and the next number of their topic."""

from binance_streamer.exchange.streams import stream_of
from binance_streamer.wire.frames import decode_frame
from services.runtime.delivery.encoder import DraftEncoder
from services.runtime.delivery.events import EventRun, event_draft
from services.runtime.gaps.drafts import Draft

TRADES = stream_of("BTCUSDT", "trade")


def run_of(*events: bytes, connection: int = 1) -> EventRun:
    run = EventRun(TRADES, connection)
    run.stamps_ns += range(1000, 1000 + len(events))
    run.events += events
    return run


def test_the_messages_of_a_topic_are_numbered_however_they_come() -> None:
    encoder = DraftEncoder("p", 7)
    topic, frames = encoder.encode(run_of(b"{}", b"{}"))
    single = encoder.encode(event_draft(TRADES, 1, 1002, b"{}", None))
    assert topic == single[0] == b"trade.BTCUSDT."
    decoded = [decode_frame(frame) for frame in (*frames, *single[1])]
    assert [(kind, data["producer"], data["epoch"], data["seq"]) for kind, data in decoded] == [
        ("trade", "p", 7, 1),
        ("trade", "p", 7, 2),
        ("trade", "p", 7, 3),
    ]


def test_each_topic_has_numbers_of_its_own() -> None:
    encoder = DraftEncoder("p", 7)
    for name in ("gap", "status"):
        data = {"symbol": "BTCUSDT", "stream": "x", "recv_ns": 1, "source": "local"}
        topic, (frame,) = encoder.encode(Draft(name, "BTCUSDT", "", data))
        assert (topic, decode_frame(frame)[1]["seq"]) == (f"{name}.BTCUSDT.".encode(), 1)


def test_connections_that_are_gone_leave_nothing_behind() -> None:
    encoder = DraftEncoder("p", 7)
    for number in range(1, 1000):
        encoder.encode(run_of(b"{}", connection=number))
    assert len(encoder._frames) < 500
