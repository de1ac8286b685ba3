"""Random rows of all stems: read exactly, and with one digest whatever the order of the file and the chunks."""

import csv
import io
import tempfile
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from binance_streamer.days import rows
from binance_streamer.days.digest import Digest
from binance_streamer.days.schema import DECIMAL, LEVELS, TIME, columns, sort_key, table_schema
from binance_streamer.days.sort import sorted_batches

STEMS = ["aggtrade", "depth_100ms", "snapshot", "markprice", "kline_1m", "gap", "orderbook", "clock", "raw", "status"]
TEXTS = st.text(st.characters(exclude_categories=("C", "Zl", "Zp")), max_size=8)
NUMBERS = st.decimals(-(10**20), 10**20, places=8) | st.decimals(0, 100, places=3)

EMPTY = st.just(("", None))

Cell = tuple[str, Any]
"""The text of a cell as it stands in a file, and its value."""


def text_cells() -> st.SearchStrategy[Cell]:
    def cell(text: str) -> Cell:
        file = io.StringIO()
        csv.writer(file, lineterminator="").writerow([text, ""])
        return file.getvalue()[:-1] or '""', text

    return TEXTS.map(lambda text: cell(text) if text else ('""', ""))


def level_cells() -> st.SearchStrategy[Cell]:
    levels = st.lists(st.tuples(NUMBERS, NUMBERS), max_size=4)
    return levels.map(
        lambda pairs: (
            f'"[{",".join(f"[{price:f},{quantity:f}]" for price, quantity in pairs)}]"',
            [{"price": price, "quantity": quantity} for price, quantity in pairs],
        )
    )


def cells(kind: pa.DataType) -> st.SearchStrategy[Cell]:
    integers = st.integers(-(2**63), 2**63 - 1)
    if kind == pa.string():
        return text_cells()
    if kind == LEVELS:
        return level_cells()
    if kind == DECIMAL:
        return NUMBERS.map(lambda number: (f"{number:f}", number))
    if kind == TIME:
        return st.integers(0, 253_402_300_799_999).map(lambda number: (str(number), number))
    if kind == pa.bool_():
        return st.booleans().map(lambda flag: (str(flag).lower(), flag))
    if kind == pa.float64():
        return st.floats(allow_nan=False, allow_infinity=False).map(lambda number: (repr(number), number))
    return integers.map(lambda number: (str(number), number))


@st.composite
def recorded(draw: st.DrawFn) -> tuple[str, list[list[Cell]]]:
    """A stem, and rows of it as cells; `epoch` and `seq` name a row, as in recorded files."""
    stem = draw(st.sampled_from(STEMS))
    schema = table_schema(stem)
    found = []
    for seq in range(1, draw(st.integers(0, 12)) + 1):
        row = [
            (str(seq), seq)
            if field.name == "seq"
            else draw(
                cells(field.type) if field.name in ("recv_ns", "epoch") else st.just(("", None)) | cells(field.type)
            )
            for field in schema
        ]
        found.append(row)
    return stem, found


def text_of(stem: str, lines: list[list[Cell]]) -> bytes:
    return "".join(
        f"{line}\n" for line in [",".join(columns(stem)), *(",".join(t for t, _ in row) for row in lines)]
    ).encode()


def plain(value: Any, kind: pa.DataType) -> Any:
    """A value of a scalar as the generator says it: times in ms."""
    return None if value is None else value // 1000 if kind == TIME else value


@pytest.mark.parametrize("suffix", ["csv", "csv.zst"])
@settings(deadline=None)
@given(rows_of_stem=recorded())
def test_cells_are_read_as_they_were_written(suffix: str, rows_of_stem: tuple[str, list[list[Cell]]]) -> None:
    stem, lines = rows_of_stem
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{stem}_BTCUSDT_20261122.{suffix}"
        text = text_of(stem, lines)
        path.write_bytes(pa.compress(text, "zstd", asbytes=True) if suffix == "csv.zst" else text)
        batches = list(rows.batches(path, stem))
    read = pa.Table.from_batches(batches, table_schema(stem))
    for number, field in enumerate(read.schema):
        column = read.column(number).cast(pa.int64()) if field.type == TIME else read.column(number)
        assert [plain(value, field.type) for value in column.to_pylist()] == [row[number][1] for row in lines]


@settings(deadline=None)
@given(rows_of_stem=recorded(), order=st.randoms(use_true_random=False), chunk=st.integers(1, 400))
def test_the_digest_does_not_know_the_order_of_the_file_nor_its_chunks(
    rows_of_stem: tuple[str, list[list[Cell]]], order: Any, chunk: int
) -> None:
    stem, lines = rows_of_stem
    shuffled = list(lines)
    order.shuffle(shuffled)
    assert digest(stem, lines, 2**20) == digest(stem, shuffled, chunk)


def digest(stem: str, lines: list[list[Cell]], chunk: int) -> str:
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setattr(rows, "CHUNK_BYTES", chunk)
        path = Path(name) / f"{stem}_BTCUSDT_20261122.csv"
        path.write_bytes(text_of(stem, lines))
        taken = Digest(table_schema(stem))
        for table in sorted_batches(rows.batches(path, stem), sort_key(stem), Path(name)):
            taken.take(table)
        return taken.hexdigest()


def test_decimals_are_those_of_the_csv_module() -> None:
    """The csv module and Decimal as the oracle, on numbers as the exchange writes them."""
    numbers = ["84551.10", "0.00000001", "1e-7", "3E+4", "-0", "123456789012345678901.12345678"]
    line = "1,{},1,1790526538883,true,1790526539033,MARKET,1,77,5,ws,"
    text = "\n".join([",".join(columns("trade")), *(line.format(number) for number in numbers), ""])
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "trade_BTCUSDT_20261122.csv"
        path.write_text(text, encoding="utf-8")
        read = [value for batch in rows.batches(path, "trade") for value in batch.column("price").to_pylist()]
    assert read == [Decimal(row["price"]) for row in csv.DictReader(io.StringIO(text))]
