"""Connections that break, hang, are refused or say nothing: the gap is exact, or there is none."""

import time
from pathlib import Path

import pytest

from tests.chaos.certificates import certified
from tests.chaos.oracle import Rules
from tests.chaos.pipeline import PATIENCE_S, SYMBOLS, Down, Pipeline, running
from tests.chaos.runs import check, check_without_gaps, seeded, sleep
from tests.chaos.table import Fault
from tests.support.waiting import eventually

BREAKS = (
    ("close fin *",),
    ("close rst *",),
    ("close 1001 *",),
    ("close fin *@depth@0ms",),
    ("refuse 2", "close fin *"),
    ("reject 503 2", "close rst *"),
    ("reject 429 2 1", "close rst *"),
    ("reject 404 1", "close 1008 *"),
    ("handshake-stall 2", "close rst *"),
)


def broken(pipeline: Pipeline, commands: tuple[str, ...]) -> Fault:
    """Break connections, and wait until all streams are subscribed again."""
    attempts = pipeline.simulator.stats()["attempts"]
    from_ns = time.time_ns()
    for command in commands:
        pipeline.simulator.command(command)
    eventually(lambda: pipeline.simulator.stats()["attempts"] > attempts, PATIENCE_S, what="it dials again")
    pipeline.wait_connected()
    pipeline.downs.append(Down(None, from_ns, time.time_ns()))
    pipeline.alive()
    return Fault(" + ".join(commands), from_ns)


@pytest.mark.parametrize("count", [5, pytest.param(len(BREAKS), marks=pytest.mark.slow)])
def test_broken_connections_leave_exact_gaps(place: Path, count: int) -> None:
    random = seeded()
    breaks = random.sample(BREAKS, count)
    network = {"connect_timeout": 1.0}
    with running(place, rate=600, symbols=SYMBOLS[:2], network=network) as pipeline:
        faults = []
        for commands in breaks:
            faults.append(broken(pipeline, commands))
            sleep(random.uniform(0.2, 0.8))
        streams = pipeline.finish()
    check(streams, faults, pipeline.downs)
    assert any(stream.verdict.true_gaps for stream in streams)


def test_a_planned_replacement_writes_no_gap(place: Path) -> None:
    """Lifetimes of 4 s, and the exchange announcing its end: make before break."""
    network = {"connection_lifetime": 4}
    with running(place, rate=600, symbols=SYMBOLS[:2], network=network) as pipeline:
        faults = [Fault("lifetime 4 s", time.time_ns())]
        attempts = pipeline.simulator.stats()["attempts"]
        eventually(
            lambda: pipeline.simulator.stats()["attempts"] >= attempts + 4,
            PATIENCE_S,
            what="each connection is replaced",
        )
        faults.append(Fault("shutdown-event", time.time_ns()))
        attempts = pipeline.simulator.stats()["attempts"]
        pipeline.simulator.command("shutdown-event")
        eventually(lambda: pipeline.simulator.stats()["attempts"] >= attempts + 4, PATIENCE_S, what="all are replaced")
        sleep(2)
        streams = pipeline.finish()
    check(streams, faults)
    check_without_gaps(streams)


ONE_OF_TWO = (
    "drop 20 *@aggTrade on {}",
    "drop 20 *@depth@0ms on {}",
    "stall * 1 on {}",
    "close fin * on {}",
    "close rst * on {}",
    "delay 20 *@aggTrade 0.2 on {}",
    "reorder 20 *@depth@0ms on {}",
    "double 20 *@aggTrade on {}",
    "truncated *@depth@0ms on {}",
    "masked btcusdt@depth@0ms on {}",
    "huge-integer btcusdt@aggTrade on {}",
)


@pytest.mark.parametrize("count", [5, pytest.param(len(ONE_OF_TWO), marks=pytest.mark.slow)])
def test_whatever_happens_to_one_of_two_connections_leaves_no_hole(place: Path, count: int) -> None:
    random = seeded()
    network = {"connections": 2, "stale_timeout": 20}
    with running(place, rate=400, symbols=SYMBOLS[:2], network=network) as pipeline:
        _wait_for_two(pipeline)
        faults = []
        for template in random.sample(ONE_OF_TWO, count):
            command = template.format(random.choice((1, 2)))
            faults.append(Fault(command.partition(" on ")[0], time.time_ns()))
            pipeline.simulator.command(command)
            sleep(random.uniform(1, 1.3))  # its effect is over before the other connection is hit
            _wait_for_two(pipeline)
        streams = pipeline.finish(Rules(any_order=True))
    check(streams, faults)
    check_without_gaps(streams)


def _wait_for_two(pipeline: Pipeline) -> None:
    for symbol in pipeline.symbols:
        for stream in ("aggTrade", "depth@0ms"):
            name = f"{symbol.lower()}@{stream}"
            eventually(lambda n=name: pipeline.subscribers(n) >= 2, PATIENCE_S, what=f"{name} twice")  # type: ignore[misc]
    sleep(1.5)  # a connection counts as proven once it has overlapped with the other one for a second


@pytest.mark.slow
def test_streams_that_stop_with_the_socket_open_are_noticed(place: Path) -> None:
    """Messages that the exchange never delivered, and said nothing about, are listed."""
    network = {"stale_timeout": 2}
    streams = ("aggTrade", "depth@0ms", "bookTicker", "markPrice@1s")
    with running(place, rate=400, symbols=SYMBOLS[:2], streams=streams, network=network) as pipeline:
        faults = []
        for command in ("hang 2", "stall * 4 on 1", "stall *@depth@0ms 2"):
            faults.append(Fault(command, time.time_ns()))
            pipeline.simulator.command(command)
            sleep(5)
            pipeline.wait_connected()
        judged = pipeline.finish()
    missing = {stream.stream.name for stream in judged if stream.verdict.missing}
    assert "btcusdt@depth@0ms" in missing
    check([stream for stream in judged if stream.stream.stream_type in ("aggtrade", "depth")], faults)


def test_an_acknowledged_stream_that_is_silent_is_reported_and_heals(place: Path) -> None:
    network = {"stale_timeout": 4}
    with running(place, rate=400, symbols=SYMBOLS[:1], network=network) as pipeline:
        pipeline.simulator.command("silent btcusdt@depth@0ms")
        found = pipeline.until(
            "ingest-BTCUSDT",
            lambda data: data["streams"]["btcusdt@depth@0ms"]["state"] == "stale",
            "depth is stale",
        )
        assert found["streams"]["btcusdt@aggTrade"]["state"] == "live"
        pipeline.simulator.command("silent off btcusdt@depth@0ms")
        pipeline.until(
            "ingest-BTCUSDT", lambda data: data["streams"]["btcusdt@depth@0ms"]["state"] == "live", "depth is live"
        )
        judged = pipeline.finish()
    check([stream for stream in judged if stream.stream.stream_type in ("aggtrade", "depth")], [])


@pytest.mark.parametrize("names", ["elsewhere.example", "127.0.0.1"], ids=["wrong host", "unknown issuer"])
def test_a_wrong_certificate_is_never_connected_to(place: Path, names: str) -> None:
    tls, ca_file = certified(place, names)
    trusted = {"ca_file": str(ca_file)} if names != "127.0.0.1" else {}
    with Pipeline(place, *tls, symbols=SYMBOLS[:1], network=trusted) as pipeline:
        pipeline.reach_exchange_at(f"127.0.0.1:{pipeline.simulator.port}", encrypted=True)
        pipeline.start("bus", "writer", "rest", "ingest-BTCUSDT")
        eventually(lambda: pipeline.log("ingest-BTCUSDT").lower().count("certificate"), PATIENCE_S, what="it says why")
        pipeline.status("ingest-BTCUSDT")
        sleep(2)
        stats = pipeline.simulator.stats()
        assert (stats["connections"], stats["attempts"]) == (0, 0)
        assert not stats["rest"]
        pipeline.alive()
        pipeline.stop()
