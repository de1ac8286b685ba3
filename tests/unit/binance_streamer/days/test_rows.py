"""Daily files read into typed batches: exact values, and a line and column for what has none."""

import datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest

from binance_streamer.days import rows
from binance_streamer.days.rows import NotSealable, batches
from binance_streamer.days.schema import columns

TRADE = "3466782974,84551.10,0.030,1790526538883,true,1790526539033,MARKET,1790526539058352268,77,5,ws,"
MARK_PRICE = '1790526539000,84551.10762319,,84590.87304348,84559.09090930,"",1890553600000,1790526539058352268,77,6,ws,'
DEPTH = '1,2,0,1790526538883,1790526539033,"[[84551.10,3],[84541.80,0.000]]","[]",1790526539058352268,77,7,ws,'
EXTRA = '"{""ps"":""BTCUSDT"",""st"":1}"'


def written(folder: Path, stem: str, *lines: str, suffix: str = "csv") -> Path:
    path = folder / f"{stem}_BTCUSDT_20261122.{suffix}"
    text = "".join(f"{line}\n" for line in (",".join(columns(stem)), *lines)).encode()
    path.write_bytes(pa.compress(text, "zstd", asbytes=True) if suffix == "csv.zst" else text)
    return path


def read(path: Path, stem: str, end: int | None = None) -> list[dict[str, object]]:
    return [row for batch in batches(path, stem, end) for row in batch.to_pylist()]


def test_cells_become_values_of_their_types(tmp_path: Path) -> None:
    assert read(written(tmp_path, "trade", TRADE), "trade") == [
        {
            "id": 3466782974,
            "price": Decimal("84551.10"),
            "qty": Decimal("0.030"),
            "time": datetime.datetime(2026, 9, 27, 16, 28, 58, 883000, tzinfo=datetime.UTC),
            "is_buyer_maker": True,
            "event_time": datetime.datetime(2026, 9, 27, 16, 28, 59, 33000, tzinfo=datetime.UTC),
            "order_type": "MARKET",
            "recv_ns": 1790526539058352268,
            "epoch": 77,
            "seq": 5,
            "source": "ws",
            "extra": None,
        }
    ]


def test_levels_become_lists(tmp_path: Path) -> None:
    path = written(tmp_path, "depth", DEPTH, DEPTH.replace('"[]"', '"[[1,2]]"') + EXTRA)
    first, second = read(path, "depth")
    assert first["bids"] == [
        {"price": Decimal("84551.10"), "quantity": Decimal(3)},
        {"price": Decimal("84541.80"), "quantity": Decimal(0)},
    ]
    assert first["asks"] == []
    assert second["asks"] == [{"price": Decimal(1), "quantity": Decimal(2)}]
    assert (first["extra"], second["extra"]) == (None, '{"ps":"BTCUSDT","st":1}')


def test_an_empty_cell_is_null_and_an_empty_text_is_one_where_the_column_is_text(tmp_path: Path) -> None:
    trades = read(written(tmp_path, "trade", TRADE.replace("MARKET", '""'), TRADE.replace("MARKET", "")), "trade")
    assert [row["order_type"] for row in trades] == ["", None]
    (mark_price,) = read(written(tmp_path, "markprice", MARK_PRICE), "markprice")
    assert mark_price["mark_price_average"] is None
    assert mark_price["funding_rate"] is None
    assert mark_price["index_price"] == Decimal("84590.87304348")


def test_exponents_are_numbers(tmp_path: Path) -> None:
    (row,) = read(written(tmp_path, "trade", TRADE.replace("0.030", "3E-8")), "trade")
    assert row["qty"] == Decimal("0.00000003")


@pytest.mark.parametrize("frames", [1, 2, 7])
def test_compressed_files_are_read_to_their_last_frame(tmp_path: Path, frames: int) -> None:
    text = f"{','.join(columns('trade'))}\n".encode() + f"{TRADE}\n".encode() * 12
    lines = text.splitlines(keepends=True)
    path = tmp_path / "trade_BTCUSDT_20261122.csv.zst"
    path.write_bytes(b"".join(pa.compress(b"".join(lines[at::frames]), "zstd", asbytes=True) for at in range(frames)))
    assert len(read(path, "trade")) == 12


def test_only_so_many_bytes_count(tmp_path: Path) -> None:
    path = written(tmp_path, "trade", TRADE)
    end = path.stat().st_size
    path.write_bytes(path.read_bytes() + b"torn")
    assert len(read(path, "trade", end)) == 1
    with pytest.raises(NotSealable, match="ends within a line"):
        read(path, "trade")
    with pytest.raises(NotSealable, match="fewer than the"):
        read(path, "trade", end + 5)


def test_a_torn_frame_is_no_file_to_seal(tmp_path: Path) -> None:
    path = written(tmp_path, "trade", TRADE, suffix="csv.zst")
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(NotSealable, match="Truncated"):
        read(path, "trade")


@pytest.mark.parametrize(
    ("old", "new", "column"),
    [
        ("0.030", "0.000000001", "qty"),
        ("0.030", "x", "qty"),
        ("0.030", "99999999999999999999999999999999.1", "qty"),
        ("3466782974", "9223372036854775808", "id"),
        ("3466782974", "1.5", "id"),
        ("1790526538883", "-1", "time"),
        ("1790526538883", "253402300800000", "time"),
        ("true", "yes", "is_buyer_maker"),
        ("true", "TRUE", "is_buyer_maker"),
        (",ws,", ",ws", ""),
        ("MARKET", '"MARKET', ""),
        ("MARKET", "MAR\xffKET", ""),
    ],
)
@pytest.mark.parametrize("before", [0, 1, 2, 6])
def test_a_value_that_does_not_fit_is_named_by_line_and_column(
    tmp_path: Path, old: str, new: str, column: str, *, before: int
) -> None:
    path = written(tmp_path, "trade", *[TRADE] * before, TRADE.replace(old, new), *[TRADE] * 3)
    path.write_bytes(path.read_bytes().replace("\xff".encode(), b"\xff"))
    with pytest.raises(NotSealable) as caught:
        read(path, "trade")
    assert (caught.value.line, caught.value.column) == (before + 2, column)
    assert caught.value.file == path


@pytest.mark.parametrize(
    "cell",
    [
        "[[1,2]",
        "[1,2]",
        "[[1,2],[3]]",
        "[[1,2],[]]",
        "[[1,2,3]]",
        "[[1,]]",
        "[[,1]]",
        "x",
        "[[1,2]],[[3,4]]",
        "[ ]",
        "[[]]",
    ],
)
def test_a_list_of_levels_that_is_none_is_named(tmp_path: Path, cell: str) -> None:
    path = written(tmp_path, "depth", DEPTH, DEPTH.replace("[]", cell), DEPTH)
    with pytest.raises(NotSealable) as caught:
        read(path, "depth")
    assert (caught.value.line, caught.value.column) == (3, "asks")


def test_other_columns_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path, "trade", TRADE)
    with pytest.raises(NotSealable, match="other columns") as caught:
        read(path, "depth")
    assert caught.value.line == 1


def test_an_empty_file_has_no_rows(tmp_path: Path) -> None:
    path = tmp_path / "trade_BTCUSDT_20261122.csv"
    path.write_bytes(b"")
    assert read(path, "trade") == []


def test_lines_longer_than_a_chunk_are_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "CHUNK_BYTES", 7)
    assert [row["seq"] for row in read(written(tmp_path, "trade", TRADE, TRADE), "trade")] == [5, 5]


def test_lines_of_json_keep_the_event_as_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "exchange_info_20261122.jsonl"
    path.write_bytes(b'{"recv_ns":5,"epoch":7,"seq":1,"source":"rest","event":{"a" : 1.10,"b":"\xe5\xb8\x81"}}\n')
    assert read(path, "exchange_info") == [
        {"recv_ns": 5, "epoch": 7, "seq": 1, "source": "rest", "event": '{"a" : 1.10,"b":"币"}'}
    ]
    path.write_bytes(path.read_bytes() + b'{"recv_ns":5}\n')
    with pytest.raises(NotSealable) as caught:
        read(path, "exchange_info")
    assert caught.value.line == 2
