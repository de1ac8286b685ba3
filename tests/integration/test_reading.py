"""A real recording is read while it grows: rows, and books that are the exchange's, before and after it is sealed."""

import random
import time
from pathlib import Path

import polars as pl
import pytest

from binance_streamer.days import Recording
from binance_streamer.days.parquet import Place
from binance_streamer.days.seal import seal
from binance_streamer.days.sources import sources
from tests.chaos.pipeline import PATIENCE_S, Pipeline
from tests.support.sealing import begun, parts
from tests.support.true_books import true_books
from tests.support.waiting import eventually

SYMBOL = "BTCUSDT"


def check_books(recording: Recording, tape: Path) -> tuple[int, int]:
    """Compare the books of random instants with the true ones; return how many were known, and how many not."""
    received = recording.scan("depth", SYMBOL).select("recv_ns").collect()["recv_ns"]
    rng = random.Random(3)
    instants = [rng.randrange(received.min(), received.max()) for _ in range(25)]  # type: ignore[arg-type]
    books = {ns: recording.book_at(SYMBOL, ns) for ns in instants}
    known = [book for book in books.values() if book.is_known]
    ids = [book.update_id for book in known if book.update_id is not None]
    true = {book.update_id: book for book in true_books(tape, SYMBOL, "btcusdt@depth@0ms", ids)}
    for book in known:
        assert book.update_id is not None
        for side, levels in ((book.bids, true[book.update_id].bids), (book.asks, true[book.update_id].asks)):
            expected = pl.DataFrame(levels, schema=["price", "quantity"], orient="row").cast(pl.Decimal(38, 8))
            assert side.equals(expected), book.ns
    return len(known), len(books) - len(known)


@pytest.mark.parametrize("file_format", ["csv", "csv.zst"])
def test_books_of_a_recording_that_grows_are_true(file_format: str, place: Path) -> None:
    storage = {"output_directory": "data", "journal_directory": "journal", "file_format": file_format}
    with Pipeline(
        place,
        "--seed",
        "5",
        rate=150,
        symbols=(SYMBOL,),
        streams=("depth@0ms", "aggTrade"),
        storage={**storage, "compress_interval": 1},
        orderbook={"audit_interval": 0},
    ) as running:
        running.start()
        running.wait_connected()
        running.start("orderbook")
        eventually(running.data.is_dir, PATIENCE_S, what="the data folder")
        recording = Recording(running.data)

        def books_since(ns: int) -> bool:
            times = recording.book_times(SYMBOL, ns, time.time_ns())
            return bool(times.filter(pl.col("why") == "", pl.col("to_ns") - pl.col("from_ns") > 3 * 10**9).height)

        eventually(lambda: SYMBOL in set(recording.contents()["symbol"]), PATIENCE_S, what="files")
        eventually(lambda: "depth" in set(recording.contents()["stem"]), PATIENCE_S, what="depth updates")
        eventually(lambda: books_since(time.time_ns() - 600 * 10**9), PATIENCE_S, what="a known book")
        growing, _ = check_books(recording, running.simulator.tape)
        killed_ns = running.kill("ingest-BTCUSDT")
        running.restart("ingest-BTCUSDT", killed_ns)
        eventually(lambda: books_since(killed_ns), PATIENCE_S, what="a known book again")
        running.settle()
        running.stop()
        known, unknown = check_books(recording, running.simulator.tape)
        assert growing > 0
        assert known > 0
        missing = recording.gaps(SYMBOL).filter(pl.col("stem") == "depth", pl.col("state") != "repaired")
        assert len(missing) > 0
        for from_ns, to_ns in missing.select("from_ns", "to_ns").drop_nulls().rows():
            assert not recording.book_at(SYMBOL, (from_ns + to_ns) // 2).is_known
        lake = begun(place / "lake")
        for one in sources(running.data):
            seal(parts([one.path]), Place(one.stem, one.symbol, one.day), lake)
        assert check_books(Recording(place / "lake"), running.simulator.tape) == (known, unknown)
