"""Faults as functions of messages, and the frames that they are sent in."""

import json
from typing import Any

import pytest
from websockets.client import ClientProtocol
from websockets.exceptions import ProtocolError
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.uri import parse_uri

from simulator.control import faults
from simulator.control.faults import Item
from simulator.server.frames import fragmented_frames, masked_frame, reserved_bit_frame, text_frame


def _run(fault: faults.Fault, count: int) -> list[tuple[bytes, bool]]:
    """What comes out for the messages 0, 1, 2, …: payload, and whether it is lost."""
    return [(out.payload, out.is_lost) for n in range(count) for out in fault.change(Item(b"%d" % n))]


def test_drop_loses_the_next_n() -> None:
    assert _run(faults.Drop(2), 3) == [(b"0", True), (b"1", True), (b"2", False)]


def _update(previous: int, final: int) -> Item:
    return Item(b'{"stream":"a@depth@0ms","data":{"u":%d,"pu":%d,"b":[["1.0","2"]]}}' % (final, previous))


def test_hide_loses_updates_and_the_chain_still_fits() -> None:
    hide = faults.Hide(2)
    sent = [_update(10, 20), _update(20, 30), _update(30, 40), _update(40, 50)]
    out = [(each, hide.is_over()) for item in sent for each in hide.change(item)]
    assert [(item.payload, item.is_lost, is_over) for item, is_over in out] == [
        (sent[0].payload, True, False),
        (sent[1].payload, True, False),
        (_update(10, 40).payload, False, True),
        (sent[3].payload, False, True),
    ]


def test_double_sends_the_next_n_twice() -> None:
    assert [payload for payload, _ in _run(faults.Double(1), 2)] == [b"0", b"0", b"1"]


@pytest.mark.parametrize("count", [3, 4])
def test_reorder_swaps_pairs(count: int) -> None:
    assert [payload for payload, _ in _run(faults.Reorder(count), 6)] == [b"1", b"0", b"3", b"2", b"4", b"5"]


def test_delay_marks_stragglers() -> None:
    delay = faults.Delay(1, 2.5)
    assert [out.delay_s for n in range(2) for out in delay.change(Item(b""))] == [2.5, 0.0]


def test_a_stall_ends_by_itself() -> None:
    assert _run(faults.Stall(60.0), 1) == [(b"0", True)]
    over = faults.Stall(0.0)
    assert over.is_over()
    assert _run(over, 1) == [(b"0", False)]


def test_truncated_json_is_noise_and_the_message_is_lost() -> None:
    out = faults.Truncate(1).change(Item(b'{"stream":"x","data":{"a":1}}'))
    assert [(item.payload, item.is_market, item.is_lost) for item in out] == [
        (b'{"stream":"x","data":{"a":1}}', True, True),
        (b'{"stream":"x",', False, False),
    ]


KLINE: dict[str, Any] = {
    "e": "kline",
    "E": 1_795_391_970_000,
    "s": "A",
    "k": {"t": 1_795_391_940_000, "s": "A", "n": 5},
}
TRADE: dict[str, Any] = {"e": "aggTrade", "E": 1_795_391_970_150, "a": 7, "T": 1_795_391_970_000, "s": "A", "nq": "1"}


@pytest.mark.parametrize(
    ("edit", "event", "key", "value"),
    [
        (faults.add_field, TRADE, "zz", 1),
        (faults.remove_field("a"), TRADE, "a", None),
        (faults.enlarge_integer, TRADE, "a", 2**70),
        (faults.enlarge_integer, KLINE, "E", 2**70),
        (faults.replace_symbol, TRADE, "s", "WRONGUSDT"),
        (faults.make_old, TRADE, "T", 1_795_391_970_000 - 86_400_000),
        (faults.make_old, TRADE, "a", 7),
    ],
)
def test_edits(edit: Any, event: dict[str, Any], key: str, value: object) -> None:
    copy = json.loads(json.dumps(event))
    edit(copy)
    assert copy.get(key) == value


def test_edits_reach_into_klines() -> None:
    copy = json.loads(json.dumps(KLINE))
    for edit in (faults.make_old, faults.replace_symbol, faults.remove_field("n")):
        edit(copy)
    assert copy["k"] == {"t": 1_795_391_940_000 - 86_400_000, "s": "WRONGUSDT"}


@pytest.mark.parametrize("valid", [True, False])
def test_a_rewritten_message_is_market_or_noise(valid: bool) -> None:
    out = faults.Rewrite(faults.add_field, 1, valid=valid).change(Item('{"stream":"币@x","data":{"e":"x"}}'.encode()))
    changed = '{"stream":"币@x","data":{"e":"x","zz":1}}'.encode()
    assert (out[-1].payload, out[-1].is_market, out[-1].is_lost) == (changed, valid, False)
    assert [item.is_lost for item in out[:-1]] == ([] if valid else [True])


def _frames(data: bytes) -> list[Frame]:
    """What a strict client reads."""
    client = ClientProtocol(parse_uri("ws://x/"), state=State.OPEN, max_size=None)
    client.receive_data(data)
    if client.parser_exc:
        raise client.parser_exc
    return [event for event in client.events_received() if isinstance(event, Frame)]


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536, 100_000])
def test_text_frames_of_all_lengths(size: int) -> None:
    assert _frames(text_frame(b"x" * size)) == [Frame(Opcode.TEXT, b"x" * size)]


@pytest.mark.parametrize("size", [3, 10, 400, 300_000])
def test_fragments_have_a_ping_between_them(size: int) -> None:
    frames = _frames(fragmented_frames(b"x" * size))
    assert [frame.opcode for frame in frames] == [Opcode.TEXT, Opcode.PING, Opcode.CONT, Opcode.CONT]
    assert [frame.fin for frame in frames] == [False, True, False, True]
    assert b"".join(frame.data for frame in frames if frame.opcode is not Opcode.PING) == b"x" * size


@pytest.mark.parametrize("frame", [masked_frame(b"hello"), reserved_bit_frame(b"hello")])
def test_illegal_frames_are_refused_by_a_strict_client(frame: bytes) -> None:
    with pytest.raises(ProtocolError):
        _frames(frame)


def test_a_masked_frame_is_otherwise_right() -> None:
    data = masked_frame(b"hello")
    assert bytes(byte ^ data[2 + index % 4] for index, byte in enumerate(data[6:])) == b"hello"
