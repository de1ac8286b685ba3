"""A day as CSV: the lines that were recorded, whether they come from daily files or from the lake."""

from pathlib import Path

import pytest

from binance_streamer.days.day_files import days_in
from binance_streamer.days.export.days import ExportDay
from binance_streamer.days.parquet import Place
from binance_streamer.days.seal import seal
from binance_streamer.days.sources import sources
from tests.support.exports import export_day, exported, spill
from tests.support.recorded_days import COLUMNS, DAY, SYMBOL, TAIL, DayWriter
from tests.support.sealing import begun, parts

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
