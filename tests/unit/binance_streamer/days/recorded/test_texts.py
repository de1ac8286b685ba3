"""Cells of sealed rows as the exchange wrote them: digits, zeros, levels, missing values."""

from pathlib import Path

import pyarrow as pa
import pytest

from binance_streamer.days import rows
from binance_streamer.days.lake import Lake
from binance_streamer.days.parquet import Place, metadata_of, read
from binance_streamer.days.recorded.digits import Digits, batch_digits, digits_of
from binance_streamer.days.recorded.texts import as_texts
from binance_streamer.days.schema import columns
from tests.support.sealing import DAY, begun, sealed, trade, write

HEAD = "1,9,2,1795305600000,1795305600001"
TAIL = '1795305600000000000,77,1,ws,"{""st"":1}"'


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return begun(tmp_path / "lake")


def texts_of(lake: Lake, path: Path, stem: str) -> list[str]:
    """Seal a file, and return its rows as text, as the writer would write them."""
    place = lake.local(sealed(lake, path, stem=stem).path)
    digits = digits_of(metadata_of(place))
    found = []
    for batch in read(place):
        for row in as_texts(pa.Table.from_batches([batch]), digits).to_pylist():
            found.append(",".join(_cell(row[name]) for name in columns(stem)))
    return found


def _cell(text: str | None) -> str:
    if text is None:
        return ""
    quoted = text.replace('"', '""')
    return f'"{quoted}"' if not text or text[0] in "[{" else text


@pytest.mark.parametrize(
    ("bids", "asks"),
    [
        ("[[84551.10,3.000],[84551.00,0.000]]", "[[84551.20,0.100]]"),
        ("[[0.00000001,10],[0.00000010,0]]", "[]"),
        ("[[123456789012345678901.12345678,1]]", "[[1.00000000,20]]"),
        ("[]", "[]"),
    ],
)
def test_levels_keep_their_digits(lake: Lake, tmp_path: Path, bids: str, asks: str) -> None:
    line = f'{HEAD},"{bids}","{asks}",{TAIL}'
    path = write(tmp_path / "data", [line], stem="depth")
    assert texts_of(lake, path, "depth") == [line]


@pytest.mark.parametrize("price", ["84551.10", "0.00000001", "-0.50", "7", "0", "0.00", "1000000000000000000000"])
def test_a_column_keeps_its_digits(lake: Lake, tmp_path: Path, price: str) -> None:
    line = trade(1, price=price)
    assert texts_of(lake, write(tmp_path / "data", [line]), "trade") == [line]


def test_zeros_have_digits_of_their_own(lake: Lake, tmp_path: Path) -> None:
    lines = [trade(1, price="72798.49710"), trade(2, price="0"), trade(3, price="1.00000")]
    assert texts_of(lake, write(tmp_path / "data", lines), "trade") == lines


def test_mixed_digits_become_the_shortest_text_that_keeps_the_least(lake: Lake, tmp_path: Path) -> None:
    lines = [trade(1, price="1.10"), trade(2, price="1.125"), trade(3, price="1.000")]
    expected = [trade(1, price="1.10"), trade(2, price="1.125"), trade(3, price="1.00")]
    assert texts_of(lake, write(tmp_path / "data", lines), "trade") == expected


def test_exponents_lose_no_value(lake: Lake, tmp_path: Path) -> None:
    lines = [trade(1, price="1E-7"), trade(2, price="12")]
    expected = [trade(1, price="0.0000001"), trade(2, price="12")]
    assert texts_of(lake, write(tmp_path / "data", lines), "trade") == expected


def test_the_digits_of_a_batch(tmp_path: Path) -> None:
    path = write(tmp_path / "data", [f'{HEAD},"[[1.10,3],[1.20,0.000]]","[]",{TAIL}'], stem="depth")
    (batch,) = rows.batches(path, "depth")
    assert batch_digits(batch) == {
        "bids.price": Digits(2, 2),
        "bids.quantity": Digits(0, 0),
        "bids.quantity=0": Digits(3, 3),
    }


def test_digits_of_two_files_are_joined(lake: Lake, tmp_path: Path) -> None:
    first = write(tmp_path / "data", [trade(1, price="1.5")])
    once = sealed(lake, first)
    second = write(tmp_path / "more", [trade(2, price="1.25")])
    again = sealed(lake, second, lake.local(once.path))
    assert digits_of(metadata_of(lake.local(again.path)))["price"] == Digits(1, 2)
    assert Place("trade", "BTCUSDT", DAY) == again.place
