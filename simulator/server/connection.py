"""One accepted TCP connection: reads request heads, answers REST, or becomes a websocket.

Both share one port, as at a proxy: the first request decides. Requests of REST may follow one another on a connection
(keep-alive), answered in their order.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import cast

from simulator.server.admission import Admission
from simulator.server.http import MOST_HEAD_BYTES, HttpRequest, HttpResponse, parse_head
from simulator.server.subscriptions import parse_target
from simulator.server.websocket import WebSocket

_BAD_REQUEST = HttpResponse(400, b"bad request\n", content_type="text/plain")


class ClientConnection(asyncio.Protocol):
    """The asyncio protocol of a connection; `websocket` is set once it has become one."""

    def __init__(
        self,
        admission: Admission,
        new_websocket: Callable[[asyncio.Transport], WebSocket],
        answer: Callable[[HttpRequest], Awaitable[HttpResponse | None]],
        clients: set["ClientConnection"],
    ) -> None:
        self._admission = admission
        self._new_websocket = new_websocket
        self._answer = answer
        self._clients = clients
        self._buffer = b""
        self._is_stalled = False  # its upgrade is never answered
        self._answering: asyncio.Task[None] | None = None
        self.websocket: WebSocket | None = None
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Refuse the connection, or begin to read; while the exchange hangs, nothing is read."""
        self.transport = cast("asyncio.Transport", transport)
        if self._admission.refuses():
            self.transport.abort()
            return
        self._clients.add(self)
        if self._admission.is_hung:
            self.transport.pause_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """Give up an answer that is being made, and unsubscribe the websocket."""
        self._clients.discard(self)
        if self._answering:
            self._answering.cancel()
        if self.websocket:
            self.websocket.lost()

    def data_received(self, data: bytes) -> None:
        """Take bytes: of the websocket, or of the next request's head."""
        if self.websocket:
            self.websocket.received(data)
            return
        if self._is_stalled:
            return
        self._buffer += data
        if not self._answering:
            self._next_request()

    def eof_received(self) -> bool:
        """Let asyncio close the connection when the client has ended its side."""
        return False

    def _next_request(self) -> None:
        """Begin with the next request, if its head is there as a whole."""
        head, end, rest = self._buffer.partition(b"\r\n\r\n")
        if not end:
            if len(head) > MOST_HEAD_BYTES:
                self._refuse()
            return
        self._buffer = rest
        request = parse_head(head + end)
        if request is None or request.method != "GET":
            self._refuse()
        elif request.is_upgrade:
            self._upgrade(request.target, head + end, rest)
        else:
            self._answering = asyncio.get_running_loop().create_task(self._respond(request))

    def _upgrade(self, url: str, head: bytes, rest: bytes) -> None:
        """Do with an upgrade request what admission says; bytes behind its head belong to the websocket."""
        target = parse_target(url)
        verdict = self._admission.upgrade(target[2] if target else ())
        if verdict == "stall":
            self._is_stalled = True
        elif isinstance(verdict, HttpResponse):
            self._write(verdict)
            self.transport.close()
        else:
            self.websocket = self._new_websocket(self.transport)
            self.websocket.code_behind_first = verdict if isinstance(verdict, int) else None
            self.websocket.handshake(head)
            if verdict == "close":
                self.websocket.close_fin()
            elif rest:
                self.websocket.received(rest)

    async def _respond(self, request: HttpRequest) -> None:
        """Answer a request, then take the next one that has come meanwhile."""
        response = await self._answer(request)
        if response is None:
            return  # never answered; the client has to lose patience
        self._write(response)
        self._answering = None
        if response.sent_bytes is not None or request.headers.get("connection", "").lower() == "close":
            self.transport.close()
        elif self._buffer:
            self._next_request()

    def _refuse(self) -> None:
        self._write(_BAD_REQUEST)
        self.transport.close()

    def _write(self, response: HttpResponse) -> None:
        self.transport.write(response.encode())
