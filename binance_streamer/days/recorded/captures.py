"""Recorded messages as a capture, the file that the simulator plays (docs/simulator.md): a line for each message.

In: messages in the order of their receipt. Out: `<recv_ns> <frame>` with the exchange's own frames and answers. What no
exchange sends, gaps and books of ours, has no line.
"""

from collections.abc import Iterable, Iterator

from binance_streamer.days.recorded.received import Recorded
from binance_streamer.exchange.rows import SNAPSHOT_TYPE
from binance_streamer.exchange.stream_types import STREAM_TYPES
from binance_streamer.exchange.streams import Stream, interval_ms, stream_from_name

_IS_INFO = b'"symbols"'
"""Of the two kinds of answers in `exchange_info` files, the one that names symbols."""


def capture_lines(messages: Iterable[Recorded]) -> Iterator[bytes]:
    """Yield the lines of a capture, each with its line break."""
    for message in messages:
        frame = _frame(message)
        if frame is not None:
            yield b"%d %b\n" % (message.recv_ns, frame)


def stream_frame(message: Recorded) -> bytes | None:
    """Return the frame of a combined stream by which a message came; None for ours, and for what REST brought."""
    event = message.data.get("event", b"")
    is_of_stream = message.topic[0] in STREAM_TYPES and message.data["source"] == "ws"
    if not is_of_stream or not event or b"\n" in event:
        return None
    return b'{"stream":"%b","data":%b}' % (message.data["stream"].encode(), event)


def _frame(message: Recorded) -> bytes | None:
    """Return what the exchange sent: a frame of a stream, or an answer of REST with its request; None for our own."""
    frame = stream_frame(message)
    stream_type, _, _ = message.topic
    event = message.data.get("event", b"")
    name = message.data["stream"]
    if frame is not None or b"\n" in event or not event:
        return frame
    if stream_type in STREAM_TYPES and message.data["source"] != "ws":
        return _answer(_repair_path(stream_from_name(name)), event)
    if stream_type == SNAPSHOT_TYPE:
        return _answer(name, event)
    if stream_type == "exchange_info" and _IS_INFO in event:
        return _answer("/fapi/v1/exchangeInfo", event)
    return None


def _answer(path: str, event: bytes) -> bytes:
    return b'{"rest":"%b","body":%b}' % (path.encode(), event)


def _repair_path(stream: Stream) -> str:
    """Return the request that brought a message which the websocket had not brought."""
    if interval_ms(stream) is None:
        return f"/fapi/v1/aggTrades?symbol={stream.symbol}"
    return f"/fapi/v1/klines?symbol={stream.symbol}&interval={stream.variant}"
