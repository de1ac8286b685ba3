"""A connection of the HTTP server: one that asks nothing holds no place that another one needs.

Each connection holds a descriptor and memory, and any client can open many and stay silent. Two rules bound
that: a request has `REQUEST_S` to arrive, and of too many connections the one that has been idle longest is
closed. All of it runs in the event loop of the HTTP thread.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

MAX_CONNECTIONS = 128
"""Where one more comes, the one that has asked nothing for the longest time is closed."""
REQUEST_S = 10.0
"""A request's head may take so long."""


class HttpConnection(H11Protocol):
    """uvicorn's connection with a deadline for requests, and a limit that counts idle connections apart.

    uvicorn itself waits for ever for the first request, and counts a connection that only stays open as if it
    had asked. Silent clients could so use up its limit, and `/healthz` would answer nobody.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._deadline: asyncio.TimerHandle | None = None
        self.idle_since_s: float | None = None
        """By the loop's clock; None while a request is being answered."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin the deadline of the first request, and close the idlest connection where there are too many."""
        super().connection_made(transport)
        self.idle_since_s = self.loop.time()
        self._set_deadline()
        if len(self.connections) > MAX_CONNECTIONS:
            _close_idlest(self.connections)

    def connection_lost(self, exc: Exception | None) -> None:
        """End the deadline: nothing is waited for any more."""
        self._unset_deadline()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Pass bytes on to uvicorn, and begin the deadline of a request whose head is not whole yet.

        The first byte ends uvicorn's keep-alive time-out: without a deadline of ours a client that sends a byte an
        hour would stay.
        """
        super().data_received(data)
        if self.idle_since_s is not None:
            self._set_deadline()

    def handle_events(self) -> None:
        """Let uvicorn read the request; once it is whole the connection is not idle and has no deadline.

        An answer may take long, as `/events` does; that is no reason to close.
        """
        super().handle_events()
        if self.cycle is not None and not self.cycle.response_complete:
            self.idle_since_s = None
            self._unset_deadline()

    def on_response_complete(self) -> None:
        """Mark the connection idle before uvicorn goes on; it may find the next request here already.

        In that case `handle_events` unmarks it again, which is why this order matters.
        """
        self.idle_since_s = self.loop.time()
        super().on_response_complete()

    def _set_deadline(self) -> None:
        """Begin the deadline, unless it runs: further bytes do not prolong it."""
        if self._deadline is None:
            self._deadline = self.loop.call_later(REQUEST_S, self.transport.abort)

    def _unset_deadline(self) -> None:
        """Cancel the deadline; without one nothing happens."""
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def _close_idlest(connections: set[Any]) -> None:
    """Abort the connection that has been idle longest; none where every one has a request under way."""
    idle = [one for one in connections if one.idle_since_s is not None]
    if idle:
        idlest = min(idle, key=lambda one: one.idle_since_s)
        connections.discard(idlest)  # at once: its transport tells of the loss in a later round
        idlest.transport.abort()
