"""Connections of libzmq as the kernel shows them, for what libzmq has no call for: to count them and to end one."""

import contextlib
import os
import socket
import stat
import struct
import termios
from collections.abc import Iterator
from fcntl import ioctl
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

_DESCRIPTORS = Path("/proc/self/fd")
_PIECE_BYTES = 65_536
_UCRED = struct.Struct("3i")  # pid, uid, gid: unix(7), SO_PEERCRED


class Connection(NamedTuple):
    """A descriptor of libzmq's, and the socket behind it: a number is used again once it is free."""

    descriptor: int
    inode: int


class Peer(NamedTuple):
    """A connection that others have made to us, the process or host that did, and its bytes that wait unread."""

    connection: Connection
    origin: str
    unread_bytes: int


def peers_at(endpoint: str) -> list[Peer]:
    """Return the connections accepted at a bound endpoint, `ipc://PATH` or `tcp://ADDRESS:PORT`, in no order.

    It takes some 5 µs for each descriptor that is open.
    """
    found: list[Peer] = []
    for path in list(_DESCRIPTORS.iterdir()):
        with contextlib.suppress(OSError):  # closed meanwhile, or listening
            found += _peer(int(path.name), endpoint)
    return found


def is_open(connection: Connection) -> bool:
    """Return True while the descriptor is still that socket's."""
    try:
        return os.fstat(connection.descriptor).st_ino == connection.inode
    except OSError:
        return False


def hang_up(connection: Connection) -> None:
    """End a connection from outside, and throw away its unread bytes; libzmq takes it for ended by the peer."""
    with contextlib.suppress(OSError), socket.socket(fileno=os.dup(connection.descriptor)) as ours:
        if os.fstat(ours.fileno()).st_ino == connection.inode:
            ours.shutdown(socket.SHUT_RDWR)
            while ours.recv(_PIECE_BYTES, socket.MSG_DONTWAIT):
                pass


def _peer(descriptor: int, endpoint: str) -> Iterator[Peer]:
    status = os.fstat(descriptor)
    if not stat.S_ISSOCK(status.st_mode):
        return
    with socket.socket(fileno=os.dup(descriptor)) as ours:
        if not _is_bound_to(ours, endpoint):
            return
        remote = ours.getpeername()  # a listening socket has none: OSError
        unread = struct.unpack("i", ioctl(ours, termios.FIONREAD, bytes(4)))[0]
        yield Peer(Connection(descriptor, status.st_ino), _origin(ours, remote), unread)


def _is_bound_to(ours: socket.socket, endpoint: str) -> bool:
    local = ours.getsockname()
    if ours.family == socket.AF_UNIX:
        return bool(endpoint == f"ipc://{local}")
    if ours.family in (socket.AF_INET, socket.AF_INET6):
        return bool(endpoint.startswith("tcp://") and local[1] == urlsplit(endpoint).port)
    return False


def _origin(ours: socket.socket, remote: tuple[str, int] | str) -> str:
    if ours.family != socket.AF_UNIX:
        return remote[0]
    pid = _UCRED.unpack(ours.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))[0]
    return f"process {pid}"
