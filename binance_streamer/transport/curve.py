"""CURVE: encrypted sockets, and only for whom we know. Keys are files; docs/security.md says which, and where.

A context made here carries the keys, so that `sockets` can use them for every socket made from it.
"""

import logging
import os
import re
import stat
import struct
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import zmq
from zmq.utils import z85

from binance_streamer.config.schema import ConfigError
from binance_streamer.transport.zap import ZapServer

ZAP_DOMAIN = b"recorder"
SUBSCRIBERS = b"subscribers"
"""The ZAP domain of sockets that are subscribed to: their clients can be left waiting."""
SERVER = "server"
CLIENT = "client"
AUTHORIZED = "authorized"
SECRET_SUFFIX = ".key_secret"  # noqa: S105 (a file's name)
PUBLIC_SUFFIX = ".key"

_log = logging.getLogger(__name__)

_MAX_FILE_BYTES = 4096
_MAX_TOLD = 100
_find_key = {
    kind: re.compile(rb'^\s*%b-key\s*=\s*"([^"\n]{40})"\s*$' % kind.encode(), re.MULTILINE).search
    for kind in ("public", "secret")
}


class KeyFileError(ConfigError):
    """A key that is missing, damaged or readable by others; the text names the file."""


class Pair(NamedTuple):
    """A CURVE key pair, each key as 40 characters of Z85."""

    public: bytes
    secret: bytes


class Keys:
    """The keys in a directory. A machine that binds nothing needs no `server.key_secret`."""

    def __init__(self, directory: Path) -> None:
        _check_directory(directory)
        self._directory = directory
        self._client = _pair(directory, CLIENT)
        self._server_public = public_key(directory / f"{SERVER}{PUBLIC_SUFFIX}")

    def secure_connecting(self, socket: "zmq.Socket[bytes]") -> None:
        """Speak to nobody but the owner of the server's key, and prove that we have the client's."""
        socket.setsockopt(zmq.CURVE_SERVERKEY, self._server_public)
        socket.setsockopt(zmq.CURVE_PUBLICKEY, self._client.public)
        socket.setsockopt(zmq.CURVE_SECRETKEY, self._client.secret)

    def secure_binding(self, socket: "zmq.Socket[bytes]") -> None:
        """Be the server. Without a gate in the context libzmq would take every key there is."""
        server = _pair(self._directory, SERVER)
        if server.public != self._server_public:
            raise KeyFileError(f"{self._directory}: {SERVER}{PUBLIC_SUFFIX} is not of {SERVER}{SECRET_SUFFIX}")
        socket.setsockopt(zmq.CURVE_SERVER, 1)
        socket.setsockopt(zmq.CURVE_SECRETKEY, server.secret)

    def gate(self) -> "ClientGate":
        """Decides which clients may connect."""
        return ClientGate(self._directory / AUTHORIZED)


class ClientGate:
    """Knows the clients that may connect: the files as they are at that moment, so none has to be restarted for one."""

    def __init__(self, directory: Path) -> None:
        _check_directory(directory)
        self._directory = directory
        self._told: set[bytes] = set()

    def is_known(self, key: bytes) -> bool:
        """Return True when the owner of this key is let in; asked at every handshake, in a thread of its own."""
        found = any(_holds(path, key) for path in self._directory.glob(f"*{PUBLIC_SUFFIX}"))
        if not found and key not in self._told and len(self._told) < _MAX_TOLD:
            self._told.add(key)
            _log.warning("refused an unknown client key=%s", key.decode("ascii", errors="replace"))
        return found


class Context(zmq.Context["zmq.Socket[bytes]"]):
    """A ZeroMQ context whose sockets are encrypted, if `keys` are given.

    `allows_plain`: sockets without keys may be bound where other machines reach them.
    """

    keys: Keys | None
    allows_plain: bool
    _admission: "ZapServer | None"

    def __init__(self, keys: Keys | None = None, *, allows_plain: bool = False) -> None:
        super().__init__()
        self.keys = keys
        self.allows_plain = allows_plain
        self._admission = None

    def secure_binding(
        self, socket: "zmq.Socket[bytes]", make_router: Callable[["Context"], "zmq.Socket[bytes]"]
    ) -> None:
        """Prepare a socket that is to be bound, and see to it that somebody answers for it who may connect.

        `make_router` makes the socket at which libzmq asks that, one for the whole context.
        """
        if socket.type == zmq.XPUB:
            socket.setsockopt(zmq.ZAP_DOMAIN, SUBSCRIBERS)
        elif self.keys is None:
            return
        if self.keys is not None:
            self.keys.secure_binding(socket)
        if self._admission is None:
            self._admission = ZapServer(make_router(self), self.keys.gate().is_known if self.keys else _is_nobody)

    def hold_subscribers(self, seconds: float) -> None:
        """Let no further subscriber connect to an XPUB of this context for so long; safe in any thread."""
        if self._admission is not None:
            self._admission.hold(SUBSCRIBERS, seconds)

    def destroy(self, linger: int | None = None) -> None:
        """Close everything; first the thread that uses a socket of its own."""
        if self._admission is not None:
            self._admission.stop()
            self._admission = None
        super().destroy(linger)


def keys_of(curve_directory: str) -> Keys | None:
    """The keys in this directory, None where none is named; raises `KeyFileError`."""
    return Keys(Path(curve_directory)) if curve_directory else None


def public_key(path: Path) -> bytes:
    """The public key in a file."""
    try:
        found = _read_public(path)
    except OSError as error:
        raise KeyFileError(f"{path}: cannot be read: {error.strerror}; `binance-streamer keys` makes keys") from error
    if found is None:
        raise KeyFileError(f"{path}: holds no public key")
    return found


def _is_nobody(_key: bytes) -> bool:
    return False


def _read_public(path: Path) -> bytes | None:
    with path.open("rb") as file:
        return _found("public", file.read(_MAX_FILE_BYTES))


def _holds(path: Path, key: bytes) -> bool:
    try:
        return _read_public(path) == key
    except OSError:  # removed this moment, or not ours to read: either lets nobody in
        return False


def _pair(directory: Path, name: str) -> Pair:
    """The pair of a secret file. What the file says of its public key must be true."""
    path = directory / f"{name}{SECRET_SUFFIX}"
    text = read_secret(path)
    secret, public = _found("secret", text), _found("public", text)
    if secret is None or public is None:
        raise KeyFileError(f"{path}: expected a public and a secret key")
    if zmq.curve_public(secret) != public:
        raise KeyFileError(f"{path}: its public key is not of its secret key")
    return Pair(public, secret)


def read_secret(path: Path, how_made: str = "`binance-streamer keys` makes keys") -> bytes:
    """Return what stands in a file of mode 0600 of our own; `KeyFileError` where others may read it, or it is none."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise KeyFileError(f"{path}: cannot be read: {error.strerror}; {how_made}") from error
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid():
            raise KeyFileError(f"{path}: expected a file that belongs to uid {os.geteuid()}")
        if status.st_mode & 0o077:
            raise KeyFileError(f"{path}: others may read or write it (mode {status.st_mode & 0o777:o}): chmod 600")
        return file.read(_MAX_FILE_BYTES)


def _check_directory(directory: Path) -> None:
    try:
        status = directory.stat()
    except OSError as error:
        raise KeyFileError(
            f"{directory}: cannot be read: {error.strerror}; `binance-streamer keys` makes keys"
        ) from error
    if not stat.S_ISDIR(status.st_mode):
        raise KeyFileError(f"{directory}: endpoints.curve_directory must be a directory")
    if status.st_uid not in (os.geteuid(), 0) or status.st_mode & 0o022:
        raise KeyFileError(
            f"{directory}: others may put keys into it (uid {status.st_uid}, mode {status.st_mode & 0o777:o}): "
            "chown it, chmod 700"
        )


def _found(kind: str, text: bytes) -> bytes | None:
    found = _find_key[kind](text)
    if found is None:
        return None
    try:
        z85.decode(found[1])
    except (KeyError, struct.error):  # a letter that Z85 does not have; five letters that are more than 32 bits
        return None
    return bytes(found[1])
