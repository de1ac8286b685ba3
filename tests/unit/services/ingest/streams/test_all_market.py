"""Messages of all symbols together become messages of the symbols' own streams."""

import pytest

from binance_streamer.exchange.streams import stream_of
from services.ingest.connections.events import Delivered
from services.ingest.streams.all_market import AllMarket

MARK = b'{"e":"markPriceUpdate","E":5,"s":"%b","p":"1.0"}'
OWN = b'{"stream":"btcusdt@aggTrade","data":{"e":"aggTrade","s":"BTCUSDT"}}'


def an_all_market(*symbols: str) -> AllMarket:
    found = AllMarket()
    suffixes = ("!markPrice@arr@1s", "!forceOrder@arr", "!ticker@arr", "aggTrade")
    found.follow(stream_of(symbol, suffix) for symbol in symbols for suffix in suffixes)
    return found


def apart(all_market: AllMarket, *messages: bytes) -> list[bytes]:
    return all_market.apart(Delivered(3, range(7, 7 + len(messages)), list(messages), 100)).messages


def test_a_list_becomes_a_message_of_each_member_and_others_are_counted() -> None:
    all_market = an_all_market("BTCUSDT", "币安人生USDT")
    parts = [MARK % name for name in (b"BTCUSDT", b"ETHUSDT", "币安人生USDT".encode())]
    whole = b'{"stream":"!markPrice@arr@1s","data":[%b]}' % b", ".join(parts)
    delivered = all_market.apart(Delivered(3, [7, 8, 9], [OWN, whole, OWN], 100))
    assert delivered == Delivered(
        3,
        [7, 8, 8, 9],
        [
            OWN,
            b'{"stream":"btcusdt@markPrice@1s","data":%b}' % parts[0],
            b'{"stream":"%b@markPrice@1s","data":%b}' % ("币安人生usdt".encode(), parts[2]),
            OWN,
        ],
        100,
    )
    assert all_market.others == {"!markPrice@arr@1s": 1}


def test_a_liquidation_names_its_symbol_in_the_order_and_a_ticker_has_a_price_there() -> None:
    all_market = an_all_market("BTCUSDT")
    order = b'{"e":"forceOrder","E":5,"o":{"s":"BTCUSDT","S":"SELL"}}'
    ticker = b'{"e":"24hrTicker","s":"BTCUSDT","o":"17.0"}'
    assert apart(
        all_market,
        b'{"stream":"!forceOrder@arr","data":%b}' % order,
        b'{"stream":"!forceOrder@arr","data":%b}' % order.replace(b"BTCUSDT", b"BTCUSD_PERP"),
        b'{"stream":"!ticker@arr","data":[%b]}' % ticker,
        b'{"data": [%b], "stream": "!ticker@arr"}' % ticker,
    ) == [
        b'{"stream":"btcusdt@forceOrder","data":%b}' % order,
        b'{"stream":"btcusdt@ticker","data":%b}' % ticker,
        b'{"stream":"btcusdt@ticker","data":%b}' % ticker,
    ]
    assert all_market.others["!forceOrder@arr"] == 1


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"[]",
        b'{"stream":"!markPrice@arr@1s","data":{}}',
        b'{"stream":"!markPrice@arr@1s","data":"BTCUSDT"}',
        b'{"stream":"!markPrice@arr@1s","data":[{"s":"BTCUSDT"}}',
        b'{"stream":"!markPrice@arr@1s","data":{"o":{}' + b"[" * 100_000,
        b'{"stream":"!markPrice@arr@3s","data":[{"s":"BTCUSDT"}]}',
    ],
)
def test_what_cannot_be_taken_apart_stays_as_it_is(message: bytes) -> None:
    all_market = an_all_market("BTCUSDT")
    assert apart(all_market, OWN, message) == [OWN, message]


def test_a_part_that_cannot_be_read_costs_no_other_one() -> None:
    part = MARK % b"BTCUSDT"
    whole = b'{"stream":"!markPrice@arr@1s","data":[7,%b,{"s":7},{}]}' % part
    assert apart(an_all_market("BTCUSDT"), whole) == [
        b'{"stream":"!markPrice@arr@1s","data":7}',
        b'{"stream":"btcusdt@markPrice@1s","data":%b}' % part,
        b'{"stream":"!markPrice@arr@1s","data":{"s":7}}',
        b'{"stream":"!markPrice@arr@1s","data":{}}',
    ]


def test_a_worker_without_such_streams_looks_at_nothing() -> None:
    all_market = AllMarket()
    all_market.follow([stream_of("BTCUSDT", "markPrice@1s")])
    delivered = Delivered(3, [7], [b'{"stream":"!markPrice@arr@1s","data":[]}'], 100)
    assert all_market.apart(delivered) is delivered
