"""Requests come from a bus on which anybody may publish."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from binance_streamer.wire.frames import WireError, encode_frame
from services.rest.messages import SnapshotRequest, read_request


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
    assert read_request([b"request.X.", a_frame()]) == SnapshotRequest("币安人生USDT", "sequence", 11759031561498)


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
