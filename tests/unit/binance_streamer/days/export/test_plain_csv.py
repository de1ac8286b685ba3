"""A day as CSV: the lines that were recorded, whether they come from daily files or from the lake."""

from pathlib import Path

import pytest

from binance_streamer.days.day_files import days_in
from binance_streamer.days.export.days import ExportDay
from binance_streamer.days.parquet import Place
from binance_streamer.days.seal import seal
from binance_streamer.days.sources import sources
from tests.support.exports import export_day, exported, spill, written_day
from tests.support.recorded_days import COLUMNS, DAY, START_MS, SYMBOL, TAIL, DayWriter, recv_ns
from tests.support.recorded_market import record_messages
from tests.support.sealing import begun, parts, write

ORDERED = ("aggtrade", "depth", "markprice", "orderbook", "kline_1m")
"""Streams whose lines are written by hand in the order of docs/files.md."""


@pytest.mark.parametrize("form", ["daily files", "the lake"])
def test_the_lines_are_those_that_were_recorded(tmp_path: Path, form: str) -> None:
    writer = DayWriter()
    writer.lines["markprice"][0] = writer.lines["markprice"][0] + '"{""st"":1,""x"":""a,b""}"'
    day = export_day(tmp_path, writer)
    if form == "the lake":
        lake = begun(tmp_path / "lake")
        for one in sources(tmp_path / "data"):
            seal(parts([one.path]), Place(one.stem, one.symbol, one.day), lake)
        day = ExportDay(days_in([tmp_path / "lake"]), spill(tmp_path))
    found = exported(day, "csv", tmp_path)
    assert len(found) == len(COLUMNS)
    for stem in ORDERED:
        file = found[f"{stem}_{SYMBOL}_{DAY}.csv"]
        lines = file.path.read_text(encoding="utf-8").splitlines()
        assert lines[0] == f"{COLUMNS[stem]},{TAIL}"
        assert (lines[1:], file.rows) == (writer.lines[stem], len(writer.lines[stem])), stem


UPDATE = b'{"e":"depthUpdate","E":1795305600009,"T":1795305600005,"s":"BTCUSDT","U":1,"u":%d,"pu":%d,"b":%b,"a":%b}'
TRADE = b'{"e":"trade","E":1795305600150,"T":1795305600000,"s":"BTCUSDT","t":%d,"p":"84551.1","q":"3","X":%b,"m":false}'
MESSAGES = (
    ("btcusdt@depth@0ms", UPDATE % (3, 0, b'[["84541.80","0.000"]]', b"[]")),
    ("btcusdt@depth@0ms", UPDATE % (5, 3, b"[]", b'[["84541.90","1.500"]]')),
    ("btcusdt@trade", TRADE % (9, b'"NA"')),
    ("btcusdt@trade", TRADE % (10, b'"A,\\"B","st":1')),
    ("btcusdt@trade", TRADE % (11, b'""')),
    ("btcusdt@trade", b"[]"),
    ("btcusdt@trade", b""),
    ("btcusdt@trade", b"\xff"),
    ("btcusdt@contractInfo", b"{}"),
)
QUOTED = (b',"[]",', b',"A,""B",', b',false,1795305600150,"",', b',utf-8,"[]",', b',utf-8,"",', b",base64,/w==,")
"""Cells that the writer wrote."""


def test_cells_are_in_quotes_where_the_writer_writes_quotes(tmp_path: Path) -> None:
    data = tmp_path / "data"
    record_messages(((recv_ns(START_MS), *message) for message in MESSAGES), data)
    write(data, ['btcusdt@depth@0ms,levels,equal,3,20,1,0,"[]",1795305600000000000,77,5,local,'], stem="audit")
    found = exported(written_day(tmp_path), "csv", tmp_path)
    recorded = {path.name: path.read_bytes().splitlines() for path in (data / "BTCUSDT").iterdir()}
    assert {name: sorted(file.path.read_bytes().splitlines()) for name, file in found.items()} == {
        name: sorted(lines) for name, lines in recorded.items()
    }
    rows = b"\n".join(line for lines in recorded.values() for line in lines)
    assert [cell for cell in QUOTED if cell not in rows] == []
