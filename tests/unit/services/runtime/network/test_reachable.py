"""What `doctor` says of a host's addresses."""

import socket

import pytest

from services.runtime.network.reachable import check_addresses
from tests.support.addresses import Sockaddr, dead_address, resolve, silent_address

URL = "wss://fstream.example/public"


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def found(*addresses: Sockaddr) -> tuple[str, str, str]:
    with pytest.MonkeyPatch.context() as patch:
        resolve(patch, *addresses)
        (check,) = check_addresses(URL, timeout_s=0.5)
    return check.what, check.state, check.found


def test_the_dead_addresses_are_named() -> None:
    with dead_address() as dead, silent_address() as live:
        elsewhere = "127.0.0.2", live[1]
        with socket.create_server(elsewhere):
            what = "addresses of fstream.example"
            assert found(elsewhere, live) == (what, "ok", "2 of 2 answer")
            assert found(dead, elsewhere) == (what, "warn", "1 of 2 answer; 127.0.0.1: no answer within 0.5 s")
            assert found(dead) == (what, "fail", "0 of 1 answer; 127.0.0.1: no answer within 0.5 s")


def test_behind_a_proxy_its_addresses_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    with silent_address() as live:
        assert found(live) == ("addresses of proxy proxy.example", "ok", "1 of 1 answer")


def test_a_name_that_leads_nowhere_is_left_to_the_attempt_to_connect(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    assert check_addresses(URL, timeout_s=0.5) == []
