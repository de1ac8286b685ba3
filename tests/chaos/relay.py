"""A TCP relay between us and the exchange that can stop forwarding, as where packets are dropped on the way."""

import contextlib
import queue
import socket
import threading
import time
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Self

_PIECE = 65536


class Link:
    """One connection through the relay."""

    def __init__(self, client: socket.socket, upstream: socket.socket) -> None:
        self.target = ""
        """The first request of the client: `/public/stream?streams=…`."""
        self.is_cut = False
        self.delay_s: Callable[[float], float] = lambda _: 0.0
        """The delay of the exchange's bytes in seconds, as a function of the monotonic clock; their order is kept."""
        self._ends = (client, upstream)
        self._late: queue.SimpleQueue[tuple[float, bytes]] = queue.SimpleQueue()
        for work in (self._forward_requests, self._hold_answers, self._forward_answers):
            threading.Thread(target=work, daemon=True).start()

    @property
    def is_open(self) -> bool:
        """Return True if both ends are connected, and bytes may pass."""
        return not self.is_cut and all(end.fileno() >= 0 for end in self._ends)

    def close(self) -> None:
        """Both ends."""
        for end in self._ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _forward_requests(self) -> None:
        client, upstream = self._ends
        with contextlib.suppress(OSError):
            while (data := client.recv(_PIECE)) and not self.is_cut:
                if not self.target:
                    self.target = data.split(b" ", 2)[1].decode()
                upstream.sendall(data)
        self._end()

    def _hold_answers(self) -> None:
        data = b"-"
        while data and not self.is_cut:
            try:
                data = self._ends[1].recv(_PIECE)
            except OSError:
                data = b""
            now_s = time.monotonic()
            self._late.put((now_s + self.delay_s(now_s), data))

    def _forward_answers(self) -> None:
        with contextlib.suppress(OSError):
            while not self.is_cut:
                due_s, data = self._late.get()
                time.sleep(max(0.0, due_s - time.monotonic()))
                if not data or self.is_cut:
                    break
                self._ends[0].sendall(data)
        self._end()

    def _end(self) -> None:
        if not self.is_cut:
            self.close()


class Relay:
    """Forwards a port of its own to one of this machine. No socket is closed by what is dropped: nobody is told."""

    def __init__(self, upstream_port: int) -> None:
        self._upstream_port = upstream_port
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port: int = self._listener.getsockname()[1]
        self.links: list[Link] = []
        self._held: list[socket.socket] = []
        self._is_dropping = False
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self, links: Iterable[Link]) -> None:
        """Nothing passes these any more, for ever."""
        for link in links:
            link.is_cut = True

    def drop_all(self) -> None:
        """Nothing passes: neither what is connected nor what connects from now on."""
        self._is_dropping = True
        self.cut(self.links)

    def pass_again(self) -> None:
        """Serve connections that are made from now on, and none of those before."""
        self._is_dropping = False

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self._is_dropping:
                self._held.append(client)
            else:
                self.links.append(Link(client, socket.create_connection(("127.0.0.1", self._upstream_port))))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for client in self._held:
            client.close()
        for link in self.links:
            link.close()
