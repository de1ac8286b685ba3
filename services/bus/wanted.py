"""The topics that publishers are asked for: those that somebody subscribes to, in few and short prefixes.

What nobody subscribes to is then dropped where it is published, which costs a microsecond and no wake of another
thread. A publisher keeps each prefix that it hears of, so their number is bounded whatever subscribers ask for: where
there are too many, they are cut shorter, down to the stream type, and at last to the one that stands for everything. A
shorter prefix lets more through, never less; who gets what is decided at the subscribers' end as before.
"""

from collections.abc import Iterable

import zmq

_MOST = 64
_LONGEST_BYTES = 64
"""A publisher keeps 64 times 64 bytes, some 160 KB in libzmq; an ordinary prefix has about 20."""
_PARTS = (2, 1)
"""`depth.BTCUSDT.` of `depth.BTCUSDT.0ms`, else `depth.`."""


def prefixes_of(topics: Iterable[bytes]) -> list[bytes]:
    """Return at most 64 prefixes under which all these topics fall, in the order of the topics."""
    known = list(topics)
    for parts in _PARTS:
        found = dict.fromkeys(_cut(topic, parts) for topic in known)
        if b"" in found:
            break
        if len(found) <= _MOST:
            return list(found)
    return [b""] if known else []


def _cut(topic: bytes, parts: int) -> bytes:
    words = topic.split(b".", parts)
    return b".".join([*words[:parts], b""])[:_LONGEST_BYTES] if len(words) > parts else topic[:_LONGEST_BYTES]


class Wanted:
    """Subscribes a SUB, to which publishers publish, to what is wanted now; used by the thread that has the socket."""

    def __init__(self, intake: "zmq.Socket[bytes]") -> None:
        self._intake = intake
        self._subscribed: dict[bytes, None] = {}

    def widen(self, topics: Iterable[bytes]) -> None:
        """Subscribe to what these topics need beside all those before, in their order."""
        self._subscribe(prefixes_of([*self._subscribed, *topics]))

    def narrow(self, topics: Iterable[bytes]) -> None:
        """Subscribe to nothing else any more. First to what is needed: nothing is missed between two prefixes."""
        wanted = prefixes_of(topics)
        self._subscribe(wanted)
        for prefix in self._subscribed.keys() - set(wanted):
            del self._subscribed[prefix]
            self._intake.setsockopt(zmq.UNSUBSCRIBE, prefix)

    def _subscribe(self, prefixes: Iterable[bytes]) -> None:
        for prefix in prefixes:
            if prefix not in self._subscribed:
                self._subscribed[prefix] = None
                self._intake.setsockopt(zmq.SUBSCRIBE, prefix)
