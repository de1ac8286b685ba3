"""Connections of this process seen through the kernel, on real sockets."""

import os
import socket
from pathlib import Path

import pytest

from services.runtime.network.connections import Connection, hang_up, is_open, peers_at
from tests.support.waiting import eventually


def test_accepted_connections_are_found_with_their_origin_and_unread_bytes(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as client:
        listener.bind(path)
        listener.listen()
        assert peers_at(f"ipc://{path}") == []
        client.connect(path)
        with listener.accept()[0] as ours:
            client.sendall(b"12345")
            (peer,) = peers_at(f"ipc://{path}")
            assert peer.connection.descriptor == ours.fileno()
            assert peer.origin == f"process {os.getpid()}"
            assert peer.unread_bytes == 5
            assert peers_at(f"ipc://{path}x") == []


def test_a_tcp_connection_is_found_by_the_port_and_named_by_its_host() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client, listener.accept()[0] as ours:
            client.sendall(b"123")
            eventually(lambda: peers_at(f"tcp://0.0.0.0:{port}")[0].unread_bytes == 3)
            (peer,) = peers_at(f"tcp://0.0.0.0:{port}")
            assert peer.connection.descriptor == ours.fileno(), "the client's end is not ours"
            assert peer.origin == "127.0.0.1"


def test_who_is_hung_up_on_is_told_and_what_he_sent_is_gone(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as client:
        listener.bind(path)
        listener.listen()
        client.connect(path)
        with listener.accept()[0] as ours:
            client.sendall(b"x" * 100_000)
            (peer,) = peers_at(f"ipc://{path}")
            hang_up(peer.connection)
            assert ours.recv(1) == b""
            assert client.recv(1) == b""
            assert is_open(peer.connection)


def test_a_descriptor_that_is_used_again_is_another_connection() -> None:
    first, second = socket.socketpair()
    with second:
        connection = Connection(first.fileno(), os.fstat(first.fileno()).st_ino)
        assert is_open(connection)
        first.close()
        assert not is_open(connection)
        again = socket.socket(fileno=os.dup2(second.fileno(), connection.descriptor))
        with again:
            assert not is_open(connection)
            hang_up(connection)
            assert again.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
            with pytest.raises(BrokenPipeError):
                again.sendall(b"the other end is closed, this one was not shut down")
