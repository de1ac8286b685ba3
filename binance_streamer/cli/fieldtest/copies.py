"""Copies of one message over two connections: byte-identical, different, or on one connection only.

docs/exchange.md §7.4 says that copies are byte-identical; streams without ids are told apart by that alone. Messages
are paired by their id, those without an id by their bytes but for the event time, in the order in which they came.
"""

import re
from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass, field

import msgspec

SIDES = 2
_PATIENCE_S = 15.0
"""A copy that is later than the other one by more has not come. A lag of 15 s is what the recorder calls late."""
_EVENT_TIME = re.compile(rb'"E":\d+')


@dataclass
class CopyTally:
    """Numbers of messages of one stream by what their two copies were; `differ_in` counts the keys that differ."""

    identical: int = 0
    different: int = 0
    alone: int = 0
    differ_in: Counter[str] = field(default_factory=Counter)


class CopyComparison:
    """Pairs the messages of one stream that come over two connections, 0 and 1.

    A message waits for its copy in the order of its arrival. Those with an id are compared with the next one of the
    same id. Of those without an id only equal bytes are a pair at once: a mark price that does not change is the same
    but for its event time, second after second. What differs in that alone is paired when it has waited long enough.
    """

    def __init__(self) -> None:
        self.tally = CopyTally()
        self._waiting: tuple[_Waiting, ...] = tuple({} for _ in range(SIDES))
        self._has_begun = [False] * SIDES

    def reopened(self, side: int) -> None:
        """Take note that a connection begins anew: what the other one brought meanwhile has no copy.

        What that is shows only in the first message of the new connection, which the other one may have brought before.
        """
        self._has_begun[side] = False

    def take(self, side: int, message: bytes, *, id: int | None, now_s: float) -> None:  # noqa: A002
        """Take a message of a connection; `id` is the exchange's, None where it has none."""
        key: Hashable = _EVENT_TIME.sub(b"", message, count=1) if id is None else id
        own, other = self._waiting[side], self._waiting[1 - side]
        if not self._has_begun[side]:
            self._has_begun[side] = True
            _drop_before(other, key, message)
        copies = other.get(key, [])
        place = next((place for place, (copy, _) in enumerate(copies) if copy == message), None)
        if place is not None or (copies and id is not None):
            self._compare(message, _pop(other, key, place or 0))
        else:
            own.setdefault(key, []).append((message, now_s))
        self._expire(side, now_s)

    def _compare(self, message: bytes, copy: bytes) -> None:
        if message == copy:
            self.tally.identical += 1
            return
        self.tally.different += 1
        self.tally.differ_in.update(_keys_that_differ(message, copy) or ["the order or the spaces"])

    def _expire(self, side: int, now_s: float) -> None:
        """Count what a side has waited for too long; before the other one has begun, nothing has copies."""
        own, other = self._waiting[side], self._waiting[1 - side]
        while own:
            key = next(iter(own))
            if now_s - own[key][0][1] <= _PATIENCE_S:
                return
            message = _pop(own, key, 0)
            if other.get(key):
                self._compare(message, _pop(other, key, 0))
            else:
                self.tally.alone += self._has_begun[1 - side]


_Waiting = dict[Hashable, list[tuple[bytes, float]]]
"""Messages that have no copy yet by their key, each with the time of its arrival."""


def _pop(waiting: _Waiting, key: Hashable, place: int) -> bytes:
    """Remove and return a message with this key, by its place among them."""
    messages = waiting[key]
    message, _ = messages.pop(place)
    if not messages:
        del waiting[key]
    return message


def _drop_before(waiting: _Waiting, key: Hashable, message: bytes) -> None:
    """Forget what came before the first message of a connection that has just begun: it has no copies there."""
    for earlier in list(waiting):
        if earlier == key:
            same = [pair for pair in waiting[key] if pair[0] == message]
            waiting[key] = same or waiting[key]
            return
        del waiting[earlier]


def _keys_that_differ(message: bytes, copy: bytes) -> list[str]:
    """Return the keys of the events whose values differ, those of the object inside as `k.n`."""
    first, second = (_flat(msgspec.json.decode(one)["data"]) for one in (message, copy))
    return sorted(key for key in first.keys() | second.keys() if first.get(key) != second.get(key))


def _flat(event: dict[str, object]) -> dict[str, object]:
    """Return the event with the members of the objects in it beside its own."""
    flat: dict[str, object] = {}
    for key, value in event.items():
        flat |= {f"{key}.{inner}": one for inner, one in value.items()} if isinstance(value, dict) else {key: value}
    return flat
