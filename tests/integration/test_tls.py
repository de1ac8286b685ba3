"""A server that cannot prove to be the exchange gets no request and delivers no row, however long it stands there."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import trustme

from binance_streamer.client.tap import Tap
from binance_streamer.config.schema import load
from tests.support.addresses import free_port
from tests.support.configs import write_config
from tests.support.processes import Simulator, service
from tests.support.waiting import eventually


class Statuses:
    """The newest status of each process."""

    def __init__(self, tap: Tap) -> None:
        self._tap = tap
        self._found: dict[str, dict[str, Any]] = {}
        self.snapshots = 0

    def of(self, name: str) -> dict[str, Any]:
        while (message := self._tap.receive(0)) is not None:
            if message.stream_type == "status":
                self._found[message.topic.symbol] = message.data
            self.snapshots += message.stream_type == "depth_snapshot"
        return self._found.get(name, {})


@pytest.fixture
def held() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def exchange(place: Path, name: str, port: int, certificate: trustme.LeafCert) -> Simulator:
    directory = place / name
    directory.mkdir()
    certificate.private_key_and_cert_chain_pem.write_to_path(str(directory / "server.pem"))
    pem = directory / "server.pem"
    arguments = ("--symbols", "BTCUSDT", "--rate", "100", "--port", str(port), "--tls-cert", pem, "--tls-key", pem)
    return Simulator(directory, *arguments)


def journals_with_rows(place: Path) -> int:
    """How many segments name a stream; one without rows does not."""
    return sum(b"btcusdt@" in path.read_bytes() for path in (place / "journal").rglob("*.journal"))


def expect_refusal(place: Path, statuses: Statuses, impostor: Simulator, *words: str) -> None:
    """Both processes say why, and neither has asked or heard anything."""

    def say_so() -> bool:
        faults = [statuses.of("rest").get("fault", ""), *statuses.of("ingest-BTCUSDT").get("failing", {}).values()]
        return len(faults) == 3 and all(any(word in fault for word in words) for fault in faults)

    eventually(say_so, 60, what=f"REST and both routes say one of {words}")
    assert impostor.stats()["connections"] == 0
    assert (impostor.tape / "rest.txt").read_bytes() == b""
    assert (journals_with_rows(place), statuses.snapshots) == (0, 0)


def test_ingest_and_rest_wait_for_the_certificate_of_the_exchange(place: Path, held: ExitStack) -> None:
    trusted, other = trustme.CA(), trustme.CA()
    trusted.cert_pem.write_to_path(str(place / "ca.pem"))
    port = free_port()
    urls = {"websocket_url": f"wss://127.0.0.1:{port}", "rest_url": f"https://127.0.0.1:{port}", "ca_file": "ca.pem"}
    config = write_config(place, {"BTCUSDT": ["aggTrade", "depth@0ms"]}, urls)
    held.enter_context(service("bus", config, output=place / "bus.out"))
    statuses = Statuses(held.enter_context(Tap(load(config).endpoints.bus_subscribe)))
    eventually(lambda: statuses.of("bus"), what="the bus is up")
    held.enter_context(service("ingest", config, "--symbol", "BTCUSDT", output=place / "ingest.out"))
    held.enter_context(service("rest", config, output=place / "rest.out"))

    with exchange(place, "stranger", port, other.issue_cert("127.0.0.1")) as impostor:
        expect_refusal(place, statuses, impostor, "self-signed", "unable to get local issuer")
    with exchange(place, "namesake", port, trusted.issue_cert("fstream.example.com")) as impostor:
        expect_refusal(place, statuses, impostor, "not valid for", "doesn't match")
    with exchange(place, "true", port, trusted.issue_cert("127.0.0.1")):
        eventually(lambda: statuses.of("rest").get("state") == "answered", 60, what="rest asks the right one")
        eventually(lambda: journals_with_rows(place), 60, what="ingest records from the right one")
        eventually(lambda: statuses.of("ingest-BTCUSDT").get("failing") == {}, what="ingest names no fault")
        eventually(lambda: statuses.of("rest")["fault"] == "", what="rest names no fault")
