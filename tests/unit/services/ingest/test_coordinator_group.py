"""Several symbols of one worker: they share connections, and what befalls one of them costs the others nothing."""

from collections.abc import Callable
from pathlib import Path

import pytest

from binance_streamer.config.schema import SymbolConfig, streams_of
from binance_streamer.exchange.streams import Stream
from services.runtime.gaps.last_rows import LastRow
from tests.support.drafts import singles
from tests.support.running_network import Running, ns

Group = Callable[..., Running]
MARK_PRICES = "!markPrice@arr@1s"


@pytest.fixture
def group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Group:
    def made(symbols: list[str], *streams: str, connections: int = 1) -> Running:
        return Running(tmp_path, monkeypatch, streams, {"connections": connections}, symbols=symbols)

    return made


def trade(symbol: str, number: int) -> bytes:
    event = f'{{"e":"aggTrade","E":{ns(0) // 10**6},"s":"{symbol}","a":{number}}}'
    return f'{{"stream":"{symbol.lower()}@aggTrade","data":{event}}}'.encode()


def ticker(run: Running, symbol: str) -> bytes:
    event = f'{{"e":"bookTicker","u":{round(run.now_s * 10)},"s":"{symbol}","E":{ns(run.now_s) // 10**6}}}'
    return f'{{"stream":"{symbol.lower()}@bookTicker","data":{event}}}'.encode()


def mark_prices(run: Running, *symbols: str) -> bytes:
    parts = (f'{{"e":"markPriceUpdate","E":{ns(run.now_s) // 10**6},"s":"{symbol}","p":"1"}}' for symbol in symbols)
    return f'{{"stream":"{MARK_PRICES}","data":[{",".join(parts)}]}}'.encode()


def streams(symbol: str, *suffixes: str) -> tuple[Stream, ...]:
    return streams_of(SymbolConfig(symbol=symbol, streams=suffixes))


def last_row(last_id: int) -> LastRow:
    return LastRow("aggtrade", "BUSDT", last_id, ns(0) // 10**6, ns(0), ())


def test_no_connection_carries_more_than_200_streams(group: Group) -> None:
    run = group([f"S{number}USDT" for number in range(150)], "aggTrade", "kline_1m", "depth@0ms")
    run.until(1)
    assert run.open == {1: "public", 2: "market", 3: "market-1"}
    counts = {route: sum(one.route == route for one in run.streams.recorders.values()) for route in run.open.values()}
    assert counts == {"public": 150, "market": 200, "market-1": 100}
    assert all("/market/stream" in url for _, route, url in run.line.asked if route != "public")


def test_a_new_symbol_is_subscribed_to_over_the_open_connections(group: Group) -> None:
    run = group(["AUSDT"], "aggTrade", connections=2)
    run.until(2, lambda _: [trade("AUSDT", round(run.now_s * 2))])
    run.coordinator.add(streams("BUSDT", "aggTrade"), run.now_s)
    assert run.line.sent == [(1, "SUBSCRIBE", ["busdt@aggTrade"]), (2, "SUBSCRIBE", ["busdt@aggTrade"])]
    run.until(5, lambda _: [trade(symbol, round(run.now_s * 2)) for symbol in ("AUSDT", "BUSDT")])
    assert run.streams.recorders["busdt@aggTrade"].rows == 6
    assert list(run.dialled) == [1, 2]
    assert run.gaps == []


def test_a_connection_that_was_being_dialled_for_the_others_gets_the_new_symbol_too(group: Group) -> None:
    run = group(["AUSDT"], "aggTrade")
    run.is_reachable = False
    run.until(1)
    run.coordinator.add(streams("BUSDT", "aggTrade"), run.now_s)
    assert run.line.sent == []
    run.is_reachable = True
    run.until(2)
    assert run.line.sent == [(1, "SUBSCRIBE", ["ausdt@aggTrade", "busdt@aggTrade"])]


def test_a_symbol_beyond_the_last_place_gets_a_connection_of_its_own(group: Group) -> None:
    run = group([f"S{number}USDT" for number in range(200)], "aggTrade")
    run.until(1)
    run.coordinator.add(streams("BUSDT", "aggTrade"), run.now_s)
    run.until(2)
    assert run.open == {1: "market", 2: "market-1"}
    assert "busdt@aggTrade" in run.line.asked[-1][2]


def test_a_symbol_that_is_let_go_leaves_nothing_behind_and_nobody_else_notices(group: Group) -> None:
    run = group(["AUSDT", "BUSDT"], "aggTrade")
    run.until(2, lambda _: [trade(symbol, round(run.now_s * 2)) for symbol in ("AUSDT", "BUSDT")])
    run.coordinator.let_go("BUSDT", run.now_s)
    assert run.line.sent == [(1, "UNSUBSCRIBE", ["busdt@aggTrade"])]
    run.until(4, lambda _: [trade(symbol, round(run.now_s * 2)) for symbol in ("AUSDT", "BUSDT")])  # under way still
    assert list(run.streams.recorders) == ["ausdt@aggTrade"]
    assert len(run.rows) == 4 + 4 + 4
    assert (run.gaps, run.streams.refused) == ([], {})


def test_a_stream_that_was_let_go_meanwhile_is_lost_by_nobody(group: Group) -> None:
    """A worker that has waited does again, at its handover, what became of connections in the last seconds."""
    run = group(["AUSDT", "BUSDT"], "aggTrade")
    run.until(1)
    lost = run.coordinator.network.lost_for(1, "stall")
    run.coordinator.let_go("BUSDT", run.now_s)
    run.streams.lose_streams(["ausdt@aggTrade", "busdt@aggTrade"], lost, run.now_s)
    assert list(run.streams.recorders) == ["ausdt@aggTrade"]


def test_what_a_symbol_waits_for_when_it_is_let_go_is_listed_and_given_up(group: Group) -> None:
    run = group(["AUSDT"], "aggTrade", connections=2)
    run.until(1)
    for connection in (1, 2):
        run.deliver(connection, trade("AUSDT", 1))
    run.deliver(1, trade("AUSDT", 4))
    run.coordinator.let_go("AUSDT", run.now_s)
    drafts = [draft.data for draft in singles(run.streams.collect(1))]
    states = [(data["state"], data["from_id"], data["to_id"]) for data in drafts if "gap_id" in data]
    assert states == [("open", 1, 3), ("unrepairable", 1, 3)]
    assert [data["event"] for data in drafts if "event" in data] == [trade("AUSDT", 4).partition(b'"data":')[2][:-1]]


def test_a_symbol_that_comes_back_goes_on_behind_its_last_row(group: Group) -> None:
    run = group(["AUSDT", "BUSDT"], "aggTrade")
    run.until(1)
    run.deliver(1, trade("BUSDT", 5))
    before = run.streams.recorders["busdt@aggTrade"].last
    run.coordinator.let_go("BUSDT", run.now_s)
    assert before is not None
    run.streams.last_rows = {"busdt@aggTrade": last_row(5)}
    run.coordinator.add(streams("BUSDT", "aggTrade"), run.now_s)
    run.deliver(1, trade("BUSDT", 6))
    assert run.gaps == []
    run.coordinator.let_go("BUSDT", run.now_s)
    run.streams.last_rows = {"busdt@aggTrade": last_row(6)}
    run.coordinator.add(streams("BUSDT", "aggTrade"), run.now_s)
    run.deliver(1, trade("BUSDT", 9))
    run.until(3)
    assert len(run.gaps) == 1


def test_a_silent_symbol_is_subscribed_to_again_and_costs_the_others_no_connection(group: Group) -> None:
    run = group(["AUSDT", "BUSDT"], "bookTicker")
    run.until(300, lambda _: [ticker(run, "AUSDT")])
    assert run.open == {1: "public"}
    assert 1 <= len(run.line.sent) <= 5
    assert {(method, *names) for _, method, names in run.line.sent} == {("SUBSCRIBE", "busdt@bookTicker")}
    run.until(600)  # nothing comes any more: now it is the connection
    assert len(run.dialled) > 1


@pytest.mark.parametrize("connections", [1, 2])
def test_a_connection_on_which_a_symbol_stays_silent_is_replaced_once_and_the_others_miss_nothing(
    group: Group, connections: int
) -> None:
    run = group(["AUSDT", "BUSDT", "CUSDT"], "bookTicker", connections=connections)
    initial = set(range(1, connections + 1))
    run.until(2, lambda _: [ticker(run, symbol) for symbol in ("AUSDT", "BUSDT", "CUSDT")])
    run.until(
        900,
        lambda one: [ticker(run, symbol) for symbol in ("AUSDT", "BUSDT") if symbol == "AUSDT" or one > connections],
    )
    assert initial.isdisjoint(run.open)
    assert len(run.dialled) == 2 * connections
    rows = {name: one.rows for name, one in run.streams.recorders.items()}
    assert rows["ausdt@bookTicker"] == 1800
    assert rows["busdt@bookTicker"] > 800
    assert run.gaps[0] == ("stall", 2.0, 423.5)
    assert run.streams.recorders["ausdt@bookTicker"].gaps == 0
    run.until(3000, lambda _: [ticker(run, symbol) for symbol in ("AUSDT", "BUSDT")])
    assert len(run.dialled) == 2 * connections  # CUSDT is as silent on the new ones: they stay


def test_depth_that_never_comes_on_a_second_connection_either_falls_back(group: Group) -> None:
    run = group(["AUSDT", "BUSDT"], "bookTicker", "depth@0ms")
    run.until(2000, lambda _: [ticker(run, symbol) for symbol in ("AUSDT", "BUSDT")])
    assert sorted(run.streams.recorders)[1::2] == ["ausdt@depth@100ms", "busdt@depth@100ms"]
    assert len(run.dialled) == 2
    assert [names for _, method, names in run.line.sent if method == "UNSUBSCRIBE"] == [
        ["ausdt@depth@0ms"],
        ["busdt@depth@0ms"],
    ]
    assert run.gaps == []


def test_a_symbol_that_nobody_trades_costs_the_others_no_connection(group: Group) -> None:
    run = group(["AUSDT", "BUSDT"], "aggTrade")
    run.until(4000, lambda _: [trade("AUSDT", round(run.now_s * 2))])
    assert list(run.dialled) == [1]


def test_members_come_and_go_and_the_stream_of_all_symbols_stays_for_the_others(group: Group) -> None:
    run = group(["AUSDT"], "aggTrade")
    run.until(1)
    run.coordinator.add([*streams("AUSDT", MARK_PRICES), *streams("BUSDT", MARK_PRICES)], run.now_s)
    assert run.line.sent == [(1, "SUBSCRIBE", [MARK_PRICES])]
    run.until(2, lambda _: [mark_prices(run, "AUSDT", "BUSDT", "CUSDT")])
    run.coordinator.add(streams("CUSDT", MARK_PRICES), run.now_s)
    run.until(4, lambda _: [mark_prices(run, "AUSDT", "BUSDT", "CUSDT")])
    rows = {name: one.rows for name, one in run.streams.recorders.items() if one.stream.of_all}
    assert rows == {"ausdt@markPrice@1s": 6, "busdt@markPrice@1s": 6, "cusdt@markPrice@1s": 4}
    run.coordinator.let_go("BUSDT", run.now_s)
    run.until(5, lambda _: [mark_prices(run, "AUSDT", "BUSDT", "CUSDT")])
    assert [method for _, method, _ in run.line.sent] == ["SUBSCRIBE", "SUBSCRIBE"]
    assert run.streams.recorders["ausdt@markPrice@1s"].rows == 8
    assert run.coordinator.status(run.now_s).others == {MARK_PRICES: 2 + 2}
    assert (list(run.dialled), run.gaps) == ([1], [])


def test_the_stream_of_all_symbols_ends_with_its_last_member(group: Group) -> None:
    run = group(["AUSDT"], "aggTrade")
    run.until(1)
    run.coordinator.add([*streams("BUSDT", MARK_PRICES), *streams("CUSDT", MARK_PRICES)], run.now_s)
    run.coordinator.let_go("BUSDT", run.now_s)
    run.coordinator.let_go("CUSDT", run.now_s)
    assert run.line.sent == [(1, "SUBSCRIBE", [MARK_PRICES]), (1, "UNSUBSCRIBE", [MARK_PRICES])]


def test_a_new_connection_subscribes_once_to_the_stream_of_all_symbols(group: Group) -> None:
    run = group(["AUSDT"], "aggTrade")
    run.until(1)
    run.coordinator.add([*streams("BUSDT", MARK_PRICES), *streams("CUSDT", MARK_PRICES)], run.now_s)
    run.line.sent.clear()
    run.lose(1)
    run.until(10)
    assert run.line.sent == [(2, "SUBSCRIBE", ["ausdt@aggTrade", MARK_PRICES])]
