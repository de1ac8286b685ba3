"""A stranger who reaches a socket delivers nothing and breaks nothing."""

import random
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import pytest
import zmq

from binance_streamer.transport import curve, sockets
from tests.support.addresses import free_port

Context = zmq.Context[zmq.Socket[bytes]]
Kept = Callable[["zmq.Socket[bytes]"], "zmq.Socket[bytes]"]


@pytest.fixture
def context() -> Iterator[Context]:
    made: Context = zmq.Context()
    yield made
    made.destroy(linger=0)


@pytest.fixture
def kept(context: Context) -> Iterator[Kept]:
    """Closes the socket at the end: pyzmq warns of one that is forgotten open."""
    with ExitStack() as stack:
        yield lambda made: stack.enter_context(closing(made))


@pytest.fixture
def port() -> int:
    return free_port()


def intake_of_all(context: Context, endpoint: str) -> "zmq.Socket[bytes]":
    return sockets.bus_intake(context, endpoint, b"")


@pytest.mark.parametrize(
    "bound", [sockets.intake_pull, intake_of_all, sockets.bus_xpub, sockets.acks_xpub, sockets.query_router]
)
def test_random_bytes_never_become_a_message(
    context: Context, kept: Kept, port: int, bound: Callable[[Context, str], "zmq.Socket[bytes]"]
) -> None:
    receiver = kept(bound(context, f"tcp://127.0.0.1:{port}"))
    seeded = random.Random(1)
    for _ in range(60):
        with socket.create_connection(("127.0.0.1", port)) as stranger:
            stranger.sendall(seeded.randbytes(seeded.randint(1, 300)))
    assert receiver.poll(500) == 0


UNPROTECTED = """
import sys, zmq
pull = zmq.Context().socket(zmq.PULL)
pull.bind(sys.argv[1])
print("bound", flush=True)
pull.recv()
print("a stranger got through", flush=True)
"""


def test_strangers_do_get_through_where_the_zap_domain_is_missing(port: int) -> None:
    """The twin: in a process of its own, because libzmq may not end after such guests."""
    command = [sys.executable, "-c", UNPROTECTED, f"tcp://127.0.0.1:{port}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as receiver:
        assert receiver.stdout is not None
        assert receiver.stdout.readline() == "bound\n"
        seeded = random.Random(1)
        for _ in range(200):
            with suppress(OSError), socket.create_connection(("127.0.0.1", port)) as stranger:
                stranger.sendall(b"\x01\x00" + seeded.randbytes(seeded.randint(1, 300)))
        assert receiver.stdout.readline() == "a stranger got through\n"
        receiver.kill()


def test_a_message_over_the_limit_cuts_the_connection_and_not_the_receiver(
    context: Context, kept: Kept, port: int
) -> None:
    pull = kept(sockets.intake_pull(context, f"tcp://127.0.0.1:{port}"))
    push = kept(sockets.intake_push(context, f"tcp://127.0.0.1:{port}"))
    assert push.poll(60_000, zmq.POLLOUT)
    push.send(b"x" * (9 * 1024 * 1024))
    assert pull.poll(500) == 0
    other = kept(sockets.intake_push(context, f"tcp://127.0.0.1:{port}"))
    assert other.poll(60_000, zmq.POLLOUT)
    other.send(b"hello")
    assert pull.poll(60_000)
    assert pull.recv() == b"hello"


STANDING_STILL = """
import sys, time, zmq
from binance_streamer.transport import curve, sockets
made = {"intake": sockets.intake_pull, "tap": lambda *where: sockets.bus_sub(*where, b"")}[sys.argv[1]]
receiver = made(zmq.Context(), sys.argv[2])
print("ready", flush=True)
sys.stdin.readline()
while not receiver.poll(0):
    time.sleep(0.05)
while receiver.poll(500):
    receiver.recv()
print("read on", flush=True)
receiver.close()
"""
FILLING = """
import sys, time, zmq
from binance_streamer.transport import curve, sockets
made = {"intake": sockets.intake_push, "tap": sockets.bus_xpub}[sys.argv[1]]
sender = made(zmq.Context(), sys.argv[2])
print("ready", flush=True)
while True:
    for _ in range(100):
        sender.send(b"x" * 1000)
    time.sleep(0.001)
"""


@pytest.mark.parametrize("kind", ["intake", "tap"])
def test_a_receiver_that_stands_still_outlives_the_end_of_its_peer(place: Path, kind: str) -> None:
    """With ZMTP heartbeats libzmq aborted it: `Assertion failed: !_io_error`. In processes of their own therefore."""
    command = [sys.executable, "-c"]
    endpoint = f"ipc://{place}/run/x"
    with (
        subprocess.Popen(
            [*command, STANDING_STILL, kind, endpoint], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as receiver,
        subprocess.Popen([*command, FILLING, kind, endpoint], stdout=subprocess.PIPE, text=True) as sender,
    ):
        assert receiver.stdout
        assert sender.stdout
        assert (receiver.stdout.readline(), sender.stdout.readline()) == ("ready\n", "ready\n")
        time.sleep(2)  # its queue is full, and the socket's buffer behind it
        sender.kill()
        time.sleep(2.5)  # a heartbeat would have been due twice
        assert receiver.poll() is None
        out, _ = receiver.communicate("go on\n", timeout=60)
        assert (out, receiver.returncode) == ("read on\n", 0)


def test_a_writer_that_is_away_gets_nothing_queued(context: Context, kept: Kept, port: int) -> None:
    push = kept(sockets.intake_push(context, f"tcp://127.0.0.1:{port}"))
    with pytest.raises(zmq.Again):
        push.send(b"x", zmq.DONTWAIT)


def test_ipc_sockets_lie_in_a_private_directory(context: Context, kept: Kept, tmp_path: Path) -> None:
    directory = tmp_path / "run"
    kept(sockets.bus_xpub(context, f"ipc://{directory}/bus"))
    assert directory.stat().st_mode & 0o777 == 0o700


def test_a_path_that_is_too_long_is_refused_with_advice(context: Context) -> None:
    with pytest.raises(sockets.EndpointError, match="set a shorter run_directory"):
        sockets.bus_pub(context, "ipc:///tmp/" + "x" * 107)


def test_a_taken_port_is_refused_with_its_name(context: Context, kept: Kept, port: int) -> None:
    kept(sockets.bus_xpub(context, f"tcp://127.0.0.1:{port}"))
    with pytest.raises(sockets.EndpointError, match=f"cannot bind tcp://127.0.0.1:{port}"):
        sockets.bus_xpub(context, f"tcp://127.0.0.1:{port}")


def test_binding_everywhere_is_not_an_accident_of_the_options(context: Context, kept: Kept, port: int) -> None:
    xpub = kept(sockets.bus_xpub(context, f"tcp://127.0.0.1:{port}"))
    assert xpub.getsockopt(zmq.LAST_ENDPOINT) == f"tcp://127.0.0.1:{port}".encode()
    assert xpub.getsockopt(zmq.ZAP_DOMAIN) == b"recorder"


def test_the_name_of_this_host_is_bound_by_its_address(context: Context, kept: Kept, port: int) -> None:
    xpub = kept(sockets.bus_xpub(context, f"tcp://localhost:{port}"))
    assert xpub.getsockopt(zmq.LAST_ENDPOINT) == f"tcp://127.0.0.1:{port}".encode()
    sub = kept(sockets.bus_sub(context, f"tcp://localhost:{port}", b"depth."))
    assert xpub.poll(60_000), "nobody subscribed"
    assert xpub.recv() == b"\x01depth."
    xpub.send_multipart([b"depth.BTCUSDT.", b"frame"])
    assert sub.poll(60_000), "nothing came"


@pytest.fixture
def plain() -> Iterator[curve.Context]:
    """A context of `insecure: true`."""
    made = curve.Context(None, allows_plain=True)
    yield made
    made.destroy(linger=0)


def test_the_name_of_an_interface_is_bound_too(plain: curve.Context, kept: Kept, port: int) -> None:
    xpub = kept(sockets.bus_xpub(plain, f"tcp://lo:{port}"))
    assert xpub.getsockopt(zmq.LAST_ENDPOINT) == f"tcp://127.0.0.1:{port}".encode()


def test_a_name_that_leads_nowhere_is_refused(plain: curve.Context) -> None:
    with pytest.raises(sockets.EndpointError, match=r"cannot bind tcp://nowhere\.invalid:5701"):
        sockets.bus_xpub(plain, "tcp://nowhere.invalid:5701")
