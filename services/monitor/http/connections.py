"""A connection of the HTTP server: one that asks nothing holds no place that another one needs."""

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

MAX_CONNECTIONS = 128
"""Where one more comes, the one that has asked nothing for the longest time is closed."""
REQUEST_S = 10.0
"""A request's head may take so long."""


class HttpConnection(H11Protocol):
    """uvicorn's, which waits for ever for a request, and counts who only holds a connection as if he had asked."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._deadline: asyncio.TimerHandle | None = None
        self.idle_since_s: float | None = None
        """By the loop's clock; None while a request is being answered."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Make room where there is none."""
        super().connection_made(transport)
        self.idle_since_s = self.loop.time()
        self._set_deadline()
        if len(self.connections) > MAX_CONNECTIONS:
            _close_idlest(self.connections)

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is waited for any more."""
        self._unset_deadline()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """The first byte ends uvicorn's keep-alive time-out; the rest of the head has a deadline, too."""
        super().data_received(data)
        if self.idle_since_s is not None:
            self._set_deadline()

    def handle_events(self) -> None:
        """Who has asked is not idle."""
        super().handle_events()
        if self.cycle is not None and not self.cycle.response_complete:
            self.idle_since_s = None
            self._unset_deadline()

    def on_response_complete(self) -> None:
        """Idle, unless the next request is here already."""
        self.idle_since_s = self.loop.time()
        super().on_response_complete()

    def _set_deadline(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(REQUEST_S, self.transport.abort)

    def _unset_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def _close_idlest(connections: set[Any]) -> None:
    idle = [one for one in connections if one.idle_since_s is not None]
    if idle:
        idlest = min(idle, key=lambda one: one.idle_since_s)
        connections.discard(idlest)  # at once: its transport tells of the loss in a later round
        idlest.transport.abort()
