"""Each question about streams is contradicted by what it names, and by nothing else."""

import pytest

from binance_streamer.cli.fieldtest.seen import ConnectionSeen, Observations, PathProbe
from tests.support.field_seen import (
    MARKET,
    NOW_MS,
    ODD,
    PUBLIC,
    Spoil,
    answer_of,
    bring,
    contradicted,
    everything,
    nothing,
)


def _end(seen: Observations) -> None:
    seen.connections.append(ConnectionSeen("market", 0, 10.0, ended_s=22.0, end="FIN"))


def _probe(what: str, heard: frozenset[str], refused: str = "") -> Spoil:
    def spoil(seen: Observations) -> None:
        old = next(probe for probe in seen.probes if probe.what.startswith(what))
        seen.probes[seen.probes.index(old)] = PathProbe(old.what, old.wanted, old.unwanted, heard, refused)

    return spoil


def _event(suffix: str, event: dict[str, object], sides: tuple[int, ...] = (0, 1)) -> Spoil:
    return lambda seen: bring(seen, suffix, event, sides=sides)


def _copy(seen: Observations) -> None:
    bring(seen, "trade", {"t": 19, "E": NOW_MS}, sides=(0,))
    bring(seen, "trade", {"t": 19, "E": NOW_MS + 1}, sides=(1,))


def _reopen_behind(seen: Observations) -> None:
    seen.traffic.reopened(1, ["btcusdt@trade"])
    bring(seen, "trade", {"t": 3}, sides=(1,))


def _pings(*times_s: float) -> Spoil:
    def spoil(seen: Observations) -> None:
        seen.connections[0].pings_s[:] = times_s

    return spoil


def _gaps(reason: str) -> Spoil:
    return lambda seen: seen.recorder.gaps.update({reason: 2})


def _strange(seen: Observations) -> None:
    seen.traffic.unasked["ethusdt@trade"] += 1


def _closed(trades: int) -> dict[str, object]:
    return {"k": {"t": 60_000, "s": "BTCUSDT", "n": trades, "x": True}}


@pytest.mark.parametrize(
    ("number", "spoil", "named"),
    [
        ("1b", _probe("names", frozenset(), "status 400"), "status 400"),
        ("1b", _probe("names", PUBLIC | ODD), "btcusdt@nosuchstream came"),
        ("1b", _probe("names", frozenset()), "silent, too"),
        ("2a", _end, "/market: FIN after 12 s"),
        ("2b", _gaps("disconnected"), "2 gaps disconnected"),
        ("3", _copy, "trade: 1 of 3 pairs differ, in E"),
        ("4", lambda seen: seen.refused.append("status 429"), "status 429"),
        ("8a", _event("trade", {"t": 3}), "btcusdt@trade went back 2 times"),
        ("8a", _reopen_behind, "btcusdt@trade went back behind a reconnect"),
        ("8a", _gaps("ids went back"), "2 gaps `ids went back`"),
        ("8b", _event("aggTrade", {"a": 11}), "btcusdt@aggTrade: 2 messages"),
        ("8c", _gaps("sequence"), "2 gaps `sequence`"),
        ("12a", _event("depth@0ms", {"u": 40, "pu": 29}), "btcusdt@depth@0ms: 2 messages"),
        ("12b", lambda seen: setattr(seen.recorder, "audits", (2, 1, 0)), "1 audits failed"),
        ("16a", _probe("streams of /market", MARKET), "btcusdt@aggTrade came"),
        ("16a", _probe("streams of /market", frozenset(), "status 400"), "status 400"),
        ("16b", _probe("all streams", PUBLIC | MARKET), "btcusdt@aggTrade came"),
        ("16c", _strange, "1 messages of ethusdt@trade"),
        ("16c", _event("trade", {"t": 19, "s": "ETHUSDT"}), "2 messages of btcusdt@trade name another symbol"),
        ("16c", _event("trade", {"t": "19"}), "2 messages of btcusdt@trade lack what we know"),
        ("17", _pings(3.0, 6.0), "/public: a ping after 3 s"),
        ("18", _event("kline_1m", _closed(6), (0,)), "1 bars closed twice with other values"),
        ("18", _event("kline_1m", _closed(5), (0,)), "1 bars came twice on one connection"),
    ],
)
def test_a_contradiction_is_named(number: str, spoil: Spoil, named: str) -> None:
    found = contradicted(spoil)
    assert named in found[number]
    assert found.keys() <= {number, "3", "8a", "8b", "16c"}  # a message that is wrong is so for several of them


@pytest.mark.parametrize(("suffix", "is_missed"), [("depth@0ms", True), ("markPrice@1s", True), ("forceOrder", False)])
def test_a_silent_stream_contradicts_unless_it_may_be_silent(suffix: str, is_missed: bool) -> None:
    seen = nothing()
    for other, event in (
        ("trade", {"t": 1}),
        ("depth@0ms", {"u": 2, "pu": 1}),
        ("markPrice@1s", {}),
        ("aggTrade", {"a": 1}),
    ):
        if other != suffix:
            bring(seen, other, event)
    evidence = answer_of("1a", seen)[1]
    assert (f"@{suffix}" in evidence) == is_missed


def test_no_ping_for_too_long_contradicts() -> None:
    seen = everything()
    seen.connections[0].pings_s.clear()
    seen.ended_s = 500.0
    assert answer_of("17", seen) == ("contradicted", "/public: none for 500 s, /public: none for 500 s")


def test_a_connection_that_we_end_is_no_end() -> None:
    seen = everything()
    seen.connections[1].ended_s = 100.0
    assert answer_of("2a", seen)[0] == "confirmed"
