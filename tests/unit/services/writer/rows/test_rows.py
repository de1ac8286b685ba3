"""Rows of every kind, literally. Events are those of the exchange's documentation page or of the wire in 2026."""

import base64
import csv
import io
import json
from typing import Any

import msgpack
import pytest

from services.writer.rows.cells import RowFault, level_cell
from services.writer.rows.layout import SKELETONS
from services.writer.rows.rows import Row, RowMaker, Run

RUN = Run("ingest-BTCUSDT", 77)
NOW_NS = 1_795_400_000_000_000_000
RECV_NS = 1_790_526_539_058_352_268
TAIL = "1790526539058352268,77,5,ws,"
NO_NUMBER = "b holds a price or quantity that is no number"


def row_of(stream_type: str, stream: str, event: bytes | None, *, symbol: str = "BTCUSDT", **fields: Any) -> Row:
    data = {
        "symbol": symbol, "stream": stream, "recv_ns": RECV_NS, "producer": "ingest-BTCUSDT", "epoch": 77, "seq": 5,
        "source": "ws", "connection": 1, **({} if event is None else {"event": event}), **fields,
    }  # fmt: skip
    (row,) = RowMaker().rows(RUN, 9, [msgpack.packb((stream_type, data))], now_ns=NOW_NS)
    return row


def line_of(stream_type: str, stream: str, event: bytes | None, **fields: Any) -> tuple[str, str]:
    row = row_of(stream_type, stream, event, **fields)
    assert row.line.endswith(b"\n")
    return row.target.path, row.line[:-1].decode()


def cells_of(row: Row) -> dict[str, str]:
    header, cells = csv.reader(io.StringIO((row.target.header + row.line).decode(), newline=""))
    return dict(zip(header, cells, strict=True))


def test_aggtrade() -> None:
    event = (
        b'{"e":"aggTrade","E":1790526539033,"a":3466782974,"s":"BTCUSDT","p":"84551.10","q":"0.030","nq":"0.030",'
        b'"f":8123344783,"l":8123344783,"T":1790526538883,"m":true,"st":1}'
    )
    row = row_of("aggtrade", "btcusdt@aggTrade", event)
    assert row.target.header == (
        b"agg_trade_id,price,quantity,first_trade_id,last_trade_id,transact_time,is_buyer_maker,event_time,"
        b"normal_quantity,recv_ns,epoch,seq,source,extra\n"
    )
    assert line_of("aggtrade", "btcusdt@aggTrade", event) == (
        "BTCUSDT/aggtrade_BTCUSDT_20260927.csv",
        "3466782974,84551.10,0.030,8123344783,8123344783,1790526538883,true,1790526539033,0.030," + TAIL
        + '"{""st"":1}"',
    )  # fmt: skip


def test_an_aggtrade_of_the_time_before_normal_quantities_has_an_empty_cell() -> None:
    event = (
        b'{"e":"aggTrade","E":1626992740100,"a":1,"s":"BTCUSDT","p":"1.0","q":"2","f":1,"l":1,"T":1626992740000,'
        b'"m":false}'
    )
    assert line_of("aggtrade", "btcusdt@aggTrade", event) == (
        "BTCUSDT/aggtrade_BTCUSDT_20210722.csv",
        "1,1.0,2,1,1,1626992740000,false,1626992740100,," + TAIL,
    )


def test_depth() -> None:
    event = (
        b'{"e":"depthUpdate","E":1790526538985,"T":1790526538981,"s":"BTCUSDT","ps":"BTCUSDT","U":11671659683245,'
        b'"u":11671659687966,"pu":11671659683147,"b":[["1000.00","139.491"],["84541.80","0.000"]],"a":[],"st":1}'
    )
    expected = (
        '11671659683245,11671659687966,11671659683147,1790526538981,1790526538985,'
        '"[[1000.00,139.491],[84541.80,0.000]]","[]",' + TAIL + '"{""ps"":""BTCUSDT"",""st"":1}"'
    )  # fmt: skip
    assert line_of("depth", "btcusdt@depth@0ms", event) == ("BTCUSDT/depth_BTCUSDT_20260927.csv", expected)
    assert line_of("depth", "btcusdt@depth@100ms", event) == ("BTCUSDT/depth_100ms_BTCUSDT_20260927.csv", expected)
    assert line_of("depth", "btcusdt@depth", event)[0] == "BTCUSDT/depth_250ms_BTCUSDT_20260927.csv"
    assert line_of("partialdepth", "btcusdt@depth5@100ms", event) == (
        "BTCUSDT/partialdepth_5-100ms_BTCUSDT_20260927.csv", expected,
    )  # fmt: skip
    assert line_of("rpidepth", "btcusdt@rpiDepth@500ms", event) == ("BTCUSDT/rpidepth_BTCUSDT_20260927.csv", expected)


def test_kline_with_spaces_inside() -> None:
    event = (
        b'{"e":"kline","E":1790526539304,"s":"BTCUSDT","k":{"t":1790526480000, "T":1790526539999, "s":"BTCUSDT", '
        b'"i":"1m", "f":8123343290, "L":8123344784, "o":"84550.20", "c":"84551.10", "h":"84558.90", "l":"84536.70", '
        b'"v":"104.194", "n":1483, "x":false, "q":"8809619.55440", "V":"56.811", "Q":"4803302.95620", "B":"0"}}'
    )
    assert line_of("kline", "btcusdt@kline_1m", event) == (
        "BTCUSDT/kline_1m_BTCUSDT_20260927.csv",
        "1790526480000,84550.20,84558.90,84536.70,84551.10,104.194,1790526539999,8809619.55440,1483,56.811,"
        "4803302.95620,0,false,8123343290,8123344784,1790526539304," + TAIL,
    )


def test_continuous_kline_keeps_pair_and_contract() -> None:
    event = (
        b'{"e":"continuous_kline","E":1607443058651,"ps":"BTCUSDT","ct":"PERPETUAL","k":{"t":1607443020000,'
        b'"T":1607443079999,"i":"1m","f":116467658886,"L":116468012423,"o":"18787.00","c":"18804.04","h":"18804.04",'
        b'"l":"18786.54","v":"197.664","n":543,"x":false,"q":"3715253.19494","V":"184.769","Q":"3472925.84746",'
        b'"B":"0"}}'
    )
    path, line = line_of("continuouskline", "btcusdt_perpetual@continuousKline_1m", event)
    assert path == "BTCUSDT/continuouskline_perpetual_1m_BTCUSDT_20201208.csv"
    assert line.endswith(TAIL + '"{""ps"":""BTCUSDT"",""ct"":""PERPETUAL""}"')


def test_bookticker_tells_upper_from_lower_case() -> None:
    event = (
        b'{"e":"bookTicker","u":11671659685961,"s":"BTCUSDT","ps":"BTCUSDT","b":"84551.00","B":"2.646",'
        b'"a":"84551.10","A":"5.302","T":1790526538939,"E":1790526538940,"st":1}'
    )
    assert line_of("bookticker", "btcusdt@bookTicker", event) == (
        "BTCUSDT/bookticker_BTCUSDT_20260927.csv",
        "11671659685961,84551.00,2.646,84551.10,5.302,1790526538939,1790526538940," + TAIL
        + '"{""ps"":""BTCUSDT"",""st"":1}"',
    )  # fmt: skip


def test_markprice_has_the_day_of_its_event_and_an_empty_rate_is_not_a_missing_one() -> None:
    event = (
        b'{"e":"markPriceUpdate","E":1790526539000,"s":"BTCUSDT","p":"84551.10762319","P":"84559.09090930",'
        b'"i":"84590.87304348","r":"","T":1890553600000,"st":1}'
    )
    assert line_of("markprice", "btcusdt@markPrice@1s", event) == (
        "BTCUSDT/markprice_BTCUSDT_20260927.csv",
        '1790526539000,84551.10762319,,84590.87304348,84559.09090930,"",1890553600000,' + TAIL + '"{""st"":1}"',
    )


def test_forceorder_keeps_what_is_inside_the_order() -> None:
    event = (
        '{"e":"forceOrder","E":1790526547773,"o":{"s":"牛来USDT","S":"SELL","o":"LIMIT","f":"IOC","q":"9243",'
        '"p":"0.1005200","ap":"0.1057892","X":"FILLED","l":"55","z":"9243","T":1790526546763,"ps":"牛来USDT","st":1}}'
    ).encode()
    row = row_of("forceorder", "牛来usdt@forceOrder", event, symbol="牛来USDT")
    folder = "%E7%89%9B%E6%9D%A5USDT"
    assert row.target.path == f"{folder}/forceorder_{folder}_20260927.csv"
    assert cells_of(row) == {
        "side": "SELL", "order_type": "LIMIT", "time_in_force": "IOC", "original_quantity": "9243",
        "price": "0.1005200", "average_price": "0.1057892", "order_status": "FILLED", "last_filled_quantity": "55",
        "accumulated_quantity": "9243", "transact_time": "1790526546763", "event_time": "1790526547773",
        "recv_ns": "1790526539058352268", "epoch": "77", "seq": "5", "source": "ws",
        "extra": '{"o":{"ps":"牛来USDT","st":1}}',
    }  # fmt: skip


def test_trade_miniticker_and_ticker() -> None:
    trade = (
        b'{"e":"trade","E":1790370834849,"T":1790370834848,"s":"BTCUSDT","t":8121136411,"p":"83680.00","q":"0.001",'
        b'"X":"INSURANCE_FUND","m":true,"st":1}'
    )
    assert line_of("trade", "btcusdt@trade", trade) == (
        "BTCUSDT/trade_BTCUSDT_20260925.csv",
        '8121136411,83680.00,0.001,1790370834848,true,1790370834849,INSURANCE_FUND,' + TAIL + '"{""st"":1}"',
    )  # fmt: skip
    mini = (
        b'{"e":"24hrMiniTicker","E":1790370834849,"s":"BTCUSDT","c":"0.0025","o":"0.0010","h":"0.0026","l":"0.0009",'
        b'"v":"10000","q":"18"}'
    )
    assert line_of("miniticker", "btcusdt@miniTicker", mini) == (
        "BTCUSDT/miniticker_BTCUSDT_20260925.csv",
        "1790370834849,0.0025,0.0010,0.0026,0.0009,10000,18," + TAIL,
    )
    ticker = (
        b'{"e":"24hrTicker","E":1790370834849,"s":"BTCUSDT","p":"-0.0015","P":"-250.00","w":"0.0018","c":"0.0025",'
        b'"Q":"10","o":"0.0010","h":"0.0025","l":"0.0010","v":"10000","q":"18","O":0,"C":86400000,"F":0,"L":18150,'
        b'"n":18151}'
    )
    assert line_of("ticker", "btcusdt@ticker", ticker) == (
        "BTCUSDT/ticker_BTCUSDT_20260925.csv",
        "1790370834849,-0.0015,-250.00,0.0018,0.0025,10,0.0010,0.0025,0.0010,10000,18,0,86400000,0,18150,18151,"
        + TAIL,
    )  # fmt: skip


def test_depth_snapshot_says_when_it_was_asked_for() -> None:
    event = (
        b'{"lastUpdateId":11759031561498,"E":1791399966500,"T":1791399966493,"bids":[["83401.90","8.843"]],'
        b'"asks":[["83402.00","3.480"]]}'
    )
    row = row_of(
        "depth_snapshot", "/fapi/v1/depth?symbol=BTCUSDT&limit=1000", event, source="rest", connection=0,
        requested_ns=1791399966400000000,
    )  # fmt: skip
    assert row.target.path == "BTCUSDT/snapshot_BTCUSDT_20261007.csv"
    assert row.target.header == (
        b"last_update_id,transact_time,event_time,bids,asks,requested_ns,recv_ns,epoch,seq,source,extra\n"
    )
    assert row.line == (
        b'11759031561498,1791399966493,1791399966500,"[[83401.90,8.843]]","[[83402.00,3.480]]",1791399966400000000,'
        b"1790526539058352268,77,5,rest,\n"
    )


def test_gap() -> None:
    fields: dict[str, Any] = {
        "gap_id": "77-1", "state": "open", "from_id": 5, "to_id": None, "from_ns": 1790400000000000000,
        "to_ns": 1790526539058352268, "reason": "disconnected, twice", "repaired_by": None, "source": "local",
    }  # fmt: skip
    row = row_of("gap", "btcusdt@aggTrade", None, first_from_id=4, first_to_id=9, missing=4, **fields)
    assert row.target.path == "BTCUSDT/gap_BTCUSDT_20260926.csv"
    assert row.target.header == (
        b"gap_id,state,stream,from_id,to_id,from_ns,to_ns,reason,repaired_by,first_from_id,first_to_id,missing,"
        b"recv_ns,epoch,seq,source,extra\n"
    )
    assert row.line == (
        b'77-1,open,btcusdt@aggTrade,5,,1790400000000000000,1790526539058352268,"disconnected, twice",,4,9,4,'
        b"1790526539058352268,77,5,local,\n"
    )


def test_clock() -> None:
    fields: dict[str, Any] = {
        "offset_ms": -2.25, "error_ms": 13.5, "round_trip_ms": 25.0, "samples": 5, "server_time": 1790526539055,
    }  # fmt: skip
    row = row_of("clock", "/fapi/v1/time", None, symbol="EXCHANGE", source="rest", **fields)
    assert (row.target.path, row.target.series) == ("clock_20260927.csv", "clock")
    assert row.target.header == (
        b"offset_ms,error_ms,round_trip_ms,samples,server_time,step_ms,step_from_ns,recv_ns,epoch,seq,source,extra\n"
    )
    assert row.line == b"-2.25,13.5,25.0,5,1790526539055,,,1790526539058352268,77,5,rest,\n"
    step = {"step_ms": -30000.125, "step_from_ns": 1790526569058352268, "source": "local"}
    assert row_of("clock", "/fapi/v1/time", None, symbol="EXCHANGE", **step).line == (
        b",,,,,-30000.125,1790526569058352268,1790526539058352268,77,5,local,\n"
    )


def test_orderbook_summary() -> None:
    fields: dict[str, Any] = {
        "synchronised": True, "state": "valid", "last_update_id": 11671659687966, "transact_time": 1790526538981,
        "event_time": 1790526538985, "best_bid": "84551.00", "best_ask": "84551.10", "spread": "0.10",
        "bid_levels": 1012, "ask_levels": 990, "updates": 77, "resyncs": 0,
        "bids": [["84551.00", "2.027"], ["84550.90", "0.100"]], "asks": [["84551.10", "5.302"]], "source": "local",
    }  # fmt: skip
    row = row_of("orderbook", "btcusdt@depth@0ms", None, **fields)
    assert row.target.path == "BTCUSDT/orderbook_BTCUSDT_20260927.csv"
    assert row.target.header == (
        b"stream,synchronised,state,last_update_id,transact_time,event_time,best_bid,best_ask,spread,bid_levels,"
        b"ask_levels,updates,resyncs,bids,asks,recv_ns,epoch,seq,source,extra\n"
    )
    assert row.line == (
        b"btcusdt@depth@0ms,true,valid,11671659687966,1790526538981,1790526538985,84551.00,84551.10,0.10,1012,990,"
        b'77,0,"[[84551.00,2.027],[84550.90,0.100]]","[[84551.10,5.302]]",1790526539058352268,77,5,local,\n'
    )


def test_a_summary_of_a_book_that_is_not_right_names_no_levels() -> None:
    fields: dict[str, Any] = {
        "synchronised": False, "state": "buffering", "last_update_id": None, "updates": 3, "resyncs": 1,
        "bids": [], "asks": [], "source": "local",
    }  # fmt: skip
    assert row_of("orderbook", "btcusdt@depth@0ms", None, **fields).line == (
        b'btcusdt@depth@0ms,false,buffering,,,,,,,,,3,1,"[]","[]",1790526539058352268,77,5,local,\n'
    )


@pytest.mark.parametrize("levels", [[["1", "x"]], [["1"]], [[1, None]], {"1": "2"}, "[[1,2]]"])
def test_a_summary_with_levels_that_are_none_is_raw(levels: object) -> None:
    row = row_of("orderbook", "btcusdt@depth@0ms", None, bids=levels)
    assert row.target.path == "BTCUSDT/raw_BTCUSDT_20260927.csv"


def test_audit() -> None:
    fields: dict[str, Any] = {
        "kind": "depth_snapshot", "outcome": "failed", "last_update_id": 9, "compared": 1999, "learnt": 0,
        "different": 1, "differences": [["bid", "84551.00", "2.027", None]], "source": "local",
    }  # fmt: skip
    row = row_of("audit", "btcusdt@depth@0ms", None, **fields)
    assert row.target.path == "BTCUSDT/audit_BTCUSDT_20260927.csv"
    assert row.target.header == (
        b"stream,kind,outcome,last_update_id,compared,learnt,different,differences,recv_ns,epoch,seq,source,extra\n"
    )
    assert row.line == (
        b'btcusdt@depth@0ms,depth_snapshot,failed,9,1999,0,1,"[[""bid"",""84551.00"",""2.027"",null]]",'
        b"1790526539058352268,77,5,local,\n"
    )


@pytest.mark.parametrize("value", [float("nan"), float("inf"), [1], {}])
def test_what_is_no_cell_is_raw(value: object) -> None:
    row = row_of("clock", "/fapi/v1/time", None, symbol="EXCHANGE", offset_ms=value)
    assert row.target.path == "EXCHANGE/raw_EXCHANGE_20260927.csv"
    assert b"offset_ms is neither text nor a finite number" in row.line


def test_unknown_stream_types_are_kept_as_they_came() -> None:
    assert line_of("compositeindex", "btcusdt@compositeIndex", b'{"e":"compositeIndex","c":[1, 2]}') == (
        "BTCUSDT/compositeindex_BTCUSDT_20260927.csv",
        '1790526539058352268,77,5,ws,"{""e"":""compositeIndex"",""c"":[1, 2]}"',
    )
    assert line_of("somewhat", "btcusdt@somewhat", None, best_bid="1.0", levels=[[1, 2]]) == (
        "BTCUSDT/somewhat_BTCUSDT_20260927.csv",
        '1790526539058352268,77,5,ws,"{""best_bid"":""1.0"",""levels"":[[1,2]]}"',
    )


def test_exchange_info_is_a_line_of_json() -> None:
    row = row_of("exchange_info", "/fapi/v1/exchangeInfo", b'{\n "changed": {} }', symbol="EXCHANGE", source="rest")
    assert (row.target.path, row.target.header) == ("exchange_info_20260927.jsonl", b"")
    assert row.line == (
        b'{"recv_ns":1790526539058352268,"epoch":77,"seq":5,"source":"rest","event":{  "changed": {} }}\n'
    )


def test_what_ingest_could_not_route_is_raw_with_its_reason() -> None:
    assert line_of("raw", "btcusdt@nothing", b"\x00{", reason="unknown event,\nreally") == (
        "BTCUSDT/raw_BTCUSDT_20260927.csv",
        'raw,btcusdt@nothing,"unknown event, really",base64,AHs=,1790526539058352268,77,5,ws',
    )


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (b"{", "not a JSON object: Input data was truncated"),
        (b"[1]", "not a JSON object: Expected `object`, got `array`"),
        (b"[" * 100_000, "not a JSON object: Expected `object`, got `array`"),
        (b'{"e":"depthUpdate"}', "the key U (first_update_id) is missing"),
        (b'{"U":1,"u":2,"pu":0,"T":1,"E":1,"b":[]}', "the key a (asks) is missing"),
        (b'{"U":null,"u":2,"pu":0,"T":1,"E":1,"b":[],"a":[]}', "U is null, not a plain value"),
        (b'{"U":[1],"u":2,"pu":0,"T":1,"E":1,"b":[],"a":[]}', "U is [1], not a plain value"),
        (b'{"U":1,"u":2,"pu":0,"T":1,"E":1,"b":[["1.2.3","1"]],"a":[]}', NO_NUMBER),
        (b'{"U":1,"u":2,"pu":0,"T":1,"E":1,"b":[["","1"]],"a":[]}', NO_NUMBER),
        (b'{"U":1,"u":2,"pu":0,"T":1,"E":1,"b":[["=1+1","1"]],"a":[]}', NO_NUMBER),
        (b'{"U":1,"u":2,"pu":0,"T":1,"E":1,"b":[["1"]],"a":[]}', "b is not a list of [price, quantity]"),
        (b'{"U":1,"u":2,"pu":0,"T":1,"E":1,"b":[["1","2","3"]],"a":[]}', "b is not a list of [price, quantity]"),
        (b'{"U":1,"u":2,"pu":0,"T":1,"E":1,"b":[["1,2"]],"a":[]}', "b is not a list of [price, quantity]"),
        (b'{"U":1,"u":2,"pu":0,"T":1,"E":1,"b":["[1","2]"],"a":[]}', "b is not a list of [price, quantity]"),
        (b'{"U":1,"u":2,"pu":0,"T":1,"E":1,"b":123,"a":[]}', "b is not a list of [price, quantity]"),
        (b'{"U":1,"u":2,"pu":0,"T":1,"E":1,"b":{},"a":[]}', "b is not a list of [price, quantity]"),
        (b'{"U":1,"u":2,"pu":0,"T":1,"E":1,"b":["1,2"],"a":[]}', "b is not a list of [price, quantity]"),
        (b'{"U":1,"u":2,"pu":0,"T":1,"E":"a\\nb","b":[],"a":[]}', "E (event_time) is no number"),
        (b'{"U":1,"u":2,"pu":0,"T":1,"E":1,"b":[],"a":[],"x":[\n]}', "a value holds a line break"),
    ],
)  # fmt: skip
def test_what_is_no_row_is_raw_with_its_reason(event: bytes, reason: str) -> None:
    row = row_of("depth", "btcusdt@depth@0ms", event)
    assert row.target.path == "BTCUSDT/raw_BTCUSDT_20260927.csv"
    cells = cells_of(row)
    assert cells["reason"] == reason
    text = cells["event"].encode()
    assert (text if cells["encoding"] == "utf-8" else base64.b64decode(text)) == event
    assert (row.topic, row.seq) == (("depth", "BTCUSDT", "0ms"), 5)


def test_what_only_looks_like_levels_leaves_little_behind() -> None:
    for size in (*range(0, 3000, 7), 300_000):
        with pytest.raises(RowFault):
            level_cell(b'"' + b"x" * size + b'"', "b")
        assert level_cell(b"[" + b",".join([b'["1","2"]'] * size) + b"]", "b").count(b"]") == size + 1
    assert sum(map(len, SKELETONS.values())) < 2000 * 16_384
    assert max(map(len, SKELETONS.values())) <= 16_384


def test_levels_with_spaces_or_without_quotes_keep_their_digits() -> None:
    assert level_cell(b'[["1.20","3"],["007.5","1"]]'.replace(b"007", b"7"), "b") == b"[[1.20,3],[7.5,1]]"
    assert level_cell(b'[ ["1.20", "3"] ]', "b") == b"[[1.20,3]]"
    assert level_cell(b"[[1.20,3]]", "b") == b"[[1.20,3]]"
    with pytest.raises(RowFault):
        level_cell(b'[["1,2","3"]]', "b")


def test_values_with_commas_quotes_and_escapes_are_csv_cells() -> None:
    event = (
        b'{"e":"trade","E":1790370834849,"T":1790370834848,"s":"BTCUSDT","t":1,"p":"1.5","q":"2","X":"1,\\u0041\\"",'
        b'"m":true,"new":{"a": "x,\\n"}}'
    )
    row = row_of("trade", "btcusdt@trade", event)
    cells = cells_of(row)
    assert (cells["price"], cells["qty"], cells["order_type"]) == ("1.5", "2", '1,A"')
    assert cells["extra"] == '{"new":{"a": "x,\\n"}}'


NUMBER_FORMS = {
    "aggtrade": ("btcusdt@aggTrade", {"E": 1, "a": 7, "p": "1", "q": "2", "f": 1, "l": 2, "T": 3, "m": True}),
    "trade": ("btcusdt@trade", {"E": 1, "T": 2, "t": 1, "p": "1", "q": "1", "X": "MARKET", "m": True}),
    "bookticker": ("btcusdt@bookTicker", {"u": 1, "b": "1", "B": "2", "a": "3", "A": "4", "T": 5, "E": 6}),
    "markprice": ("btcusdt@markPrice@1s", {"E": 1, "p": "1", "ap": "1", "i": "1", "P": "1", "r": "0.1", "T": 2}),
}
NO_NUMBERS = [
    "abc",
    "NaN",
    "Infinity",
    '=HYPERLINK("http://x","1")',
    "\u202e1",
    "1.2.3",
    "007",
    "1,5",
    " 1",
    "--1",
    "+1",
]


def after_others(stream_type: str, **changed: Any) -> dict[str, str]:
    """The cells of a message behind one of the usual spelling, in which these keys have other values."""
    stream, usual = NUMBER_FORMS[stream_type]
    maker, rows = RowMaker(), []
    for fields in (usual, {**usual, **changed}):
        event = json.dumps({key: value for key, value in fields.items() if value is not ...}).encode()
        data = {"symbol": "BTCUSDT", "stream": stream, "recv_ns": RECV_NS, "producer": RUN.producer, "epoch": 77,
                "seq": 5, "source": "ws", "event": event}  # fmt: skip
        rows += maker.rows(RUN, 0, [msgpack.packb((stream_type, data))], now_ns=NOW_NS)
    return cells_of(rows[1])


@pytest.mark.parametrize("value", [*NO_NUMBERS, True, None])
@pytest.mark.parametrize(
    ("stream_type", "key"), [("aggtrade", "p"), ("trade", "q"), ("bookticker", "A"), ("markprice", "r")]
)
def test_a_price_that_is_no_number_is_raw(stream_type: str, key: str, value: object) -> None:
    cells = after_others(stream_type, **{key: value})
    assert cells["reason"].startswith(f"{key} ") or cells["reason"] == f"{key} is null, not a plain value"
    assert json.loads(cells["event"])[key] == value


@pytest.mark.parametrize("value", ["1", "-0.5", "1e5", "0", 7, 1.25])
def test_a_price_that_is_a_number_is_a_cell_in_its_own_spelling(value: object) -> None:
    assert after_others("bookticker", A=value)["best_ask_qty"] == str(value)


def test_a_funding_rate_may_be_an_empty_text() -> None:
    assert after_others("markprice", r="")["funding_rate"] == ""


@pytest.mark.parametrize("value", ["=1+1", "+A", "-A", "@A", "A\u202eB", "A\u0000"])
def test_a_text_that_a_table_would_run_or_show_otherwise_is_raw(value: str) -> None:
    assert after_others("trade", X=value)["reason"].startswith("X ")


@pytest.mark.parametrize("value", ["yes", "TRUE", 1, "", "null"])
def test_a_flag_that_is_neither_true_nor_false_is_raw(value: object) -> None:
    assert after_others("aggtrade", m=value)["reason"] == "m (is_buyer_maker) is neither true nor false"


@pytest.mark.parametrize(
    ("stream_type", "key", "column"), [("markprice", "ap", "mark_price_average"), ("trade", "X", "order_type")]
)
def test_an_optional_value_that_is_null_is_an_empty_cell(stream_type: str, key: str, column: str) -> None:
    without, null = after_others(stream_type, **{key: ...}), after_others(stream_type, **{key: None})
    assert null[column] == ""
    assert null == without


def test_raw_rows_are_counted_by_stream_and_reason() -> None:
    maker = RowMaker()
    for number, (stream, event) in enumerate(
        [("btcusdt@trade", b"{}"), ("btcusdt@trade", b"{}"), ("btcusdt@aggTrade", b"[")]
    ):
        data = {"symbol": "BTCUSDT", "stream": stream, "recv_ns": RECV_NS, "producer": RUN.producer, "epoch": 77,
                "seq": number + 1, "source": "ws", "event": event}  # fmt: skip
        stream_type = stream.partition("@")[2].lower()
        maker.rows(RUN, number, [msgpack.packb((stream_type, data))], now_ns=NOW_NS)
    maker.rows(RUN, 9, [b"\xc0"], now_ns=NOW_NS)
    assert maker.raw_counts == {
        "btcusdt@trade": {"the key t (id) is missing": 2},
        "btcusdt@aggTrade": {"not a JSON object": 1},
        "ingest-BTCUSDT": {"not a frame": 1},
    }


def test_counts_of_raw_rows_are_bounded() -> None:
    maker = RowMaker()
    for number in range(3000):
        data = {"symbol": "BTCUSDT", "stream": f"x{number % 300}", "recv_ns": RECV_NS, "producer": RUN.producer,
                "epoch": 77, "seq": number + 1, "source": "ws", "event": b"{", "reason": f"r{number}"}  # fmt: skip
        maker.rows(RUN, number, [msgpack.packb(("raw", data))], now_ns=NOW_NS)
    assert len(maker.raw_counts) == 100
    assert max(map(len, maker.raw_counts.values())) <= 10


def test_another_symbol_or_event_than_the_file_says_is_kept() -> None:
    event = b'{"e":"x","E":1,"T":1790370834848,"s":"ETHUSDT","t":1,"p":"1","q":"1","X":"NA","m":true}'
    assert cells_of(row_of("trade", "btcusdt@trade", event))["extra"] == '{"e":"x","s":"ETHUSDT"}'


def test_new_keys_are_said_and_expected_ones_are_not() -> None:
    maker = RowMaker()
    event = b'{"e":"trade","E":1,"T":1,"s":"BTCUSDT","t":1,"p":"1","q":"1","m":true,"st":1,"zz":2}'
    data = {"symbol": "BTCUSDT", "stream": "btcusdt@trade", "recv_ns": RECV_NS, "producer": "ingest-BTCUSDT",
            "epoch": 77, "seq": 5, "source": "ws", "event": event}  # fmt: skip
    maker.rows(RUN, 0, [msgpack.packb(("trade", data))] * 2, now_ns=NOW_NS)
    assert maker.new_keys == {"BTCUSDT/trade": ["zz"]}


@pytest.mark.parametrize(
    ("time_ms", "day"),
    [
        (b"1546300799999", "20260927"),
        (b"1546300800000", "20190101"),
        (b"4102444799999", "20991231"),
        (b"4102444800000", "20260927"),
        (b"1790553599999", "20260927"),
        (b"1790553600000", "20260928"),
        (b"0", "20260927"),
        (b"-5", "20260927"),
        (b"1e3", "20260927"),
        (b'""', "20260927"),
        (b"9" * 5000, "20260927"),
    ],
)
def test_the_day_is_that_of_the_exchange_where_its_time_is_one(time_ms: bytes, day: str) -> None:
    event = b'{"e":"trade","E":1,"T":' + time_ms + b',"s":"BTCUSDT","t":1,"p":"1","q":"1","X":"NA","m":true}'
    assert row_of("trade", "btcusdt@trade", event).target.path == f"BTCUSDT/trade_BTCUSDT_{day}.csv"


@pytest.mark.parametrize(
    ("stream_type", "stream", "symbol", "reason"),
    [
        ("depth", "btcusdt@depth@1ms", "BTCUSDT", "the stream is not one of the exchange's"),
        ("depth", "btcusdt@aggTrade", "BTCUSDT", "the stream is of another type"),
        ("depth", "ethusdt@depth", "BTCUSDT", "the stream is of another symbol"),
        ("depth", "BTCUSDT@depth", "BTCUSDT", "the stream is spelt otherwise"),
        ("depth_100ms", "x", "BTCUSDT", "the stream type cannot be part of a file name"),
        ("../x", "x", "BTCUSDT", "the stream type cannot be part of a file name"),
        ("status", "x", "../../x", "the symbol must not contain '.'"),
        ("status", "x", "", "the symbol must have 1 to 64 bytes"),
    ],
)
def test_a_frame_that_belongs_nowhere_is_raw(stream_type: str, stream: str, symbol: str, reason: str) -> None:
    row = row_of(stream_type, stream, b"{}", symbol=symbol)
    folder = "BTCUSDT" if symbol == "BTCUSDT" else "ingest-BTCUSDT"
    assert row.target.path == f"{folder}/raw_{folder}_20260927.csv"
    assert cells_of(row)["reason"] == reason


def test_a_frame_of_another_run_is_raw() -> None:
    row = row_of("depth", "btcusdt@depth@0ms", b"{}", epoch=78)
    assert cells_of(row)["reason"] == "the frame names another producer or epoch than its batch"
    assert row.topic is None


@pytest.mark.parametrize("frame", [b"\xc0", msgpack.packb([1, 2]), msgpack.packb(("depth", {})), b"\x92\xa5depth"])
def test_what_is_no_frame_is_raw_under_its_position(frame: bytes) -> None:
    (row,) = RowMaker().rows(RUN, 9, [frame], now_ns=NOW_NS)
    cells = cells_of(row)
    assert row.target.path == "ingest-BTCUSDT/raw_ingest-BTCUSDT_20261123.csv"
    assert cells["reason"].startswith("not a frame: ")
    assert (cells["epoch"], cells["seq"], cells["recv_ns"]) == ("77", "10", str(NOW_NS))
    assert base64.b64decode(cells["event"]) == frame or cells["event"].encode() == frame
    assert row.topic is None
