"""Faults of a stream's messages on their way: each one turns a message into none, one or several.

Faults are laid on a stream one behind the other, and each sees what the one before has left. A fault never touches the
market itself: what it drops stands on the tape as lost (0 copies), so that a recording can be judged against the tape.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

from simulator.server.frames import Encoder, text_frame
from simulator.server.http import compact_json


class Listener(Protocol):
    """A connection, as far as a fault that concerns one connection only must know it."""

    is_open: bool


@dataclass(frozen=True, slots=True)
class Item:
    """A message in combined form on its way to some connections."""

    payload: bytes
    is_market: bool = True  # else it is noise
    is_lost: bool = False  # nobody gets it, the tape says so
    is_wrapped: bool = True  # the raw form can be cut out of it
    delay_s: float = 0.0
    trickle_bytes_per_s: float = 0.0
    encode: Encoder = text_frame

    def now(self) -> "Item":
        """Return the same item without its delay, for when that is over."""
        return replace(self, delay_s=0.0)


def noise(payload: bytes, encode: Encoder = text_frame, *, is_wrapped: bool = False) -> Item:
    """Return an item that is no market message; the tape lists it apart, and no recorder has to keep it."""
    return Item(payload, is_market=False, is_wrapped=is_wrapped, encode=encode)


class Fault:
    """Changes the next `left` messages of a stream, or of one of its connections (`only`)."""

    is_per_connection = False
    """True where each connection gets a version of its own, made by `copies`."""

    def __init__(self, left: float, only: Listener | None = None) -> None:
        self.left = left
        self.only = only

    def is_over(self) -> bool:
        """Return True once the fault will change nothing more, also because its connection has ended."""
        return self.left <= 0 or (self.only is not None and not self.only.is_open)

    def change(self, item: Item) -> list[Item]:
        """Return what becomes of an item: the item itself, or what `changed` makes of it while any is left."""
        if self.left <= 0:
            return [item]
        self.left -= 1
        return self.changed(item)

    def changed(self, item: Item) -> list[Item]:
        """Return what this kind of fault makes of an item, in the order in which it is sent."""
        raise NotImplementedError

    def copies(self, item: Item, count: int) -> list[Item]:
        """Return the version for each of `count` connections, where `is_per_connection`."""
        raise NotImplementedError


class Drop(Fault):
    """Loses messages: nobody gets them."""

    def changed(self, item: Item) -> list[Item]:
        """Return the item, marked as lost."""
        return [replace(item, is_lost=True)]


class Hide(Fault):
    """Drops updates of a diff depth stream, and joins the one behind them to the one before: the chain fits.

    The exchange has lost updates without a trace in `pu`; only an audit with a snapshot can find that.
    """

    def __init__(self, left: int, only: Listener | None = None) -> None:
        super().__init__(left, only)
        self._hangs_on: int | None = None

    def is_over(self) -> bool:
        return super().is_over() and self._hangs_on is None

    def change(self, item: Item) -> list[Item]:
        message = json.loads(item.payload)
        if self.left > 0:
            self.left -= 1
            self._hangs_on = message["data"]["pu"] if self._hangs_on is None else self._hangs_on
            return [replace(item, is_lost=True)]
        if self._hangs_on is None:
            return [item]
        message["data"]["pu"], self._hangs_on = self._hangs_on, None
        return [replace(item, payload=compact_json(message).encode())]


class Silence(Drop):
    """Drops everything until a command lifts it; the connection stays open and answers pings."""

    def __init__(self, only: Listener | None = None) -> None:
        super().__init__(float("inf"), only)


class Stall(Drop):
    """Drops everything for a time."""

    def __init__(self, seconds: float, only: Listener | None = None) -> None:
        super().__init__(float("inf"), only)
        self._until_s = time.monotonic() + seconds

    def is_over(self) -> bool:
        return super().is_over() or time.monotonic() >= self._until_s

    def change(self, item: Item) -> list[Item]:
        return [item] if self.is_over() else super().change(item)


class Double(Fault):
    """Sends each message twice, as the exchange does now and then."""

    def changed(self, item: Item) -> list[Item]:
        return [item, item]


class Reorder(Fault):
    """Swaps neighbours: 1,2,3,4 becomes 2,1,4,3. An odd number is rounded up."""

    def __init__(self, left: int, only: Listener | None = None) -> None:
        super().__init__(left + left % 2, only)
        self._held: Item | None = None

    def changed(self, item: Item) -> list[Item]:
        held, self._held = self._held, None
        if held is not None:
            return [item, held]
        self._held = item
        return []


class Delay(Fault):
    """Stragglers: sent later, after those that followed them."""

    def __init__(self, left: int, seconds: float, only: Listener | None = None) -> None:
        super().__init__(left, only)
        self._seconds = seconds

    def changed(self, item: Item) -> list[Item]:
        return [replace(item, delay_s=self._seconds)]


class Encode(Fault):
    """Sends the same message in other frames; `legal` ones are still market messages."""

    def __init__(self, encode: Encoder, left: int, only: Listener | None = None, *, legal: bool = True) -> None:
        super().__init__(left, only)
        self._encode, self._legal = encode, legal

    def changed(self, item: Item) -> list[Item]:
        if self._legal:
            return [replace(item, encode=self._encode)]
        return [replace(item, is_lost=True), noise(item.payload, self._encode, is_wrapped=True)]


class Trickle(Fault):
    """Sends a frame byte by byte, as a connection that is nearly dead does."""

    def __init__(self, bytes_per_s: float, only: Listener | None = None) -> None:
        super().__init__(1, only)
        self._bytes_per_s = bytes_per_s

    def changed(self, item: Item) -> list[Item]:
        return [replace(item, trickle_bytes_per_s=self._bytes_per_s)]


class Truncate(Fault):
    """Cuts the JSON text in the middle, in a frame that is whole."""

    def changed(self, item: Item) -> list[Item]:
        return [replace(item, is_lost=True), noise(item.payload[: len(item.payload) // 2])]


class Rewrite(Fault):
    """Changes the event. `valid` events remain market messages, in their changed form; others are noise."""

    def __init__(
        self, edit: Callable[[dict[str, Any]], None], left: int, only: Listener | None = None, *, valid: bool
    ) -> None:
        super().__init__(left, only)
        self._edit, self._valid = edit, valid

    def changed(self, item: Item) -> list[Item]:
        message = json.loads(item.payload)
        self._edit(message["data"])
        payload = compact_json(message).encode()
        if self._valid:
            return [replace(item, payload=payload)]
        return [replace(item, is_lost=True), noise(payload, is_wrapped=True)]


OPTIONAL_KEYS = frozenset({"nq", "ps", "st", "ap"})  # came with API changes; older messages lack them
_TIME_KEYS = frozenset({"E", "T", "t"})
_DAY_MS = 86_400_000


def add_field(event: dict[str, Any]) -> None:
    """Add a key that no documentation has: the exchange adds some without notice (docs/exchange.md §2)."""
    event["zz"] = 1


def remove_field(key: str) -> Callable[[dict[str, Any]], None]:
    """Return an edit that removes a key of the event, or of the object inside it (`k`, `o`)."""

    def edit(event: dict[str, Any]) -> None:
        inner = event.get("k") or event.get("o")
        owner = event if key in event or not isinstance(inner, dict) else inner
        owner.pop(key, None)

    return edit


def enlarge_integer(event: dict[str, Any]) -> None:
    """Set the stream's id, or the event time where it has none, to 2^70: more than 64 bits hold."""
    key = next(key for key in ("a", "u", "t", "E") if isinstance(event.get(key), int))
    event[key] = 1 << 70


def replace_symbol(event: dict[str, Any]) -> None:
    """Name another symbol in the event, as if a message had got into the wrong stream."""
    for owner in (event, event.get("k"), event.get("o")):
        if isinstance(owner, dict) and "s" in owner:
            owner["s"] = "WRONGUSDT"


def make_old(event: dict[str, Any]) -> None:
    """Set all times of the event a day back; numbers of other meaning are left alone."""
    for owner in (event, event.get("k"), event.get("o")):
        if isinstance(owner, dict):
            for key in _TIME_KEYS & owner.keys():
                if isinstance(owner[key], int) and owner[key] > 1_000_000_000_000:
                    owner[key] -= _DAY_MS
