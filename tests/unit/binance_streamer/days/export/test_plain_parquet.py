"""The plain Parquet copy has the rows of the sealed file, by its digest, whether the day is sealed or open."""

from pathlib import Path

from binance_streamer.days.day_files import days_in
from binance_streamer.days.export.days import ExportDay
from binance_streamer.days.lake import Lake
from binance_streamer.days.parquet import Place, digest_of
from binance_streamer.days.seal import Part, seal
from tests.support.exports import export_day, exported, spill
from tests.support.recorded_days import DAY, SYMBOL


def test_a_copy_of_an_open_day_has_the_digest_of_the_sealed_one(tmp_path: Path) -> None:
    day = export_day(tmp_path)
    files = exported(day, "parquet", tmp_path)
    assert sorted(files) == sorted(f"{stem}_{SYMBOL}_{DAY}.parquet" for stem in day.stems)
    lake = Lake(tmp_path / "lake")
    lake.begin()
    for stem in day.stems:
        parts = [Part(path, path.stat().st_size) for path in day.paths(stem)]
        facts = seal(parts, Place(stem, SYMBOL, DAY), lake).facts
        copy = files[f"{stem}_{SYMBOL}_{DAY}.parquet"]
        assert digest_of(copy.path, stem) == (facts.rows, facts.digest)
        assert copy.rows == facts.rows


def test_rows_that_are_sealed_and_in_daily_files_come_once(tmp_path: Path) -> None:
    open_day = export_day(tmp_path)
    (path,) = open_day.paths("aggtrade")
    lake = Lake(tmp_path / "lake")
    lake.begin()
    seal([Part(path, path.stat().st_size)], Place("aggtrade", SYMBOL, DAY), lake)
    late = path.read_text(encoding="utf-8").splitlines()[-1].replace("1359,", "1360,", 1).replace(",357,ws", ",358,ws")
    with path.open("a", encoding="utf-8") as file:
        file.write(f"{late}\n")
    places = days_in([tmp_path / "data", tmp_path / "lake"])
    both = ExportDay(places, spill(tmp_path / "lake"))
    assert len(both.paths("aggtrade")) == 2
    rows = [number for table in both.rows("aggtrade") for number in table["agg_trade_id"].to_pylist()]
    assert rows == [*range(1000, 1101), *range(1104, 1361)]
