"""Rows of REST answers: one that is not understood costs itself, not its page."""

import pytest

from binance_streamer.exchange.messages import ExchangeError
from binance_streamer.exchange.rest import OddElement, RestRow, rest_page
from binance_streamer.exchange.streams import stream_of

TRADES = stream_of("BTCUSDT", "aggTrade")
BARS = stream_of("BTCUSDT", "kline_1m")


@pytest.mark.parametrize("odd", [b"null", b"7", b'"x"', b"[]", b"{}", b'{"a":"12"}', b'{"a":-1}', b'{"a":1e30}'])
def test_an_element_without_an_id_costs_no_other(odd: bytes) -> None:
    page = rest_page(TRADES, b'[{"a":11}, %b ,{"a":13}]' % odd)
    assert page.rows == [RestRow(10, 11, b'{"a":11}'), RestRow(12, 13, b'{"a":13}')]
    assert [element.raw for element in page.odd] == [odd]
    assert page.odd[0].why.startswith("expected ")


@pytest.mark.parametrize("odd", [b"null", b"[]", b'["60000"]', b"{}", b"[null]", b"[-1]"])
def test_a_kline_without_an_opening_time_costs_no_other(odd: bytes) -> None:
    page = rest_page(BARS, b"[[60000,1],%b,[180000,1]]" % odd)
    assert page.rows == [RestRow(0, 60_000, b"[60000,1]"), RestRow(120_000, 180_000, b"[180000,1]")]
    assert [element.raw for element in page.odd] == [odd]


def test_rows_come_in_the_order_of_their_ids_and_an_id_once() -> None:
    page = rest_page(TRADES, b'[{"a":13},{"a":11},{"a":11},{"a":13,"p":"2"}]')
    assert [row.last_id for row in page.rows] == [11, 13]
    assert page.odd == [OddElement(b'{"a":13,"p":"2"}', "expected each id once, got 13 twice", has_id=True)]


@pytest.mark.parametrize("body", [b"", b"{}", b"null", b"<html>", b'[{"a":11}', b"\xff", b'["x"]', b"[null,null]"])
def test_an_answer_of_which_nothing_is_understood_is_none(body: bytes) -> None:
    with pytest.raises(ExchangeError):
        rest_page(TRADES, body)
