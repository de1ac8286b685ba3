"""The newest status message of every process, and what together they say of a recording."""

from collections import Counter
from typing import Any, NamedTuple

from binance_streamer.exchange.messages import ExchangeError
from binance_streamer.exchange.streams import stream_from_name, suffix_of


class StreamRow(NamedTuple):
    """What the ingest worker of a symbol says of one stream; None where it does not know."""

    symbol: str
    stream: str
    messages: int
    rate: float
    last_id: int | None
    gaps: int
    latency_ms: float | None
    state: str


class Overview:
    """Fed with status messages; whatever a process does not say counts as nothing."""

    def __init__(self) -> None:
        self.newest: dict[str, dict[str, Any]] = {}
        self.restarts = 0
        self._earlier_messages = self._earlier_rows = 0
        self._earlier_losses: Counter[str] = Counter()

    def take(self, data: dict[str, Any]) -> None:
        """A status message."""
        before = self.newest.get(data["producer"])
        if before is not None and before.get("epoch") != data.get("epoch"):
            self.restarts += 1
            self._earlier_messages += sum(stream.messages for stream in _stream_states(before))
            self._earlier_rows += _count(before, "rows")
            self._earlier_losses[data["producer"]] += _lost(before)
        self.newest[data["producer"]] = data

    @property
    def streams(self) -> list[StreamRow]:
        """All streams of all workers, by symbol and stream."""
        return sorted(stream for data in self.newest.values() for stream in _stream_states(data))

    @property
    def messages(self) -> int:
        """Market messages that the workers have taken while we looked, those of workers that are gone too."""
        return self._earlier_messages + sum(stream.messages for stream in self.streams)

    @property
    def rows(self) -> int:
        """Rows that the writer has written while we looked, over its restarts."""
        return self._earlier_rows + _count(self.newest.get("writer", {}), "rows")

    @property
    def writer_state(self) -> str:
        """`recording`, `disk full`, …"""
        return str(self.newest.get("writer", {}).get("state", "unknown"))

    @property
    def not_connected(self) -> list[str]:
        """Why workers have no connection, each reason once."""
        reasons = {str(why) for data in self.newest.values() for why in _map(data, "failing").values()}
        return [f"not connected: {why}; `binance-streamer doctor` looks closer" for why in sorted(reasons)]

    @property
    def losses(self) -> list[str]:
        """A line for each process that received something and could not keep it while we looked."""
        counts = Counter(self._earlier_losses)
        counts.update({producer: _lost(data) for producer, data in self.newest.items()})
        return [_loss(producer, count) for producer, count in sorted(counts.items()) if count]

    @property
    def backlog_bytes(self) -> int:
        """What the producers hold that is not yet durable in the files."""
        return sum(_count(_map(data, "journal"), "unacknowledged_bytes") for data in self.newest.values())


def _lost(data: dict[str, Any]) -> int:
    """Messages that a producer's journal did not take; of the writer, gaps that it found in what was journalled."""
    if data.get("producer") == "writer":
        return _count(data, "gaps")
    journal = _map(data, "journal")
    return _count(journal, "not_journalled") + _count(journal, "refused_frames")


def _loss(producer: str, count: int) -> str:
    if producer == "writer":
        return f"writer: {count} holes in what was journalled or recorded; the files gap_… list them"
    return f"{producer}: {count} messages were not kept, its log says why; the files gap_… list them once it goes on"


def _stream_states(data: dict[str, Any]) -> list[StreamRow]:
    return [
        _stream_state(name, values)
        for name, values in _map(data, "streams").items()
        if isinstance(values, dict) and "messages" in values
    ]


def _stream_state(name: str, values: dict[str, Any]) -> StreamRow:
    try:
        symbol, suffix = stream_from_name(name).symbol, suffix_of(name)
    except ExchangeError:
        symbol, suffix = "", name
    last_id = values.get("last_id")
    return StreamRow(
        symbol,
        suffix,
        _count(values, "messages"),
        _number(values, "rate") or 0.0,
        last_id if isinstance(last_id, int) else None,
        _count(values, "gaps"),
        _number(values, "latency_ms"),
        str(values.get("state", "")),
    )


def _map(data: dict[str, Any], key: str) -> dict[str, Any]:
    value = data.get(key)
    return value if isinstance(value, dict) else {}


def _count(data: dict[str, Any], key: str) -> int:
    value = data.get(key)
    return value if isinstance(value, int) else 0


def _number(data: dict[str, Any], key: str) -> float | None:
    value = data.get(key)
    return float(value) if isinstance(value, int | float) else None
