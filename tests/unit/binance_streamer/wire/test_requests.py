"""Requests and answers are read as what they were built from, and anything else is refused."""

from typing import Any

import msgspec
import pytest
from msgspec import UNSET

from binance_streamer.wire.frames import WireError, decode_frame, encode_frame
from binance_streamer.wire.requests import (
    BackfillAnswer,
    BackfillRequest,
    SnapshotRequest,
    SymbolStatus,
    answer_data,
    read_answer,
    read_request,
    read_symbol_status,
    request_data,
)

RUN = {"producer": "p", "epoch": 1, "seq": 1}
SNAPSHOT = SnapshotRequest("币安人生USDT", 11759031561498, "sequence")
ROWS = BackfillRequest(
    symbol="BTCUSDT", stream="btcusdt@aggTrade", gap_id="g", from_id=10, to_id=20, from_ns=5, reason="stall"
)
ANSWER = BackfillAnswer(
    symbol="BTCUSDT", stream="btcusdt@aggTrade", recv_ns=1_790_000_000_000_000_000, requested_ns=1, event=b'[{"a":11}]',
    path="/fapi/v1/aggTrades", gap_id="g", from_id=10, to_id=20,
)  # fmt: skip
STATUS = SymbolStatus(
    symbol="BTCUSDT", stream="/fapi/v1/exchangeInfo", recv_ns=1, status="TRADING", off_session=[(1000, 2000)]
)


def sent(stream_type: str, data: dict[str, Any]) -> dict[str, Any]:
    """The data of a frame as it comes off the bus."""
    return decode_frame(encode_frame(stream_type, {**data, **RUN}))[1]


def test_a_request_says_what_the_page_of_the_wire_names() -> None:
    envelope = {"recv_ns": 7, "source": "local"}
    assert request_data(SNAPSHOT, 7) == {
        "symbol": "币安人生USDT", "stream": "depth_snapshot", "reason": "sequence", "last_update_id": 11759031561498,
        **envelope,
    }  # fmt: skip
    assert request_data(ROWS, 7) == {
        "symbol": "BTCUSDT", "stream": "btcusdt@aggTrade", "gap_id": "g", "from_id": 10, "to_id": 20, "from_ns": 5,
        "reason": "stall", **envelope,
    }  # fmt: skip


@pytest.mark.parametrize("request_", [SNAPSHOT, ROWS])
def test_a_request_is_read_as_it_was_sent(request_: SnapshotRequest | BackfillRequest) -> None:
    expected = msgspec.structs.replace(request_, producer="p") if request_ is SNAPSHOT else request_
    assert read_request(sent("request", request_data(request_, 7))) == expected


def test_an_answer_and_a_status_are_read_as_they_were_sent() -> None:
    assert read_answer(sent("repair", answer_data(ANSWER))) == ANSWER
    assert read_symbol_status(sent("symbol_status", answer_data(STATUS))) == STATUS


def test_hours_that_are_not_known_are_left_out() -> None:
    status = SymbolStatus(symbol="BTCUSDT", stream="/fapi/v1/exchangeInfo", recv_ns=1, status="TRADING")
    assert "off_session" not in answer_data(status)
    assert read_symbol_status(sent("symbol_status", answer_data(status))).off_session is UNSET


@pytest.mark.parametrize("wrong", [7, None, [[1000]], [["a", "b"]], [[-1, 5]], [[0, 1 << 60]], [[0, 1]] * 1001])
def test_hours_that_are_none_are_refused(wrong: object) -> None:
    with pytest.raises(WireError, match="off_session"):
        read_symbol_status({**sent("symbol_status", answer_data(STATUS)), "off_session": wrong})


@pytest.mark.parametrize("wrong", [None, 7, b"TRADING"])
def test_a_status_that_is_no_text_is_refused(wrong: object) -> None:
    with pytest.raises(WireError, match="status"):
        read_symbol_status({**sent("symbol_status", answer_data(STATUS)), "status": wrong})


@pytest.mark.parametrize(("key", "wrong"), [("to_id", 10), ("to_id", 9), ("source", "ws"), ("event", "[]")])
def test_an_answer_that_is_none_of_rest_is_refused(key: str, wrong: object) -> None:
    with pytest.raises(WireError):
        read_answer({**sent("repair", answer_data(ANSWER)), key: wrong})
