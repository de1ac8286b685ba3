"""With keys, strangers deliver nothing and hear nothing; without, nothing listens where they could be."""

import os
import random
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest
import zmq

from binance_streamer.cli.commands import keys as key_files
from binance_streamer.client.tap import Tap
from binance_streamer.transport import sockets
from binance_streamer.transport.curve import Context, KeyFileError, keys_of
from tests.support.addresses import free_port
from tests.support.configs import write_config
from tests.support.processes import Simulator, service
from tests.support.recorded import recorded_rows
from tests.support.waiting import eventually

Socket = zmq.Socket[bytes]
AnyContext = zmq.Context[Socket]

REFUSED_MS = 700
"""An authorised client's first message takes a few ms."""


@pytest.fixture
def directory(place: Path) -> Path:
    key_files.make(place / "keys")
    key_files.make_client(place / "keys", "other")
    return place / "keys"


@pytest.fixture
def endpoint() -> str:
    return f"tcp://127.0.0.1:{free_port()}"


@pytest.fixture
def held() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def context_of(held: ExitStack) -> Callable[[Path | None], Context]:
    def made(keys: Path | None) -> Context:
        context = Context(keys_of(str(keys or "")))
        held.callback(context.destroy, 0)
        return context

    return made


def stranger(place: Path, directory: Path) -> Path:
    """Somebody who knows the server's key and has one of his own that nobody has let in."""
    key_files.make(place / "elsewhere")
    path = place / "elsewhere/server.key"
    path.write_bytes((directory / "server.key").read_bytes())
    return place / "elsewhere"


def delivers(push: Socket, pull: Socket) -> bool:
    """Whether what is pushed arrives, tried for long enough."""
    end_s = time.monotonic() + 60
    while time.monotonic() < end_s:
        if push.poll(50, zmq.POLLOUT):
            push.send(b"hello", zmq.DONTWAIT)
            return bool(pull.poll(60_000)) and pull.recv() == b"hello"
    return False


Contexts = Callable[[Path | None], Context]


@pytest.mark.parametrize("keys", ["keys", "keys/clients/other"])
@pytest.mark.parametrize("transport", ["tcp", "ipc"])
def test_a_client_that_is_let_in_delivers(
    place: Path, directory: Path, endpoint: str, held: ExitStack, context_of: Contexts, keys: str, transport: str
) -> None:
    where = endpoint if transport == "tcp" else f"ipc://{place}/intake"
    pull = held.enter_context(closing(sockets.intake_pull(context_of(directory), where)))
    push = held.enter_context(closing(sockets.intake_push(context_of(place / keys), where)))
    assert delivers(push, pull)
    assert pull.getsockopt(zmq.MECHANISM) == push.getsockopt(zmq.MECHANISM) == zmq.CURVE


def test_the_bus_works_with_keys_and_a_tap_needs_them(
    directory: Path, endpoint: str, held: ExitStack, context_of: Contexts
) -> None:
    context = context_of(directory)
    xpub = held.enter_context(closing(sockets.bus_xpub(context, endpoint)))
    tap = held.enter_context(Tap(endpoint, ["status."], curve_directory=str(directory / "clients/other")))
    plain = held.enter_context(Tap(endpoint, ["plain."]))
    assert xpub.poll(60_000)
    assert xpub.recv() == b"\x01status."
    xpub.send_multipart([b"status.x.", b"no frame"])
    eventually(lambda: tap.receive(0.1) or tap.refused == 1, what="the tap hears")
    assert xpub.poll(REFUSED_MS) == 0  # no subscription of the plain tap
    assert plain.receive(0) is None


def refused(push: Socket, pull: Socket) -> bool:
    """Whether nothing arrives. The socket must not even believe that it is connected (IMMEDIATE)."""
    is_connected = push.poll(REFUSED_MS, zmq.POLLOUT)
    if is_connected:
        push.send(b"hello", zmq.DONTWAIT)
    return not is_connected and not pull.poll(REFUSED_MS)


def test_an_unknown_key_is_refused(
    place: Path, directory: Path, endpoint: str, held: ExitStack, context_of: Contexts
) -> None:
    pull = held.enter_context(closing(sockets.intake_pull(context_of(directory), endpoint)))
    push = held.enter_context(closing(sockets.intake_push(context_of(stranger(place, directory)), endpoint)))
    assert refused(push, pull)
    friend = held.enter_context(closing(sockets.intake_push(context_of(directory), endpoint)))
    assert delivers(friend, pull)


def test_a_client_without_keys_is_refused(
    directory: Path, endpoint: str, held: ExitStack, context_of: Contexts
) -> None:
    pull = held.enter_context(closing(sockets.intake_pull(context_of(directory), endpoint)))
    push = held.enter_context(closing(sockets.intake_push(context_of(None), endpoint)))
    assert refused(push, pull)


@pytest.mark.parametrize("has_keys", [True, False])
def test_a_server_that_is_not_ours_gets_nothing(
    place: Path, directory: Path, endpoint: str, held: ExitStack, context_of: Contexts, *, has_keys: bool
) -> None:
    key_files.make(place / "elsewhere")
    theirs = context_of(place / "elsewhere" if has_keys else None)
    pull = held.enter_context(closing(sockets.intake_pull(theirs, endpoint)))
    push = held.enter_context(closing(sockets.intake_push(context_of(directory), endpoint)))
    assert refused(push, pull)


def intake_of_all(context: AnyContext, endpoint: str) -> Socket:
    return sockets.bus_intake(context, endpoint, b"")


@pytest.mark.parametrize("bound", [sockets.intake_pull, intake_of_all, sockets.bus_xpub, sockets.acks_xpub])
def test_bytes_of_strangers_deliver_nothing(
    directory: Path, endpoint: str, held: ExitStack, context_of: Contexts, bound: Callable[[AnyContext, str], Socket]
) -> None:
    receiver = held.enter_context(closing(bound(context_of(directory), endpoint)))
    seeded = random.Random(1)
    greeting = b"\xff" + bytes(8) + b"\x7f\x03\x00"
    openings = (b"", b"\x01\x00", greeting + b"NULL".ljust(20, b"\0"), greeting + b"CURVE".ljust(20, b"\0"))
    port = int(endpoint.rpartition(":")[2])
    for number in range(60):
        with socket.create_connection(("127.0.0.1", port)) as guest:
            guest.sendall(openings[number % 4].ljust(64 if number % 4 > 1 else 0, b"\0") + seeded.randbytes(200))
    assert receiver.poll(500) == 0


def test_a_client_is_let_in_and_shut_out_without_a_restart(
    place: Path, directory: Path, endpoint: str, held: ExitStack, context_of: Contexts
) -> None:
    pull = held.enter_context(closing(sockets.intake_pull(context_of(directory), endpoint)))
    key_files.make_client(directory, "late")
    late = directory / "clients/late"
    with closing(sockets.intake_push(context_of(late), endpoint)) as push:
        assert delivers(push, pull)
    (directory / "authorized/late.key").unlink()
    with closing(sockets.intake_push(context_of(late), endpoint)) as push:
        assert refused(push, pull)


def test_a_client_that_was_refused_is_let_in_as_soon_as_its_key_is_there(
    directory: Path, endpoint: str, held: ExitStack, context_of: Contexts
) -> None:
    pull = held.enter_context(closing(sockets.intake_pull(context_of(directory), endpoint)))
    file = directory / "authorized/other.key"
    text = file.read_bytes()
    file.unlink()
    push = held.enter_context(closing(sockets.intake_push(context_of(directory / "clients/other"), endpoint)))
    assert refused(push, pull)
    file.write_bytes(text)
    assert delivers(push, pull)


def test_a_machine_without_the_server_s_secret_binds_nothing(
    directory: Path, endpoint: str, context_of: Contexts
) -> None:
    with pytest.raises(KeyFileError, match=r"clients/other/server\.key_secret: cannot be read"):
        sockets.intake_pull(context_of(directory / "clients/other"), endpoint)


def test_nothing_is_bound_in_the_open_without_keys_or_a_word(held: ExitStack, endpoint: str) -> None:
    port = endpoint.rpartition(":")[2]
    plain: AnyContext = zmq.Context()
    for context in (plain, Context()):
        held.callback(context.destroy, 0)
        for host in ("*", "0.0.0.0", socket.gethostname()):
            with pytest.raises(sockets.EndpointError, match="is open to other machines"):
                sockets.bus_xpub(context, f"tcp://{host}:{port}")
    allowed = Context(allows_plain=True)
    held.callback(allowed.destroy, 0)
    held.enter_context(closing(sockets.bus_xpub(allowed, f"tcp://*:{port}")))


def test_the_loopback_of_ipv6_works(held: ExitStack, endpoint: str, context_of: Contexts) -> None:
    where = f"tcp://[::1]:{endpoint.rpartition(':')[2]}"
    try:
        pull = held.enter_context(closing(sockets.intake_pull(context_of(None), where)))
    except sockets.EndpointError:
        pytest.skip("no IPv6 on this machine")
    assert delivers(held.enter_context(closing(sockets.intake_push(context_of(None), where))), pull)


@pytest.mark.parametrize("mode", [0o755, 0o770, 0o701])
def test_an_ipc_directory_that_lets_others_in_is_refused(place: Path, context_of: Contexts, mode: int) -> None:
    directory = place / "run"
    directory.mkdir()
    directory.chmod(mode)
    with pytest.raises(sockets.EndpointError, match=f"mode {mode:o}.*chmod 700 {directory}"):
        sockets.bus_xpub(context_of(None), f"ipc://{directory}/bus")
    assert directory.stat().st_mode & 0o777 == mode


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_an_ipc_directory_of_somebody_else_is_refused(place: Path, context_of: Contexts) -> None:
    directory = place / "run"
    directory.mkdir(mode=0o700)
    os.chown(directory, 65534, 65534)
    with pytest.raises(sockets.EndpointError, match=r"uid 65534, mode 700.*expected uid 0"):
        sockets.bus_xpub(context_of(None), f"ipc://{directory}/bus")


def test_a_service_in_the_open_does_not_start(place: Path) -> None:
    for name, key in (("bus", "bus_publish"), ("writer", "writer_acks"), ("rest", "writer_intake")):
        config = write_config(place, {"BTCUSDT": ["aggTrade"]}, {}, endpoints={key: "tcp://0.0.0.0:1"})
        with service(name, config, output=place / f"{name}.out") as program:
            assert program.wait() == 78
            assert program.text().startswith(f"{name}: {config}: endpoints.{key}: 'tcp://0.0.0.0:1' is open to other")


def test_a_service_makes_the_directories_of_its_sockets_private(place: Path) -> None:
    elsewhere = place / "a/b"
    endpoints = {"bus_publish": f"ipc://{elsewhere}/bus.publish"}
    config = write_config(place, {"BTCUSDT": ["aggTrade"]}, {}, endpoints=endpoints)
    with service("bus", config, output=place / "bus.out") as bus:
        eventually((elsewhere / "bus.publish").exists, what="the bus is bound")
        assert [path.stat().st_mode & 0o777 for path in (elsewhere, place / "run")] == [0o700, 0o700]
        assert bus.stop() == 0


def test_a_service_with_a_secret_that_others_read_does_not_start(place: Path, directory: Path) -> None:
    config = write_config(place, {"BTCUSDT": ["aggTrade"]}, {}, endpoints={"curve_directory": "keys"})
    (directory / "client.key_secret").chmod(0o644)
    with service("bus", config, output=place / "bus.out") as program:
        assert program.wait() == 78
        assert "client.key_secret: others may read or write it (mode 644)" in program.text()


def test_the_bus_and_its_status_run_with_keys(place: Path, directory: Path, endpoint: str) -> None:
    config = write_config(
        place, {"BTCUSDT": ["aggTrade"]}, {}, endpoints={"curve_directory": "keys", "bus_subscribe": endpoint}
    )
    with service("bus", config, output=place / "bus.out") as bus:
        with Tap(endpoint, ["status.bus."], curve_directory=str(directory / "clients/other")) as tap:
            message = eventually(lambda: tap.receive(1), what="the bus tells of itself")
        assert message.data["state"] == "forwarding"
        assert bus.stop() == 0


def test_a_writer_without_the_server_s_secret_ends_with_the_file_s_name(place: Path, directory: Path) -> None:
    (directory / "server.key_secret").unlink()
    config = write_config(place, {"BTCUSDT": ["aggTrade"]}, {}, endpoints={"curve_directory": "keys"})
    with service("writer", config, output=place / "writer.out") as program:
        assert program.wait() == 78
        assert "server.key_secret: cannot be read" in program.text()


def test_two_hosts_record_together_with_the_keys_of_each(place: Path, held: ExitStack) -> None:
    """As docs/security.md has it: bus and writer on one host, ingest and REST on the other."""
    store, edge = place / "store", place / "edge"
    for host in (store, edge):
        host.mkdir()
    key_files.make(store / "keys")
    key_files.make_client(store / "keys", "edge")
    (store / "keys/clients/edge").rename(edge / "keys")
    endpoints: dict[str, Any] = {"curve_directory": "keys"}
    for key in ("bus_publish", "bus_subscribe", "writer_intake", "writer_acks"):
        endpoints[key] = f"tcp://127.0.0.1:{free_port()}"
    simulator = held.enter_context(Simulator(edge, "--symbols", "BTCUSDT", "--rate", "100"))
    configs = {
        host: write_config(host, {"BTCUSDT": ["aggTrade", "depth@0ms"]}, simulator.urls, endpoints=endpoints)
        for host in (store, edge)
    }
    for host, name, more in (
        (edge, "ingest", ("--symbol", "BTCUSDT")),
        (edge, "rest", ()),
        (store, "bus", ()),
        (store, "writer", ()),
    ):
        held.enter_context(service(name, configs[host], *more, output=host / f"{name}.out"))
    for stem in ("aggtrade", "depth", "snapshot"):
        eventually(lambda: recorded_rows(store / "data", "BTCUSDT", stem), 60, what=f"rows of {stem}")  # noqa: B023
    assert not (edge / "data").exists()
