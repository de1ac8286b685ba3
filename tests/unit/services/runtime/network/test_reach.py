"""Hosts of several addresses, of which some are dead."""

import socket
import time

import pytest

from services.runtime.network.reach import Address, Reach, addresses_of, connected, faults_of
from tests.support.addresses import dead_address, refusing_address, resolve, silent_address

LONG_S = 60.0


def test_a_dead_first_address_costs_a_moment_and_not_the_time_out(monkeypatch: pytest.MonkeyPatch) -> None:
    with dead_address() as dead, silent_address() as live:
        resolve(monkeypatch, dead, live)
        started_s = time.monotonic()
        with Reach().connect("host.example", 443, timeout_s=LONG_S) as sock:
            assert sock.getpeername() == live
        assert time.monotonic() - started_s < LONG_S / 4


def test_an_address_that_refuses_is_followed_by_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    with refusing_address() as refusing, silent_address() as live:
        resolve(monkeypatch, refusing, refusing, live)
        with Reach().connect("host.example", 443, timeout_s=LONG_S) as sock:
            assert sock.getpeername() == live


def test_an_address_of_a_family_that_is_not_routed_is_followed_by_the_next_one() -> None:
    with silent_address() as live:
        unrouted = Address(socket.AF_INET6, ("ff00::1", 443, 0, 0))
        with connected([unrouted, Address(socket.AF_INET, live)], timeout_s=LONG_S) as sock:
            assert sock.getpeername() == live


def test_where_none_answers_each_address_is_named_with_its_fault() -> None:
    with dead_address() as dead, refusing_address() as refusing:
        addresses = [Address(socket.AF_INET, refusing), Address(socket.AF_INET, dead)]
        with pytest.raises(TimeoutError) as raised:
            connected(addresses, timeout_s=0.5)
        assert str(raised.value) == "127.0.0.1: Connection refused; 127.0.0.1: no answer within 0.5 s"
        with pytest.raises(OSError, match="Connection refused"):
            connected(addresses[:1], timeout_s=LONG_S)


def test_a_winner_blocks_and_has_the_options_that_were_asked_for() -> None:
    options = [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)]
    with silent_address() as live, connected([Address(socket.AF_INET, live)], timeout_s=1, options=options) as sock:
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_families_take_turns_so_that_a_dead_one_delays_once(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [
        (family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (name, 443))
        for family, name in [
            (socket.AF_INET6, "2001:db8::1"),
            (socket.AF_INET6, "2001:db8::2"),
            (socket.AF_INET6, "2001:db8::3"),
            (socket.AF_INET, "192.0.2.1"),
        ]
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    names = [str(address) for address in addresses_of("host.example", 443)]
    assert names == ["2001:db8::1", "192.0.2.1", "2001:db8::2", "2001:db8::3"]


def test_an_address_in_doubt_goes_last_until_it_is_trusted_again(monkeypatch: pytest.MonkeyPatch) -> None:
    with silent_address() as first, silent_address() as second:
        resolve(monkeypatch, first, second)
        reach = Reach()

        def reached() -> object:
            with reach.connect("host.example", 443, timeout_s=LONG_S) as sock:
                return sock.getpeername()

        assert reached() == first
        reach.doubt(first)
        assert reached() == second
        reach.doubt(second)
        assert reached() == first
        reach.doubt(first)
        reach.trust(first)
        assert reached() == first


def test_each_address_is_tried_and_the_dead_ones_are_named() -> None:
    with dead_address() as dead, silent_address() as live:
        addresses = [Address(socket.AF_INET, dead), Address(socket.AF_INET, ("127.0.0.2", 1))]
        found = faults_of(addresses, timeout_s=0.5)
        assert found == {"127.0.0.1": "no answer within 0.5 s", "127.0.0.2": "Connection refused"}
        assert faults_of([Address(socket.AF_INET, live)], timeout_s=LONG_S) == {"127.0.0.1": ""}
