"""Requests come from a bus on which anybody may publish."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from binance_streamer.exchange.streams import stream_of
from binance_streamer.wire.frames import WireError, encode_frame
from binance_streamer.wire.requests import SnapshotRequest
from services.rest.messages import backfill_draft, read_request
from services.rest.schedule.backfill_queue import MissingRows
from tests.support.rest_scene import an_answer

TRADES = stream_of("BTCUSDT", "aggTrade")
MISSING = MissingRows(TRADES, "g", 10, 20, 1_790_000_000_000_000_000)


def a_frame(stream_type: str = "request", **changes: object) -> bytes:
    data = {
        "symbol": "币安人生USDT",
        "stream": "depth_snapshot",
        "recv_ns": 1,
        "producer": "ingest-币安人生USDT",
        "epoch": 1,
        "seq": 1,
        "source": "local",
        "reason": "sequence",
        "last_update_id": 11759031561498,
        **changes,
    }
    return encode_frame(stream_type, data)


def test_a_request_names_symbol_reason_and_the_least_id_that_helps() -> None:
    request = read_request([b"request.X.", a_frame()])
    assert request == SnapshotRequest("币安人生USDT", 11759031561498, "sequence", "ingest-币安人生USDT")


def test_a_long_reason_is_cut() -> None:
    request = read_request([b"", a_frame(reason="x" * 1000)])
    assert isinstance(request, SnapshotRequest)
    assert len(request.reason) == 60


@pytest.mark.parametrize(
    "parts",
    [
        [],
        [a_frame()],
        [b"", a_frame(), b""],
        [b"", a_frame("status")],
        [b"", a_frame(stream="kline")],
        [b"", a_frame(symbol="../x")],
        [b"", a_frame(symbol="a\nb")],
        [b"", a_frame(symbol="")],
        [b"", a_frame(reason=1)],
        [b"", a_frame(last_update_id=None)],
        [b"", a_frame(last_update_id=True)],
        [b"", a_frame(last_update_id=1.0)],
        [b"", a_frame(last_update_id=-1)],
        [b"", a_frame(last_update_id=1 << 63)],
    ],
)
def test_anything_else_is_refused(parts: list[bytes]) -> None:
    with pytest.raises(WireError):
        read_request(parts)


@given(st.binary(max_size=200))
def test_no_bytes_do_more_than_be_refused(frame: bytes) -> None:
    with pytest.raises(WireError):
        read_request([b"request.X.", frame])


def a_backfill_frame(**changes: Any) -> bytes:
    data = {"symbol": "BTCUSDT", "stream": TRADES.name, "recv_ns": 1, "producer": "p", "epoch": 1, "seq": 1,
            "source": "local", "reason": "stall", "gap_id": "g", "from_id": 10, "to_id": 20, "from_ns": 5}  # fmt: skip
    return encode_frame("request", {**data, **changes})


def test_a_request_for_missing_rows_is_read() -> None:
    assert read_request([b"", a_backfill_frame()]) == MissingRows(TRADES, "g", 10, 20, 5)


@pytest.mark.parametrize(
    "changes",
    [
        {"stream": "btcusdt@depth@0ms"},
        {"stream": "ethusdt@aggTrade"},
        {"stream": "btcusdt@kline_1M"},
        {"stream": "nonsense"},
        {"gap_id": 5},
        {"from_id": None},
        {"from_id": "1"},
        {"from_id": -2},
        {"to_id": 1 << 63},
        {"to_id": 10},
        {"from_ns": None},
        {"stream": "btcusdt@kline_1m", "to_id": 60_000},
    ],
)
def test_a_request_for_rows_that_cannot_be_had_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(WireError):
        read_request([b"", a_backfill_frame(**changes)])


def test_an_answer_is_passed_on_as_it_came() -> None:
    draft = backfill_draft(MISSING, an_answer(200, b'[{"a":11}]'), "/path", refusal="")
    assert draft[:3] == ("repair", "BTCUSDT", "")
    assert (draft.data["event"], draft.data["refusal"], draft.data["path"]) == (b'[{"a":11}]', "", "/path")
    refused = backfill_draft(MISSING, an_answer(400, b'{"code":-1}'), "/path", refusal="-1")
    assert (refused.data["event"], refused.data["refusal"]) == (b"[]", "-1")
