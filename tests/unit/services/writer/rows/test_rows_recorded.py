"""Real messages of the exchange become rows, value for value."""

import csv
import io
import json
from typing import Any

import msgpack
import pytest

from binance_streamer.exchange.stream_types import row_form
from binance_streamer.exchange.streams import stream_from_name
from services.writer.rows.rows import RowMaker, Run
from tests.support.data import captured, market_data


@pytest.mark.parametrize(
    ("folder", "every"), [("usdm-2026-wire", 1), ("usdm-4sym-20210722", 1), ("usdm-btceth-20240808", 97)]
)
def test_recorded_messages_keep_their_values(folder: str, every: int) -> None:
    maker = RowMaker()
    run = Run("p", 7)
    checked = 0
    for number, message in enumerate(captured(market_data(folder) / "capture.gz")):
        if number % every or message.name.startswith(("!", "/fapi/v1/exchangeInfo")):
            continue
        if message.name.startswith("/"):
            stream_type, symbol = "depth_snapshot", message.name.partition("symbol=")[2].partition("&")[0]
        else:
            stream = stream_from_name(message.name)
            stream_type, symbol = stream.stream_type, stream.symbol
        data = {
            "symbol": symbol, "stream": message.name, "recv_ns": message.recv_ns, "producer": "p", "epoch": 7,
            "seq": number + 1, "source": "ws", "event": message.event,
        }  # fmt: skip
        (row,) = maker.rows(run, number, [msgpack.packb((stream_type, data))], now_ns=message.recv_ns)
        header, cells = csv.reader(io.StringIO((row.target.header + row.line).decode(), newline=""))
        _check(stream_type, dict(zip(header, cells, strict=True)), message.event)
        checked += 1
    assert maker.raw_counts == {}
    assert maker.new_keys == {}
    assert checked > 10


def _check(stream_type: str, found: dict[str, str], event: bytes) -> None:
    members: dict[str, Any] = json.loads(event, parse_float=str, parse_int=str)
    form = row_form(stream_type)
    assert form is not None
    for column, key in form.columns:
        value = members.get(form.inner, {}) if "." in key else members
        value = value.get(key.rpartition(".")[2], "")
        if isinstance(value, bool):
            value = "true" if value else "false"
        if key in form.levels:
            value = "[" + ",".join(f"[{level[0]},{level[1]}]" for level in value) + "]"
        assert found[column] == value, column
