"""The patterns of file names in the docs find one kind of rows, in a folder where every stream type is recorded."""

import csv
import re
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from binance_streamer.exchange.rows import OWN_COLUMNS
from binance_streamer.exchange.stream_types import STREAM_TYPES
from binance_streamer.exchange.streams import stream_of
from services.writer.rows.routes import RowRoute
from tests.support.data import REPOSITORY
from tests.unit.binance_streamer.exchange.test_stream_types import CASES

PAGES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]
DAY = 20_000
VARIANTS = (
    "depth",
    "depth@100ms",
    "depth@500ms",
    "depth10@100ms",
    "depth20@500ms",
    "markPrice",
    "kline_15m",
    "kline_1d",
)
"""Suffixes beside those of the test of stream types."""
SUFFIXES = (*(case.suffix for case in CASES), *VARIANTS, "kline_1M", "next_quarter@continuousKline_1h")
OWN = ("depth_snapshot", "raw", "status", *OWN_COLUMNS)
_pattern = re.compile(r"[\w*/\[\]-]*\*[\w*\[\]-]*\.csv")


def documented() -> list[tuple[str, str]]:
    """(page, pattern) of all patterns of CSV files in the docs."""
    return [(page.name, found) for page in PAGES for found in _pattern.findall(page.read_text(encoding="utf-8"))]


def recorded(root: Path) -> dict[Path, str]:
    """One file of each stream of two symbols, with its header, and what is recorded in it."""
    files = {}
    for symbol in ("BTCUSDT", "1000PEPEUSDT"):
        streams = [stream_of(symbol, suffix) for suffix in SUFFIXES]
        routes = [(one.stream_type, RowRoute(one.stream_type, symbol, one.name)) for one in streams]
        routes += [(stream_type, RowRoute(stream_type, symbol, "")) for stream_type in OWN]
        for stream_type, route in routes:
            target = route.target(DAY)
            path = root / target.path
            assert path not in files
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(target.header)
            files[path] = stream_type
    return files


def test_every_stream_type_is_among_the_examples() -> None:
    assert {stream_of("BTCUSDT", suffix).stream_type for suffix in SUFFIXES} == set(STREAM_TYPES)


def test_the_docs_name_patterns() -> None:
    assert ("README.md", "BTCUSDT/aggtrade_BTCUSDT_*.csv") in documented()


@pytest.mark.parametrize(("page", "pattern"), sorted(set(documented())))
def test_a_documented_pattern_finds_one_stream_type(page: str, pattern: str, tmp_path: Path) -> None:
    files = recorded(tmp_path)
    tail = "/".join(pattern.split("/")[-2:])  # without the name of the data folder
    found = {stream_type for path, stream_type in files.items() if path.match(tail)}
    if tail == "*/depth_snapshot_*.csv":  # files of an older version
        assert not found
        return
    assert len(found) == 1, f"{page}: {pattern} finds {sorted(found)}"


def test_files_of_one_type_are_found_by_its_name_and_no_others(tmp_path: Path) -> None:
    files = recorded(tmp_path)
    for stem in {*STREAM_TYPES, *OWN, "snapshot"} - {"depth_snapshot"}:
        stream_type = "depth_snapshot" if stem == "snapshot" else stem
        found = {path for path in files if fnmatchcase(path.name, f"{stem}_*.csv")}
        assert found == {path for path, one in files.items() if one == stream_type}, stem
        assert len({tuple(next(csv.reader([path.read_text()]))) for path in found}) == 1


def test_the_files_of_one_stream_of_one_symbol_are_found_by_both_names(tmp_path: Path) -> None:
    files = recorded(tmp_path)
    for path in files:
        pattern = f"{path.name.removesuffix('20241004.csv')}*.csv"
        assert path.name.endswith("_20241004.csv")
        assert [other.name for other in files if other.match(f"{path.parent.name}/{pattern}")] == [path.name]
