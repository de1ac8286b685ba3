"""Messages of two plain connections beside the recorder: order, ids, times and copies of every stream.

In: messages in combined form, each with its connection and receive stamp. Out: facts, stream by stream, for the
questions of the field test. It shares no code with the recorder's own continuity, and opens no socket.
"""

from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from binance_streamer.cli.fieldtest.copies import SIDES, CopyComparison
from binance_streamer.exchange.stream_types import Continuity
from binance_streamer.exchange.streams import Stream

_DAY_MS = 86_400_000
_KEPT_EVENTS = 3000
"""Newest aggregates of a symbol that are kept, to be compared with those of REST: it gives 1,000 at once."""


@dataclass
class SideSeen:
    """One connection's part of a stream: the last id, and how often the next one did not fit."""

    last_id: int | None = None
    backs: int = 0
    """Messages whose id is below the one before."""
    breaks: int = 0
    """Messages that do not hang on the one before, and do not go back."""
    id_before: int | None = None
    """The last id of the connection before, until this one has brought a message."""


@dataclass
class StreamSeen:
    """One stream over both connections."""

    stream: Stream
    messages: int = 0
    first_recv_ns: int = 0
    last_recv_ns: int = 0
    wrong_times: int = 0
    """Messages whose event time is more than a day away from our clock: another unit, or another day."""
    wrong_symbols: int = 0
    unexpected: int = 0
    """Messages that lack an id, a time or a bar, or have a text in its place."""
    latencies_ms: Counter[int] = field(default_factory=Counter)
    """Receipt minus event time, in whole ms."""
    sides: tuple[SideSeen, ...] = field(default_factory=lambda: tuple(SideSeen() for _ in range(SIDES)))
    seams: int = 0
    """Reopened connections whose first id was below the last one before."""
    events: deque[tuple[int, dict[str, Any]]] = field(default_factory=lambda: deque(maxlen=_KEPT_EVENTS))
    """Newest aggregates, and ids of depth updates, each with its receive stamp."""
    closed: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    """Closed bars that differ from one another, by opening time."""
    repeated_bars: int = 0
    """Closed bars that one connection brought twice, the same or not."""
    copies: CopyComparison = field(default_factory=CopyComparison)


class ObservedTraffic:
    """The fold over all messages of both connections."""

    def __init__(self, streams: Iterable[Stream]) -> None:
        self.streams = {stream.name: StreamSeen(stream) for stream in streams}
        self.unasked: Counter[str] = Counter()
        """Messages of streams that nobody has asked for."""
        self.notices: Counter[str] = Counter()
        """Frames that are no market messages, by their event type: `serverShutdown`."""
        self._closed_of_side: set[tuple[int, str, int]] = set()

    def reopened(self, side: int, names: Iterable[str]) -> None:
        """Take note that a connection with these streams begins anew."""
        for name in names:
            seen = self.streams[name]
            seen.copies.reopened(side)
            own = seen.sides[side]
            own.id_before, own.last_id = own.last_id, None

    def take(self, side: int, message: bytes, recv_ns: int) -> None:
        """Take a text frame of connection 0 or 1; one that cannot be read is a notice."""
        try:
            parsed = msgspec.json.decode(message)
            name, event = parsed["stream"], parsed["data"]
        except (msgspec.DecodeError, UnicodeDecodeError, KeyError, TypeError):
            self.notices[_kind_of(message)] += 1
            return
        seen = self.streams.get(name)
        if seen is None:
            self.unasked[str(name)[:80]] += 1
            return
        seen.messages += 1
        seen.first_recv_ns = seen.first_recv_ns or recv_ns
        seen.last_recv_ns = recv_ns
        try:
            self._note(seen, side, event, recv_ns)
            seen.copies.take(side, message, id=_pairing_id(seen.stream, event), now_s=recv_ns / 1e9)
        except (AttributeError, KeyError, TypeError):  # whatever the exchange sends, the others are still to be seen
            seen.unexpected += 1

    def _note(self, seen: StreamSeen, side: int, event: dict[str, Any], recv_ns: int) -> None:
        """Note time, symbol and ids of a message; raises KeyError, TypeError or AttributeError for an unknown shape."""
        self._note_time(seen, event, recv_ns)
        inner = next((event[key] for key in ("k", "o") if isinstance(event.get(key), dict)), event)
        seen.wrong_symbols += inner.get("s") != seen.stream.symbol
        self._note_ids(seen, side, event, recv_ns)

    def _note_time(self, seen: StreamSeen, event: dict[str, Any], recv_ns: int) -> None:
        latency_ms = recv_ns / 1e6 - event["E"]
        if abs(latency_ms) > _DAY_MS:
            seen.wrong_times += 1
        else:
            seen.latencies_ms[round(latency_ms)] += 1

    def _note_ids(self, seen: StreamSeen, side: int, event: dict[str, Any], recv_ns: int) -> None:
        continuity = seen.stream.type.continuity
        if continuity is Continuity.KLINES:
            if event["k"].get("x"):
                self._note_closed(seen, side, event)
        elif continuity is not Continuity.NONE:
            key = dict(seen.stream.type.ids).get("last_id", "u")
            chained = dict(seen.stream.type.ids).get("previous_id")
            previous_id = event.get(chained) if chained else event[key] - 1 if key != "u" else None
            self._note_id(seen, side, event[key], previous_id)
            if side == 0 and seen.stream.stream_type == "aggtrade":
                seen.events.append((recv_ns, event))
            elif side == 0 and seen.stream.stream_type == "depth":
                seen.events.append((recv_ns, {"u": event["u"]}))  # its levels are large, and are not looked at

    def _note_id(self, seen: StreamSeen, side: int, last_id: int, previous_id: int | None) -> None:
        if not isinstance(last_id, int):
            raise TypeError(f"{seen.stream.name}: an id that is no integer")
        own = seen.sides[side]
        seen.seams += own.id_before is not None and last_id < own.id_before
        own.id_before = None
        if own.last_id is not None and last_id < own.last_id:
            own.backs += 1
        elif own.last_id is not None and previous_id is not None and previous_id != own.last_id:
            own.breaks += 1
        own.last_id = last_id

    def _note_closed(self, seen: StreamSeen, side: int, event: dict[str, Any]) -> None:
        bar = event["k"]
        place = (side, seen.stream.name, bar["t"])
        seen.repeated_bars += place in self._closed_of_side
        self._closed_of_side.add(place)
        known = seen.closed.setdefault(bar["t"], [])
        if bar not in known:
            known.append(bar)


def quantile_ms(latencies_ms: Counter[int], share: float) -> int:
    """Return the latency that this share of the messages, 0 to 1, does not exceed; there must be one message."""
    left = share * latencies_ms.total()
    for latency_ms in sorted(latencies_ms):
        left -= latencies_ms[latency_ms]
        if left <= 0:
            return latency_ms
    return max(latencies_ms)


def _pairing_id(stream: Stream, event: dict[str, Any]) -> int | None:
    """Return the id by which copies are paired; None where messages have none, or an open bar's is that of others."""
    if stream.type.continuity in (Continuity.NONE, Continuity.KLINES):
        return None
    found = event.get(dict(stream.type.ids).get("last_id", "u"))
    return found if isinstance(found, int) else None


def _kind_of(message: bytes) -> str:
    """Return the event type of a frame without a stream, `answer` for those of requests, else `unreadable`."""
    try:
        parsed = msgspec.json.decode(message)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return "unreadable"
    if not isinstance(parsed, dict):
        return "unreadable"
    return str(parsed.get("e") or ("answer" if "id" in parsed else "unreadable"))[:40]
