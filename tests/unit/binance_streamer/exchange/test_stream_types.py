"""Every stream type by one message: its route, its ids, its file and its row, literally."""

import csv
import io
import re
from typing import NamedTuple

import msgpack
import pytest

from binance_streamer.exchange.readers import EventReader
from binance_streamer.exchange.stream_types import STREAM_TYPES, stream_type_of, suffixes
from binance_streamer.exchange.streams import stream_of
from services.writer.rows.rows import RowMaker, Run
from tests.support.data import REPOSITORY


class Case(NamedTuple):
    """A message without its `e`, `E` and `s`, and what becomes of it."""

    suffix: str
    event: str
    keys: str
    route: str
    ids: tuple[int | None, int | None]
    file: str
    cells: str


DEPTH = '"T":1790526538981,"U":7,"u":9,"pu":6,"b":[["10.5","2"]],"a":[]'
KLINE = (
    '"k":{"t":1790526480000,"T":1790526539999,"s":"BTCUSDT","i":"1m","f":1,"L":2,"o":"1","c":"2","h":"3","l":"1",'
    '"v":"8.4","n":3,"x":true,"q":"7","V":"4","Q":"5","B":"0"}'
)
BAR = "1790526480000,1,3,1,2,8.4,1790526539999,7,3,4,5,0,true,1,2,1790526539033"
CASES = [
    Case("aggTrade", "aggTrade", '"a":8,"p":"84551.10","q":"0.030","nq":"0.030","f":3,"l":4,"T":1790526538883,"m":true',
         "market", (7, 8), "aggtrade", "8,84551.10,0.030,3,4,1790526538883,true,1790526539033,0.030"),
    Case("trade", "trade", '"T":1790526538883,"t":5,"p":"10.50","q":"2","X":"MARKET","m":false',
         "public", (4, 5), "trade", "5,10.50,2,1790526538883,false,1790526539033,MARKET"),
    Case("bookTicker", "bookTicker", '"u":9,"b":"1.1","B":"2","a":"1.2","A":"3","T":1790526538981',
         "public", (None, 9), "bookticker", "9,1.1,2,1.2,3,1790526538981,1790526539033"),
    Case("depth@0ms", "depthUpdate", DEPTH,
         "public", (6, 9), "depth", "7,9,6,1790526538981,1790526539033,[[10.5,2]],[]"),
    Case("depth5@100ms", "depthUpdate", DEPTH,
         "public", (None, 9), "partialdepth_5-100ms", "7,9,6,1790526538981,1790526539033,[[10.5,2]],[]"),
    Case("rpiDepth@500ms", "depthUpdate", DEPTH,
         "public", (6, 9), "rpidepth", "7,9,6,1790526538981,1790526539033,[[10.5,2]],[]"),
    Case("markPrice@1s", "markPriceUpdate",
         '"p":"84.5","ap":"84.6","i":"84.7","P":"84.8","r":"0.0001","T":1790553600000',
         "market", (None, None), "markprice", "1790526539033,84.5,84.6,84.7,84.8,0.0001,1790553600000"),
    Case("ticker", "24hrTicker",
         '"p":"1","P":"2","w":"3","c":"4","Q":"5","o":"6","h":"7","l":"8","v":"9","q":"10","O":11,"C":12,"F":13,"L":14,'
         '"n":15', "market", (None, None), "ticker", "1790526539033,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15"),
    Case("miniTicker", "24hrMiniTicker", '"c":"4","o":"6","h":"7","l":"8","v":"9","q":"10"',
         "market", (None, None), "miniticker", "1790526539033,4,6,7,8,9,10"),
    Case("kline_1m", "kline", KLINE,
         "market", (1790526420000, 1790526480000), "kline_1m", BAR),
    Case("perpetual@continuousKline_1m", "continuous_kline", KLINE.replace('"s":"BTCUSDT",', ""),
         "market", (1790526420000, 1790526480000), "continuouskline_perpetual_1m", BAR),
    Case("forceOrder", "forceOrder",
         '"o":{"s":"BTCUSDT","S":"SELL","o":"LIMIT","f":"IOC","q":"1","p":"2","ap":"3","X":"FILLED","l":"4","z":"5",'
         '"T":1790526539000}',
         "market", (None, None), "forceorder", "SELL,LIMIT,IOC,1,2,3,FILLED,4,5,1790526539000,1790526539033"),
    Case("compositeIndex", "compositeIndex", '"p":"1"',
         "market", (None, None), "compositeindex", ""),
    Case("assetIndex", "assetIndexUpdate", '"i":"1"',
         "market", (None, None), "assetindex", ""),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=[case.suffix for case in CASES])
def test_a_message_of_each_type(case: Case) -> None:
    stream = stream_of("BTCUSDT", case.suffix)
    event = f'{{"e":"{case.event}","E":1790526539033,"s":"BTCUSDT",{case.keys}}}'.encode()
    assert stream.route == case.route
    assert EventReader(stream).read(event) == (*case.ids, 1790526539033)
    data = {
        "symbol": "BTCUSDT", "stream": stream.name, "recv_ns": 1790526539100000000, "producer": "p", "epoch": 7,
        "seq": 1, "source": "ws", "event": event,
    }  # fmt: skip
    (row,) = RowMaker().rows(Run("p", 7), 0, [msgpack.packb((stream.stream_type, data))], now_ns=0)
    assert row.target.path == f"BTCUSDT/{case.file}_BTCUSDT_20260927.csv"
    header, cells = csv.reader(io.StringIO((row.target.header + row.line).decode(), newline=""))
    own = len(header) - 5  # recv_ns, epoch, seq, source, extra
    form = stream.type.row
    if form is None:
        assert cells[header.index("event")] == event.decode()
    else:
        assert tuple(header[:own]) == tuple(column for column, _ in form.columns)
        assert ",".join(cells[:own]) == case.cells


def test_every_type_has_a_case() -> None:
    assert [stream_of("BTCUSDT", case.suffix).stream_type for case in CASES] == list(STREAM_TYPES)


def test_every_type_has_its_columns_in_the_documentation() -> None:
    page = (REPOSITORY / "docs" / "files.md").read_text(encoding="utf-8")
    for stream_type in STREAM_TYPES.values():
        if stream_type.row is not None:
            columns = ", ".join(column for column, _ in stream_type.row.columns)
            assert f"`{columns}`" in page, stream_type.name


def test_every_type_is_named_in_the_documentation() -> None:
    configuration, files = (
        (REPOSITORY / "docs" / name).read_text(encoding="utf-8") for name in ("configuration.md", "files.md")
    )
    for stream_type in STREAM_TYPES.values():
        assert f"{stream_type.spelling.removeprefix('perpetual')}`" in configuration.replace("\\|", "|"), (
            stream_type.name
        )
        assert re.search(rf"\W{stream_type.name}\W|\W{stream_type.name}_", files), stream_type.name


def test_an_error_names_every_type() -> None:
    with pytest.raises(ValueError, match="expected one of aggTrade, trade, bookTicker, depth") as caught:
        stream_of("BTCUSDT", "nonsense")
    assert all(stream_type.spelling in str(caught.value) for stream_type in STREAM_TYPES.values())


def test_every_suffix_that_is_suggested_is_a_stream() -> None:
    found = suffixes()
    assert [name for name in found if stream_type_of(name) is None] == []
    assert {"aggTrade", "depth", "depth@0ms", "depth20@500ms", "kline_1M", "perpetual@continuousKline_1m"} <= set(found)
