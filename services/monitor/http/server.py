"""The HTTP server, in a thread of its own: nothing that a client does or leaves undone reaches the subscriber."""

import logging
import socket
import threading

import uvicorn
from starlette.types import ASGIApp

from services.monitor.http.connections import MAX_CONNECTIONS, HttpConnection

_BACKLOG = 256
_USER_TIMEOUT_MS = 20_000
"""What a client does not take for so long is not sent any more, and its connection is gone."""
_CLOSE_S = 2


def listening_socket(host: str, port: int) -> socket.socket:
    """Bound and listening; OSError where the address is somebody else's."""
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
    """Serves until it is closed."""

    def __init__(self, app: ASGIApp, listener: socket.socket) -> None:
        logging.getLogger("uvicorn").setLevel(logging.ERROR)  # a warning is a line for what any client may send
        self._listener = listener
        self._server = uvicorn.Server(
            uvicorn.Config(
                app,
                log_config=None,
                access_log=False,
                lifespan="off",
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
        """Whether it serves; once it does not, the process is of no use."""
        return self._thread.is_alive()

    def close(self) -> None:
        """Let clients go."""
        self._server.should_exit = True
        self._thread.join(_CLOSE_S + 3)
        self._listener.close()
