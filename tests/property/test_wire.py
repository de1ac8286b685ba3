"""Encode and decode are inverse, and nothing but `WireError` comes out of bad input."""

import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from binance_streamer.wire import frames as wire

u64 = st.integers(0, 2**64 - 1)
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | text
    | st.binary(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=8,
)
base = st.fixed_dictionaries(
    {
        "symbol": text,
        "stream": text,
        "recv_ns": st.integers(-(2**63), 2**63 - 1),
        "producer": text,
        "epoch": u64,
        "seq": st.integers(1, 2**64 - 1),
        "source": st.sampled_from(["ws", "rest", "local"]),
    },
    optional={"connection": st.integers(0, 9), "requested_ns": u64, "event": st.binary(max_size=200), "reason": plain},
)
stream_types = st.sampled_from(["aggtrade", "depth", "gap", "status", "深度"])
positions = st.builds(wire.Position, u64, u64)


@given(stream_types, base)
def test_a_frame_survives_the_wire(stream_type: str, data: dict[str, Any]) -> None:
    assert wire.decode_frame(wire.encode_frame(stream_type, data)) == (stream_type, data)


@given(st.lists(st.tuples(stream_types, base), min_size=1, max_size=5))
def test_frames_of_a_batch_are_told_apart(pairs: list[tuple[str, dict[str, Any]]]) -> None:
    frames = [wire.encode_frame(*pair) for pair in pairs]
    assert wire.split_frames(b"".join(frames)) == frames


@given(text.filter(bool), u64, u64, st.none() | positions, st.binary(min_size=1, max_size=50))
def test_a_batch_survives_the_wire(
    producer: str, epoch: int, first: int, after: wire.Position | None, frames: bytes
) -> None:
    batch = wire.Batch(producer, epoch, first, after, frames)
    assert wire.decode_batch(wire.encode_batch(batch)) == batch


@given(text, st.none() | positions, st.none() | positions, st.sampled_from(wire.ACK_REASONS))
def test_an_ack_survives_the_wire(
    writer: str, durable: wire.Position | None, received: wire.Position | None, reason: str
) -> None:
    ack = wire.Ack(writer, durable, received, reason)
    assert wire.decode_ack(wire.encode_ack(ack)) == ack


@given(st.tuples(*[text.filter(lambda part: part and "." not in part)] * 2), text)
def test_a_topic_survives_the_wire(parts: tuple[str, str], variant: str) -> None:
    assert wire.decode_topic(wire.encode_topic(*parts, variant)) == wire.Topic(*parts, variant)


hostile = st.one_of(
    st.binary(max_size=300),
    plain.map(msgpack.packb),
    st.tuples(text, plain).map(msgpack.packb),
    st.builds(lambda depth: b"\x91" * depth + b"\xc0", st.sampled_from([15, 500, 5000])),
    st.just(msgpack.packb(("depth", {"symbol": msgpack.Timestamp(1)}))),
    st.just(msgpack.packb(msgpack.ExtType(5, b"x"))),
    st.just(b"\xdd\xff\xff\xff\xff"),  # an array that claims four billion members
    st.just(b"\xc6\xff\xff\xff\xff"),  # bytes that claim four gigabytes
)


@given(hostile)
def test_bad_bytes_raise_nothing_but_a_wire_error(packed: bytes) -> None:
    for decode in (wire.decode_frame, wire.decode_ack, wire.decode_topic):
        with suppress(wire.WireError):
            decode(packed)


@given(st.lists(hostile, max_size=4))
def test_bad_parts_raise_nothing_but_a_wire_error(parts: list[bytes]) -> None:
    with suppress(wire.WireError):
        batch = wire.decode_batch(parts)
        wire.split_frames(batch.frames)


@given(st.lists(st.tuples(stream_types, base), max_size=3), hostile)
def test_frames_before_a_broken_one_are_kept(pairs: list[tuple[str, dict[str, Any]]], bad: bytes) -> None:
    frames = [wire.encode_frame(*pair) for pair in pairs]
    try:
        found = wire.split_frames(b"".join(frames) + bad)
    except wire.BrokenBatchError as error:
        found = error.good
    assert found[: len(frames)] == frames


GOOD: dict[str, Any] = {
    "symbol": "BTCUSDT",
    "stream": "btcusdt@aggTrade",
    "recv_ns": 1,
    "producer": "ingest-BTCUSDT",
    "epoch": 2,
    "seq": 3,
    "source": "ws",
}


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"seq": 0}, "seq >= 1"),
        ({"seq": True}, "'seq' to be int"),
        ({"recv_ns": 1.5}, "'recv_ns' to be int"),
        ({"event": "text"}, "'event' to be bytes"),
        ({"symbol": b"BTCUSDT"}, "'symbol' to be str"),
        ({"reason": object()}, "plain value for 'reason'"),
        ({"note": "\ud800"}, "plain msgpack values"),
        ({"note": 2**70}, "plain msgpack values"),
    ],
)
def test_a_bad_value_is_named(change: dict[str, Any], complaint: str) -> None:
    with pytest.raises(wire.WireError, match=complaint):
        wire.encode_frame("aggtrade", {**GOOD, **change})


@pytest.mark.parametrize("key", wire.REQUIRED_KEYS)
def test_a_missing_key_is_named(key: str) -> None:
    with pytest.raises(wire.WireError, match=f"expected the key '{key}'"):
        wire.encode_frame("aggtrade", {k: v for k, v in GOOD.items() if k != key})


def test_the_specification_has_the_version_and_the_keys_of_the_code() -> None:
    specification = (Path(__file__).parents[2] / "docs/wire.md").read_text(encoding="utf-8")
    version = re.search(r"^Version: (\d+)$", specification, re.MULTILINE)
    assert version is not None
    assert int(version[1]) == wire.WIRE_VERSION
    documented = set(re.findall(r"^\| `(\w+)` \|", specification, re.MULTILINE))
    assert set(wire.TYPE_OF_KEY) <= documented
