"""The exchange's names and messages, by frames recorded live."""

import pytest

from binance_streamer.exchange.messages import ExchangeError, Reading
from binance_streamer.exchange.readers import EventReader
from binance_streamer.exchange.rest import rest_page
from binance_streamer.exchange.stream_types import file_stem
from binance_streamer.exchange.streams import (
    Stream,
    interval_ms,
    route_with_room,
    routes_needed,
    stream_from_name,
    stream_of,
    suffix_of,
)

AGG_TRADE = (
    b'{"e":"aggTrade","E":1790526539033,"a":3466782974,"s":"BTCUSDT","p":"84551.10","q":"0.030","nq":"0.030",'
    b'"f":8123344783,"l":8123344783,"T":1790526538883,"m":true,"st":1}'
)
DEPTH = (
    b'{"e":"depthUpdate","E":1790526538985,"T":1790526538981,"s":"BTCUSDT","ps":"BTCUSDT","U":11671659683245,'
    b'"u":11671659687966,"pu":11671659683147,"b":[["1000.00","139.491"]],"a":[],"st":1}'
)
KLINE = (
    b'{"e":"kline","E":1791269859051,"s":"BTCUSDT","k":{"t":1791269820000,"T":1791269879999,"s":"BTCUSDT","i":"1m",'
    b'"f":1,"L":2,"o":"1","c":"2","h":"3","l":"1","v":"8.4","n":3,"x":%s,"q":"7","V":"4","Q":"4","B":"0"}}'
)


@pytest.mark.parametrize(
    ("suffix", "expected"),
    [
        ("aggTrade", Stream("btcusdt@aggTrade", "BTCUSDT", "aggtrade", "", "market")),
        ("depth@0ms", Stream("btcusdt@depth@0ms", "BTCUSDT", "depth", "0ms", "public")),
        ("depth", Stream("btcusdt@depth", "BTCUSDT", "depth", "250ms", "public")),
        ("depth20@100ms", Stream("btcusdt@depth20@100ms", "BTCUSDT", "partialdepth", "20-100ms", "public")),
        ("rpiDepth@500ms", Stream("btcusdt@rpiDepth@500ms", "BTCUSDT", "rpidepth", "500ms", "public")),
        ("kline_1M", Stream("btcusdt@kline_1M", "BTCUSDT", "kline", "1M", "market")),
        ("bookTicker", Stream("btcusdt@bookTicker", "BTCUSDT", "bookticker", "", "public")),
        ("trade", Stream("btcusdt@trade", "BTCUSDT", "trade", "", "public")),
        ("markPrice", Stream("btcusdt@markPrice", "BTCUSDT", "markprice", "3s", "market")),
        ("markPrice@1s", Stream("btcusdt@markPrice@1s", "BTCUSDT", "markprice", "1s", "market")),
        ("forceOrder", Stream("btcusdt@forceOrder", "BTCUSDT", "forceorder", "", "market")),
        (
            "perpetual@continuousKline_1m",
            Stream("btcusdt_perpetual@continuousKline_1m", "BTCUSDT", "continuouskline", "perpetual_1m", "market"),
        ),
    ],
)
def test_a_suffix_names_a_stream_and_back(suffix: str, expected: Stream) -> None:
    assert stream_of("BTCUSDT", suffix) == expected
    assert stream_from_name(expected.name) == expected
    assert suffix_of(expected.name) == suffix


def test_a_delivery_contract_keeps_its_underscore() -> None:
    stream = stream_of("BTCUSDT_260925", "next_quarter@continuousKline_1m")
    assert stream.name == "btcusdt_260925_next_quarter@continuousKline_1m"
    assert stream_from_name(stream.name) == stream
    assert suffix_of(stream.name) == "next_quarter@continuousKline_1m"


def test_a_bar_of_a_second_and_a_contract_of_a_share() -> None:
    stream = stream_of("TSLAUSDT", "tradifi_perpetual@continuousKline_1s")
    assert stream == stream_from_name("tslausdt_tradifi_perpetual@continuousKline_1s")
    assert (stream.symbol, stream.variant, interval_ms(stream)) == ("TSLAUSDT", "tradifi_perpetual_1s", 1000)
    with pytest.raises(ExchangeError, match="kline_1s"):
        stream_of("BTCUSDT", "kline_1s")


@pytest.mark.parametrize("name", ["gap.BTCUSDT.", "other", "", "continuousKline_1m"])
def test_a_name_that_is_not_the_exchange_s_stays_as_it_is(name: str) -> None:
    assert suffix_of(name) == name


def test_only_ascii_letters_are_put_into_lower_case() -> None:
    assert stream_of("币安人生USDT", "kline_15m").name == "币安人生usdt@kline_15m"
    assert stream_of("İUSDT", "trade").name == "İusdt@trade"


@pytest.mark.parametrize("suffix", ["aggtrade", "depth@250ms", "depth7", "kline_1s", "", "!contractInfo", "userData"])
def test_a_stream_that_does_not_exist_is_refused(suffix: str) -> None:
    with pytest.raises(ExchangeError):
        stream_of("BTCUSDT", suffix)


def test_a_symbol_s_stream_may_come_by_one_of_all_symbols() -> None:
    found = stream_of("BTCUSDT", "!markPrice@arr@1s")
    assert found == stream_of("BTCUSDT", "markPrice@1s")._replace(of_all="!markPrice@arr@1s")
    assert (found.name, found.subscribed) == ("btcusdt@markPrice@1s", "!markPrice@arr@1s")
    assert stream_of("BTCUSDT", "trade").subscribed == "btcusdt@trade"
    many = [stream_of(f"S{number}USDT", "!bookTicker") for number in range(700)]
    assert routes_needed(many) == 1
    with pytest.raises(ExchangeError, match="no rows of its own"):
        stream_from_name("!bookTicker")


def test_a_route_that_has_a_subscription_takes_all_that_comes_by_it() -> None:
    full = [("public", f"s{number}usdt@depth") for number in range(199)]
    assert route_with_room(stream_of("AUSDT", "!bookTicker"), full) == "public"
    full.append(("public", "!bookTicker"))
    assert route_with_room(stream_of("AUSDT", "!bookTicker"), full) == "public"
    assert route_with_room(stream_of("AUSDT", "bookTicker"), full) == "public-1"


@pytest.mark.parametrize(
    ("suffix", "event", "expected"),
    [
        ("aggTrade", AGG_TRADE, Reading(3466782973, 3466782974, 1790526539033)),
        ("depth@0ms", DEPTH, Reading(11671659683147, 11671659687966, 1790526538985)),
        ("kline_1m", KLINE % b"false", Reading(None, None, 1791269859051)),
        ("kline_1m", KLINE % b"true", Reading(1791269760000, 1791269820000, 1791269859051)),
    ],
)
def test_ids_are_half_open_intervals(suffix: str, event: bytes, expected: Reading) -> None:
    assert EventReader(stream_of("BTCUSDT", suffix)).read(event) == expected


@pytest.mark.parametrize(
    "event",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        DEPTH[:-40],
        DEPTH.replace(b'"u":11671659687966,', b""),
        DEPTH.replace(b"11671659687966", b'"11671659687966"'),
        DEPTH.replace(b"11671659687966", b"9" * 40),
        DEPTH.replace(b'"s":"BTCUSDT"', b'"s":"ETHUSDT"'),
        DEPTH.replace(b"depthUpdate", b"depthupdate"),
        DEPTH + b"x",
        b"[" * 100_000,
        b'{"e":"depthUpdate","x":' + b"[" * 100_000,
    ],
)
def test_what_is_no_message_of_the_stream_is_refused(event: bytes) -> None:
    with pytest.raises(ExchangeError):
        EventReader(stream_of("BTCUSDT", "depth@0ms")).read(event)


def test_a_field_that_the_exchange_adds_is_no_fault() -> None:
    event = DEPTH.replace(b'"st":1', b'"st":1,"zz":{"deep":[1,2,{}]}')
    assert EventReader(stream_of("BTCUSDT", "depth@0ms")).read(event).last_id == 11671659687966


def test_files_of_depth_snapshots_do_not_begin_like_those_of_depth_updates() -> None:
    assert file_stem("depth_snapshot", "") == "snapshot"


def test_file_names_show_the_variant_only_where_it_is_not_the_default() -> None:
    stems = [file_stem(s.stream_type, s.variant) for s in map(stream_from_name, [
        "btcusdt@aggTrade", "btcusdt@depth@0ms", "btcusdt@depth@100ms", "btcusdt@depth", "btcusdt@kline_1m",
        "btcusdt@markPrice@1s", "btcusdt@markPrice", "btcusdt@depth5@500ms", "btcusdt@rpiDepth@500ms",
    ])]  # fmt: skip
    assert stems == [
        "aggtrade", "depth", "depth_100ms", "depth_250ms", "kline_1m", "markprice", "markprice_3s",
        "partialdepth_5-500ms", "rpidepth",
    ]  # fmt: skip


@pytest.mark.parametrize("row", [b'{"a":7,"p":"84551.1"0}', b'[60000,"85300.0"0]'])
def test_rows_of_rest_are_json(row: bytes) -> None:
    suffix = "aggTrade" if row.startswith(b"{") else "kline_1m"
    assert len(rest_page(stream_of("BTCUSDT", suffix), b"[%b]" % row.replace(b'"0', b'0"')).rows) == 1
    with pytest.raises(ExchangeError):
        rest_page(stream_of("BTCUSDT", suffix), b"[%b]" % row)


@pytest.mark.parametrize(
    ("depths", "trades", "routes"), [(0, 0, 0), (1, 0, 1), (200, 1, 2), (201, 200, 3), (401, 0, 3)]
)
def test_each_path_needs_a_route_for_every_200_streams(depths: int, trades: int, routes: int) -> None:
    streams = [stream_of(f"S{number}USDT", "depth@0ms") for number in range(depths)]
    streams += [stream_of(f"S{number}USDT", "aggTrade") for number in range(trades)]
    assert routes_needed(streams) == routes
