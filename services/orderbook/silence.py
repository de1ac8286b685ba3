"""Whether a stream that says nothing has nothing to say: its worker knows.

A worker's status is looked at only where its stream has been silent for a while.
"""

from binance_streamer.exchange.messages import ExchangeError
from binance_streamer.exchange.streams import stream_from_name
from binance_streamer.health.judge import SILENT_S
from binance_streamer.health.stream_states import stream_state, trading_status
from binance_streamer.wire.frames import WireError, decode_frame
from binance_streamer.wire.statuses import IngestStatus, read_status


class WorkerStatuses:
    """The newest status frame of each symbol's worker."""

    def __init__(self) -> None:
        self._frames: dict[str, tuple[float, bytes]] = {}

    def heard(self, symbol: str, frame: bytes, now_s: float) -> None:
        """A status of the symbol's worker."""
        self._frames[symbol] = now_s, frame

    def fault(self, symbol: str, stream: str, heard_s: float, now_s: float) -> str:
        """Why updates of this stream, last heard at `heard_s`, may be missing; empty where they do not."""
        if now_s - heard_s < SILENT_S:
            return ""
        told_s, frame = self._frames.get(symbol, (0.0, b""))
        if now_s - told_s >= SILENT_S:
            return f"neither the stream nor its worker has been heard for {SILENT_S:.0f} s"
        try:
            status = read_status(decode_frame(frame)[1])
            found = stream_from_name(stream)
        except (WireError, ExchangeError):
            return "the status of its worker cannot be read"
        if not isinstance(status, IngestStatus):
            return "the status of its worker is none"
        trading = trading_status(symbol, {status.producer: status})
        why = stream_state(found, status, trading).why
        return why and f"its stream: {why}"
