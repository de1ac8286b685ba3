"""Takes apart what comes by streams of all symbols together: each part becomes a message of the symbol's own stream.

    {"stream":"!markPrice@arr@1s","data":[{"e":"markPriceUpdate","s":"BTCUSDT",…},{…}]}
    {"stream":"btcusdt@markPrice@1s","data":{"e":"markPriceUpdate","s":"BTCUSDT",…}}

So a part is judged, recorded and proven like any message, and its bytes stay as they came. This is done before all
else, so that nobody behind it knows streams of all symbols. Parts of other symbols are counted: these streams bring two
markets (docs/exchange.md §2.11).
"""

from collections import Counter
from collections.abc import Iterable

import msgspec

from binance_streamer.exchange.messages import UNREADABLE
from binance_streamer.exchange.streams import Stream
from services.ingest.connections.events import Delivered
from services.ingest.streams import demux


class _Order(msgspec.Struct, frozen=True, gc=False):
    s: str = ""


class _Part(msgspec.Struct, frozen=True, gc=False):
    """A part, as far as it names its symbol."""

    s: str = ""


class _Liquidation(msgspec.Struct, frozen=True, gc=False):
    """Names its symbol in the order; other parts have a price as `o`."""

    o: _Order


_decode_parts = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_part = msgspec.json.Decoder(_Part).decode
_decode_liquidation = msgspec.json.Decoder(_Liquidation).decode


class AllMarket:
    """Knows the streams of a worker that come by those of all symbols together."""

    def __init__(self) -> None:
        self.others: Counter[str] = Counter()
        """Parts of symbols that this worker does not record, by stream."""
        self._names: dict[tuple[bytes, str], bytes] = {}
        self._of_all: frozenset[bytes] = frozenset()

    def follow(self, streams: Iterable[Stream]) -> None:
        """Record these streams from now on."""
        found = [stream for stream in streams if stream.of_all]
        self._names = {(stream.of_all.encode(), stream.symbol): stream.name.encode() for stream in found}
        self._of_all = frozenset(name for name, _ in self._names)

    def apart(self, delivered: Delivered) -> Delivered:
        """Return the messages with those of all symbols taken apart; what cannot be read stays, a part for itself."""
        if not self._of_all:
            return delivered
        connection, stamps_ns, messages, size_bytes = delivered
        found: list[bytes] = []
        found_ns: list[int] = []
        for recv_ns, message in zip(stamps_ns, messages, strict=True):
            parts = self._parts_of(message)
            found += parts
            found_ns += [recv_ns] * len(parts)
        return Delivered(connection, found_ns, found, size_bytes)

    def _parts_of(self, message: bytes) -> list[bytes]:
        name, data = demux.split(message)
        if not name:
            name, data = demux.parse(message) or (b"", b"")
        if name not in self._of_all:
            return [message]
        try:
            parts = [bytes(part) for part in _decode_parts(data)] if data.lstrip().startswith(b"[") else [data]
        except UNREADABLE:
            return [message]
        found = []
        for part in parts:
            symbol = _symbol_of(part)
            own = self._names.get((name, symbol)) if symbol else name
            if own is None:
                self.others[name.decode()] += 1
            else:
                found.append(demux.joined(own, part))
        return found


def _symbol_of(part: bytes) -> str:
    """Return the symbol of a part; empty where it names none."""
    try:
        return _decode_part(part).s or _decode_liquidation(part).o.s
    except UNREADABLE:
        return ""
