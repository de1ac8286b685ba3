"""Streams, their subscribers, and the one way a market message goes out: to subscribers and onto the tape.

A message is encoded once for each form (combined, raw), not for each connection. Its line on the tape says how many
connections it was handed to: 0 where nobody listened, or a fault lost it.
"""

import time
from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from typing import Protocol

from simulator.control.faults import Fault, Item, Listener
from simulator.server.frames import text_frame
from simulator.tape import Tape


class Subscriber(Listener, Protocol):
    """A websocket connection as the publisher sees it."""

    @property
    def is_combined(self) -> bool:
        """True where messages come in the wrapper that names their stream."""

    def hand(self, frame: bytes) -> None:
        """Take a frame that leaves with the next flush."""

    def trickle(self, frame: bytes, bytes_per_s: float) -> None:
        """Send a frame byte by byte; what comes later waits behind it."""

    def flush(self) -> None:
        """Write what was handed out."""


class PublishedStream:
    """One stream: its subscribers, its faults and its counts.

    `head` is the text before the inner JSON of the combined form, which ends with one brace more.
    """

    __slots__ = (
        "delivered",
        "faults",
        "has_been_subscribed",
        "head",
        "head_bytes",
        "name",
        "parts",
        "produced",
        "subscribers",
    )

    def __init__(self, name: str) -> None:
        self.name = name
        self.head = f'{{"stream":"{name}","data":'
        self.head_bytes = len(self.head.encode())
        self.subscribers: list[Subscriber] = []
        self.parts: list[PublishedStream] = []
        """Of a stream of all symbols: their own streams, whose messages it brings."""
        self.has_been_subscribed = False
        self.faults: list[Fault] = []
        self.produced = 0
        self.delivered = 0


class StreamPublisher:
    """All streams of the exchange. `later(seconds, function)` runs a function after a time."""

    def __init__(self, tape: Tape, later: Callable[[float, Callable[[], None]], object]) -> None:
        self.streams: dict[str, PublishedStream] = {}
        self.is_hung = False
        self.ignores_routes = False
        """True where every path delivers every stream, whatever docs/exchange.md §1.1 says."""
        self.on_subscribe: Callable[[], None] = lambda: None
        self._tape = tape
        self._later = later
        self._unflushed: set[Subscriber] = set()

    def add_stream(self, name: str) -> PublishedStream:
        """Return the stream of this name, made where there is none."""
        return self.streams.setdefault(name, PublishedStream(name))

    def matching(self, pattern: str) -> list[PublishedStream]:
        """Return the streams that a shell pattern names: `*`, `btcusdt@*`, `*@depth@0ms`."""
        return [stream for name, stream in self.streams.items() if fnmatchcase(name, pattern)]

    def subscribe(self, name: str, subscriber: Subscriber) -> None:
        """Add a subscriber; unknown names are as silent here as on the exchange."""
        stream = self.streams.get(name)
        if stream is not None and subscriber not in stream.subscribers:
            stream.subscribers.append(subscriber)
            for one in (stream, *stream.parts):
                one.has_been_subscribed = True
            self.on_subscribe()

    def unsubscribe(self, name: str, subscriber: Subscriber) -> None:
        """Remove a subscriber, if it is one."""
        stream = self.streams.get(name)
        if stream is not None and subscriber in stream.subscribers:
            stream.subscribers.remove(subscriber)

    def publish(self, stream: PublishedStream, combined: bytes) -> None:
        """Send a market message to all who listen, byte-identical, and write its line onto the tape."""
        stream.produced += 1
        subscribers = stream.subscribers
        if subscribers and (stream.faults or self.is_hung):
            self._publish_through_faults(stream, combined)
            return
        self._tape.market(time.time_ns(), len(subscribers), combined)
        if subscribers:
            self._hand(stream, Item(combined), subscribers)

    def hand(self, stream: PublishedStream, item: Item) -> None:
        """Send something to all who listen, and write nothing onto the tape."""
        self._hand(stream, item, stream.subscribers)

    def note(self, combined: bytes, copies: int) -> None:
        """Write the line of a market message onto the tape that came to so many connections by another stream."""
        self._tape.market(time.time_ns(), copies, combined)

    def _hand(self, stream: PublishedStream, item: Item, subscribers: Iterable[Subscriber]) -> None:
        combined = raw = b""
        for subscriber in subscribers:
            if subscriber.is_combined or not item.is_wrapped:
                frame = combined = combined or item.encode(item.payload)
            else:
                frame = raw = raw or item.encode(item.payload[stream.head_bytes : -1])
            if item.trickle_bytes_per_s:
                subscriber.trickle(frame, item.trickle_bytes_per_s)
            else:
                subscriber.hand(frame)
            self._unflushed.add(subscriber)
            stream.delivered += 1

    def _publish_through_faults(self, stream: PublishedStream, combined: bytes) -> None:
        items = [(Item(combined, is_lost=self.is_hung), list(stream.subscribers))]
        for fault in stream.faults:
            items = [out for item, to in items for out in _apply(fault, item, to)]
        stream.faults = [fault for fault in stream.faults if not fault.is_over()]
        self._deliver(stream, items)

    def _deliver(self, stream: PublishedStream, items: list[tuple[Item, list[Subscriber]]]) -> None:
        """Hands out what the faults made of a message; a line per version of it, in the order sent."""
        copies: dict[bytes, int] = {}
        sent_ns = time.time_ns()
        for item, to in items:
            if item.delay_s:
                self._later(item.delay_s, lambda item=item, to=to: self._deliver_late(stream, item, to))  # type: ignore[misc]
                continue
            if not item.is_lost:
                self._hand(stream, item, to)
            if item.is_market:
                copies[item.payload] = copies.get(item.payload, 0) + (0 if item.is_lost else len(to))
            else:
                self._tape.noise(sent_ns, stream.name, item.payload)
        for payload, count in copies.items():
            self._tape.market(sent_ns, count, payload)

    def _deliver_late(self, stream: PublishedStream, item: Item, to: list[Subscriber]) -> None:
        still_here = [subscriber for subscriber in to if subscriber in stream.subscribers]
        self._deliver(stream, [(item.now(), still_here)])
        self.flush()

    def inject(self, stream: PublishedStream, item: Item) -> int:
        """Send something that is no market message; return how many got it."""
        self._deliver(stream, [(item, list(stream.subscribers))])
        self.flush()
        return len(stream.subscribers)

    def send_to_all(self, subscribers: Iterable[Subscriber], payload: bytes) -> None:
        """Send something of no stream, in the same form to everybody."""
        self._tape.noise(time.time_ns(), "-", payload)
        for subscriber in subscribers:
            subscriber.hand(text_frame(payload))
            subscriber.flush()

    def flush(self) -> None:
        """Write what was handed out since the last flush: one write for the tape, then one per connection."""
        self._tape.flush()
        for subscriber in self._unflushed:
            subscriber.flush()
        self._unflushed.clear()


def _apply(fault: Fault, item: Item, to: list[Subscriber]) -> list[tuple[Item, list[Subscriber]]]:
    """Return what a fault makes of an item; a fault of one connection leaves the others' as it is."""
    if item.is_lost or not item.is_market or item.delay_s:
        return [(item, to)]
    if fault.is_per_connection:
        return [(copy, [one]) for copy, one in zip(fault.copies(item, len(to)), to, strict=True)]
    if fault.only is None:
        return [(out, to) for out in fault.change(item)]
    hit = [subscriber for subscriber in to if subscriber is fault.only]
    spared = [subscriber for subscriber in to if subscriber is not fault.only]
    out = [(item, spared)] if spared else []
    return out + [(out_item, hit) for out_item in fault.change(item)] if hit else out
