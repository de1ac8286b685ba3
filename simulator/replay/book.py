"""The order book that a capture's snapshot and updates lead to, as REST text."""

import json
from typing import Any

from simulator.server.http import compact_json


class ReplayBook:
    """Both sides as {price: [price, quantity]}; the exchange's own digits are kept.

    Before a snapshot it holds what the updates said so far.
    """

    def __init__(self) -> None:
        self._sides: tuple[dict[float, list[str]], dict[float, list[str]]] = ({}, {})
        self._last_update_id = 0
        self._event_time_ms = self._transact_time_ms = 0
        self._last_of_stream: int | None = None
        self.is_broken = False
        """True from an update that does not follow the one before it, to the next snapshot."""

    def reset(self, snapshot: bytes) -> None:
        """Begin anew with the body of a depth answer."""
        body = json.loads(snapshot)
        self.is_broken = False
        self._sides = ({}, {})
        self._set(body["bids"], body["asks"])
        self._stamp(body["lastUpdateId"], body)

    def apply(self, frame: bytes) -> None:
        """A depth update in combined form; what the snapshot already contains is ignored."""
        event = json.loads(frame)["data"]
        self.is_broken = self.is_broken or self._last_of_stream not in (None, event["pu"])
        self._last_of_stream = event["u"]
        if event["u"] > self._last_update_id:
            self._set(event["b"], event["a"])
            self._stamp(event["u"], event)

    def _set(self, bids: list[list[str]], asks: list[list[str]]) -> None:
        for levels, side in zip((bids, asks), self._sides, strict=True):
            for price, quantity in levels:
                if float(quantity):
                    side[float(price)] = [price, quantity]
                else:
                    side.pop(float(price), None)

    def _stamp(self, update_id: int, times: dict[str, Any]) -> None:
        self._last_update_id = update_id
        self._event_time_ms, self._transact_time_ms = times.get("E", 0), times.get("T", 0)

    def body(self, limit: int) -> bytes:
        """Return the book as a depth answer of up to `limit` levels a side, best first."""
        bids, asks = self._sides
        answer = {
            "lastUpdateId": self._last_update_id,
            "E": self._event_time_ms,
            "T": self._transact_time_ms,
            "bids": [bids[price] for price in sorted(bids, reverse=True)[:limit]],
            "asks": [asks[price] for price in sorted(asks)[:limit]],
        }
        return compact_json(answer).encode()
