"""The synthetic market is one market: book, trades and klines that the streams tell are those that are true."""

import json
from collections import Counter, defaultdict
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest

from tests.support.virtual_market import START_MS, VirtualMarket

DEPTHS = ("depth@0ms", "depth@100ms", "depth", "depth@500ms", "rpiDepth@500ms")


@pytest.fixture(scope="module")
def market() -> VirtualMarket:
    return VirtualMarket().run(250)


def _sides(body: dict[str, Any]) -> tuple[dict[str, str], dict[str, str]]:
    bids, asks = body.get("bids", body.get("b")), body.get("asks", body.get("a"))
    assert bids is not None
    assert asks is not None
    return dict(bids), dict(asks)


def _apply(book: tuple[dict[str, str], dict[str, str]], event: dict[str, Any]) -> None:
    for side, changes in zip(book, _sides(event), strict=True):
        side.update(changes)
        for price in [price for price, quantity in changes.items() if Decimal(quantity) == 0]:
            del side[price]


@pytest.mark.parametrize("suffix", DEPTHS)
def test_snapshot_and_updates_lead_to_the_true_book(suffix: str) -> None:
    market = VirtualMarket()
    market.run(3)
    snapshot = json.loads(market.feed.snapshot(1000, market.now_ms))
    market.run(60)
    market.actions[suffix][1](market.now_ms, 63.0)

    book = _sides(snapshot)
    events = [event for event in market.messages[suffix] if event["u"] > snapshot["lastUpdateId"]]
    assert events[0]["pu"] <= snapshot["lastUpdateId"]
    for event in events:
        _apply(book, event)

    market.engine.book.check()
    assert book == _sides(json.loads(market.feed.snapshot(1000, market.now_ms)))


def _units(levels: list[list[str]]) -> dict[int, int]:
    return {int(price.replace(".", "")): int(quantity.replace(".", "")) for price, quantity in levels}


def test_followed_books_are_the_true_one_after_every_message() -> None:
    market = VirtualMarket()
    snapshot = json.loads(market.feed.snapshot(1000, 0))
    books = {suffix: (_units(snapshot["bids"]), _units(snapshot["asks"])) for suffix in DEPTHS}
    compared: Counter[str] = Counter()

    def follow(suffix: str, event: dict[str, Any]) -> None:
        if suffix in books:
            for side, changes in zip(books[suffix], (_units(event["b"]), _units(event["a"])), strict=True):
                side.update(changes)
                for price in [price for price, quantity in changes.items() if quantity == 0]:
                    del side[price]
            assert books[suffix] == (market.engine.book.bids, market.engine.book.asks)
            compared[suffix] += 1

    market.on_message = follow
    market.run(60)
    assert min(compared.values()) >= 110


@pytest.mark.parametrize("suffix", DEPTHS)
def test_each_depth_stream_is_a_chain_of_sparse_ids(market: VirtualMarket, suffix: str) -> None:
    events = market.messages[suffix]
    assert len(events) > 100
    for before, event in pairwise(events):
        assert event["pu"] == before["u"]
        assert before["u"] < event["U"] <= event["u"]
    assert any(event["U"] != event["pu"] + 1 for event in events)


def test_the_book_stays_whole_and_within_a_snapshot(market: VirtualMarket) -> None:
    market.engine.book.check()
    bids, asks = _sides(json.loads(market.feed.snapshot(1000, market.now_ms)))
    assert len(bids) == len(market.engine.book.bids) > 100
    assert len(asks) == len(market.engine.book.asks) > 100


def test_book_ticker_is_the_best_of_the_true_book() -> None:
    market = VirtualMarket()
    seen = []

    def compare(suffix: str, event: dict[str, Any]) -> None:
        if suffix == "bookTicker":
            bids, asks = market.engine.book.top(1)
            text = market.feed.messages
            assert text.levels(bids) == f'["{event["b"]}","{event["B"]}"]'
            assert text.levels(asks) == f'["{event["a"]}","{event["A"]}"]'
            seen.append(event["u"])

    market.on_message = compare
    market.run(30)
    assert len(seen) > 500
    assert seen == sorted(set(seen))


def test_partial_depth_is_the_top_of_the_book() -> None:
    market = VirtualMarket()
    market.run(5)
    market.actions["depth5@100ms"][1](market.now_ms, 5.0)
    event = market.messages["depth5@100ms"][-1]
    snapshot = json.loads(market.feed.snapshot(5, market.now_ms))
    assert (event["b"], event["a"]) == (snapshot["bids"], snapshot["asks"])
    assert len(event["b"]) == len(event["a"]) == 5


def test_trade_ids_have_no_hole_and_aggregates_neither(market: VirtualMarket) -> None:
    trade_ids = [event["t"] for event in market.messages["trade"]]
    agg_ids = [event["a"] for event in market.messages["aggTrade"]]
    assert trade_ids == list(range(trade_ids[0], trade_ids[0] + len(trade_ids)))
    assert agg_ids == list(range(agg_ids[0], agg_ids[0] + len(agg_ids)))
    assert len(agg_ids) > 1000


def test_an_aggregate_is_the_sum_of_its_trades(market: VirtualMarket) -> None:
    trades = {event["t"]: event for event in market.messages["trade"]}
    for event in market.messages["aggTrade"]:
        fills = [trades[trade_id] for trade_id in range(event["f"], event["l"] + 1)]
        assert sum(Decimal(fill["q"]) for fill in fills) == Decimal(event["q"])
        assert sum((Decimal(fill["q"]) for fill in fills if fill["X"] == "MARKET"), Decimal(0)) == Decimal(event["nq"])
        assert {(fill["p"], fill["m"], fill["T"]) for fill in fills} == {(event["p"], event["m"], event["T"])}
        assert event["E"] - event["T"] == 150


def test_every_kind_of_trade_occurs(market: VirtualMarket) -> None:
    assert {event["X"] for event in market.messages["trade"]} == {"MARKET", "RPI", "NA"}
    nothing = next(event for event in market.messages["trade"] if event["X"] == "NA")
    assert (nothing["p"], nothing["q"]) == ("0", "0")


def test_trades_lie_inside_the_book_of_their_moment() -> None:
    market = VirtualMarket()
    best = {"before": (0, 0)}

    def compare(suffix: str, event: dict[str, Any]) -> None:
        if suffix == "trade" and event["X"] != "NA":
            assert Decimal(event["p"]) in (Decimal(best["before"][0]) / 100, Decimal(best["before"][1]) / 100)
        if suffix == "bookTicker":
            best["before"] = (market.engine.book.best_bid, market.engine.book.best_ask)

    market.actions["bookTicker"][1](market.now_ms, 0.0)
    best["before"] = (market.engine.book.best_bid, market.engine.book.best_ask)
    market.on_message = compare
    market.run(30)


def _bars_of_trades(market: VirtualMarket, interval_ms: int) -> dict[int, list[dict[str, Any]]]:
    bars: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for event in market.messages["trade"]:
        if event["X"] != "NA":
            bars[event["T"] // interval_ms * interval_ms].append(event)
    return bars


@pytest.mark.parametrize(("interval", "minutes", "closings"), [("1m", 1, 4), ("3m", 3, 2), ("1h", 60, 1)])
def test_klines_are_the_sums_of_the_trades(market: VirtualMarket, interval: str, minutes: int, closings: int) -> None:
    bars = _bars_of_trades(market, minutes * 60_000)
    events = market.messages[f"kline_{interval}"]
    closed = [event["k"] for event in events if event["k"]["x"]]
    assert [bar["t"] for bar in closed] == sorted({bar["t"] for bar in closed})
    assert len(closed) == closings
    for bar in closed:
        trades = bars[bar["t"]]
        prices = [Decimal(trade["p"]) for trade in trades]
        assert (bar["n"], bar["f"], bar["L"]) == (len(trades), trades[0]["t"], trades[-1]["t"])
        assert (bar["o"], bar["c"]) == (trades[0]["p"], trades[-1]["p"])
        assert (Decimal(bar["h"]), Decimal(bar["l"])) == (max(prices), min(prices))
        assert Decimal(bar["v"]) == sum(Decimal(trade["q"]) for trade in trades)
        assert Decimal(bar["q"]) == sum(Decimal(trade["q"]) * Decimal(trade["p"]) for trade in trades)
        assert Decimal(bar["V"]) == sum(Decimal(trade["q"]) for trade in trades if not trade["m"])
        assert bar["T"] == bar["t"] + minutes * 60_000 - 1


def test_a_closed_kline_comes_once_after_its_minute_and_before_the_next_bar(market: VirtualMarket) -> None:
    opens = []
    for event in market.messages["kline_1m"]:
        if event["k"]["x"]:
            assert 200 <= event["E"] - event["k"]["T"] <= 2000
        opens.append((event["k"]["t"], event["k"]["x"]))
    assert opens == sorted(opens)
    assert len([is_closed for _, is_closed in opens if is_closed]) == len({t for t, _ in opens}) - 1


def test_a_clock_that_is_set_back_holds_up_no_kline() -> None:
    market = VirtualMarket().run(30)
    send, sent = market.actions["kline_1m"][1], market.messages["kline_1m"]
    count = len(sent)
    send(market.now_ms + 5, 30.0)
    assert len(sent) == count, "the last message of the bar is owed"
    send(market.now_ms - 3_600_000, 30.1)
    assert [event["k"]["x"] for event in sent[count:]] == [True]


def test_listeners_decide_nothing_about_the_market() -> None:
    heard, unheard = VirtualMarket().run(20), VirtualMarket(unheard=True).run(20)
    assert unheard.messages["aggTrade"] == heard.messages["aggTrade"]
    assert unheard.feed.snapshot(1000, 0) == heard.feed.snapshot(1000, 0)
    assert unheard.messages["depth@0ms"] == []


def test_a_seed_is_a_market_and_another_seed_is_another() -> None:
    assert VirtualMarket().run(5).texts == VirtualMarket().run(5).texts
    assert VirtualMarket().run(5).texts != VirtualMarket(seed=2).run(5).texts


def test_rest_trades_are_those_that_were_pushed(market: VirtualMarket) -> None:
    pushed = market.messages["aggTrade"]
    rows = [json.loads(row) for row in market.feed.history.from_id(pushed[10]["a"], 1000)]
    keys = ("a", "p", "q", "nq", "f", "l", "T", "m")
    assert rows == [{key: event[key] for key in keys} for event in pushed[10:1010]]
    span = (START_MS + 10_000, START_MS + 20_000)
    in_time = [json.loads(row)["a"] for row in market.feed.history.between(*span, 1000)]
    assert in_time == [event["a"] for event in pushed if span[0] <= event["T"] <= span[1]]


def test_all_streams_speak() -> None:
    market = VirtualMarket("币安人生USDT").run(60)
    assert [suffix for suffix, events in market.messages.items() if not events] == []
    assert market.messages["depth@0ms"][0]["s"] == "币安人生USDT"


def test_a_long_run_keeps_the_market_sound() -> None:
    market = VirtualMarket("DOGEUSDT", seed=7, unheard=True)
    for _ in range(20):
        market.run(30)
        market.engine.book.check()
        assert len(market.engine.book.ids) == len(market.engine.book.changed) < 30_000
