"""The thread that answers libzmq's question whether a client may connect (ZAP, RFC 27)."""

import os
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

import zmq
from zmq.utils import z85

_VERSION = b"1.0"
_REFUSED = b"300"
"""libzmq's client gives up for ever after 400 (4.3.5, measured): one that was started before its key was put into
`authorized/` would need a restart. After 300 it hears nothing, and reconnects when HANDSHAKE_IVL is over."""
_HELD_LOOK_MS = 50


class ClientRequest(NamedTuple):
    """A client that wants to connect, as libzmq asks about it."""

    route: bytes
    number: bytes
    domain: bytes
    key: bytes | None
    """The client's, as 40 characters of Z85; None where the socket has no security."""


class WaitingClients:
    """The clients that wait to be let in, in the order in which they came.

    Each waits as long as its domain was held when it came. What is held later is for those who come later: a flood that
    comes back again and again, and is held each time, keeps no newcomer out for longer than one hold.
    """

    def __init__(self) -> None:
        self._held_until_s: dict[bytes, float] = {}
        self._waiting: list[tuple[ClientRequest, float]] = []

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def hold(self, domain: bytes, until_s: float) -> None:
        """Let clients of this domain that come from now on wait until then."""
        self._held_until_s[domain] = until_s

    def add(self, request: ClientRequest) -> None:
        """Have a client wait until the hold of its domain is over, or for nothing where there is none."""
        self._waiting.append((request, self._held_until_s.get(request.domain, 0.0)))

    def take_due(self, now_s: float) -> list[ClientRequest]:
        """Return the clients whose wait is over, once each."""
        due = [request for request, until_s in self._waiting if until_s <= now_s]
        self._waiting = [(request, until_s) for request, until_s in self._waiting if until_s > now_s]
        return due


class ZapServer:
    """Answers for all bound sockets of a context, in a thread of its own.

    A client with a key has to be known. Others are let in: their socket's path, or address, is what keeps them out.
    Clients of one domain can be left waiting for a while; a handshake that takes longer than HANDSHAKE_IVL fails, and
    is tried again by the client.
    """

    def __init__(self, router: "zmq.Socket[bytes]", is_known: Callable[[bytes], bool]) -> None:
        self._is_known = is_known
        self._waiting = WaitingClients()
        self._stop = os.eventfd(0, os.EFD_CLOEXEC)
        self._router = router
        self._thread = threading.Thread(target=self._run, name="admission", daemon=True)
        self._thread.start()

    def hold(self, domain: bytes, seconds: float) -> None:
        """Let clients of this domain that come from now on wait for so long; safe in any thread."""
        self._waiting.hold(domain, time.monotonic() + seconds)

    def stop(self) -> None:
        """End the thread and close its socket; whoever asks afterwards is let in by nobody."""
        os.eventfd_write(self._stop, 1)
        self._thread.join()
        os.close(self._stop)

    def _run(self) -> None:
        poller = zmq.Poller()
        poller.register(self._router, zmq.POLLIN)
        poller.register(self._stop, zmq.POLLIN)
        with self._router:
            while self._stop not in (ready := dict(poller.poll(_HELD_LOOK_MS if self._waiting else None))):
                if self._router in ready:
                    self._take(self._router.recv_multipart())
                self._answer()

    def _take(self, parts: list[bytes]) -> None:
        if len(parts) < 8 or parts[2] != _VERSION:
            return
        route, _, _, number, domain, _address, _identity, mechanism, *credentials = parts
        key = z85.encode(credentials[0]) if mechanism == b"CURVE" else None
        self._waiting.add(ClientRequest(route, number, domain, key))

    def _answer(self) -> None:
        for request in self._waiting.take_due(time.monotonic()):
            is_let_in = request.key is None or self._is_known(request.key)
            status = b"200" if is_let_in else _REFUSED
            self._router.send_multipart([request.route, b"", _VERSION, request.number, status, b"", b"", b""])
