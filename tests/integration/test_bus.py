"""The bus as a real process."""

import contextlib
import os
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq

from binance_streamer.config.schema import EndpointsConfig, load
from binance_streamer.transport.sockets import bus_pub, bus_sub
from binance_streamer.wire.frames import decode_frame
from tests.support.addresses import free_port
from tests.support.configs import write_config
from tests.support.processes import Program, resident_bytes, service
from tests.support.waiting import eventually
from tests.support.zmtp import FloodingSubscriber, RawSubscriber

Sockets = Callable[..., "zmq.Socket[bytes]"]


@pytest.fixture
def config(place: Path) -> Path:
    return write_config(place, {"BTCUSDT": ["aggTrade"]}, {})


@pytest.fixture
def sockets() -> Iterator[Sockets]:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    made: list[zmq.Socket[bytes]] = []

    def make(kind: Callable[..., "zmq.Socket[bytes]"], *arguments: Any) -> "zmq.Socket[bytes]":
        made.append(kind(context, *arguments))
        return made[-1]

    yield make
    for made_socket in made:
        made_socket.close(linger=0)
    context.term()


def a_bus(place: Path, config: Path, name: str = "bus") -> Program:
    return service("bus", config, output=place / f"{name}.out")


def received(sub: "zmq.Socket[bytes]") -> list[list[bytes]]:
    found = []
    while sub.poll(0):
        found.append(sub.recv_multipart())
    return found


def gather(sub: "zmq.Socket[bytes]", count: int) -> list[list[bytes]]:
    """So many messages."""
    found: list[list[bytes]] = []

    def are_there() -> bool:
        found.extend(received(sub))
        return len(found) >= count

    eventually(are_there, every_s=0.01)
    return found


def connected(pub: "zmq.Socket[bytes]", sub: "zmq.Socket[bytes]") -> None:
    """Until what is published is heard."""

    def hears() -> bool:
        pub.send_multipart([b"hello.X.", b""])
        return bool(received(sub))

    eventually(hears)
    pub.send_multipart([b"hello.X.", b"last"])
    eventually(lambda: [b"hello.X.", b"last"] in received(sub))


def takes_signals(program: Program) -> bool:
    """Whether a process has come so far that SIGTERM does not simply end it."""
    lines = Path(f"/proc/{program.pid}/status").read_text(encoding="ascii").splitlines()
    caught = next(int(line.split()[1], 16) for line in lines if line.startswith("SigCgt:"))
    return bool(caught & 1 << (signal.SIGTERM - 1))


def endpoints_of(config: Path) -> EndpointsConfig:
    return load(config).endpoints


def test_a_subscriber_gets_what_is_published_in_order_and_only_its_topics(
    place: Path, config: Path, sockets: Sockets
) -> None:
    endpoints = endpoints_of(config)
    with a_bus(place, config):
        pub = sockets(bus_pub, endpoints.bus_publish)
        sub = sockets(bus_sub, endpoints.bus_subscribe, b"depth.BTCUSDT.", b"hello.")
        connected(pub, sub)
        for number in range(1000):
            pub.send_multipart([b"depth.BTCUSDT.0ms", b"%d" % number])
            pub.send_multipart([b"depth.BTCUSDT_260925.0ms", b"%d" % number])
        got = gather(sub, 1000)
    assert got == [[b"depth.BTCUSDT.0ms", b"%d" % number] for number in range(1000)]


def test_the_bus_says_every_second_what_it_forwarded(place: Path, config: Path, sockets: Sockets) -> None:
    endpoints = endpoints_of(config)
    with a_bus(place, config):
        sub = sockets(bus_sub, endpoints.bus_subscribe, b"status.bus.")
        statuses: list[dict[str, Any]] = []

        def three() -> bool:
            statuses.extend(decode_frame(parts[1])[1] for parts in received(sub))
            return len(statuses) >= 3

        eventually(three)
    assert statuses[-1]["state"] == "forwarding"
    assert statuses[0]["messages_in"] < statuses[-1]["messages_in"]
    assert statuses[0]["bytes_in"] < statuses[-1]["bytes_in"]
    assert statuses[0]["messages_out"] < statuses[-1]["messages_out"]


def test_sigterm_ends_the_bus_with_0(place: Path, config: Path) -> None:
    with a_bus(place, config) as bus:
        eventually((place / "run" / "bus.subscribe").exists)
        assert bus.stop() == 0


def test_publishers_and_subscribers_outlive_a_killed_bus(place: Path, config: Path, sockets: Sockets) -> None:
    endpoints = endpoints_of(config)
    pub = sockets(bus_pub, endpoints.bus_publish)
    sub = sockets(bus_sub, endpoints.bus_subscribe, b"hello.")
    for _ in range(3):
        with a_bus(place, config) as bus:
            connected(pub, sub)
            bus.kill()
        received(sub)


def test_no_subscription_is_lost_however_many_there_are(place: Path, config: Path, sockets: Sockets) -> None:
    endpoints = endpoints_of(config)
    topics = [f"depth.S{number:04}USDT.".encode() for number in range(5000)]
    pub, sub = sockets(bus_pub, endpoints.bus_publish), sockets(bus_sub, endpoints.bus_subscribe, *topics, b"hello.")
    for name in ("first", "second"):
        with a_bus(place, config, name):
            connected(pub, sub)
            for topic in topics:
                pub.send_multipart([topic, b""])
            missing = set(topics)

            def all_came(missing: set[bytes] = missing) -> bool:
                missing.difference_update(message[0] for message in received(sub))
                return not missing

            eventually(all_came, what="a message of every topic")


def test_a_second_bus_waits_and_takes_over_when_the_first_is_killed(
    place: Path, config: Path, sockets: Sockets
) -> None:
    endpoints = endpoints_of(config)
    pub = sockets(bus_pub, endpoints.bus_publish)
    sub = sockets(bus_sub, endpoints.bus_subscribe, b"status.bus.", b"hello.")
    with a_bus(place, config) as first:
        connected(pub, sub)
        with a_bus(place, config, "second") as second:
            eventually(lambda: takes_signals(second))
            received(sub)
            connected(pub, sub)
            assert second.exit_code is None
            first.kill()
            received(sub)

            def pids() -> set[int]:
                found = [parts for parts in received(sub) if parts[0] == b"status.bus."]
                return {decode_frame(parts[1])[1]["pid"] for parts in found}

            eventually(lambda: pids() == {second.pid})


def test_a_bus_that_waits_for_another_ends_when_asked(place: Path, config: Path) -> None:
    with a_bus(place, config), a_bus(place, config, "second") as second:
        eventually(lambda: takes_signals(second))
        assert second.stop() == 0


@pytest.fixture
def tcp_config(place: Path) -> Path:
    endpoints = {name: f"tcp://127.0.0.1:{free_port()}" for name in ("bus_publish", "bus_subscribe")}
    return write_config(place, {"BTCUSDT": ["aggTrade"]}, {}, endpoints=endpoints)


def test_strangers_bytes_and_odd_messages_harm_nobody(place: Path, tcp_config: Path, sockets: Sockets) -> None:
    endpoints = endpoints_of(tcp_config)
    with a_bus(place, tcp_config) as bus:
        pub = sockets(bus_pub, endpoints.bus_publish)
        sub = sockets(bus_sub, endpoints.bus_subscribe, b"")
        connected(pub, sub)
        for endpoint in (endpoints.bus_publish, endpoints.bus_subscribe):
            for _ in range(20):
                with socket.create_connection(("127.0.0.1", int(endpoint.rpartition(":")[2]))) as stranger:
                    stranger.sendall(os.urandom(500))
        pub.send(b"")
        pub.send_multipart([b"", b"", b"", b"x" * 100])
        pub.send_multipart([b"\xff" * 300, b"\xc1"])
        sockets(bus_sub, endpoints.bus_subscribe, b"hello.").setsockopt(zmq.SUBSCRIBE, b"z" * 3000)  # is cut off
        received(sub)
        connected(pub, sub)
        pub.send(b"x" * (9 * 2**20))  # over MAXMSGSIZE: the publisher is cut off, and comes back
        connected(pub, sub)
        assert bus.exit_code is None


def test_a_subscriber_that_stands_still_stops_nobody(place: Path, config: Path, sockets: Sockets) -> None:
    endpoints = endpoints_of(config)
    with a_bus(place, config) as bus:
        pub = sockets(bus_pub, endpoints.bus_publish)
        sub = sockets(bus_sub, endpoints.bus_subscribe, b"tick.", b"hello.")
        sockets(bus_sub, endpoints.bus_subscribe, b"")  # never read
        connected(pub, sub)
        got: list[list[bytes]] = []
        for number in range(40_000):
            pub.send_multipart([b"tick.X.", b"%d" % number])
            if number % 1000 == 999:
                eventually(lambda: got.extend(received(sub)) or len(got) >= number + 1)  # type: ignore  # noqa: B023
        assert len(got) == 40_000
        bus.send(signal.SIGTERM)
        assert bus.wait() == 0


@pytest.mark.parametrize(("count", "size"), [(20_000, 4000), (200_000, 30)])
def test_who_subscribes_without_measure_is_cut_off_and_nobody_else_notices(
    place: Path, config: Path, sockets: Sockets, count: int, size: int
) -> None:
    endpoints = endpoints_of(config)
    with a_bus(place, config) as bus:
        pub = sockets(bus_pub, endpoints.bus_publish)
        sub = sockets(bus_sub, endpoints.bus_subscribe, b"tick.", b"hello.")
        connected(pub, sub)
        before_bytes = resident_bytes(bus.pid)
        with RawSubscriber(endpoints.bus_subscribe) as stranger:
            sent = stranger.subscribe(b"%08d" % number + os.urandom(size - 8) for number in range(count))
            eventually(stranger.is_cut, what="the stranger is cut off")
            assert sent < count
        for number in range(1000):
            pub.send_multipart([b"tick.X.", b"%d" % number])
        assert gather(sub, 1000) == [[b"tick.X.", b"%d" % number] for number in range(1000)]
        assert resident_bytes(bus.pid) - before_bytes < 150 * 2**20
        assert bus.stop() == 0


@pytest.mark.timeout(180)
@pytest.mark.parametrize(("floods", "size"), [(1, 480), (4, 480), (4, 100)])
def test_floods_of_subscriptions_that_come_back_stop_nobody(
    place: Path, config: Path, sockets: Sockets, floods: int, size: int
) -> None:
    endpoints = endpoints_of(config)
    with a_bus(place, config) as bus, contextlib.ExitStack() as running:
        pub = sockets(bus_pub, endpoints.bus_publish)
        sub = sockets(bus_sub, endpoints.bus_subscribe, b"tick.", b"hello.")
        connected(pub, sub)
        before_bytes = resident_bytes(bus.pid)
        flooding = [running.enter_context(FloodingSubscriber(endpoints.bus_subscribe, size)) for _ in range(floods)]
        number = 0
        while min(flood.times_cut for flood in flooding) < 2:
            pub.send_multipart([b"tick.X.", b"%d" % number])
            assert gather(sub, 1) == [[b"tick.X.", b"%d" % number]]
            number += 1
        assert resident_bytes(bus.pid) - before_bytes < 150 * 2**20
        running.close()  # while a flood goes on, a newcomer may be kept waiting (docs/security.md)
        late = sockets(bus_sub, endpoints.bus_subscribe, b"hello.")
        connected(pub, late)
        assert bus.exit_code is None


@pytest.fixture
def heard(sockets: Sockets, config: Path) -> Callable[[], list[bytes]]:
    """All that a publisher has heard so far of what it is asked for."""
    publisher = sockets(lambda context: context.socket(zmq.XPUB))
    publisher.setsockopt(zmq.XPUB_VERBOSE, 1)
    publisher.connect(endpoints_of(config).bus_publish)
    found: list[bytes] = []

    def all_so_far() -> list[bytes]:
        while publisher.poll(0):
            found.append(publisher.recv())
        return found

    return all_so_far


def test_a_publisher_is_asked_for_what_is_subscribed_to_and_for_nothing_else(
    place: Path, config: Path, sockets: Sockets, heard: Callable[[], list[bytes]]
) -> None:
    endpoints = endpoints_of(config)
    with a_bus(place, config):
        first = sockets(bus_sub, endpoints.bus_subscribe, b"depth.BTCUSDT.")
        eventually(lambda: set(heard()) == {b"\x01depth.BTCUSDT."})
        second = sockets(bus_sub, endpoints.bus_subscribe, b"depth.BTCUSDT.0ms", b"trade.")
        eventually(lambda: set(heard()) == {b"\x01depth.BTCUSDT.", b"\x01trade."})
        first.close()
        second.unsubscribe(b"trade.")
        eventually(lambda: set(heard()) == {b"\x01depth.BTCUSDT.", b"\x01trade.", b"\x00trade."})
        second.close()
        eventually(lambda: set(heard()) == {b"\x01depth.BTCUSDT.", b"\x01trade.", b"\x00trade.", b"\x00depth.BTCUSDT."})


def test_a_publisher_hears_little_whatever_subscribers_ask_for(
    place: Path, config: Path, sockets: Sockets, heard: Callable[[], list[bytes]]
) -> None:
    endpoints = endpoints_of(config)
    with a_bus(place, config):
        pub = sockets(bus_pub, endpoints.bus_publish)
        topics = [b"%d.%s" % (number, b"x" * 400) for number in range(1000)]
        sub = sockets(bus_sub, endpoints.bus_subscribe, *topics, b"hello.")
        connected(pub, sub)
        eventually(lambda: b"\x01" in heard())
        assert len(heard()) < 1000
        assert max(map(len, heard())) <= 65


def test_who_subscribes_already_misses_nothing_while_others_come_and_go(
    place: Path, config: Path, sockets: Sockets, heard: Callable[[], list[bytes]]
) -> None:
    endpoints = endpoints_of(config)
    with a_bus(place, config):
        pub = sockets(bus_pub, endpoints.bus_publish)
        sub = sockets(bus_sub, endpoints.bus_subscribe, b"tick.X.", b"hello.")
        connected(pub, sub)
        got: list[list[bytes]] = []
        number = 0

        def publish_until(done: Callable[[], bool]) -> None:
            nonlocal number

            def published() -> bool:
                nonlocal number
                pub.send_multipart([b"tick.X.", b"%d" % number])
                number += 1
                got.extend(received(sub))
                return done()

            eventually(published, every_s=0.001)

        others = [b"tick.%d." % number for number in range(100)]
        late = sockets(bus_sub, endpoints.bus_subscribe, *others)  # so many that publishers are asked for `tick.`
        publish_until(lambda: b"\x00tick.X." in heard())
        late.close()
        publish_until(lambda: b"\x00tick." in heard())
        publish_until(lambda: len(got) > 0 and got[-1] == [b"tick.X.", b"%d" % (number - 1)])
    assert got == [[b"tick.X.", b"%d" % each] for each in range(number)]
