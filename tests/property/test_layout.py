"""What a reader has read before changes nothing in how it reads the next message."""

from hypothesis import example, given, settings
from hypothesis import strategies as st

from binance_streamer.exchange import ROW_FORMS
from services.writer.cells import CellReader, RowFault

_USUAL = (
    b'{"e":"depthUpdate","E":1790526538985,"T":1790526538981,"s":"BTCUSDT","ps":"BTCUSDT","U":11,"u":13,"pu":10,'
    b'"b":[["84551.10","0.030"],["84551.00","2"]],"a":[["84552.10","1.5"]],"st":1}'
)
_READABLE = b'0123456789.,:"[]{} ab-eETUux\\'


def _reader() -> CellReader:
    return CellReader(ROW_FORMS["depth"], {"e": b'"depthUpdate"', "s": b'"BTCUSDT"'})


def _read(reader: CellReader, event: bytes) -> tuple[bytes, bytes, int | None] | str:
    try:
        cells = reader.read(event)
    except RowFault as fault:
        return str(fault)
    return b"".join(cells.pieces), cells.extra, cells.day_ms


@st.composite
def _changed(draw: st.DrawFn) -> bytes:
    event = bytearray(_USUAL)
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(event)))
        removed = draw(st.integers(0, 12))
        event[at : at + removed] = bytes(draw(st.lists(st.sampled_from(_READABLE), max_size=6)))
    return bytes(event)


@settings(max_examples=1000)
@given(_changed())
@example(_USUAL.replace(b'"U":11', b'"U":011'))
@example(_USUAL.replace(b'"U":11', b'"U":-11'))
@example(_USUAL.replace(b'"84551.10"', b'"084551.10"'))
@example(_USUAL.replace(b'"84551.10"', b'""'))
@example(_USUAL.replace(b'"84551.10"', b'"1.2.3"'))
@example(_USUAL.replace(b'"84551.10"', b"84551.10"))
@example(_USUAL.replace(b',"a":', b',"x":2,"a":'))
@example(_USUAL.replace(b',"a":', b',"a":[],"a":'))
@example(_USUAL.replace(b'"st":1', b'"st":2'))
@example(_USUAL.replace(b'"st":1', b'"U":1'))
@example(_USUAL.replace(b'"0.030"]', b'"0.030"0]'))
@example(_USUAL.replace(b'["84551.10"', b'[8"84551.10"'))
@example(_USUAL.replace(b'],["84551.00"', b']1,["84551.00"'))
@example(_USUAL.replace(b'"b":[["84551.10"', b'"b":1[["84551.10"'))
@example(_USUAL.replace(b"1790526538981", b"9" * 5000))
@example(_USUAL[:-1])
@example(_USUAL + b" ")
def test_a_message_reads_the_same_behind_another_one(event: bytes) -> None:
    warm = _reader()
    assert warm.read(_USUAL).extra == b'"{""ps"":""BTCUSDT"",""st"":1}"'
    assert _read(warm, event) == _read(_reader(), event)


def test_the_usual_message_is_read_literally_both_times() -> None:
    reader = _reader()
    expected = (
        b'11,13,10,1790526538981,1790526538985,"[[84551.10,0.030],[84551.00,2]]","[[84552.10,1.5]]',
        b'"{""ps"":""BTCUSDT"",""st"":1}"',
        1790526538981,
    )
    for _ in range(2):
        found = _read(reader, _USUAL)
        assert isinstance(found, tuple)
        assert (found[0].removesuffix(b'"'), *found[1:]) == expected
