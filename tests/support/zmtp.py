"""A subscriber of ZeroMQ down to its bytes (ZMTP 3.0, without security), which keeps nothing of what it sends."""

import os
import socket
import threading
from collections.abc import Iterable
from typing import Self

_GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32)
_READY = b"\x05READY\x0bSocket-Type\x00\x00\x00\x03SUB"
_TIMEOUT_S = 60
_PIECE_BYTES, _PIECES = 64 * 1024, 200


class RawSubscriber:
    """One connection to an ipc endpoint; libzmq's own would need 40 bytes of memory for each byte of a subscription."""

    def __init__(self, endpoint: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        try:
            self._shake_hands(endpoint.removeprefix("ipc://"))
        except OSError:
            self._socket.close()
            raise

    def _shake_hands(self, path: str) -> None:
        self._socket.settimeout(_TIMEOUT_S)
        self._socket.connect(path)
        self._socket.sendall(_GREETING)
        self._receive(len(_GREETING))
        self._socket.sendall(b"\x04" + bytes([len(_READY)]) + _READY)
        head = self._receive(2)
        self._receive(head[1])

    def subscribe(self, topics: Iterable[bytes]) -> int:
        """Subscribe to these, and return how many were sent before the other side hung up."""
        sent = 0
        try:
            for topic in topics:
                self._socket.sendall(_subscription(topic))
                sent += 1
        except (BrokenPipeError, ConnectionResetError):
            pass
        return sent

    def send(self, data: bytes) -> None:
        """Bytes as they are; OSError when the other side has hung up."""
        self._socket.sendall(data)

    def is_cut(self) -> bool:
        """Return True once the other side has hung up; what it sent before is thrown away."""
        self._socket.settimeout(0)
        try:
            while received := self._socket.recv(65536):
                del received
        except BlockingIOError:
            return False
        except ConnectionResetError:
            return True
        return True

    def _receive(self, count: int) -> bytes:
        found = b""
        while len(found) < count:
            more = self._socket.recv(count - len(found))
            if not more:
                raise ConnectionResetError("hung up during the handshake")
            found += more
        return found

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()


class FloodingSubscriber(threading.Thread):
    """Subscribes to topics of so many random bytes without an end, and comes back at once when it is cut off."""

    def __init__(self, endpoint: str, topic_bytes: int) -> None:
        super().__init__(daemon=True)
        self.times_cut = 0
        self.closing = threading.Event()
        self._endpoint = endpoint
        self._pieces = [
            b"".join(_subscription(os.urandom(topic_bytes)) for _ in range(_PIECE_BYTES // topic_bytes))
            for _ in range(_PIECES)
        ]

    def run(self) -> None:
        """Until `closing` is set."""
        while not self.closing.is_set():
            try:
                with RawSubscriber(self._endpoint) as subscriber:
                    self._flood(subscriber)
            except OSError:
                self.times_cut += 1

    def _flood(self, subscriber: RawSubscriber) -> None:
        for piece in self._pieces:
            if self.closing.is_set():
                return
            subscriber.send(piece)

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self.join()

    def __enter__(self) -> Self:
        self.start()
        return self


def _subscription(topic: bytes) -> bytes:
    return b"\x02" + (len(topic) + 1).to_bytes(8, "big") + b"\x01" + topic
