"""Requests of clients on a websocket: SUBSCRIBE and its kin, answered as the exchange does (docs/exchange.md §1)."""

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

from simulator.server.http import compact_json
from simulator.stream_names import Route

MOST_STREAMS = 1024  # per connection (Connect page, 2026-08)
_MOST_REQUEST_BYTES = 4096  # longer requests got no answer at all (measured on spot, 2024-12)


class StreamSubscriptions:
    """Streams that one connection has subscribed, in their order, and whether it gets the combined form.

    A name that does not exist is acknowledged like any other, and stays silent: that is what the exchange does.
    """

    def __init__(self, *, is_combined: bool) -> None:
        self.is_combined = is_combined
        self.names: dict[str, None] = {}

    def answer(self, text: str, added: Callable[[str], None], removed: Callable[[str], None]) -> str | None:
        """Return the answer to a request; `added` and `removed` are called with each name that changed.

        None where the exchange does not answer at all: a request of more than 4,096 bytes.
        """
        if len(text.encode()) > _MOST_REQUEST_BYTES:
            return None
        try:
            request = json.loads(text)
        except ValueError as error:
            return compact_json({"code": 3, "msg": f"Invalid JSON: {error}"})
        if not isinstance(request, dict):
            return compact_json({"code": 2, "msg": "Invalid request: request must be an object"})
        request_id = request.get("id")
        if not _is_id(request_id):
            return compact_json({"code": 2, "msg": "Invalid request: request ID must be an unsigned integer"})
        reply = self._result(request.get("method"), request.get("params", []), added, removed)
        return compact_json({**reply, "id": request_id})

    def _result(
        self, method: object, params: object, added: Callable[[str], None], removed: Callable[[str], None]
    ) -> dict[str, Any]:
        if method == "LIST_SUBSCRIPTIONS":
            return {"result": list(self.names)}
        if method in ("SUBSCRIBE", "UNSUBSCRIBE"):
            if not isinstance(params, list) or not all(isinstance(name, str) for name in params):
                return {"code": 2, "msg": "Invalid request: params must be an array of strings"}
            return self._subscribe(params, added) if method == "SUBSCRIBE" else self._unsubscribe(params, removed)
        if method in ("SET_PROPERTY", "GET_PROPERTY"):
            return self._property(method, params)
        return {"code": 2, "msg": f"Invalid request: unknown variant `{method}`"}

    def _subscribe(self, names: list[str], added: Callable[[str], None]) -> dict[str, Any]:
        if len(self.names.keys() | set(names)) > MOST_STREAMS:
            return {"error": {"code": 4, "msg": "Too many subscriptions"}}
        for name in names:
            self.names[name] = None
            added(name)
        return {"result": None}

    def _unsubscribe(self, names: list[str], removed: Callable[[str], None]) -> dict[str, Any]:
        for name in names:
            self.names.pop(name, None)
            removed(name)
        return {"result": None}

    def _property(self, method: object, params: object) -> dict[str, Any]:
        if not isinstance(params, list) or not params or params[0] != "combined":
            return {"code": 0, "msg": "Unknown property"}
        if method == "GET_PROPERTY":
            return {"result": self.is_combined}
        if len(params) != 2 or not isinstance(params[1], bool):
            return {"code": 2, "msg": "Invalid request: combined must be true or false"}
        self.is_combined = params[1]
        return {"result": None}


def parse_target(target: str) -> tuple[Route, bool, list[str]] | None:
    """Return path, whether combined, and stream names of an upgrade's target; None where there is no such path.

    Names are percent-decoded: %E5%B8%81usdt@trade.
    """
    path, _, query = target.partition("?")
    parts = path.strip("/").split("/")
    route = next((route for route in (Route.PUBLIC, Route.MARKET) if parts[0] == route.value), Route.LEGACY)
    if route is not Route.LEGACY:
        parts = parts[1:]
    if not parts or parts[0] not in ("ws", "stream"):
        return None
    if parts[0] == "ws":
        return route, False, [unquote(name) for name in parts[1:] if name]
    if len(parts) > 1:
        return None
    values = [item.removeprefix("streams=") for item in query.split("&") if item.startswith("streams=")]
    return route, True, [name for value in values for name in unquote(value).split("/") if name]


def _is_id(value: object) -> bool:
    return isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool) and value >= 0)
