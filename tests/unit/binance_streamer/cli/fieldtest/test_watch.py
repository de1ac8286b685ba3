"""Plain connections to the simulator: what they bring, how they end, and the paths that are probed."""

import time

from binance_streamer.cli.fieldtest.run import nothing_seen
from binance_streamer.cli.fieldtest.watch import Watch, url_of
from binance_streamer.config.schema import NetworkConfig
from tests.support.simulated_exchange import SimulatedExchange
from tests.support.waiting import eventually

AGG = "btcusdt@aggTrade"


def _watch(exchange: SimulatedExchange) -> Watch:
    return Watch(exchange.network, nothing_seen(("BTCUSDT",), 1.0).traffic)


def _pairs(watch: Watch) -> int:
    return watch.traffic.streams[AGG].copies.tally.identical


def test_names_outside_ascii_are_percent_encoded() -> None:
    network = NetworkConfig(websocket_url="wss://host/")
    assert url_of(network, "public", ["牛usdt@trade"]) == "wss://host/public/stream?streams=%E7%89%9Busdt@trade"
    assert url_of(network, "", ["a@trade", "b@trade"]) == "wss://host/stream?streams=a@trade/b@trade"


def test_two_connections_bring_every_message_twice_also_behind_a_reconnect(exchange: SimulatedExchange) -> None:
    watch = _watch(exchange)
    watch.start()
    eventually(lambda: _pairs(watch) > 5, what="both bring messages")
    watch.reconnect(1)
    eventually(lambda: len(watch.connections) == 6, what="two are opened again")
    before = _pairs(watch)
    eventually(lambda: _pairs(watch) > before + 5, what="both go on")
    watch.stop()
    tally = watch.traffic.streams[AGG].copies.tally
    assert (tally.different, tally.alone, watch.refused) == (0, 0, [])
    assert [one.end for one in watch.connections] == [""] * 6
    assert all(one.ended_s is not None for one in watch.connections)


def test_an_end_that_is_not_ours_is_told(exchange: SimulatedExchange) -> None:
    watch = _watch(exchange)
    watch.start()
    eventually(lambda: exchange.command(f"subscribers {AGG}") == "2", what="both listen")
    exchange.command(f"close 1001 {AGG} on 1")
    eventually(lambda: [one.end for one in watch.connections if one.end] == ["close 1001"], what="its end is noted")
    exchange.command("close fin btcusdt@depth@0ms")
    eventually(lambda: [one.end for one in watch.connections].count("FIN") == 2, what="a bare end is noted")
    watch.stop()


def test_pings_are_counted_and_answered(exchange: SimulatedExchange) -> None:
    watch = _watch(exchange)
    watch.start()
    eventually(lambda: exchange.command(f"subscribers {AGG}") == "2", what="both listen")
    exchange.command(f"fragment 3 {AGG}")  # each with a ping in between
    eventually(lambda: sum(len(one.pings_s) for one in watch.connections) >= 6, what="pings come")
    eventually(lambda: exchange.stats()["pongs"] >= 6, what="they are answered")
    watch.stop()


def test_probes_hear_what_a_path_delivers(exchange: SimulatedExchange) -> None:
    market, public, unrouted, odd = _watch(exchange).probe(1.5)
    assert (market.heard, public.heard) == (frozenset(), frozenset())
    assert unrouted.heard
    assert unrouted.heard <= unrouted.wanted
    assert (odd.refused, odd.heard & odd.unwanted) == ("", frozenset())
    assert odd.heard & odd.wanted


def test_probes_that_are_cut_short_say_nothing(exchange: SimulatedExchange) -> None:
    watch = _watch(exchange)
    watch.start()
    watch.stop()
    assert watch.probe(5.0) == []


def test_a_probe_that_is_refused_says_so_without_a_host(exchange: SimulatedExchange) -> None:
    exchange.command("reject 403 600")
    assert [probe.refused for probe in _watch(exchange).probe(0.1)] == ["status 403"] * 4


def test_no_more_connections_are_opened_than_are_allowed(exchange: SimulatedExchange) -> None:
    watch = _watch(exchange)
    begun_s = time.monotonic()
    probes = [probe for _ in range(3) for probe in watch.probe(0.05)]
    assert [probe.refused for probe in probes] == [""] * 10 + ["OSError"] * 2
    assert exchange.stats()["attempts"] == 10
    assert begun_s < time.monotonic()
