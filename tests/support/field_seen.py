"""Observations of a field test made by hand: a run that saw everything and was contradicted by nothing."""

import json
from collections.abc import Callable
from typing import Any

from binance_streamer.cli.fieldtest.question import Verdict
from binance_streamer.cli.fieldtest.questions import QUESTIONS
from binance_streamer.cli.fieldtest.run import nothing_seen
from binance_streamer.cli.fieldtest.seen import (
    ConnectionSeen,
    Observations,
    PathProbe,
    ProcessSeen,
    RestSeen,
    RowsCompared,
)
from binance_streamer.exchange.streams import stream_of

Spoil = Callable[[Observations], None]
"""Changes observations, so that something contradicts."""
NOW_MS = 1_796_000_000_000
NOW_NS = NOW_MS * 1_000_000
PUBLIC = frozenset({"btcusdt@depth@0ms"})
MARKET = frozenset({"btcusdt@aggTrade"})
ODD = frozenset({"btcusdt@nosuchstream"})

_EVENTS: dict[str, tuple[dict[str, Any], ...]] = {
    "aggTrade": ({"a": 7}, {"a": 8}),
    "trade": ({"t": 17}, {"t": 18}),
    "depth@0ms": ({"u": 20, "pu": 10}, {"u": 30, "pu": 20}),
    "bookTicker": ({"u": 20}, {"u": 30}),
    "kline_1m": ({"k": {"t": 60_000, "s": "BTCUSDT", "n": 5, "x": True}},),
    "markPrice@1s": ({"p": "1"}, {"p": "2"}),
}


def bring(seen: Observations, suffix: str, event: dict[str, Any], *, sides: tuple[int, ...] = (0, 1)) -> None:
    """A message of BTCUSDT over these connections, 5 ms after its event time."""
    stream = stream_of("BTCUSDT", suffix)
    frame = json.dumps({"stream": stream.name, "data": {"s": "BTCUSDT", "E": NOW_MS, **event}}).encode()
    for side in sides:
        seen.traffic.take(side, frame, NOW_NS + 5_000_000)


def nothing() -> Observations:
    """A run of three minutes in which nothing was seen at all."""
    return nothing_seen(("BTCUSDT",), 3.0)


def everything() -> Observations:
    """A run that has seen all that there is to be seen, and none of it contradicts."""
    seen = nothing()
    for suffix, events in _EVENTS.items():
        for event in events:
            bring(seen, suffix, event)
    seen.connections = [ConnectionSeen("public", 0, 0.0, 396, pings_s=[180.0]), ConnectionSeen("public", 1, 0.0, 396)]
    seen.ended_s, seen.reconnected = 300.0, True
    seen.probes = [
        PathProbe("streams of /market on /public", frozenset(), MARKET, frozenset()),
        PathProbe("all streams on the unrouted path", PUBLIC, MARKET, PUBLIC),
        PathProbe("names that do not exist beside others on /public", PUBLIC, ODD, PUBLIC),
    ]
    clock = RestSeen("/fapi/v1/time", 200, {"serverTime": NOW_MS}, NOW_NS - 4_000_000, NOW_NS + 4_000_000, 41)
    ban = RestSeen("/fapi/v1/time", 418, None, NOW_NS, NOW_NS, None, has_retry_after=True, code=-1003)
    seen.rest = [clock, ban]
    seen.rows = [RowsCompared("aggTrades of BTCUSDT", 2), RowsCompared("klines of BTCUSDT", 1)]
    seen.notes = {
        "snapshot": "its id was +5",
        "newest": "REST was +0",
        "too old": "status 200 with later rows",
        "hours": "markets EQUITY",
    }
    recorder = seen.recorder
    recorder.rows, recorder.planned_ends, recorder.opened, recorder.most_open = 11, 2, 6, 4
    recorder.weight, recorder.clock = (41, 2400), (0.5, 4.0)
    recorder.restarted, recorder.gaps, recorder.repaired = "ingest-BTCUSDT", {"restart": 3}, 1
    recorder.audits, recorder.books = (2, 0, 5), (1, 1)
    recorder.processes = {"writer": ProcessSeen(0.02, 35_000_000)}
    recorder.verified = 0
    return seen


def answer_of(number: str, seen: Observations) -> tuple[str, str]:
    """Verdict and evidence of one question."""
    question = next(one for one in QUESTIONS if one.number == number)
    verdict, evidence = question.answer(seen)
    return str(verdict), evidence


def contradicted(spoil: Spoil) -> dict[str, str]:
    """The evidence of every question that contradicts once a run without contradictions is spoilt."""
    seen = everything()
    spoil(seen)
    answers = {question.number: question.answer(seen) for question in QUESTIONS}
    return {number: answer.evidence for number, answer in answers.items() if answer.verdict is Verdict.CONTRADICTED}
