"""The golden books of recorded markets by `book_at`, from daily files and from sealed ones."""

import json
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from binance_streamer.days import Recording
from binance_streamer.days.parquet import Place
from binance_streamer.days.schema import columns
from binance_streamer.days.seal import seal
from binance_streamer.days.sources import sources
from tests.support.books import GoldenBook
from tests.support.data import captured, golden, market_data
from tests.support.recorded_market import record
from tests.support.sealing import begun, parts


def record_snapshots(capture: Path, data: Path) -> None:
    """Write the snapshots of a capture, whose levels are texts, as the writer would."""
    for message in captured(capture):
        if not message.name.startswith("/fapi/v1/depth?"):
            continue
        symbol = message.name.partition("symbol=")[2].partition("&")[0]
        found = json.loads(message.event)
        sides = (
            '"[' + ",".join(f"[{price},{quantity}]" for price, quantity in found[side]) + ']"'
            for side in ("bids", "asks")
        )
        day = min(path.name.rpartition("_")[2] for path in data.glob(f"{symbol}/depth_{symbol}_*"))
        ids = f"{found['lastUpdateId']},{message.recv_ns // 10**6},{message.recv_ns // 10**6}"
        row = f"{ids},{','.join(sides)},{message.recv_ns},{message.recv_ns},1,1,rest,"
        text = f"{','.join(columns('snapshot'))}\n{row}\n"
        (data / symbol / f"snapshot_{symbol}_{day}").write_text(text, encoding="utf-8")


@pytest.mark.parametrize("form", ["data", "lake"])
def test_the_last_book_is_the_golden_one(form: str, tmp_path: Path) -> None:
    folder = market_data("usdm-btceth-20240808")
    record(folder / "capture.gz", tmp_path / "data")
    record_snapshots(folder / "capture.gz", tmp_path / "data")
    if form == "lake":
        lake = begun(tmp_path / "lake")
        for one in sources(tmp_path / "data"):
            if one.stem in ("depth", "snapshot"):
                seal(parts([one.path]), Place(one.stem, one.symbol, one.day), lake)
    recording = Recording(tmp_path / form)
    for symbol, wanted in golden(folder)["books"].items():
        last_ns = recording.scan("depth", symbol).select(pl.col("recv_ns").max()).collect().item()
        book = recording.book_at(symbol, last_ns)
        assert book.is_known, (symbol, book.why)
        assert (len(book.bids), len(book.asks)) == (wanted["bid_levels"], wanted["ask_levels"])
        levels: list[list[tuple[Decimal, Decimal]]] = [side.rows() for side in (book.bids, book.asks)]
        assert GoldenBook(0, *levels).final_book == wanted["final_book"], symbol
