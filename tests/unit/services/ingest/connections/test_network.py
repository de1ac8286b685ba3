"""Results of the network for the reader's reports: values for the streams, successors, and a status. No stream here."""

import math
from pathlib import Path

import pytest

from binance_streamer.config import schema as configuration
from binance_streamer.wire.status_parts import ConnectionStatus
from services.ingest.connections import network
from services.ingest.connections.dialler import DialTarget, Need
from services.ingest.connections.events import Ended, Failed, HandedOver, Lost
from services.ingest.connections.network import Network
from tests.support.configs import write_config
from tests.support.running_network import Line

PUBLIC = "public"


class Bench:
    """A network of one route, whose connections open when the test says so."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch, connections: int = 2) -> None:
        self.line = Line()
        monkeypatch.setattr(network, "Dialler", lambda *_, **__: self.line)
        config = configuration.load(write_config(directory, {"BTCUSDT": ("bookTicker",)}, {"connections": connections}))
        self.network = Network(
            config,
            "BTCUSDT",
            routes=[PUBLIC],
            target_of=lambda route: DialTarget(f"wss://exchange/{route}"),
            reader=self.line,  # type: ignore[arg-type]
        )
        self.proven: set[tuple[int, int]] = set()
        self.tick(0.0)

    def tick(self, now_s: float) -> None:
        """Let the network do what is due."""
        self.network.tick(now_s, lambda old, new: (old, new) in self.proven)

    def deliver(self, now_s: float, *connections: int) -> None:
        """Open these, and have them deliver."""
        for one in connections:
            self.network.on_opened(one, now_s)
            self.network.on_first_message(one, now_s)

    def end(self, connection: int, now_s: float) -> Lost | HandedOver:
        """End one, as the reader reports it."""
        return self.network.on_ended(Ended(connection, 1, "disconnected", "end of stream"), now_s)


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(tmp_path, monkeypatch)


def test_a_route_is_dialled_where_its_target_is(bench: Bench) -> None:
    assert bench.line.asked == [(1, PUBLIC, "wss://exchange/public"), (2, PUBLIC, "wss://exchange/public")]
    assert bench.network.open_on(PUBLIC) == []
    assert bench.network._need_of(PUBLIC) == Need.FIRST


def test_a_lost_connection_names_the_others_and_since_when_they_deliver(bench: Bench) -> None:
    bench.deliver(5.0, 1)
    bench.deliver(6.0, 2)
    assert bench.end(1, 9.0) == Lost(1, PUBLIC, "disconnected", {2: 6.0})
    assert bench.end(2, 9.0) == Lost(2, PUBLIC, "disconnected", {})
    assert not bench.network.has(1)


def test_of_one_that_is_doubted_not_even_a_quiet_stream_is_expected(bench: Bench) -> None:
    bench.deliver(5.0, 1, 2)
    bench.network.doubt({2})
    assert bench.network.lost_for(1, "stall") == Lost(1, PUBLIC, "stall", {2: math.inf})
    assert bench.end(1, 9.0) == Lost(1, PUBLIC, "disconnected", {2: math.inf})


def replaced_by_3(bench: Bench) -> None:
    """The successor of 1 is proven, so that 1 is being closed."""
    bench.deliver(5.0, 1, 2)
    bench.network.replace("stale", 1)
    assert bench.network.is_to_be_replaced(1)
    bench.tick(10.0)
    bench.deliver(11.0, 3)
    bench.proven.add((1, 3))
    bench.tick(13.0)
    assert bench.line.closed == [(1, "stall")]


def test_one_that_is_closed_behind_a_proven_successor_is_handed_over(bench: Bench) -> None:
    replaced_by_3(bench)
    assert bench.end(1, 13.5) == HandedOver(1, PUBLIC)


def test_a_successor_that_ends_or_is_doubted_meanwhile_proves_nothing(bench: Bench) -> None:
    replaced_by_3(bench)
    bench.network.doubt({3})
    assert bench.end(1, 13.5) == Lost(1, PUBLIC, "disconnected", {2: 5.0, 3: math.inf})


def test_the_proof_ends_with_the_successor(bench: Bench) -> None:
    replaced_by_3(bench)
    bench.end(3, 13.2)
    assert bench.end(1, 13.5) == Lost(1, PUBLIC, "disconnected", {2: 5.0})


def test_one_that_opens_when_nobody_wants_it_any_more_is_closed(bench: Bench) -> None:
    bench.deliver(5.0, 1, 2)
    bench.network.replace("stale", 1)
    bench.tick(10.0)
    bench.network.replace_route(PUBLIC, "stale")
    bench.network.on_opened(3, 11.0)
    assert (3, "disconnected") in bench.line.closed


def test_the_status_tells_each_connection_and_what_fails(bench: Bench) -> None:
    bench.deliver(5.0, 1)
    bench.network.count_messages(1, 3)
    bench.network.on_failed(Failed(2, "refused: nobody listens", 0.0), 6.0)
    status = bench.network.status(7.0)
    assert status.connections == (
        ConnectionStatus(connection=1, route=PUBLIC, ordinal=0, state="delivering", age_s=2.0, messages=3),
    )
    assert status.failing == {PUBLIC: "refused: nobody listens"}
    assert (status.opened, status.lost) == ({PUBLIC: 1}, {})
