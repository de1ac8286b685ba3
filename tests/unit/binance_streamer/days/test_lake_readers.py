"""Sealed days in the hands of polars, DuckDB and pandas, which know nothing of us: decimals exact, partitions named."""

import datetime
import importlib.util
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.support.sealing import DAY, begun, sealed, trade, write

PRICES = ["84551.10", "0.00000001", "99999999999999999999.99999999"]


def library(name: str) -> Any:
    """A library of the group `readers`; the test is skipped where it is absent."""
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"{name} is not installed: ./run --group readers pytest tests -k readers")
    return importlib.import_module(name)


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    """A lake of two symbols and one day, three trades each, one of them sealed anew."""
    found = begun(tmp_path / "lake")
    for symbol in ("BTCUSDT", "牛来USDT"):
        rows = [trade(number, price=price) for number, price in enumerate(PRICES, 1)]
        path = write(tmp_path / "data", rows[:2], symbol=symbol)
        sealed(found, path, symbol=symbol)
        sealed(found, write(tmp_path / "data", rows[2:], symbol=symbol), symbol=symbol)
    levels = '"[[84551.10,3],[84541.80,0.001]]","[]"'
    depth = f"1,2,0,1795305600001,1795305600002,{levels},1795305600003000000,77,1,ws,"
    sealed(found, write(tmp_path / "data", [depth], stem="depth"), stem="depth")
    return tmp_path / "lake"


def rows_of(found: list[dict[str, Any]]) -> list[tuple[str, Decimal, datetime.date]]:
    return [(row["symbol"], row["price"], row["day"]) for row in found]


EXPECTED = [
    (symbol, Decimal(price), datetime.date(2026, 11, 22)) for symbol in ("BTCUSDT", "牛来USDT") for price in PRICES
]


def test_polars_reads_the_table_by_its_log(lake: Path) -> None:
    polars = library("polars")
    found = polars.scan_delta(str(lake / "trade")).sort("symbol", "id").collect()
    assert rows_of(found.to_dicts()) == EXPECTED
    assert found["time"].dtype == polars.Datetime("us", "UTC")
    one = polars.scan_delta(str(lake / "trade")).filter(polars.col("symbol") == "牛来USDT", polars.col("id") > 2)
    assert one.collect()["price"].to_list() == [Decimal(PRICES[2])]


def test_polars_reads_the_files_without_the_log(lake: Path) -> None:
    polars = library("polars")
    scanned = polars.scan_parquet(lake / "trade" / "**" / "*.parquet", hive_partitioning=True)
    assert rows_of(scanned.sort("symbol", "id").collect().to_dicts()) == EXPECTED
    depth = polars.scan_parquet(lake / "depth" / "**" / "*.parquet").collect()
    assert depth["bids"].to_list() == [
        [
            {"price": Decimal("84551.10"), "quantity": Decimal(3)},
            {"price": Decimal("84541.80"), "quantity": Decimal("0.001")},
        ]
    ]


def test_duckdb_reads_partitions_by_their_names(lake: Path) -> None:
    duckdb = library("duckdb")
    query = f"FROM read_parquet('{lake}/trade/**/*.parquet', hive_partitioning = true)"
    assert duckdb.sql(f"SELECT symbol, price, day {query} ORDER BY symbol, id").fetchall() == EXPECTED
    day = f"{DAY[:4]}-{DAY[4:6]}-{DAY[6:]}"
    assert duckdb.sql(f"SELECT count(*) {query} WHERE symbol = '牛来USDT' AND day = '{day}'").fetchall() == [(3,)]
    levels = duckdb.sql(f"SELECT bids[1].price, len(asks) FROM '{lake}/depth/**/*.parquet'").fetchall()
    assert levels == [(Decimal("84551.10"), 0)]


def test_pandas_reads_a_sealed_day(lake: Path) -> None:
    pandas = library("pandas")
    found = pandas.read_parquet(lake / "trade" / "symbol=BTCUSDT" / "day=2026-11-22")
    assert list(found["price"]) == [Decimal(price) for price in PRICES]
    assert str(found["time"].dtype) == "datetime64[us, UTC]"
    assert found["recv_ns"].dtype == "int64"
