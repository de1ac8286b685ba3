"""A sealed day of a recorded market: value by value the CSV it came from, and the golden books from its Parquet."""

import csv
import json
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from binance_streamer.days.lake import Lake
from binance_streamer.days.parquet import Place
from binance_streamer.days.schema import DECIMAL, LEVELS, TIME, table_schema
from binance_streamer.days.seal import Part, seal
from binance_streamer.days.sources import Source, sources
from tests.support.books import GoldenBook
from tests.support.data import captured, golden, market_data
from tests.support.recorded import levels_of
from tests.support.recorded_market import record
from tests.support.sealing import begun

FOLDERS = ["usdm-btceth-20240808", "usdm-4sym-20210722", "usdm-2026-wire"]


@pytest.fixture(scope="module", params=FOLDERS)
def market(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Lake]:
    """A recording, its daily files, and the lake in which all of them are sealed."""
    folder = market_data(request.param)
    data = tmp_path_factory.mktemp("data")
    record(folder / "capture.gz", data)
    lake = begun(tmp_path_factory.mktemp("lake"))
    for one in sources(data):
        seal([Part(one.path, one.path.stat().st_size)], Place(one.stem, one.symbol, one.day), lake)
    return folder, data, lake


def sealed_rows(lake: Lake, stem: str, symbol: str, day: str) -> Iterator[dict[str, Any]]:
    found = lake.read(stem, symbol, day)
    assert found is not None
    for batch in found:
        yield from batch.to_pylist()


def values(source: Source) -> Iterator[dict[str, Any]]:
    """The rows of a file by the csv module and Decimal, as values of the lake's types."""
    makers = {field.name: maker(field.type) for field in table_schema(source.stem)}
    with source.path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            yield {name: None if cell == "" else makers[name](cell) for name, cell in row.items()}


def maker(kind: Any) -> Callable[[str], Any]:
    if kind == LEVELS:
        return lambda cell: [{"price": price, "quantity": quantity} for price, quantity in levels_of(cell)]
    if kind == DECIMAL:
        return Decimal
    if str(kind) == "bool":
        return lambda cell: {"true": True, "false": False}[cell]
    return int if kind == TIME or str(kind) == "int64" else str


def test_every_value_is_that_of_the_csv(market: tuple[Path, Path, Lake]) -> None:
    _, data, lake = market
    found = list(sources(data))
    assert found
    for source in found:
        times = {field.name for field in table_schema(source.stem) if field.type == TIME}
        key = "recv_ns"
        recorded = sorted(values(source), key=lambda row: (row[key], row["seq"]))
        read = sealed_rows(lake, source.stem, source.symbol, source.day)
        in_receipt = sorted(read, key=lambda row: (row[key], row["seq"]))
        assert len(recorded) == len(in_receipt)
        for expected, row in zip(recorded, in_receipt, strict=True):
            for name in times:
                row[name] = None if row[name] is None else round(row[name].timestamp() * 1000)
            assert row == expected, source.path


def test_the_books_of_the_parquet_files_are_the_golden_ones(market: tuple[Path, Path, Lake]) -> None:
    folder, data, lake = market
    expected = golden(folder).get("books", {})
    snapshots = {
        message.name.partition("symbol=")[2].partition("&")[0]: json.loads(message.event, parse_float=Decimal)
        for message in captured(folder / "capture.gz")
        if message.name.startswith("/fapi/v1/depth?")
    }
    for symbol, wanted in expected.items():
        snapshot = snapshots[symbol]
        bids, asks = ([(Decimal(p), Decimal(q)) for p, q in snapshot[side]] for side in ("bids", "asks"))
        book = GoldenBook(snapshot["lastUpdateId"], bids, asks)
        depths = [one for one in sources(data) if one.symbol == symbol and one.stem.startswith("depth")]
        for one in sorted(depths, key=lambda one: one.day):
            for row in sealed_rows(lake, one.stem, symbol, one.day):
                if row["final_update_id"] > snapshot["lastUpdateId"]:
                    sides = ([(level["price"], level["quantity"]) for level in row[side]] for side in ("bids", "asks"))
                    book.update(row["final_update_id"], *sides)
        assert (book.chain_digest, book.final_book) == (wanted["chain_digest"], wanted["final_book"]), symbol
