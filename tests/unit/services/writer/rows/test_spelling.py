"""A spelling is the message itself: fixed text and values of columns in turn."""

import pytest

from binance_streamer.exchange.rows import AGG_TRADE, BOOK_UPDATE, KLINE, REST_KLINE, TRADE, RowForm
from services.writer.rows.spelling import EventSpelling, Kind, spelling_of

TRADE_EVENT = b'{"e":"trade","E":15,"T":14,"s":"BTCUSDT","t":7,"p":"84551.00","q":"0.5","X":"MARKET","m":false}'


def test_values_of_columns_may_differ_and_all_else_is_fixed() -> None:
    assert spelling_of(TRADE_EVENT, TRADE) == EventSpelling(
        (
            (b'{"e":"trade","E":', Kind.WHOLE),
            (b',"T":', Kind.WHOLE),
            (b',"s":"BTCUSDT","t":', Kind.WHOLE),
            (b',"p":"', Kind.NUMBER),
            (b'","q":"', Kind.NUMBER),
            (b'","X":"', Kind.WORD),
            (b'","m":', Kind.FLAG),
        ),
        b"}",
        ("E", "T", "t", "p", "q", "X", "m"),
    )


def test_levels_are_one_value() -> None:
    found = spelling_of(b'{"e":"depthUpdate","T":1,"b":[["1.5","2"]],"a":[],"st":1}', BOOK_UPDATE)
    assert found == EventSpelling(
        ((b'{"e":"depthUpdate","T":', Kind.WHOLE), (b',"b":', Kind.LEVELS), (b',"a":', Kind.LEVELS)),
        b',"st":1}',
        ("T", "b", "a"),
    )


def test_an_object_within_may_have_spaces_behind_its_commas() -> None:
    found = spelling_of(b'{"E":3,"k":{"t":1, "i":"1m", "o":"5.0"},"x":2}', KLINE)
    assert found == EventSpelling(
        ((b'{"E":', Kind.WHOLE), (b',"k":{"t":', Kind.WHOLE), (b', "i":"1m", "o":"', Kind.NUMBER)),
        b'"},"x":2}',
        ("E", "k.t", "k.o"),
    )


@pytest.mark.parametrize("value", [b'""', b"null", b'"1e5"', b'"=1"', b"[]", b'"a"', b'"01"', b"1e5"])
def test_a_value_of_no_known_kind_is_fixed_text(value: bytes) -> None:
    found = spelling_of(b'{"p":%b,"T":5}' % value, AGG_TRADE)
    assert found == EventSpelling(((b'{"p":%b,"T":' % value, Kind.WHOLE),), b"}", ("T",))


@pytest.mark.parametrize(
    ("event", "form"),
    [
        (b"", TRADE),
        (b"[]", TRADE),
        (b'{"T":1', TRADE),
        (b'{"T": 1}', TRADE),
        (b'{"T":1} ', TRADE),
        (b'{"T":1,"T":1}', TRADE),
        (b'{"\\u0054":1}', TRADE),
        (b'{"k.t":1,"k":{"t":1}}', KLINE),
        (b'{"k":[]}', KLINE),
        (b"[1,2]", REST_KLINE),
    ],
)
def test_what_is_not_simple_has_no_spelling(event: bytes, form: RowForm) -> None:
    assert spelling_of(event, form) is None
