"""Every series by one answer: its request, its file and its row, literally."""

from typing import NamedTuple

import msgpack
import pytest

from binance_streamer.exchange.messages import ExchangeError
from binance_streamer.exchange.rest_series import (
    REST_SERIES,
    polled_of,
    series_from_name,
    series_name,
    series_spellings,
)
from binance_streamer.exchange.streams import missing_messages, stem_of_stream, stream_variant
from services.writer.rows.rows import RowMaker, Run
from tests.support.data import REPOSITORY


class Case(NamedTuple):
    """An answer, or an element of one, and what becomes of it."""

    name: str
    body: str
    path: str
    weight: int
    file: str
    cells: str
    extra: str = ""


_RATIO = '{"symbol":"BTCUSDT","longShortRatio":"1.8105","longAccount":"0.6442","shortAccount":"0.3558",'
_NOW = '"timestamp":1790526539011}'
CASES = [
    Case("openInterest", '{"openInterest":"10659.509","symbol":"BTCUSDT","time":1790526539011}',
         "/fapi/v1/openInterest?symbol=BTCUSDT", 1, "openinterest", "10659.509,1790526539011"),
    Case("premiumIndex", '{"symbol":"BTCUSDT","markPrice":"11793.63104562","indexPrice":"11781.80495970",'
         '"estimatedSettlePrice":"11781.16138815","lastFundingRate":"0.00010000","interestRate":"0.00010000",'
         '"nextFundingTime":1790553600000,"time":1790526539011}',
         "/fapi/v1/premiumIndex?symbol=BTCUSDT", 1, "premiumindex",
         "11793.63104562,11781.80495970,11781.16138815,0.00010000,0.00010000,1790553600000,1790526539011"),
    Case("ticker24h", '{"symbol":"BTCUSDT","priceChange":"-94.99","priceChangePercent":"-95.960",'
         '"weightedAvgPrice":"0.29","lastPrice":"4.00","lastQty":"200.0","openPrice":"99.0","highPrice":"100.0",'
         '"lowPrice":"0.1","volume":"8913.3","quoteVolume":"15.3","openTime":1790440139011,'
         '"closeTime":1790526539011,"firstId":28385,"lastId":28460,"count":76}',
         "/fapi/v1/ticker/24hr?symbol=BTCUSDT", 1, "ticker24h",
         "-94.99,-95.960,0.29,4.00,200.0,99.0,100.0,0.1,8913.3,15.3,1790440139011,1790526539011,28385,28460,76"),
    Case("fundingRate", '{"symbol":"BTCUSDT","fundingRate":"-0.03750000","fundingTime":1790524800000,'
         '"markPrice":"34287.54619963","rateType":"NORMAL"}',
         "/fapi/v1/fundingRate?symbol=BTCUSDT", 1, "fundingrate", "-0.03750000,34287.54619963,1790524800000,NORMAL"),
    Case("fundingInfo", '{"symbol":"BTCUSDT","adjustedFundingRateCap":"0.02500000",'
         '"adjustedFundingRateFloor":"-0.02500000","fundingIntervalHours":8,"disclaimer":false}',
         "/fapi/v1/fundingInfo?symbol=BTCUSDT", 1, "fundinginfo", "8,0.02500000,-0.02500000",
         '"{""disclaimer"":false}"'),
    Case("longShortRatio@5m", _RATIO + _NOW,
         "/futures/data/globalLongShortAccountRatio?symbol=BTCUSDT&period=5m", 0, "longshortratio_5m",
         "1.8105,0.6442,0.3558,1790526539011"),
    Case("topLongShortAccountRatio@15m", _RATIO + _NOW,
         "/futures/data/topLongShortAccountRatio?symbol=BTCUSDT&period=15m", 0, "toplongshortaccountratio_15m",
         "1.8105,0.6442,0.3558,1790526539011"),
    Case("topLongShortPositionRatio@1d", _RATIO + '"timestamp":"1790526539011"}',
         "/futures/data/topLongShortPositionRatio?symbol=BTCUSDT&period=1d", 0, "toplongshortpositionratio_1d",
         "1.8105,0.6442,0.3558,1790526539011"),
    Case("takerLongShortRatio@5m", '{"buySellRatio":"1.5586","buyVol":"387.3300","sellVol":"248.5030",' + _NOW,
         "/futures/data/takerlongshortRatio?symbol=BTCUSDT&period=5m", 0, "takerlongshortratio_5m",
         "1.5586,387.3300,248.5030,1790526539011"),
    Case("openInterestHist@5m", '{"symbol":"BTCUSDT","sumOpenInterest":"20403.63700000",'
         '"sumOpenInterestValue":"150570784.07809979",' + _NOW,
         "/futures/data/openInterestHist?symbol=BTCUSDT&period=5m", 0, "openinteresthist_5m",
         "20403.63700000,150570784.07809979,1790526539011"),
]  # fmt: skip
WHOLE = [
    Case("indexConstituents", '{"symbol":"BTCUSDT","time":1790526539011,"constituents":[]}',
         "/fapi/v1/constituents?symbol=BTCUSDT", 2, "indexconstituents", ""),
    Case("insuranceBalance", '{"symbols":["BTCUSDT"],"assets":[{"asset":"USDT","marginBalance":"7.1"}]}',
         "/fapi/v1/insuranceBalance?symbol=BTCUSDT", 1, "insurancebalance", ""),
]  # fmt: skip
"""Series whose answer is one cell, as it came."""


def row_of(case: Case) -> tuple[str, bytes, bytes]:
    """Path of the file, header and line that the writer makes of it."""
    polled = polled_of("BTCUSDT", case.name)
    assert polled is not None
    assert (polled.name, polled.series.weight) == (case.path, case.weight)
    data = {
        "symbol": "BTCUSDT", "stream": polled.name, "recv_ns": 1790526539100000001, "producer": "rest",
        "epoch": 7, "seq": 1, "source": "rest", "connection": 0, "requested_ns": 1790526539000000001,
        "event": case.body.encode(),
    }  # fmt: skip
    (row,) = RowMaker().rows(Run("rest", 7), 0, [msgpack.packb((polled.series.name, data))], now_ns=1)
    return row.target.path, row.target.header, row.line


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_an_answer_of_each_series(case: Case) -> None:
    path, header, line = row_of(case)
    assert path == f"BTCUSDT/{case.file}_BTCUSDT_20260927.csv"
    assert line == f"{case.cells},1790526539100000001,7,1,rest,{case.extra}\n".encode()
    form = REST_SERIES[case.file.partition("_")[0]].row
    assert form is not None
    assert header.decode().startswith(",".join(column for column, _ in form.columns) + ",recv_ns,")


@pytest.mark.parametrize("case", WHOLE, ids=lambda case: case.name)
def test_an_answer_that_is_kept_whole(case: Case) -> None:
    path, header, line = row_of(case)
    assert path == f"BTCUSDT/{case.file}_BTCUSDT_20260927.csv"
    assert header == b"recv_ns,epoch,seq,source,event\n"
    quoted = case.body.replace('"', '""')
    assert line == f'1790526539100000001,7,1,rest,"{quoted}"\n'.encode()


@pytest.mark.parametrize("case", [*CASES, *WHOLE], ids=lambda case: case.name)
def test_the_name_of_a_series_leads_back_to_it(case: Case) -> None:
    found = series_from_name(case.path)
    assert found is not None
    series, variant = found
    assert series_name(series.name, "BTCUSDT", variant) == case.path
    assert stem_of_stream(case.path) == case.file
    assert stream_variant(series.name, case.path) == variant == case.file.partition("_")[2]


def test_every_series_has_a_case_and_stands_in_the_documentation() -> None:
    words = [case.name.partition("@")[0] for case in CASES + WHOLE]
    assert sorted(words) == sorted(name.partition("@")[0] for name in series_spellings())
    files, configuration = (
        (REPOSITORY / "docs" / name).read_text(encoding="utf-8") for name in ("files.md", "configuration.md")
    )
    for series in REST_SERIES.values():
        assert f"`{series.word}" in configuration
        stem = f"{series.name}_<period>" if series.has_periods else series.name
        assert f"`{stem}`" in files
        if series.row is not None:
            columns = ", ".join(column for column, _ in series.row.columns)
            assert f"| `{columns}` |" in files


@pytest.mark.parametrize(
    ("name", "interval_s", "variant"),
    [
        ("openInterest", 60.0, ""),
        ("openInterest@", 60.0, ""),
        ("openInterest@10s", 10.0, ""),
        ("ticker24h@5m", 300.0, ""),
        ("insuranceBalance@24h", 86_400.0, ""),
        ("fundingRate", 300.0, ""),
        ("longShortRatio@5m", 300.0, "5m"),
        ("longShortRatio@12h", 3600.0, "12h"),
    ],
)
def test_a_name_says_how_often(name: str, interval_s: float, variant: str) -> None:
    polled = polled_of("BTCUSDT", name)
    assert polled is not None
    assert (polled.interval_s, polled.variant) == (interval_s, variant)


@pytest.mark.parametrize("name", ["openinterest@60s", "depth@0ms", "aggTrade"])
def test_other_names_are_no_series(name: str) -> None:
    assert polled_of("BTCUSDT", name) is None


@pytest.mark.parametrize(
    "name", ["openInterest@0s", "openInterest@25h", "openInterest@fast", "longShortRatio", "longShortRatio@1m"]
)
def test_an_interval_that_cannot_be_had(name: str) -> None:
    with pytest.raises(ExchangeError, match=name.partition("@")[0]):
        polled_of("BTCUSDT", name)


def test_missing_buckets_are_counted_by_their_times() -> None:
    name = "/futures/data/openInterestHist?symbol=BTCUSDT&period=5m"
    assert missing_messages(name, 1_790_000_000_000, 1_790_000_900_000) == 3
    assert missing_messages("/fapi/v1/fundingRate?symbol=BTCUSDT", 1, 5) is None


def test_a_symbol_outside_ascii() -> None:
    polled = polled_of("币安人生USDT", "openInterest")
    assert polled is not None
    assert polled.name == "/fapi/v1/openInterest?symbol=%E5%B8%81%E5%AE%89%E4%BA%BA%E7%94%9FUSDT"
