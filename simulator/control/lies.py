"""Lies: an exchange that is otherwise than docs/exchange.md says, message by message.

The recorder relies on what that page says. Each lie breaks one of its sentences, so that `binance-streamer fieldtest`
can be shown to notice: copies that differ, a chain that does not join, times in another unit, bars that close twice,
rows of REST that differ from the streamed ones.
"""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from simulator.control.faults import Fault, Item
from simulator.server.http import compact_json

_EVENT_TIME = re.compile(rb'"E":(\d+)')
_LEAST_TIME_MS = 1_000_000_000_000  # 2001: smaller numbers are ids and counts, or no times


class Stamp(Fault):
    """Gives each connection an event time of its own, as spot does (docs/exchange.md §7.4)."""

    is_per_connection = True

    def copies(self, item: Item, count: int) -> list[Item]:
        """Return the item for each connection in turn: the first as it is, each further one a millisecond later."""
        self.left -= 1
        return [replace(item, payload=_later(item.payload, number)) for number in range(count)]


class Reclose(Fault):
    """Sends closed bars twice, the second time with one trade more: the exchange's closed bars are final (§2.6)."""

    def change(self, item: Item) -> list[Item]:
        """Return open bars as they are: only closed ones count as messages of this fault."""
        return super().change(item) if json.loads(item.payload)["data"]["k"]["x"] else [item]

    def changed(self, item: Item) -> list[Item]:
        """Return the closed bar, and another one of the same minute."""
        message = json.loads(item.payload)
        message["data"]["k"]["n"] += 1
        return [item, replace(item, payload=compact_json(message).encode())]


def unchain(event: dict[str, Any]) -> None:
    """Set `pu` to another id than that of the update before (docs/exchange.md §2.2)."""
    event["pu"] -= 1


def in_microseconds(event: dict[str, Any]) -> None:
    """Write all times of the event in microseconds, as the archive of spot does since 2025."""
    for owner in (event, event.get("k"), event.get("o")):
        if isinstance(owner, dict):
            for key in {"E", "T"} & owner.keys():
                owner[key] *= 1000 if owner[key] > _LEAST_TIME_MS else 1


def differing(key: str) -> Callable[[bytes], bytes]:
    """Return a change of REST's rows: the value of this key is another one in each of them."""

    def change(body: bytes) -> bytes:
        rows = json.loads(body)
        for row in rows:
            row[key] = _another(row[key])
        return compact_json(rows).encode()

    return change


def _later(payload: bytes, step_ms: int) -> bytes:
    """Return the message with the event time later by so many ms, byte for byte the same otherwise."""
    return _EVENT_TIME.sub(lambda match: b'"E":%d' % (int(match[1]) + step_ms), payload, count=1)


def _another(value: Any) -> Any:
    """Return a value of the same type: the last digit of a text is one higher, 9 becomes 0."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    return f"{value[:-1]}{(int(value[-1]) + 1) % 10}"
