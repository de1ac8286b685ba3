"""Addresses of this machine that behave like those of a host somewhere else."""

import contextlib
import random
import socket
from collections.abc import Iterator

import pytest

Sockaddr = tuple[str, int]


@contextlib.contextmanager
def dead_address() -> Iterator[Sockaddr]:
    """One that answers nothing at all: the kernel drops a SYN where a listener's queue is full."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, contextlib.ExitStack() as stack:
        address: Sockaddr = full.getsockname()
        for _ in range(3):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(address)
        yield address


@contextlib.contextmanager
def silent_address() -> Iterator[Sockaddr]:
    """One that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0), backlog=50) as listening:
        yield listening.getsockname()


@contextlib.contextmanager
def refusing_address() -> Iterator[Sockaddr]:
    """One where nobody listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()


def free_port() -> int:
    """One that the kernel gives to no connection and to no `bind` of port 0 (32768 and above), before it is bound."""
    with socket.socket() as probe:
        while True:
            port = random.SystemRandom().randrange(12_000, 32_000)
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return port


def resolve(monkeypatch: pytest.MonkeyPatch, *addresses: Sockaddr) -> None:
    """Let every name lead to these."""
    found = [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", address) for address in addresses]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
