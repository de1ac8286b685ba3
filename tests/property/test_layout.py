"""What a reader has read before changes nothing in how it reads the next message, if that is JSON."""

import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from binance_streamer.exchange.rows import BOOK_UPDATE
from services.runtime.delivery.events import MessageColumns
from services.writer.rows.cells import CellReader
from tests.support.both_ways import python_alone
from tests.support.examples import examples

__all__ = ["python_alone"]

_USUAL = (
    b'{"e":"depthUpdate","E":1790526538985,"T":1790526538981,"s":"BTCUSDT","ps":"BTCUSDT","U":11,"u":13,"pu":10,'
    b'"b":[["84551.10","0.030"],["84551.00","2"]],"a":[["84552.10","1.5"]],"st":1}'
)
_RECV_NS, _EPOCH, _SEQ = 1790526539058352268, 1790000000000000001, 7
_READABLE = b'0123456789.,:"[]{} ab-eETUux\\'


def _reader() -> CellReader:
    return CellReader(BOOK_UPDATE, {"e": b'"depthUpdate"', "s": b'"BTCUSDT"'})


def _line(event: bytes) -> tuple[bytes, int | None]:
    """The line that a new reader makes, and its time."""
    columns, extra, day_ms = _reader().read(event)
    return b"%b,%d,%d,%d,ws,%b\n" % (columns, _RECV_NS, _EPOCH, _SEQ, extra), day_ms


def _taught() -> CellReader:
    reader = _reader()
    assert reader.read(_USUAL).extra == b'"{""ps"":""BTCUSDT"",""st"":1}"'
    return reader


def _lines(reader: CellReader, *events: bytes) -> list[tuple[bytes, int]] | None:
    count = len(events)
    found = reader.lines(MessageColumns("", [_SEQ] * count, [_RECV_NS] * count, list(events)), _EPOCH)
    if found is None:
        return None
    return [
        (line, day_ms)
        for line, day_ms in zip(*found, strict=True)
        if line is not None and day_ms is not None  # in Python it is all of them or none
    ]


def _is_json(event: bytes) -> bool:
    try:
        json.loads(event.decode())
    except (ValueError, UnicodeDecodeError):
        return False
    return True


@st.composite
def _changed(draw: st.DrawFn) -> bytes:
    event = bytearray(_USUAL)
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(event)))
        removed = draw(st.integers(0, 12))
        event[at : at + removed] = bytes(draw(st.lists(st.sampled_from(_READABLE), max_size=6)))
    return bytes(event)


@settings(max_examples=examples(1000), deadline=None)
@given(_changed())
@example(_USUAL.replace(b'"U":11', b'"U":011'))
@example(_USUAL.replace(b'"U":11', b'"U":-11'))
@example(_USUAL.replace(b'"84551.10"', b'"084551.10"'))
@example(_USUAL.replace(b'"84551.10"', b'""'))
@example(_USUAL.replace(b'"84551.10"', b'"1.2.3"'))
@example(_USUAL.replace(b'"84551.10"', b"84551.10"))
@example(_USUAL.replace(b',"a":', b',"x":2,"a":'))
@example(_USUAL.replace(b',"a":', b',"a1":'))
@example(_USUAL.replace(b',"a":', b',"1a":'))
@example(_USUAL.replace(b'"st":1', b'"st":11'))
@example(_USUAL.replace(b',"st":1', b',"1st":1'))
@example(_USUAL.replace(b',"a":', b',"a":[],"a":'))
@example(_USUAL.replace(b'"st":1', b'"st":2'))
@example(_USUAL.replace(b'"st":1', b'"U":1'))
@example(_USUAL.replace(b'"0.030"]', b'"0.030"0]'))
@example(_USUAL.replace(b'["84551.10"', b'[8"84551.10"'))
@example(_USUAL.replace(b'["84551.10","0.030"]', b'["84551.10,0.030"]'))
@example(_USUAL.replace(b'[["84552.10","1.5"]]', b'["[84552.10","1.5]"]'))
@example(_USUAL.replace(b'"0.030"],["84551.00"', b'"0.030]","[84551.00"'))
@example(_USUAL.replace(b'["84551.10","0.030"]', b'["84551.10",0.030]'))
@example(_USUAL.replace(b'["84551.10","0.030"]', b'["84551.10,0.030",""]'))
@example(_USUAL.replace(b'["84551.10","0.030"]', b'["","84551.10,0.030"]'))
@example(_USUAL.replace(b'"0.030"],["84551.00"', b'"0.030],[84551.00"'))
@example(_USUAL.replace(b'"2"]],"a":[["84552.10"', b'"2]],a:[[84552.10"'))
@example(_USUAL.replace(b'"2"]],"a":[["84552.10"', b'"2]],a:[[84552.10","1"],["'))
@example(_USUAL.replace(b'],["84551.00"', b']1,["84551.00"'))
@example(_USUAL.replace(b'"b":[["84551.10"', b'"b":1[["84551.10"'))
@example(_USUAL.replace(b"1790526538981", b"9" * 5000))
@example(_USUAL[:-1])
@example(_USUAL + b" ")
def test_a_message_has_the_same_line_behind_another_one(event: bytes) -> None:
    found = _lines(_taught(), event)
    if found is not None and _is_json(event):
        assert found == [_line(event)]


_numbers = st.from_regex("(0|[1-9][0-9]{0,9})([.][0-9]{1,8})?", fullmatch=True)
_levels = st.lists(st.tuples(_numbers, _numbers), max_size=12)


@settings(deadline=None)
@given(st.lists(st.tuples(_levels, _levels, st.tuples(*[st.integers(0, 2**62)] * 5)), min_size=1, max_size=5))
def test_no_number_and_no_count_of_levels_needs_the_decoder(
    found: list[tuple[list[tuple[str, str]], list[tuple[str, str]], tuple[int, ...]]],
) -> None:
    events = []
    for bids, asks, (event_time, transact_time, first, final, previous) in found:
        message = {
            "e": "depthUpdate", "E": event_time, "T": transact_time, "s": "BTCUSDT", "ps": "BTCUSDT",
            "U": first, "u": final, "pu": previous, "b": bids, "a": asks, "st": 1,
        }  # fmt: skip
        events.append(json.dumps(message, separators=(",", ":")).encode())
    assert _lines(_taught(), *events) == [_line(event) for event in events]


@pytest.mark.parametrize("number", ["", "1.2.3", "007", ".5", "1.", "-1", "1e5", ".", "1,2", " 1", "one", "null"])
@pytest.mark.parametrize("place", [b'"84551.00"', b'"0.030"', b'"1.5"'])
def test_of_many_messages_one_without_a_number_leaves_all_to_the_decoder(number: str, place: bytes) -> None:
    odd = _USUAL.replace(place, b'"%b"' % number.encode())
    for at in range(4):
        events = [_USUAL] * 3
        events[at:at] = [odd]
        assert _lines(_taught(), *events) is None


def test_the_usual_message_is_read_literally() -> None:
    line = (
        b'11,13,10,1790526538981,1790526538985,"[[84551.10,0.030],[84551.00,2]]","[[84552.10,1.5]]",'
        b'1790526539058352268,1790000000000000001,7,ws,"{""ps"":""BTCUSDT"",""st"":1}"\n'
    )
    assert _line(_USUAL) == (line, 1790526538981)
    assert _lines(_taught(), _USUAL, _USUAL) == [(line, 1790526538981)] * 2


def test_a_percent_sign_in_what_no_column_has_stays_one() -> None:
    event = _USUAL.replace(b'"st":1', b'"st":"1%d%%b%"')
    reader = _reader()
    reader.read(event)
    assert _lines(reader, event) == [_line(event)]
    assert b"1%d%%b%" in _line(event)[0]


def test_a_new_spelling_is_learned_whatever_its_place_among_the_others() -> None:
    reader = _taught()
    newer = _USUAL.replace(b'"st":1', b'"st":2')
    events = [_USUAL] * 100 + [newer]
    assert _lines(reader, *events) is None
    for event in events:
        reader.read(event)
    assert _lines(reader, newer, newer) is None
    reader.read(newer)
    assert _lines(reader, newer, newer) == [_line(newer)] * 2
