"""Ids, times, bars and names are compared between the messages of two connections."""

import json
from collections import Counter
from typing import Any

import pytest

from binance_streamer.cli.fieldtest.traffic import ObservedTraffic, StreamSeen, quantile_ms
from binance_streamer.exchange.streams import stream_of

NOW_MS = 1_796_000_000_000
AGG, DEPTH, KLINE = "btcusdt@aggTrade", "btcusdt@depth@0ms", "btcusdt@kline_1m"


def _traffic(*messages: tuple[int, str, dict[str, Any]]) -> ObservedTraffic:
    traffic = ObservedTraffic(
        [stream_of("BTCUSDT", suffix) for suffix in ("aggTrade", "depth@0ms", "kline_1m", "forceOrder")]
    )
    for side, name, event in messages:
        data = {"s": "BTCUSDT", "E": NOW_MS, **event}
        traffic.take(side, json.dumps({"stream": name, "data": data}).encode(), (NOW_MS + 5) * 1_000_000)
    return traffic


def _seen(name: str, *messages: tuple[int, dict[str, Any]]) -> StreamSeen:
    return _traffic(*((side, name, event) for side, event in messages)).streams[name]


def _bar(open_ms: int, trades: int, *, is_closed: bool) -> dict[str, Any]:
    return {"k": {"t": open_ms, "s": "BTCUSDT", "n": trades, "x": is_closed}}


def test_ids_that_grow_by_one_are_whole() -> None:
    seen = _seen(AGG, (0, {"a": 7}), (0, {"a": 8}), (1, {"a": 8}), (1, {"a": 9}))
    assert [(side.last_id, side.backs, side.breaks) for side in seen.sides] == [(8, 0, 0), (9, 0, 0)]
    assert (seen.messages, dict(seen.latencies_ms), seen.wrong_times, seen.wrong_symbols) == (4, {5: 4}, 0, 0)


def test_a_hole_and_a_step_back_are_told_apart() -> None:
    seen = _seen(AGG, (0, {"a": 7}), (0, {"a": 9}), (0, {"a": 3}), (0, {"a": 4}))
    assert (seen.sides[0].backs, seen.sides[0].breaks) == (1, 1)


def test_an_update_hangs_on_the_one_that_it_names() -> None:
    seen = _seen(DEPTH, (0, {"u": 20, "pu": 10}), (0, {"u": 30, "pu": 20}), (0, {"u": 40, "pu": 31}))
    assert (seen.sides[0].backs, seen.sides[0].breaks) == (0, 1)


def test_a_reopened_connection_goes_on_with_higher_ids() -> None:
    traffic = _traffic((1, AGG, {"a": 7}))
    traffic.reopened(1, [AGG])
    for agg_id in (9, 10):
        traffic.take(1, json.dumps({"stream": AGG, "data": {"s": "BTCUSDT", "E": NOW_MS, "a": agg_id}}).encode(), 1)
    seen = traffic.streams[AGG]
    assert (seen.seams, seen.sides[1].breaks) == (0, 0)
    traffic.reopened(1, [AGG])
    traffic.take(1, json.dumps({"stream": AGG, "data": {"s": "BTCUSDT", "E": NOW_MS, "a": 5}}).encode(), 1)
    assert seen.seams == 1


def test_times_of_another_unit_are_wrong_times() -> None:
    assert _seen(AGG, (0, {"a": 7, "E": NOW_MS * 1000})).wrong_times == 1


def test_open_bars_are_no_closed_ones_and_closed_ones_are_kept_apart() -> None:
    messages = [(0, _bar(60_000, 5, is_closed=False)), (0, _bar(60_000, 6, is_closed=True))]
    once = _seen(KLINE, *messages, (1, _bar(60_000, 6, is_closed=True)))
    assert (once.repeated_bars, [len(bars) for bars in once.closed.values()]) == (0, [1])
    twice = _seen(KLINE, *messages, (0, _bar(60_000, 7, is_closed=True)))
    assert (twice.repeated_bars, [len(bars) for bars in twice.closed.values()]) == (1, [2])


def test_streams_and_symbols_that_were_not_asked_for_are_counted() -> None:
    traffic = _traffic((0, "ethusdt@trade", {"t": 1}), (0, AGG, {"a": 7, "s": "ETHUSDT"}))
    assert traffic.unasked == {"ethusdt@trade": 1}
    assert traffic.streams[AGG].wrong_symbols == 1


@pytest.mark.parametrize("event", [{}, {"a": "7"}, {"a": 7, "E": "now"}, {"a": 7, "E": None}, [7], None, "text"])
def test_a_message_that_is_not_as_we_know_it_is_counted_and_ends_nothing(event: Any) -> None:
    traffic = _traffic((0, AGG, {"a": 7}))
    data = {"s": "BTCUSDT", "E": NOW_MS, **event} if isinstance(event, dict) else event
    traffic.take(0, json.dumps({"stream": AGG, "data": data}).encode(), (NOW_MS + 5) * 1_000_000)
    traffic.take(0, json.dumps({"stream": AGG, "data": {"s": "BTCUSDT", "E": NOW_MS, "a": 8}}).encode(), 1)
    assert (traffic.streams[AGG].messages, traffic.streams[AGG].unexpected) == (3, 1)


def test_the_symbol_of_a_liquidation_is_in_its_order() -> None:
    assert _seen("btcusdt@forceOrder", (0, {"o": {"s": "BTCUSDT"}})).wrong_symbols == 0


def test_frames_that_are_no_messages_are_notices() -> None:
    traffic = _traffic()
    for frame in (b'{"e":"serverShutdown","E":1}', b'{"result":null,"id":1}', b"}{", b"[1]"):
        traffic.take(0, frame, 1)
    assert traffic.notices == {"serverShutdown": 1, "answer": 1, "unreadable": 2}


def test_quantiles_are_of_messages_not_of_values() -> None:
    latencies_ms = Counter({3: 98, 50: 1, 900: 1})
    assert [quantile_ms(latencies_ms, share) for share in (0.0, 0.5, 0.99, 1.0)] == [3, 3, 50, 900]
