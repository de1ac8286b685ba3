"""A catalog for nautilus_trader: its columns and numbers, and what that library reads of it."""

import json
import subprocess
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from binance_streamer.days.export.nautilus_files import decimals_of, instrument_id
from tests.support.data import REPOSITORY
from tests.support.exports import best_prices, export_day, exported
from tests.support.recorded_days import START_MS, DayWriter, recv_ns

NAME = "BTCUSDT-PERP.BINANCE"
DAY = "2026-11-22T00-00-00-000000000Z_2026-11-22T23-59-59-999999999Z.parquet"
LIBRARY = "nautilus-trader==1.221.0"


def catalog_of(tmp_path: Path, writer: DayWriter) -> Path:
    exported(export_day(tmp_path, writer), "nautilus", tmp_path)
    return tmp_path / "export" / "nautilus"


def test_rows_are_in_the_order_of_their_receipt_and_numbers_are_exact(tmp_path: Path) -> None:
    writer = DayWriter()
    catalog = catalog_of(tmp_path, writer)
    table = pq.read_table(catalog / "data" / "trade_tick" / NAME / DAY)
    metadata = {key.decode(): value.decode() for key, value in (table.schema.metadata or {}).items()}
    assert metadata == {"instrument_id": NAME, "price_precision": "1", "size_precision": "3"}
    first = table.to_pylist()[0]
    assert (first["trade_id"], first["ts_event"], first["ts_init"]) == ("1000", START_MS * 10**6, recv_ns(START_MS))
    assert int.from_bytes(first["price"], "little") == int(Decimal("84000.0") * 10**16)
    assert len(table) == 357
    for path in (catalog / "data").rglob("*.parquet"):
        stamps = pq.read_table(path)["ts_init"].to_pylist()
        assert stamps == sorted(stamps), path


def test_a_hole_is_a_clear_and_a_snapshot_begins_with_one(tmp_path: Path) -> None:
    catalog = catalog_of(tmp_path, DayWriter())
    rows = pq.read_table(catalog / "data" / "order_book_delta" / NAME / DAY).to_pylist()
    clears = [(row["flags"], row["ts_event"] // 10**6 - START_MS) for row in rows if row["action"] == 4]
    assert clears == [(32, 0), (128, 92_300), (32, 95_302)]
    assert [row["flags"] for row in rows[1:42]] == [32] * 39 + [32 | 128, 0]


def test_precision_is_what_all_numbers_need() -> None:
    assert [decimals_of(step) for step in (10**8, 10**7, 25 * 10**5, 1, 3 * 10**9)] == [0, 1, 3, 8, 0]
    assert instrument_id("BTCUSDT_270326") == "BTCUSDT_270326.BINANCE"


@pytest.mark.foreign
def test_nautilus_trader_reads_the_catalog(tmp_path: Path) -> None:
    writer = DayWriter()
    found = read_by_nautilus(catalog_of(tmp_path, writer))
    assert found["instrument"] == ["0.1", "0.001", "BTC"]
    trades = [line.split(",") for line in writer.lines["aggtrade"]]
    assert [tuple(trade[:4]) for trade in found["trades"]] == [
        (cells[0], cells[1], cells[2], "BUYER" if cells[6] == "false" else "SELLER") for cells in trades
    ]
    assert [trade[4:] for trade in found["trades"]] == [[int(cells[5]) * 10**6, int(cells[9])] for cells in trades]
    quotes = [line.split(",") for line in writer.lines["bookticker"]]
    assert [[Decimal(text) for text in quote[1:]] for quote in found["quotes"]] == [
        [Decimal(text) for text in cells[1:5]] for cells in quotes
    ]
    tops = best_prices(writer)
    behind = {ns // 10**6: (bid, ask) for ns, bid, ask in found["tops"]}
    compared = {ms: (float(bid), float(ask)) for ms, (bid, ask) in behind.items() if ms in tops}
    assert compared == {ms: top for ms, top in tops.items() if ms in behind}
    assert len(compared) == 169
    assert behind[START_MS + 92_300] == (None, None)


def read_by_nautilus(catalog: Path) -> dict[str, Any]:
    """Read the catalog with nautilus_trader in an environment of its own; skip where that cannot be installed."""
    uv = REPOSITORY / ".tools" / "bin" / "uv"
    alone = [str(uv), "run", "--isolated", "--no-project", "--python", "3.11", "--with", LIBRARY, "python"]
    program = str(REPOSITORY / "tests" / "support" / "nautilus_reader.py")
    can = subprocess.run([*alone, "-c", "import nautilus_trader"], capture_output=True, text=True, check=False)
    if can.returncode:
        pytest.skip(f"{LIBRARY} cannot be installed: {can.stderr.strip()[-200:]}")
    done = subprocess.run([*alone, program, str(catalog), NAME], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found
