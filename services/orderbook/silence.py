"""Tells a stream that is silent because nothing happens from one that has stopped: its worker's status says which.

A worker's status is decoded only where its stream has been silent for a while: most never are.
"""

from collections.abc import Mapping

from binance_streamer.exchange.messages import ExchangeError
from binance_streamer.exchange.streams import stream_from_name
from binance_streamer.health.judge import SILENT_S
from binance_streamer.health.stream_states import stream_state, trading_status
from binance_streamer.wire.frames import WireError, decode_frame
from binance_streamer.wire.statuses import IngestStatus, read_status


class WorkerStatuses:
    """The newest status frame of each worker, by its topic; `topics` has that of each symbol's worker."""

    def __init__(self) -> None:
        self.topics: Mapping[str, bytes] = {}
        self._frames: dict[bytes, tuple[float, bytes]] = {}

    def take_status(self, topic: bytes, frame: bytes, now_s: float) -> None:
        """Keep a status frame of a worker, not decoded yet."""
        self._frames[topic] = now_s, frame

    def fault(self, symbol: str, stream: str, last_update_s: float, now_s: float) -> str:
        """Return why updates of a stream may be missing, the last of which came at `last_update_s`; empty: none are."""
        if now_s - last_update_s < SILENT_S:
            return ""
        status_s, frame = self._frames.get(self.topics.get(symbol, b""), (0.0, b""))
        if now_s - status_s >= SILENT_S:
            return f"neither the stream nor its worker has sent anything for {SILENT_S:.0f} s"
        try:
            status = read_status(decode_frame(frame)[1])
            found = stream_from_name(stream)
        except (WireError, ExchangeError):
            return "the status of its worker cannot be read"
        if not isinstance(status, IngestStatus):
            return "its worker sends the status of another kind of process"
        trading = trading_status(symbol, {f"ingest-{symbol}": status})  # a worker of a group has another name
        why = stream_state(found, status, trading).why
        return why and f"its stream: {why}"
