"""Rows lead back to events that make the same rows, byte for byte; of recorded markets, to the very events."""

import gzip
import json
import re
from collections import Counter
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from binance_streamer.days.recorded.events import event_of, fields_of, stream_name, type_of_stem
from binance_streamer.days.schema import columns
from binance_streamer.exchange.messages import ExchangeError
from binance_streamer.exchange.rest_series import REST_SERIES
from binance_streamer.exchange.rows import OWN_COLUMNS, RowForm
from binance_streamer.exchange.stream_types import event_name, rest_row_form, row_form
from binance_streamer.exchange.streams import stream_from_name
from services.writer.rows.rows import Row, RowMaker, Run
from tests.support.data import captured, market_data
from tests.support.examples import examples

EPOCH = 1_723_160_000_000_000_000
NOW_NS = 1_790_526_539_058_352_268
OWN = Path(__file__).parent.parent / "golden" / "own" / "messages.txt"
STEMS = [
    *("aggtrade", "trade", "bookticker", "depth", "depth_100ms", "depth_250ms", "partialdepth_5-100ms", "rpidepth"),
    *("markprice", "markprice_3s", "ticker", "miniticker", "kline_1m", "continuouskline_perpetual_1m", "forceorder"),
    *("snapshot", "compositeindex", "assetindex"),
    *(f"{one.name}_5m" if one.has_periods else one.name for one in REST_SERIES.values()),
]
_numbers = st.decimals(-(10**9), 10**9, allow_nan=False, allow_infinity=False).map(lambda number: f"{number:f}")
_integers = st.integers(0, 2**62)
_levels = st.lists(st.lists(_numbers, min_size=2, max_size=2), max_size=4)
_words = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), max_size=8).map(lambda text: f"w{text}")
_values = st.one_of(_words, _integers, st.booleans(), st.none(), st.just("%s"), st.just({"a": ["1", None]}))
_extras = st.dictionaries(st.sampled_from(["st", "ps", "%s", "zz", 'qu"o', "é", "s", "e", "s.t"]), _values, max_size=4)


def row_of(stem: str, event: bytes, *, source: str, seq: int = 1, symbol: str = "BTCUSDT") -> Row:
    stream_type, _ = type_of_stem(stem)
    data: dict[str, Any] = {
        "symbol": symbol,
        "stream": stream_name(stem, symbol),
        "recv_ns": NOW_NS,
        "producer": "p",
        "epoch": EPOCH,
        "seq": seq,
        "source": source,
        "event": event,
    }
    if stem == "snapshot":
        data["requested_ns"] = NOW_NS - 1
    frame = msgpack.packb((stream_type, data))
    (row,) = RowMaker().rows(Run("p", EPOCH), 0, [frame], now_ns=NOW_NS)
    return row


def cells_of(row: Row) -> dict[str, str | None]:
    """Return the cells by column; an empty cell is None, `""` an empty text, which the csv module does not tell."""
    header = row.target.header.decode().rstrip("\n").split(",")
    found = _cells(row.line.decode().rstrip("\n") + ",")
    return {name: _unquoted(cell) for name, cell in zip(header, found, strict=True)}


_cells = re.compile(r'("(?:[^"]|"")*"|[^",]*),').findall


def _unquoted(cell: str) -> str | None:
    if cell.startswith('"'):
        return cell[1:-1].replace('""', '"')
    return cell or None


def value_of(form: RowForm, key: str) -> st.SearchStrategy[Any]:
    if key in form.levels:
        return _levels
    if key in form.flags:
        return st.booleans()
    return (
        st.one_of(_words, _integers, st.just("")) if key in form.texts else st.one_of(_numbers, _integers, st.just(""))
    )


@st.composite
def events(draw: st.DrawFn) -> tuple[str, str, bytes]:
    """Return a stem, a source, and a message of that kind."""
    stem = draw(st.sampled_from(STEMS))
    stream_type, _ = type_of_stem(stem)
    is_of_rest = stem == "snapshot" or stream_type in REST_SERIES
    source = "rest" if is_of_rest else draw(st.sampled_from(["ws", "rest"]))
    form = (rest_row_form(stream_type) if source == "rest" else None) or row_form(stream_type)
    if form is None:
        return stem, source, json.dumps({"e": "x", **draw(_extras)}).encode()
    if form.array:
        values = [draw(value_of(form, key)) for key in form.array] + draw(st.lists(_values, max_size=3))
        return stem, source, json.dumps(values).encode()
    outer: dict[str, Any] = {}
    if source == "ws":
        outer |= {"e": event_name(stream_type), "s": "BTCUSDT"}
    inner: dict[str, Any] = draw(_extras) if form.inner else {}
    for _, key in form.columns:
        if key not in form.optional or draw(st.booleans()):
            (inner if "." in key else outer)[key.rpartition(".")[2]] = draw(value_of(form, key))
    outer |= {key: value for key, value in draw(_extras).items() if key not in outer or draw(st.booleans())}
    return stem, source, json.dumps(outer | ({form.inner: inner} if form.inner else {})).encode()


@settings(max_examples=examples(600), deadline=None)
@given(events())
def test_a_row_leads_to_an_event_that_makes_the_same_row(drawn: tuple[str, str, bytes]) -> None:
    stem, source, event = drawn
    row = row_of(stem, event, source=source)
    cells = cells_of(row)
    assert "reason" not in cells or "formula" in str(cells["reason"])
    rebuilt = event_of(stem, cells, symbol="BTCUSDT")
    again = row_of(stem, rebuilt, source=source)
    assert (again.target, again.line) == (row.target, row.line)


@settings(deadline=None)
@given(st.sampled_from(sorted(OWN_COLUMNS)), st.data())
def test_a_row_of_ours_leads_to_fields_that_make_the_same_row(stream_type: str, data: st.DataObject) -> None:
    kinds: dict[str, st.SearchStrategy[Any]] = {
        **dict.fromkeys(("bids", "asks"), _levels),
        **dict.fromkeys(("offset_ms", "error_ms", "round_trip_ms", "step_ms"), st.floats(-1e6, 1e6)),
        **dict.fromkeys(("best_bid", "best_ask", "spread"), _numbers),
        **dict.fromkeys(("gap_id", "state", "reason", "repaired_by", "kind", "outcome"), _words | st.just("")),
        "stream": st.just("btcusdt@depth@0ms"),
        "synchronised": st.booleans(),
        "differences": st.just([["bid", "1.0", "2"]]),
    }
    fields = {name: data.draw(st.none() | kinds.get(name, _integers)) for name in OWN_COLUMNS[stream_type]}
    common = {"symbol": "BTCUSDT", "stream": "btcusdt@depth@0ms", "recv_ns": NOW_NS, "source": "local"}
    common |= {"producer": "p", "epoch": EPOCH, "seq": 3}

    def row(own: dict[str, Any]) -> Row:
        frame = msgpack.packb((stream_type, {**own, **common}))
        (made,) = RowMaker().rows(Run("p", EPOCH), 0, [frame], now_ns=NOW_NS)
        return made

    first = row({**fields, "zz": data.draw(_words)})
    assert columns(stream_type) == tuple(first.target.header.decode().rstrip().split(","))
    assert row(fields_of(stream_type, cells_of(first))).line == first.line


def _rebuilt(capture: Path) -> Counter[tuple[str, bool]]:
    """Return by stem how many events of a capture were rebuilt with all their bytes but spaces, and how many not."""
    found: Counter[tuple[str, bool]] = Counter()
    numbers = count(1)
    for message in captured(capture):
        if message.name.startswith("/fapi/v1/depth"):
            stem, symbol, source = "snapshot", unquote(re.findall(r"symbol=([^&]+)", message.name)[0]), "rest"
        else:
            try:
                stream = stream_from_name(message.name)
            except ExchangeError:
                continue
            variant = "" if stream.variant == stream.type.default_variant else stream.variant
            stem, symbol, source = "_".join(filter(None, (stream.stream_type, variant))), stream.symbol, "ws"
        row = row_of(stem, message.event, source=source, seq=next(numbers), symbol=symbol)
        rebuilt = event_of(stem, cells_of(row), symbol=symbol)
        assert row_of(stem, rebuilt, source=source, seq=row.seq, symbol=symbol).line == row.line
        found[stem, rebuilt == message.event.replace(b", ", b",")] += 1
    return found


def test_our_own_messages_are_rebuilt_byte_for_byte(tmp_path: Path) -> None:
    capture = tmp_path / "own.gz"
    capture.write_bytes(gzip.compress(OWN.read_bytes()))
    found = _rebuilt(capture)
    assert {stem for stem, is_same in found if is_same} >= {"aggtrade", "depth", "bookticker", "kline_1m"}
    assert [key for key in found if not key[1]] == []


@pytest.mark.parametrize("folder", ["usdm-4sym-20210722", "usdm-2026-wire"])
def test_recorded_messages_are_rebuilt_byte_for_byte(folder: str) -> None:
    found = _rebuilt(market_data(folder) / "capture.gz")
    assert [key for key in found if not key[1]] == []
