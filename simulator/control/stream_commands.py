"""The commands that make streams misbehave."""

from collections.abc import Callable
from typing import Any

from simulator.control import faults
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
    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._hub = exchange.hub

    def table(self) -> dict[str, Command]:
        return {
            "stall": self._stall,
            "silent": self._silent,
            "drop": lambda words: self._next(words, faults.Drop),
            "hide": self._hide,
            "double": lambda words: self._next(words, faults.Double),
            "reorder": lambda words: self._next(words, faults.Reorder),
            "delay": self._delay,
            "truncated": lambda words: self._once(words, lambda only: faults.Truncate(1, only)),
            "unknown-field": self._unknown_field,
            "missing-field": self._missing_field,
            "huge-integer": lambda words: self._rewrite_once(words, faults.enlarge_integer),
            "wrong-symbol": lambda words: self._rewrite_once(words, faults.replace_symbol),
            "old-event": lambda words: self._rewrite_once(words, faults.make_old, valid=True),
            "fragment": self._fragment,
            "trickle": self._trickle,
            "masked": lambda words: self._once(words, _illegal(masked_frame)),
            "rsv": lambda words: self._once(words, _illegal(reserved_bit_frame)),
            "garbage": lambda words: self._inject(words, lambda _: noise(b'}{"stream": garbage, \x01 ]')),
            "huge": self._huge,
            "nested": self._nested,
            "unknown-event": lambda words: self._inject(
                words, lambda stream: _event(stream, '{"e":"unheardOf","E":1}')
            ),
            "idjump": self._idjump,
            "subscribers": self._subscribers,
        }

    def _streams(self, pattern: str) -> list[PublishedStream]:
        streams = self._hub.matching(pattern)
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

    def _lay(self, words: Arguments, streams: list[PublishedStream], make: Callable[[Listener | None], Fault]) -> str:
        words.end()
        chosen = [(stream, nth_subscriber(stream, words.connection)) for stream in streams]
        if words.connection is not None:
            chosen = [(stream, only) for stream, only in chosen if only]
        if not chosen:
            raise ArgumentError(f"no stream has a connection {words.connection}")
        for stream, only in chosen:
            stream.faults.append(make(only))
        return f"{len(chosen)} streams"

    def _once(self, words: Arguments, make: Callable[[Listener | None], Fault]) -> str:
        return self._lay(words, self._heard_streams(words.text("STREAM")), make)

    def _next(self, words: Arguments, kind: Callable[[int, Listener | None], Fault]) -> str:
        count = words.count("N")
        return self._once(words, lambda only: kind(count, only))

    def _hide(self, words: Arguments) -> str:
        count, streams = words.count("N"), self._heard_streams(words.text("STREAM"))
        if any(family_of(stream.name.partition("@")[2]) not in ("depth", "rpiDepth") for stream in streams):
            raise ArgumentError("only diff depth streams have a chain to fit")
        return self._lay(words, streams, lambda only: faults.Hide(count, only))

    def _rewrite_once(self, words: Arguments, edit: Callable[[dict[str, Any]], None], *, valid: bool = False) -> str:
        return self._once(words, lambda only: faults.Rewrite(edit, 1, only, valid=valid))

    def _stall(self, words: Arguments) -> str:
        streams, seconds = self._streams(words.text("STREAM")), words.number("SECONDS")
        return self._lay(words, streams, lambda only: faults.Stall(seconds, only))

    def _silent(self, words: Arguments) -> str:
        pattern = words.text("STREAM")
        if pattern != "off":
            return self._lay(words, self._streams(pattern), faults.Silence)
        streams = self._streams(words.text("STREAM"))
        for stream in streams:
            stream.faults = [fault for fault in stream.faults if not isinstance(fault, faults.Silence)]
        return f"{len(streams)} streams"

    def _delay(self, words: Arguments) -> str:
        count, streams, seconds = words.count("N"), self._heard_streams(words.text("STREAM")), words.number("SECONDS")
        return self._lay(words, streams, lambda only: faults.Delay(count, seconds, only))

    def _fragment(self, words: Arguments) -> str:
        return self._next(words, lambda count, only: faults.Encode(fragmented_frames, count, only))

    def _trickle(self, words: Arguments) -> str:
        streams, bytes_per_s = self._heard_streams(words.text("STREAM")), words.number("BYTES_PER_S")
        if bytes_per_s <= 0:
            raise ArgumentError("BYTES_PER_S must be above 0")
        return self._lay(words, streams, lambda only: faults.Trickle(bytes_per_s, only))

    def _unknown_field(self, words: Arguments) -> str:
        streams, count = self._heard_streams(words.text("STREAM")), words.count("N")
        return self._lay(words, streams, lambda only: faults.Rewrite(faults.add_field, count, only, valid=True))

    def _missing_field(self, words: Arguments) -> str:
        streams, key, count = self._heard_streams(words.text("STREAM")), words.text("KEY"), words.count("N")
        edit, valid = faults.remove_field(key), key in faults.OPTIONAL_KEYS
        return self._lay(words, streams, lambda only: faults.Rewrite(edit, count, only, valid=valid))

    def _inject(self, words: Arguments, make: Callable[[PublishedStream], Item]) -> str:
        streams = self._heard_streams(words.text("STREAM"))
        words.end()
        return f"{sum(self._hub.inject(stream, make(stream)) for stream in streams)} connections"

    def _huge(self, words: Arguments) -> str:
        pattern, size = words.text("STREAM"), words.integer("BYTES", _HUGE_BYTES)
        return self._inject(Arguments(pattern), lambda stream: _event(stream, f'{{"e":"huge","pad":"{"x" * size}"}}'))

    def _nested(self, words: Arguments) -> str:
        pattern, depth = words.text("STREAM"), words.count("DEPTH")
        return self._inject(Arguments(pattern), lambda stream: _event(stream, "[" * depth + "]" * depth))

    def _idjump(self, words: Arguments) -> str:
        streams, step = self._streams(words.text("STREAM")), words.integer("N")
        words.end()
        market = self._exchange.market
        if not isinstance(market, SyntheticMarket):
            raise ArgumentError("a recording keeps its ids")
        market.jump_ids([stream.name for stream in streams], step)
        return f"{len(streams)} streams"

    def _subscribers(self, words: Arguments) -> str:
        streams = self._streams(words.text("STREAM"))
        words.end()
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
