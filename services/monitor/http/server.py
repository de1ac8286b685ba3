"""The HTTP server, in a thread of its own: nothing that a client does or leaves undone reaches the subscriber."""

import asyncio
import contextlib
import logging
import socket
import threading

import uvicorn
from starlette.types import ASGIApp

from services.monitor.http.connections import MAX_CONNECTIONS, HttpConnection

_BACKLOG = 256
"""Connections that the kernel keeps until they are accepted: twice as many as can be open."""
_USER_TIMEOUT_MS = 20_000
"""A client that takes nothing for so long loses its connection, and what was to be sent."""
_TICK_S = 1.0
"""Answers have a date, to the second."""
_CLOSE_S = 2
"""For answers under way when the process ends; `/events` would go on for ever."""


def listening_socket(host: str, port: int) -> socket.socket:
    """Return a socket that is bound and listening; OSError where the address is somebody else's.

    It is made before the server, so that an address in use is an error here and not in a thread. `*` means
    every IPv4 address. SO_REUSEADDR lets a restarted monitor bind while connections of the old one are still
    ending.
    """
    family, kind, protocol, _, place = socket.getaddrinfo(
        "0.0.0.0" if host == "*" else host,  # noqa: S104 (allowed by the configuration alone)
        port,
        type=socket.SOCK_STREAM,
        flags=socket.AI_PASSIVE,
    )[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _USER_TIMEOUT_MS)
        listener.bind(place)
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


class Server:
    """Serves in a thread from its making until it is closed; it owns the listening socket from then on.

    uvicorn's own refusal (503) comes one connection above `MAX_CONNECTIONS`: only where none is idle and could
    be closed. Its access log is off and its warnings are not shown, because any client could fill the disk with
    them.
    """

    def __init__(self, app: ASGIApp, listener: socket.socket) -> None:
        logging.getLogger("uvicorn").setLevel(logging.ERROR)  # a warning is a line for what any client may send
        self._listener = listener
        self._server = _Uvicorn(
            uvicorn.Config(
                app,
                log_config=None,
                access_log=False,
                lifespan="on",
                ws="none",
                http=HttpConnection,
                loop="asyncio",
                server_header=False,
                proxy_headers=False,
                limit_concurrency=MAX_CONNECTIONS + 1,
                timeout_graceful_shutdown=_CLOSE_S,
            )
        )
        self._thread = threading.Thread(target=self._server.run, args=([listener],), name="http", daemon=True)
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """Return True while it serves; once it does not, the process is of no use."""
        return self._thread.is_alive()

    def close(self) -> None:
        """Stop taking requests, give answers under way `_CLOSE_S` to end, and close the socket.

        The thread has three seconds more; it is a daemon, so that it cannot hold up the end of the process.
        """
        self._server.end()
        self._thread.join(_CLOSE_S + 3)
        self._listener.close()


class _Uvicorn(uvicorn.Server):
    """Ends when it is told to; uvicorn's own loop looks ten times a second whether it shall."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._ending = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def main_loop(self) -> None:
        """Have the date of answers set each second until `end`."""
        self._loop = asyncio.get_running_loop()
        while not await self.on_tick(0):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ending.wait(), _TICK_S)

    def end(self) -> None:
        """Have the server end; for any thread."""
        self.should_exit = True
        if self._loop is not None:  # else it looks before it begins to wait
            with contextlib.suppress(RuntimeError):  # it has ended already
                self._loop.call_soon_threadsafe(self._ending.set)
