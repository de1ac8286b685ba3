"""Lies as functions of messages and of REST's rows."""

import json

import pytest

from simulator.control import lies
from simulator.control.faults import Item


def test_stamps_differ_from_connection_to_connection() -> None:
    item = Item(b'{"stream":"a@markPrice@1s","data":{"e":"markPriceUpdate","E":1795391970000,"p":"1.0"}}')
    stamp = lies.Stamp(1)
    assert [copy.payload for copy in stamp.copies(item, 3)] == [
        item.payload,
        b'{"stream":"a@markPrice@1s","data":{"e":"markPriceUpdate","E":1795391970001,"p":"1.0"}}',
        b'{"stream":"a@markPrice@1s","data":{"e":"markPriceUpdate","E":1795391970002,"p":"1.0"}}',
    ]
    assert stamp.is_over()


def test_only_closed_bars_come_twice() -> None:
    opened, closed = (
        Item(b'{"stream":"a@kline_1m","data":{"k":{"t":1795391940000,"n":5,"x":%b}}}' % word)
        for word in (b"false", b"true")
    )
    reclose = lies.Reclose(1)
    assert reclose.change(opened) == [opened]
    assert [item.payload for item in reclose.change(closed)] == [
        closed.payload,
        closed.payload.replace(b'"n":5', b'"n":6'),
    ]
    assert reclose.change(closed) == [closed]


def test_an_unchained_update_names_an_id_that_was_not() -> None:
    event = {"u": 30, "pu": 20}
    lies.unchain(event)
    assert event == {"u": 30, "pu": 19}


def test_microseconds_are_of_times_alone() -> None:
    event = {"E": 1_795_391_970_000, "o": {"T": 1_795_391_969_000, "q": "1"}, "a": 1_795_391_970_000}
    lies.in_microseconds(event)
    assert event == {"E": 1_795_391_970_000_000, "o": {"T": 1_795_391_969_000_000, "q": "1"}, "a": 1_795_391_970_000}


@pytest.mark.parametrize(("key", "value"), [("p", "1.0"), ("q", "0.10"), ("l", 6), ("m", False)])
def test_rows_that_differ_do_so_in_one_key(key: str, value: object) -> None:
    row = {"a": 7, "p": "1.9", "q": "0.19", "f": 4, "l": 5, "T": 1_795_391_970_000, "m": True}
    assert json.loads(lies.differing(key)(json.dumps([row]).encode())) == [{**row, key: value}]
