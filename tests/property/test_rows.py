"""Rows decode back to their event, and no name leaves the data directory."""

import csv
import io
import json
from pathlib import PurePosixPath
from typing import Any

import msgpack
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from binance_streamer.exchange.rows import RowForm
from binance_streamer.exchange.stream_types import event_name, rest_row_form, row_form
from services.writer.rows.cells import CellReader, Cells, RowFault
from services.writer.rows.rows import Row, RowMaker, Run
from tests.support.examples import examples

_EPOCH = 2**60
_numbers = st.decimals(0, 10**9, allow_nan=False, allow_infinity=False).map(lambda number: f"{number:f}")
_integers = st.integers(0, 2**62)
_levels = st.lists(st.lists(_numbers, min_size=2, max_size=2), max_size=30)
_signed = st.decimals(-(10**9), 10**9, allow_nan=False, allow_infinity=False).map(lambda number: f"{number:f}")
_words = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), max_size=20)
_extras = st.dictionaries(
    st.text(st.characters(codec="utf-8"), min_size=1, max_size=8).filter(lambda key: len(key) > 2 and "." not in key),
    st.one_of(_words, _integers, st.booleans(), st.none(), st.lists(_integers, max_size=3)),
    max_size=3,
)
_STREAMS = {
    "aggtrade": "btcusdt@aggTrade",
    "trade": "btcusdt@trade",
    "depth": "btcusdt@depth@0ms",
    "kline": "btcusdt@kline_1m",
    "markprice": "btcusdt@markPrice@1s",
    "bookticker": "btcusdt@bookTicker",
    "forceorder": "btcusdt@forceOrder",
    "ticker": "btcusdt@ticker",
    "depth_snapshot": "/fapi/v1/depth?symbol=BTCUSDT&limit=1000",
}


def _values_of(form: RowForm, key: str) -> st.SearchStrategy[Any]:
    if key in form.levels:
        return _levels
    if key in form.flags:
        return st.booleans()
    return st.one_of(_words, _integers) if key in form.texts else st.one_of(_signed, _integers, st.just(""))


def _row(stream_type: str, stream: str, event: bytes, symbol: str = "BTCUSDT", producer: str = "p") -> Row:
    data = {
        "symbol": symbol, "stream": stream, "recv_ns": 1_790_526_539_058_352_268, "producer": producer,
        "epoch": _EPOCH, "seq": 1, "source": "ws", "event": event,
    }  # fmt: skip
    frame = msgpack.packb((stream_type, data))
    (row,) = RowMaker().rows(Run(producer, _EPOCH), 0, [frame], now_ns=1_790_526_539_058_352_268)
    return row


@given(st.sampled_from(sorted(_STREAMS)), st.data(), _extras, st.booleans())
def test_a_row_holds_every_value_of_its_event(
    stream_type: str, data: st.DataObject, extras: dict[str, Any], is_spaced: bool
) -> None:
    form = row_form(stream_type)
    assert form is not None
    event: dict[str, Any] = {"e": event_name(stream_type), "s": "BTCUSDT"} if "_" not in stream_type else {}
    inner: dict[str, Any] = {}
    values: dict[str, Any] = {}
    for column, key in form.columns:
        if key in form.optional and data.draw(st.booleans()):
            continue
        value = data.draw(_values_of(form, key))
        values[column] = value
        (inner if "." in key else event)[key.rpartition(".")[2]] = value
    if form.inner:
        event[form.inner] = inner
    event.update(extras)
    separators = None if is_spaced else (",", ":")
    row = _row(
        stream_type, _STREAMS[stream_type], json.dumps(event, ensure_ascii=False, separators=separators).encode()
    )
    assert row.line.count(b"\n") == 1
    header, cells = csv.reader(io.StringIO((row.target.header + row.line).decode(), newline=""))
    found = dict(zip(header, cells, strict=True))
    if "stream_type" in found:  # raw: the event is there byte for byte, for a reason
        assert json.loads(found["event"]) == event
        assert "begins like a formula" in found["reason"]
        assert any(
            str(values.get(column)).startswith(tuple("=+-@")) for column, key in form.columns if key in form.texts
        )
        return
    for column, key in form.columns:
        value = values.get(column, "")
        if key in form.levels:
            assert found[column] == "[" + ",".join(f"[{price},{quantity}]" for price, quantity in value) + "]"
        else:
            assert found[column] == (json.dumps(value) if isinstance(value, bool | int) else value)
    assert (json.loads(found["extra"]) if found["extra"] else {}) == extras


@given(st.text(max_size=80), st.text(max_size=80), st.text(max_size=80), st.text(min_size=1, max_size=80), st.binary())
def test_no_name_from_the_wire_leaves_the_directory(
    stream_type: str, stream: str, symbol: str, producer: str, event: bytes
) -> None:
    for one_type in (stream_type, "depth", "gap", "raw", "exchange_info"):
        try:
            row = _row(one_type, stream, event, symbol, producer)
        except UnicodeEncodeError:
            return
        path = PurePosixPath(row.target.path)
        assert not path.is_absolute()
        assert len(path.parts) == (1 if path.suffix == ".jsonl" else 2)
        for part in path.parts:
            assert part not in ("", ".", "..")
            assert part.isascii()
            assert part.isprintable()
            assert not part.startswith(".")
            assert len(part) <= 255
        assert row.line.count(b"\n") == 1
        row.line.decode()


_USUAL = {
    "aggtrade": b'{"E":10,"a":11,"p":"84551.10","q":"0.03","f":1,"l":2,"T":3,"m":true,"nq":"1.5"}',
    "trade": b'{"E":10,"T":11,"t":12,"p":"83680.00","q":"0.001","X":"MARKET","m":true}',
    "bookticker": b'{"u":10,"b":"1.5","B":"2.5","a":"3.5","A":"4.5","T":11,"E":12}',
    "markprice": b'{"E":10,"p":"1.5","ap":"1.5","i":"2.5","P":"-3.5","r":"-0.0001","T":11}',
    "ticker": b'{"E":1,"p":"-0.5","P":"-2.5","w":"1","c":"2","Q":"3","o":"4","h":"5","l":"6","v":"7","q":"8","O":9,'
    b'"C":10,"F":11,"L":12,"n":13}',
    "kline": b'{"E":10,"k":{"t":60000,"o":"1","h":"2","l":"3","c":"4","v":"5","T":6,"q":"7","n":8,"V":"9","Q":"1",'
    b'"B":"0","x":false,"f":1,"L":2}}',
    "forceorder": b'{"E":10,"o":{"S":"SELL","o":"LIMIT","f":"IOC","q":"1","p":"2","ap":"3","X":"FILLED","l":"4",'
    b'"z":"5","T":6}}',
    "rest": b'[60000,"1","2","3","4","5",6,"7",8,"9","1","0"]',
}


def _reader(name: str) -> CellReader:
    form = rest_row_form("kline") if name == "rest" else row_form(name)
    assert form is not None
    return CellReader(form, {})


def _read(reader: CellReader, event: bytes) -> Cells | str:
    try:
        return reader.read(event)
    except RowFault as fault:
        return str(fault)


@st.composite
def _changed(draw: st.DrawFn, usual: bytes) -> bytes:
    """The usual message, with some pieces replaced by others that JSON is made of."""
    pieces = [
        b"0",
        b"7",
        b"-",
        b".",
        b",",
        b'"',
        b"true",
        b"null",
        b"NaN",
        b"e5",
        b" ",
        b"=",
        b"+",
        b"A",
        b"\\u0031",
        b"",
    ]
    event = bytearray(usual)
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(event)))
        event[at : at + draw(st.integers(0, 6))] = b"".join(draw(st.lists(st.sampled_from(pieces), max_size=4)))
    return bytes(event)


@settings(max_examples=examples(300), deadline=None)
@pytest.mark.parametrize("name", sorted(_USUAL))
@given(st.data())
def test_a_reader_that_has_read_others_reads_like_a_new_one(name: str, data: st.DataObject) -> None:
    """Shapes that were learned make cells quicker, never other ones."""
    taught = _reader(name)
    events = [_USUAL[name], *data.draw(st.lists(_changed(_USUAL[name]), max_size=4))]
    for event in [*events, *events]:
        assert _read(taught, event) == _read(_reader(name), event)


@given(_words, st.sampled_from([b'"%b"', b"%b"]))
@example("1-2", b'"%b"')
@example("null", b"%b")
@example("true", b"%b")
@example("-12", b"%b")
def test_a_text_is_read_the_same_behind_any_other_text(text: str, form: bytes) -> None:
    taught = _reader("trade")
    for known in (b'"1-2"', b'"null"', b'"true"', b'"A.B"', b"12", form % json.dumps(text)[1:-1].encode()):
        event = _USUAL["trade"].replace(b'"MARKET"', known)
        assert _read(taught, event) == _read(_reader("trade"), event)
