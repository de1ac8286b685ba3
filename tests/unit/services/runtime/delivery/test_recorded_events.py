"""The newest messages of a journal, over its segments, whoever wrote the frames."""

from binance_streamer.exchange.streams import stream_of
from binance_streamer.wire.frames import encode_frame
from services.runtime.delivery.encoder import DraftEncoder
from services.runtime.delivery.events import event_draft
from services.runtime.delivery.recorded_events import recorded_events
from services.runtime.gaps.drafts import Draft
from services.runtime.gaps.last_rows import LastRow

TICKER, ORDERS = stream_of("BTCUSDT", "bookTicker"), stream_of("BTCUSDT", "forceOrder")
NAMES = [TICKER.name, ORDERS.name]


def frames(*messages: tuple[object, int, bytes]) -> list[bytes]:
    encode = DraftEncoder("ingest-BTCUSDT", 7).encode
    return [
        frame
        for stream, recv_ns, event in messages
        for frame in encode(event_draft(stream, 1, recv_ns, event, None))[1]  # type: ignore[arg-type]
    ]


def test_messages_of_the_wanted_streams_come_in_their_order_from_as_many_segments_as_are_needed() -> None:
    trades = stream_of("BTCUSDT", "aggTrade")
    newest = frames((trades, 31, b"{}"), (TICKER, 30, b'{"u":3}'), (ORDERS, 32, b'{"o":1}'))
    middle = frames((TICKER, 10, b'{"u":1}'), (TICKER, 20, b'{"u":2}'))
    asked = iter([newest, middle])
    assert recorded_events(asked, {}, NAMES, since_ns=20) == {
        TICKER.name: [(20, b'{"u":2}'), (30, b'{"u":3}')],
        ORDERS.name: [(32, b'{"o":1}')],
    }


def test_of_a_stream_that_is_quiet_the_last_message_is_known_from_where_it_stands() -> None:
    row = LastRow("forceorder", "BTCUSDT", None, 0, 5, (), b'{"o":0}')
    assert recorded_events([frames((TICKER, 30, b"{}"))], {ORDERS.name: row}, NAMES, since_ns=20) == {
        TICKER.name: [(30, b"{}")],
        ORDERS.name: [(5, b'{"o":0}')],
    }


def test_gaps_raw_rows_and_frames_that_cannot_be_read_are_no_messages() -> None:
    def data(source: str) -> dict[str, object]:
        return {"symbol": "BTCUSDT", "stream": TICKER.name, "recv_ns": 30, "source": source, "event": b"{}",
                "producer": "p", "epoch": 1, "seq": 1}  # fmt: skip

    odd = [encode_frame("gap", data("local")), encode_frame("raw", data("ws")), b"\xc1", *frames((TICKER, 31, b"{}"))]
    assert recorded_events([odd], {}, NAMES, since_ns=0) == {TICKER.name: [(31, b"{}")]}
    assert isinstance(event_draft(TICKER, 1, 1, b"{}", None), Draft)
