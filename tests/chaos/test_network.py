"""Faults between us and the exchange: packets that are dropped without a word, names that no longer resolve."""

import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.chaos.certificates import certified
from tests.chaos.namespace import Namespace, require_namespaces
from tests.chaos.oracle import Rules
from tests.chaos.pipeline import PATIENCE_S, STREAMS, SYMBOLS, Down, Pipeline
from tests.chaos.relay import Link, Relay
from tests.chaos.runs import check, check_without_gaps, seeded, sleep
from tests.chaos.table import Fault
from tests.support.recorded import recorded_rows
from tests.support.waiting import eventually

HOST = "exchange.test"


def _twins(relay: Relay) -> dict[str, list[Link]]:
    """The open websocket connections of each worker and route."""
    links: dict[str, list[Link]] = defaultdict(list)
    for link in relay.links:
        if link.is_open and "streams=" in link.target:
            links[link.target].append(link)
    return links


@contextmanager
def _relayed(
    place: Path,
    *,
    rate: float = 400,
    symbols: Sequence[str] = SYMBOLS[:2],
    streams: Sequence[str] = STREAMS,
    **network: float,
) -> Iterator[tuple[Pipeline, Relay]]:
    """A pipeline that records through a relay."""
    with (
        Pipeline(place, rate=rate, symbols=symbols, streams=streams, network=network) as pipeline,
        Relay(pipeline.simulator.port) as relay,
    ):
        pipeline.reach_exchange_at(f"127.0.0.1:{relay.port}")
        pipeline.start()
        pipeline.wait_recording()
        yield pipeline, relay


@pytest.mark.slow
def test_packets_dropped_on_one_of_two_connections_leave_no_hole(place: Path) -> None:
    random = seeded()
    with _relayed(place, connections=2, stale_timeout=2, connect_timeout=2) as (pipeline, relay):
        workers_and_routes = 2 * len(pipeline.symbols)

        def all_twice() -> bool:
            return [len(links) for links in _twins(relay).values()] == [2] * workers_and_routes

        eventually(all_twice, PATIENCE_S, what="two connections everywhere")
        sleep(1.5)  # a connection counts as proven once it has overlapped with the other one for a second
        fault = Fault("packets of one dropped", time.time_ns())
        relay.cut(random.choice(links) for links in _twins(relay).values())
        eventually(all_twice, PATIENCE_S, what="who is silent is replaced")
        sleep(1.5)
        streams = pipeline.finish(Rules(any_order=True))
    check(streams, [fault])
    check_without_gaps(streams)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rate", "streams"),
    [(60, ("bookTicker",)), (60, ("markPrice@1s",)), (1200, ("bookTicker",))],
    ids=["bookticker", "markprice", "bound in count"],
)
def test_a_connection_that_delivers_later_and_later_doubles_no_row_and_is_named_late(
    place: Path, rate: float, streams: Sequence[str]
) -> None:
    """Nothing is lost on its way: its delay grows by 0.9 s a second, to 75 s, while all of it flows on."""
    with _relayed(place, rate=rate, symbols=SYMBOLS[:1], streams=streams, connections=2) as (pipeline, relay):

        def both() -> list[Link]:
            return next((links for links in _twins(relay).values() if len(links) == 2), [])

        lagging = eventually(both, PATIENCE_S, what="two connections")[0]
        sleep(1.5)  # both have overlapped
        began_s = time.monotonic()
        fault = Fault("later and later", time.time_ns())
        lagging.delay_s = lambda now_s: min(75.0, 0.9 * (now_s - began_s))
        states: set[str] = set()

        def is_retired() -> bool:
            connections = pipeline.status(pipeline.ingests[0])["connections"]
            states.update(one["state"] for one in connections)
            return not lagging.is_open

        eventually(is_retired, PATIENCE_S, what="the lagging connection is closed")
        assert "late" in states
        eventually(lambda: len(both()) == 2, PATIENCE_S, what="it has a successor")
        sleep(1.5)
        streams_judged = pipeline.finish(Rules(any_order=True))
    check(streams_judged, [fault])
    check_without_gaps(streams_judged)


def test_packets_dropped_everywhere_leave_exact_gaps(place: Path) -> None:
    """Websockets and REST at once: no peer closes, what dials meanwhile gets no answer, and all of it heals."""
    with _relayed(place, stale_timeout=4, connect_timeout=4, request_timeout=4) as (pipeline, relay):
        pipeline.wait_growing()
        from_ns = time.time_ns()
        relay.drop_all()
        for name in pipeline.ingests:
            eventually(lambda n=name: "not connected route=" in pipeline.log(n), PATIENCE_S, what="its dials fail")  # type: ignore[misc]
        pipeline.alive()
        relay.pass_again()
        pipeline.wait_growing()
        pipeline.downs.append(Down(None, from_ns, time.time_ns()))
        for symbol in pipeline.symbols:
            eventually(
                lambda s=symbol: any(  # type: ignore[misc]
                    int(row["recv_ns"]) > from_ns for row in recorded_rows(pipeline.data, s, "snapshot")
                ),
                PATIENCE_S,
                what="REST answers again",
            )
        streams = pipeline.finish()
    check(streams, [Fault("packets of all dropped", from_ns)], pipeline.downs)
    assert all(stream.verdict.true_gaps for stream in streams if stream.stream.stream_type in ("aggtrade", "depth"))


def test_a_name_that_no_longer_resolves(place: Path) -> None:
    """Connections that are open go on; who must dial tries again, says why, and is back when the name is."""
    require_namespaces(place)
    tls, ca_file = certified(place, HOST)
    hosts = place / "hosts"
    known = f"127.0.0.1 localhost {HOST}\n"
    hosts.write_text(known, encoding="utf-8")
    network = {"ca_file": str(ca_file), "connect_timeout": 4, "request_timeout": 4}
    with (
        Namespace(place, f"mount --bind {hosts} /etc/hosts") as names,
        Pipeline(place, *tls, rate=400, symbols=SYMBOLS[:2], network=network) as pipeline,
    ):
        pipeline.enter = names.enter
        pipeline.reach_exchange_at(f"{HOST}:{pipeline.simulator.port}", encrypted=True)
        pipeline.start()
        pipeline.wait_recording()
        hosts.write_text("127.0.0.1 localhost\n", encoding="utf-8")
        pipeline.wait_growing()
        lost = SYMBOLS[0]
        from_ns = time.time_ns()
        attempts = pipeline.simulator.stats()["attempts"]
        pipeline.simulator.command(f"close rst {lost.lower()}@*")
        eventually(lambda: pipeline.log(f"ingest-{lost}").count(f"{HOST}: "), PATIENCE_S, what="it says why")
        kept = pipeline.files_of(SYMBOLS[1], "aggTrade")[0]
        size = kept.stat().st_size
        eventually(lambda: kept.stat().st_size > size, PATIENCE_S, what="the other symbol goes on")
        sleep(2)
        assert pipeline.simulator.stats()["attempts"] == attempts
        pipeline.alive()
        hosts.write_text(known, encoding="utf-8")
        pipeline.wait_connected(lost)
        pipeline.wait_growing()
        pipeline.downs.append(Down(lost, from_ns, time.time_ns()))
        streams = pipeline.finish()
        tries = pipeline.log(f"ingest-{lost}").count(f"{HOST}: ")
    check(streams, [Fault("name gone", from_ns, lost)], pipeline.downs)
    assert 1 <= tries < 40, "paced"
    assert not any(stream.verdict.true_gaps for stream in streams if stream.stream.symbol != lost)


@pytest.mark.slow
def test_an_exchange_that_refuses_from_the_first_second_is_listed(place: Path) -> None:
    with Pipeline(place, rate=100, symbols=SYMBOLS[:1], streams=("aggTrade", "bookTicker")) as pipeline:
        pipeline.simulator.command("refuse 45")
        started_ns = time.time_ns()
        pipeline.start()
        pipeline.wait_recording()
        recorded_ns = time.time_ns()
        gaps = eventually(lambda: recorded_rows(pipeline.data, SYMBOLS[0], "gap"), PATIENCE_S, what="gaps are listed")
        pipeline.stop()
    assert sorted((gap["stream"], gap["reason"], gap["state"]) for gap in gaps) == [
        ("btcusdt@aggTrade", "not connected yet", "unrepairable"),
        ("btcusdt@bookTicker", "not connected yet", "unrepairable"),
    ]
    for gap in gaps:
        assert started_ns < int(gap["from_ns"]) < int(gap["to_ns"]) < recorded_ns
        assert int(gap["to_ns"]) - started_ns > 40 * 10**9
