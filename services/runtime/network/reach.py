"""Opens TCP connections to a host of several addresses, of which some may be dead (RFC 8305 §4 and §5)."""

import errno
import os
import select
import socket
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, zip_longest
from typing import Any, NamedTuple

from services.runtime.clock import monotonic_s

_NEXT_S = 0.25
"""An address that has not answered yet gets company after this time: the RFC's connection attempt delay."""
_MOST_DOUBTFUL = 64
_MOST_TRIED = 16

SocketOptions = Iterable[tuple[int, int, int]]


class Address(NamedTuple):
    """One of a host's addresses, as `getaddrinfo` gives it."""

    family: int
    sockaddr: tuple[Any, ...]

    def __str__(self) -> str:
        return str(self.sockaddr[0])


def addresses_of(host: str, port: int) -> list[Address]:
    """All addresses, in the resolver's order but families in turn; socket.gaierror where the name leads nowhere."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    families: dict[int, list[Address]] = {}
    for family, _, _, _, sockaddr in found:
        families.setdefault(family, []).append(Address(family, sockaddr))
    in_turn = chain.from_iterable(zip_longest(*families.values()))
    return [address for address in in_turn if address is not None]


class Reach:
    """Connects to the first address that answers. One that answered, and with which nothing came about, goes last.

    All methods may be called from any thread.
    """

    def __init__(self) -> None:
        self.latest: tuple[Any, ...] | None = None
        """The address of the last connection, for who opens one at a time."""
        self._doubtful: dict[tuple[Any, ...], None] = {}  # by sockaddr, the latest last

    def connect(self, host: str, port: int, *, timeout_s: float, options: SocketOptions = ()) -> socket.socket:
        """A connected socket; OSError (gaierror, TimeoutError) that names what each address said."""
        doubtful = list(self._doubtful)
        addresses = sorted(
            addresses_of(host, port),
            key=lambda one: doubtful.index(one.sockaddr) if one.sockaddr in doubtful else -1,
        )
        sock = connected(addresses, timeout_s=timeout_s, options=options)
        self.latest = sock.getpeername()
        return sock

    def doubt(self, sockaddr: tuple[Any, ...]) -> None:
        """Try this address after all others from now on: it took a connection, and did not go on."""
        self._doubtful.pop(sockaddr, None)
        self._doubtful[sockaddr] = None
        for oldest in list(self._doubtful)[:-_MOST_DOUBTFUL]:
            self._doubtful.pop(oldest, None)

    def trust(self, sockaddr: tuple[Any, ...]) -> None:
        """Forget what was held against this address."""
        self._doubtful.pop(sockaddr, None)


def connected(addresses: Sequence[Address], *, timeout_s: float, options: SocketOptions = ()) -> socket.socket:
    """The first of these that connects; they are tried in their order, the next one after a quarter of a second.

    OSError names each address and its fault; it is a TimeoutError where one of them never answered.
    """
    race = _Race(addresses, tuple(options))
    deadline_s = monotonic_s() + timeout_s
    try:
        while race.is_on:
            race.start_next()
            left_s = deadline_s - monotonic_s()
            if left_s <= 0:
                raise TimeoutError(race.told(f"no answer within {timeout_s:.1f} s"))
            winner = race.winner(min(left_s, _NEXT_S) if race.waiting else left_s)
            if winner is not None:
                return winner
    finally:
        race.close()
    raise OSError(race.told(""))


def faults_of(addresses: Sequence[Address], *, timeout_s: float) -> dict[str, str]:
    """The fault of each one by address, empty where it takes a connection. Takes `timeout_s` at most."""

    def fault_of(address: Address) -> str:
        try:
            connected([address], timeout_s=timeout_s).close()
        except OSError as error:
            return str(error).removeprefix(f"{address}: ")
        return ""

    tried = addresses[:_MOST_TRIED]
    with ThreadPoolExecutor(max_workers=_MOST_TRIED, thread_name_prefix="address") as threads:
        return dict(zip(map(str, tried), threads.map(fault_of, tried), strict=True))


class _Race:
    """Attempts that are under way together."""

    def __init__(self, addresses: Sequence[Address], options: Sequence[tuple[int, int, int]]) -> None:
        self.waiting = list(addresses)
        self._options = options
        self._under_way: dict[int, tuple[socket.socket, Address]] = {}
        self._faults: list[str] = []

    @property
    def is_on(self) -> bool:
        return bool(self.waiting or self._under_way)

    def start_next(self) -> None:
        if not self.waiting:
            return
        address = self.waiting.pop(0)
        try:
            sock = socket.socket(address.family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK, socket.IPPROTO_TCP)
        except OSError as error:  # a kernel without IPv6
            self._faults.append(f"{address}: {error.strerror}")
            return
        self._under_way[sock.fileno()] = sock, address
        try:
            for option in self._options:
                sock.setsockopt(*option)
            code = sock.connect_ex(address.sockaddr)
        except OSError as error:
            code = error.errno or errno.EINVAL
        if code not in (0, errno.EINPROGRESS):
            self._lost(sock.fileno(), code)

    def winner(self, wait_s: float) -> socket.socket | None:
        """One that has connected; None after this time, or as soon as one has failed."""
        if not self._under_way:
            return None
        poll = select.poll()
        for descriptor in self._under_way:
            poll.register(descriptor, select.POLLOUT)
        for descriptor, _ in poll.poll(wait_s * 1000):
            sock, _ = self._under_way[descriptor]
            code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if not code:
                del self._under_way[descriptor]
                return sock
            self._lost(descriptor, code)
        return None

    def told(self, of_the_rest: str) -> str:
        rest = [f"{address}: {of_the_rest}" for _, address in self._under_way.values()]
        return "; ".join([*self._faults, *rest])

    def close(self) -> None:
        for sock, _ in self._under_way.values():
            sock.close()
        self._under_way.clear()

    def _lost(self, descriptor: int, code: int) -> None:
        sock, address = self._under_way.pop(descriptor)
        sock.close()
        self._faults.append(f"{address}: {os.strerror(code)}")
