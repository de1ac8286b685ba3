"""Commands that make streams misbehave: `drop 3 btcusdt@depth@0ms`, with `on 2` for the second connection alone.

A stream is named by a shell pattern. Each command lays a fault (`faults`) on the streams that match; the fault is gone
once it has changed as many messages as it was told to.
"""

from collections.abc import Callable
from typing import Any

from simulator.control import faults, lies
from simulator.control.arguments import ArgumentError, Arguments
from simulator.control.faults import Fault, Item, Listener, noise
from simulator.exchange import Exchange
from simulator.publisher import PublishedStream, Subscriber
from simulator.server.frames import Encoder, fragmented_frames, masked_frame, reserved_bit_frame
from simulator.stream_names import family_of
from simulator.synthetic import SyntheticMarket

Command = Callable[[Arguments], str]
_HUGE_BYTES = 20_000_000


class StreamCommands:
    """Lays faults on streams, and sends what belongs to no stream's market."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._publisher = exchange.publisher

    def table(self) -> dict[str, Command]:
        """Return the commands by their first word; each takes the words behind it and returns what it did."""
        return {
            "stall": self._stall,
            "silent": self._silent,
            "drop": lambda arguments: self._next(arguments, faults.Drop),
            "hide": self._hide,
            "unchained": lambda arguments: self._rewrite_next(arguments, lies.unchain, family="depth"),
            "microseconds": lambda arguments: self._rewrite_next(arguments, lies.in_microseconds),
            "reclose": self._reclose,
            "stamp": self._stamp,
            "double": lambda arguments: self._next(arguments, faults.Double),
            "reorder": lambda arguments: self._next(arguments, faults.Reorder),
            "delay": self._delay,
            "truncated": lambda arguments: self._once(arguments, lambda only: faults.Truncate(1, only)),
            "unknown-field": self._unknown_field,
            "missing-field": self._missing_field,
            "huge-integer": lambda arguments: self._rewrite_once(arguments, faults.enlarge_integer),
            "wrong-symbol": lambda arguments: self._rewrite_once(arguments, faults.replace_symbol),
            "old-event": lambda arguments: self._rewrite_once(arguments, faults.make_old, valid=True),
            "fragment": self._fragment,
            "trickle": self._trickle,
            "masked": lambda arguments: self._once(arguments, _illegal(masked_frame)),
            "rsv": lambda arguments: self._once(arguments, _illegal(reserved_bit_frame)),
            "garbage": lambda arguments: self._inject(arguments, lambda _: noise(b'}{"stream": garbage, \x01 ]')),
            "huge": self._huge,
            "nested": self._nested,
            "unknown-event": lambda arguments: self._inject(
                arguments, lambda stream: _event(stream, '{"e":"unheardOf","E":1}')
            ),
            "idjump": self._idjump,
            "subscribers": self._subscribers,
        }

    def _streams(self, pattern: str) -> list[PublishedStream]:
        """Return the streams that a pattern names; refuse a pattern that names none."""
        streams = self._publisher.matching(pattern)
        if not streams:
            raise ArgumentError(f"no stream {pattern}")
        return streams

    def _heard_streams(self, pattern: str) -> list[PublishedStream]:
        """With a pattern only those that somebody listens to; a name stands for its stream in any case."""
        streams = self._streams(pattern)
        heard = [stream for stream in streams if stream.subscribers or stream.name == pattern]
        if not heard:
            raise ArgumentError(f"nobody listens to {pattern}")
        return heard

    def _lay(
        self, arguments: Arguments, streams: list[PublishedStream], make: Callable[[Listener | None], Fault]
    ) -> str:
        """Lay a fault of its own on each stream, for one connection where the command ends with `on K`."""
        arguments.end()
        chosen = [(stream, nth_subscriber(stream, arguments.connection)) for stream in streams]
        if arguments.connection is not None:
            chosen = [(stream, only) for stream, only in chosen if only]
        if not chosen:
            raise ArgumentError(f"no stream has a connection {arguments.connection}")
        for stream, only in chosen:
            stream.faults.append(make(only))
        return f"{len(chosen)} streams"

    def _once(self, arguments: Arguments, make: Callable[[Listener | None], Fault]) -> str:
        """`NAME STREAM`: a fault that changes one message."""
        return self._lay(arguments, self._heard_streams(arguments.text("STREAM")), make)

    def _next(self, arguments: Arguments, kind: Callable[[int, Listener | None], Fault]) -> str:
        """`NAME N STREAM`: a fault that changes the next N messages."""
        count = arguments.count("N")
        return self._once(arguments, lambda only: kind(count, only))

    def _hide(self, arguments: Arguments) -> str:
        """`hide N STREAM`: a loss that the chain of ids does not show; only an audit finds it."""
        count, streams = arguments.count("N"), self._heard_streams(arguments.text("STREAM"))
        if any(family_of(stream.name.partition("@")[2]) not in ("depth", "rpiDepth") for stream in streams):
            raise ArgumentError("only diff depth streams have a chain to fit")
        return self._lay(arguments, streams, lambda only: faults.Hide(count, only))

    def _rewrite_next(self, arguments: Arguments, edit: Callable[[dict[str, Any]], None], *, family: str = "") -> str:
        """`NAME N STREAM`: change the events of the next N messages, which stay market messages."""
        count, streams = arguments.count("N"), self._of_family(arguments, family)
        return self._lay(arguments, streams, lambda only: faults.Rewrite(edit, count, only, valid=True))

    def _reclose(self, arguments: Arguments) -> str:
        """`reclose N STREAM`: the next N closed bars come twice, the second time with one trade more."""
        count, streams = arguments.count("N"), self._of_family(arguments, "kline")
        return self._lay(arguments, streams, lambda only: lies.Reclose(count, only))

    def _stamp(self, arguments: Arguments) -> str:
        """`stamp N STREAM`: the next N messages have another `E` on each connection; `on K` would mean nothing."""
        if arguments.connection is not None:
            raise ArgumentError("unexpected: on")
        return self._next(arguments, lies.Stamp)

    def _of_family(self, arguments: Arguments, family: str) -> list[PublishedStream]:
        """Take the word STREAM, and refuse streams of another family; an empty family is any."""
        streams = self._heard_streams(arguments.text("STREAM"))
        if family and any(family_of(stream.name.partition("@")[2]) != family for stream in streams):
            raise ArgumentError(f"only streams of {family} can do that")
        return streams

    def _rewrite_once(
        self, arguments: Arguments, edit: Callable[[dict[str, Any]], None], *, valid: bool = False
    ) -> str:
        """`NAME STREAM`: change the event of the next message; `valid` ones have to be recorded as they are."""
        return self._once(arguments, lambda only: faults.Rewrite(edit, 1, only, valid=valid))

    def _stall(self, arguments: Arguments) -> str:
        """`stall STREAM SECONDS`: nothing comes, and no connection closes."""
        streams, seconds = self._streams(arguments.text("STREAM")), arguments.number("SECONDS")
        return self._lay(arguments, streams, lambda only: faults.Stall(seconds, only))

    def _silent(self, arguments: Arguments) -> str:
        """`silent STREAM`, and `silent off STREAM`: the same without an end."""
        pattern = arguments.text("STREAM")
        if pattern != "off":
            return self._lay(arguments, self._streams(pattern), faults.Silence)
        streams = self._streams(arguments.text("STREAM"))
        for stream in streams:
            stream.faults = [fault for fault in stream.faults if not isinstance(fault, faults.Silence)]
        return f"{len(streams)} streams"

    def _delay(self, arguments: Arguments) -> str:
        """`delay N STREAM SECONDS`: the next N messages come so much later, behind those that follow them."""
        count, streams, seconds = (
            arguments.count("N"),
            self._heard_streams(arguments.text("STREAM")),
            arguments.number("SECONDS"),
        )
        return self._lay(arguments, streams, lambda only: faults.Delay(count, seconds, only))

    def _fragment(self, arguments: Arguments) -> str:
        """`fragment N STREAM`: in three frames each, with a ping between them; a client must join them."""
        return self._next(arguments, lambda count, only: faults.Encode(fragmented_frames, count, only))

    def _trickle(self, arguments: Arguments) -> str:
        """`trickle STREAM BYTES_PER_S`: the next frame comes byte by byte, and all else waits behind it."""
        streams, bytes_per_s = self._heard_streams(arguments.text("STREAM")), arguments.number("BYTES_PER_S")
        if bytes_per_s <= 0:
            raise ArgumentError("BYTES_PER_S must be above 0")
        return self._lay(arguments, streams, lambda only: faults.Trickle(bytes_per_s, only))

    def _unknown_field(self, arguments: Arguments) -> str:
        streams, count = self._heard_streams(arguments.text("STREAM")), arguments.count("N")
        return self._lay(arguments, streams, lambda only: faults.Rewrite(faults.add_field, count, only, valid=True))

    def _missing_field(self, arguments: Arguments) -> str:
        streams, key, count = self._heard_streams(arguments.text("STREAM")), arguments.text("KEY"), arguments.count("N")
        edit, valid = faults.remove_field(key), key in faults.OPTIONAL_KEYS
        return self._lay(arguments, streams, lambda only: faults.Rewrite(edit, count, only, valid=valid))

    def _inject(self, arguments: Arguments, make: Callable[[PublishedStream], Item]) -> str:
        streams = self._heard_streams(arguments.text("STREAM"))
        arguments.end()
        return f"{sum(self._publisher.inject(stream, make(stream)) for stream in streams)} connections"

    def _huge(self, arguments: Arguments) -> str:
        pattern, size = arguments.text("STREAM"), arguments.integer("BYTES", _HUGE_BYTES)
        return self._inject(Arguments(pattern), lambda stream: _event(stream, f'{{"e":"huge","pad":"{"x" * size}"}}'))

    def _nested(self, arguments: Arguments) -> str:
        pattern, depth = arguments.text("STREAM"), arguments.count("DEPTH")
        return self._inject(Arguments(pattern), lambda stream: _event(stream, "[" * depth + "]" * depth))

    def _idjump(self, arguments: Arguments) -> str:
        streams, step = self._streams(arguments.text("STREAM")), arguments.integer("N")
        arguments.end()
        market = self._exchange.market
        if not isinstance(market, SyntheticMarket):
            raise ArgumentError("a recording keeps its ids")
        market.jump_ids([stream.name for stream in streams], step)
        return f"{len(streams)} streams"

    def _subscribers(self, arguments: Arguments) -> str:
        streams = self._streams(arguments.text("STREAM"))
        arguments.end()
        return str(sum(len(stream.subscribers) for stream in streams))


def nth_subscriber(stream: PublishedStream, number: int | None) -> Subscriber | None:
    """The connection that subscribed first is 1."""
    if number is None or not 1 <= number <= len(stream.subscribers):
        return None
    return stream.subscribers[number - 1]


def _illegal(encode: Encoder) -> Callable[[Listener | None], Fault]:
    return lambda only: faults.Encode(encode, 1, only, legal=False)


def _event(stream: PublishedStream, data: str) -> Item:
    return noise(f"{stream.head}{data}}}".encode(), is_wrapped=True)
