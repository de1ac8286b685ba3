from pathlib import Path

import pytest

from binance_streamer.cli.demo.compare_tape import StreamComparison, cells, compare
from binance_streamer.compression import zstd
from binance_streamer.exchange.stream_types import row_form

TRADE = b'{"e":"aggTrade","E":5,"s":"BTCUSDT","a":%d,"p":"1.50","q":"2","f":1,"l":2,"T":4,"m":true}'
HEADER = (
    "agg_trade_id,price,quantity,first_trade_id,last_trade_id,transact_time,is_buyer_maker,event_time,normal_quantity,"
    "recv_ns,epoch,seq,source,extra\n"
)


def row(number: int, price: str = "1.50") -> str:
    return f"{number},{price},2,1,2,4,true,5,,9,9,{number},ws,\n"


def record(tmp_path: Path, sent: list[int], *days: str, copies: int = 1) -> list[StreamComparison]:
    """The comparison of a tape of these trades with one file per day."""
    tape = tmp_path / "tape"
    tape.mkdir()
    lines = [b'1 %d {"stream":"btcusdt@aggTrade","data":%b}\n' % (copies, TRADE % number) for number in sent]
    lines.append(b'1 0 {"stream":"btcusdt@aggTrade","data":%b}\n' % (TRADE % 99))
    (tape / "tape.txt").write_bytes(b"".join(lines))
    (tmp_path / "BTCUSDT").mkdir(exist_ok=True)
    for number, text in enumerate(days):
        (tmp_path / "BTCUSDT" / f"aggtrade_BTCUSDT_2026112{number}.csv").write_text(HEADER + text)
    return compare(tape, tmp_path)


def test_equal_rows_over_two_days_are_the_same(tmp_path: Path) -> None:
    assert record(tmp_path, [1, 2, 3], row(1) + row(2), row(3)) == [
        StreamComparison("BTCUSDT", "aggTrade", 3, 3, is_equal=True)
    ]


def test_rows_of_both_formats_are_compared_together(tmp_path: Path) -> None:
    """The format was changed in the middle of a day."""
    (tmp_path / "BTCUSDT").mkdir()
    compressed = zstd.compress((HEADER + row(2)).encode()) + zstd.compress(row(3).encode())
    (tmp_path / "BTCUSDT" / "aggtrade_BTCUSDT_20261120.csv.zst").write_bytes(compressed)
    assert record(tmp_path, [1, 2, 3], row(1)) == [StreamComparison("BTCUSDT", "aggTrade", 3, 3, is_equal=True)]


def test_a_message_on_two_connections_is_one_row(tmp_path: Path) -> None:
    assert record(tmp_path, [1], row(1), copies=2) == [StreamComparison("BTCUSDT", "aggTrade", 1, 1, is_equal=True)]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(row(1) + row(2), id="a row is missing"),
        pytest.param(row(1) + row(2) + row(2), id="one is missing and one is doubled"),
        pytest.param(row(1) + row(2) + row(3) + row(3), id="one is doubled"),
        pytest.param(row(1) + row(2) + row(3, price="1.5"), id="a digit is missing"),
        pytest.param(row(1) + row(2) + row(4), id="another row"),
        pytest.param("", id="no row"),
    ],
)
def test_any_difference_is_noticed(tmp_path: Path, text: str) -> None:
    assert [verdict.is_equal for verdict in record(tmp_path, [1, 2, 3], text)] == [False]


def test_a_row_that_is_doubled_does_not_hide_another_one(tmp_path: Path) -> None:
    assert [verdict.is_equal for verdict in record(tmp_path, [1, 2, 2], row(1) * 3)] == [False]


def test_a_missing_file_is_a_difference(tmp_path: Path) -> None:
    assert record(tmp_path, [1]) == [StreamComparison("BTCUSDT", "aggTrade", 1, 0, is_equal=False)]


def test_levels_lose_their_quotes_and_keep_their_digits() -> None:
    event = b'{"E":1,"T":2,"U":3,"u":4,"pu":5,"b":[["58710.20","0.014"],["1.0","0"]],"a":[]}'
    assert cells(event, row_form("depth")) == ["3", "4", "5", "2", "1", "[[58710.20,0.014],[1.0,0]]", "[]"]


def test_the_inside_of_a_kline_is_found() -> None:
    event = (
        b'{"E":9,"k":{"t":1, "T":2,"o":"3","h":"4","l":"5","c":"6","v":"7","q":"8","n":9,"V":"10","Q":"11","B":"0",'
        b'"x":false,"f":12,"L":13}}'
    )
    expected = ["1", "3", "4", "5", "6", "7", "2", "8", "9", "10", "11", "0", "false", "12", "13", "9"]
    assert cells(event, row_form("kline")) == expected


def test_an_optional_value_that_is_null_is_an_empty_cell() -> None:
    event = b'{"E":9,"p":"1","ap":null,"i":"2","P":"3","r":"","T":4}'
    assert cells(event, row_form("markprice")) == ["9", "1", "", "2", "3", "", "4"]


def repaired(number: int, price: str = "1.50") -> str:
    return f"{number},{price},2,1,2,4,true,,,9,9,{number},rest,\n"


def test_what_rest_brought_is_the_same(tmp_path: Path) -> None:
    """One was lost on its way to a killed worker, another (99) was never handed to anybody."""
    days = row(1) + row(3) + repaired(2) + repaired(99)
    assert record(tmp_path, [1, 2, 3], days) == [StreamComparison("BTCUSDT", "aggTrade", 4, 4, is_equal=True)]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(row(1) + row(2) + repaired(2), id="it was there already"),
        pytest.param(row(1) + repaired(2) + repaired(2), id="it came twice"),
        pytest.param(row(1) + repaired(2, price="1.5"), id="a digit is missing"),
        pytest.param(row(1) + row(2) + repaired(7), id="nobody sent it"),
    ],
)
def test_a_wrong_row_of_rest_is_a_difference(tmp_path: Path, text: str) -> None:
    assert [verdict.is_equal for verdict in record(tmp_path, [1, 2], text)] == [False]
