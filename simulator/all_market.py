"""Streams of all symbols together (docs/exchange.md §2.11): each message of a symbol's own stream is a part of them.

Liquidations and quotes go out one each, mark prices and tickers as lists of what there was in a second. All but mark
prices have parts of COIN-M contracts among them. A part stands on the tape as the message of the symbol's own stream,
with the number of connections that it came to by either way; faults of streams are not for these.
"""

from simulator.control.faults import Item
from simulator.publisher import PublishedStream, StreamPublisher

_SINGLE = {"forceOrder": "!forceOrder@arr", "bookTicker": "!bookTicker"}
_LISTS = {
    "markPrice": "!markPrice@arr",
    "markPrice@1s": "!markPrice@arr@1s",
    "miniTicker": "!miniTicker@arr",
    "ticker": "!ticker@arr",
}
_LIST_S = 1.0
_MOST_PARTS = 100
"""Of a list: contracts of stocks come in lists of their own."""
_COIN_M = b"BTCUSD_PERP"


class AllMarketStreams:
    """Hands the messages of symbols out, on their own streams and on those of all symbols."""

    def __init__(self, publisher: StreamPublisher, own: list[dict[str, PublishedStream]]) -> None:
        """`own` are the streams of each symbol by suffix: who subscribes to all of them wants each."""
        self._publisher = publisher
        self._of_all = {suffix: publisher.add_stream(name) for suffix, name in (_SINGLE | _LISTS).items()}
        for suffix, whole in self._of_all.items():
            whole.parts = [streams[suffix] for streams in own]
        self._waiting: dict[str, list[tuple[PublishedStream, bytes]]] = {suffix: [] for suffix in _LISTS}
        self._due_s = 0.0

    def publish(self, stream: PublishedStream, combined: bytes) -> None:
        """Publish a message of a symbol."""
        suffix = stream.name.partition("@")[2]
        whole = self._of_all.get(suffix)
        if whole is None or not whole.subscribers or stream.subscribers:
            self._publisher.publish(stream, combined)
        if whole is None or not whole.subscribers:
            return
        if suffix in _LISTS:
            self._waiting[suffix].append((stream, combined))
            return
        symbol = stream.name.partition("@")[0].upper().encode()
        part = combined[stream.head_bytes : -1]
        self._hand(whole, part.replace(b'"s":"%b"' % symbol, b'"s":"%b"' % _COIN_M))
        self._hand(whole, part)
        self._note([(stream, combined)], whole)

    def end_turn(self, now_s: float) -> None:
        """Send the lists of the last second, where it is over."""
        if now_s < self._due_s:
            return
        self._due_s = now_s + _LIST_S
        for suffix, waiting in self._waiting.items():
            whole = self._of_all[suffix]
            for at in range(0, len(waiting), _MOST_PARTS):
                some = waiting[at : at + _MOST_PARTS]
                self._hand(whole, b"[" + b",".join(combined[one.head_bytes : -1] for one, combined in some) + b"]")
                self._note(some, whole)
            waiting.clear()

    def _hand(self, whole: PublishedStream, data: bytes) -> None:
        whole.produced += 1
        self._publisher.hand(whole, Item(whole.head.encode() + data + b"}"))

    def _note(self, some: list[tuple[PublishedStream, bytes]], whole: PublishedStream) -> None:
        for stream, combined in some:
            if not stream.subscribers:
                stream.produced += 1
                self._publisher.note(combined, len(whole.subscribers))
