"""Rows of REST beside streamed ones, the choice of symbols, and the tenth of the weight."""

import pytest

from binance_streamer.cli.fieldtest.rest import (
    RestAsker,
    chosen_symbols,
    compared_aggregates,
    compared_bars,
    newest_before,
    path_of,
)
from tests.support.simulated_exchange import SimulatedExchange

EVENT = {"e": "aggTrade", "a": 7, "p": "1.0", "q": "2", "nq": "2", "f": 3, "l": 4, "T": 9, "m": True, "st": 1}
ROW = {key: EVENT[key] for key in ("a", "p", "q", "nq", "f", "l", "T", "m")}
BAR = {
    "t": 60_000,
    "o": "1",
    "h": "3",
    "l": "1",
    "c": "2",
    "v": "0",
    "T": 119_999,
    "q": "0.00",
    "n": 5,
    "V": "0",
    "Q": "0",
}
BAR_ROW = [60_000, "1", "3", "1", "2", "0", 119_999, "0", 5, "0", "0", "0"]


def test_equal_aggregates_have_no_difference() -> None:
    assert compared_aggregates("x", {7: EVENT}, [ROW, {**ROW, "a": 8}]) == ("x", 1, ())


@pytest.mark.parametrize(("key", "value"), [("p", "1.00"), ("nq", None), ("m", False), ("l", 5)])
def test_a_field_that_differs_is_named_once(key: str, value: object) -> None:
    rows = [{**ROW, key: value}, {**ROW, "a": 8, key: value}]
    compared = compared_aggregates("x", {7: EVENT, 8: {**EVENT, "a": 8}}, rows)
    assert compared == ("x", 2, (f"{key} streamed {EVENT[key]!r}, REST {value!r}",))


def test_a_key_that_only_rest_has_is_named() -> None:
    assert compared_aggregates("x", {7: EVENT}, [{**ROW, "zz": 1}]).differences == ("keys of REST alone: zz",)


def test_no_rows_compare_nothing() -> None:
    assert compared_aggregates("x", {7: EVENT}, None) == ("x", 0, ())
    assert compared_bars("x", {60_000: BAR}, []) == ("x", 0, ())


def test_bars_are_equal_as_numbers() -> None:
    assert compared_bars("x", {60_000: BAR}, [BAR_ROW, [120_000, *BAR_ROW[1:]]]) == ("x", 1, ())


def test_a_bar_with_another_count_differs() -> None:
    row = [*BAR_ROW[:8], 6, *BAR_ROW[9:]]
    assert compared_bars("x", {60_000: BAR}, [row]).differences == ("n streamed 5, REST 6",)


def _listing(*names: str) -> dict[str, object]:
    return {"symbols": [{"symbol": one, "status": "TRADING", "contractType": "PERPETUAL"} for one in names]}


def test_a_liquid_a_quiet_and_a_strange_symbol_are_chosen() -> None:
    names = ["BTCUSDT", *(f"A{number:02}USDT" for number in range(30)), "币安人生USDT", "牛来USDT"]
    tickers = [{"symbol": name, "quoteVolume": str(place)} for place, name in enumerate(reversed(names))]
    assert chosen_symbols(_listing(*names), tickers) == ("BTCUSDT", "A26USDT", "币安人生USDT")


def test_without_turnovers_the_last_of_the_list_is_the_quiet_one() -> None:
    assert chosen_symbols(_listing("BTCUSDT", "ETHUSDT", "LTCUSDT"), None) == ("BTCUSDT", "LTCUSDT")
    assert chosen_symbols(_listing("BTCUSDT"), None) == ("BTCUSDT",)


def test_the_newest_id_is_that_of_what_had_been_received() -> None:
    events = [(10, {"u": 5}), (20, {"u": 7}), (30, {"u": 9})]
    assert [newest_before(events, at_ns, "u") for at_ns in (10, 25, 99)] == [None, 7, 9]


def test_paths_are_percent_encoded() -> None:
    assert path_of("depth", "币USDT", limit=5) == "/fapi/v1/depth?symbol=%E5%B8%81USDT&limit=5"
    assert path_of("time") == "/fapi/v1/time"


def test_no_request_passes_a_tenth_of_the_weight(exchange: SimulatedExchange) -> None:
    asker = RestAsker(exchange.network)
    depth = path_of("depth", "BTCUSDT", limit=1000)
    answers = [asker.ask(depth, weight=20) for _ in range(30)]
    assert None in answers
    assert max(one.used_weight or 0 for one in asker.seen) <= 240


def test_nothing_is_asked_behind_a_refusal(exchange: SimulatedExchange) -> None:
    asker = RestAsker(exchange.network)
    exchange.command("rest 429 1 none")
    refused = asker.ask(path_of("time"), weight=1)
    assert refused is not None
    assert (refused.status, refused.has_retry_after, refused.code) == (429, False, -1003)
    assert asker.ask(path_of("time"), weight=1) is None
    assert len(asker.seen) == 1
