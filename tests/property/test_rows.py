"""Rows decode back to their event, and no name leaves the data directory."""

import csv
import io
import json
from pathlib import PurePosixPath
from typing import Any

import msgpack
from hypothesis import given
from hypothesis import strategies as st

from binance_streamer.exchange.stream_types import event_name, row_form
from services.writer.rows.rows import Row, RowMaker, Run

_EPOCH = 2**60
_numbers = st.decimals(0, 10**9, allow_nan=False, allow_infinity=False).map(lambda number: f"{number:f}")
_integers = st.integers(0, 2**62)
_levels = st.lists(st.lists(_numbers, min_size=2, max_size=2), max_size=30)
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
        value = data.draw(_levels if key in form.levels else st.one_of(_numbers, _words, _integers, st.booleans()))
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
        assert "control character" in found["reason"]
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
