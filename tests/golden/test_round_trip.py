"""The large recorded market all the way round: recorded, sealed, read, replayed and recorded again, with equal rows."""

import re
import signal
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from binance_streamer.client.tap import Tap
from binance_streamer.days import Recording
from binance_streamer.days.parquet import Place
from binance_streamer.days.seal import seal
from binance_streamer.days.sources import sources
from binance_streamer.exchange.rows import SNAPSHOT_TYPE
from tests.support.books import GoldenBook
from tests.support.configs import write_config
from tests.support.data import golden, market_data
from tests.support.processes import command_line
from tests.support.recorded import recorded_rows
from tests.support.recorded_market import record, record_messages, record_rest_snapshots, record_snapshots
from tests.support.sealing import begun, parts
from tests.support.waiting import eventually

STREAMS = {"trade": "trade", "bookTicker": "bookticker", "depth@0ms": "depth"}
SYMBOLS = ("BTCUSDT", "ETHUSDT")
OF_RECORDER = {"recv_ns", "epoch", "seq"}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def folder() -> Path:
    return market_data("usdm-btceth-20240808")


@pytest.fixture(scope="module")
def data(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The daily files of the recording."""
    found = tmp_path_factory.mktemp("market") / "data"
    record(folder / "capture.gz", found)
    record_snapshots(folder / "capture.gz", found)
    return found


def rows(data: Path, symbol: str, stem: str) -> list[dict[str, str]]:
    """All rows by the order in which their run numbered them."""
    return sorted(recorded_rows(data, symbol, stem), key=lambda row: int(row["seq"]))


def of_exchange(data: Path, symbol: str, stem: str) -> list[dict[str, str]]:
    """The same without what is the recorder's own."""
    found = rows(data, symbol, stem)
    return [{name: cell for name, cell in row.items() if name not in OF_RECORDER} for row in found]


def check_books(place: Path, folder: Path) -> None:
    """The books at the end have the golden digests."""
    recording = Recording(place)
    for symbol, wanted in golden(folder)["books"].items():
        last_ns = recording.scan("depth", symbol).select(pl.col("recv_ns").max()).collect().item()
        book = recording.book_at(symbol, last_ns)
        assert book.is_known, (place, symbol, book.why)
        levels: list[list[tuple[Decimal, Decimal]]] = [side.rows() for side in (book.bids, book.asks)]
        assert GoldenBook(0, *levels).final_book == wanted["final_book"], (place, symbol)


def test_recorded_sealed_read_replayed_and_recorded_again(folder: Path, data: Path, place: Path) -> None:
    lake = begun(place / "lake")
    for one in sources(data):
        seal(parts([one.path]), Place(one.stem, one.symbol, one.day), lake)
    recorded, sealed = Recording(data), Recording(place / "lake")
    assert recorded.contents().equals(sealed.contents())
    for symbol in SYMBOLS:
        for stem in (*STREAMS.values(), "snapshot"):
            assert sealed.scan(stem, symbol).collect().equals(recorded.scan(stem, symbol).collect()), (symbol, stem)
    again = place / "again"
    messages = list(replayed(place))
    record_messages((one for one in messages if not one[1].startswith("/")), again)
    record_rest_snapshots((one for one in messages if one[1].startswith("/")), again)
    for symbol in SYMBOLS:
        for stem in (*STREAMS.values(), "snapshot"):
            assert rows(again, symbol, stem) == rows(data, symbol, stem), (symbol, stem)
    for there in (data, place / "lake", again):
        check_books(there, folder)


def replayed(place: Path) -> Iterator[tuple[int, str, bytes]]:
    """Yield receive stamp, stream and event of what a replay of the lake publishes."""
    endpoint = f"ipc://{place}/bus"
    arguments = ("replay", place / "lake", "--speed", "max", "--bind", endpoint)
    with Tap(endpoint) as tap, command_line(*arguments, output=place / "replay.out") as program:
        count = 0
        while True:
            message = tap.receive(300 if not count else 5)
            if message is None:
                break
            count += 1
            assert message.stream_type in (*STREAMS.values(), SNAPSHOT_TYPE)
            yield message.data["recv_ns"], message.data["stream"], message.data["event"]
        assert program.wait(60) == 0, program.text()
        assert f"replayed {count} messages" in program.text()


def test_a_second_recorder_records_the_same_rows_of_the_exchange_that_is_played(
    folder: Path, data: Path, place: Path
) -> None:
    with command_line("replay", data, "--as-exchange", "--speed", "1", output=place / "exchange.out") as exchange:

        def port() -> int | None:
            assert exchange.exit_code is None, exchange.text()
            found = re.search(r"ws://127\.0\.0\.1:(\d+)", exchange.text())
            return int(found[1]) if found else None

        address = f"127.0.0.1:{eventually(port, 300, what='the replay serves')}"
        urls = {"websocket_url": f"ws://{address}", "rest_url": f"http://{address}"}
        config = write_config(place, dict.fromkeys(SYMBOLS, tuple(STREAMS)), urls, orderbook={"enabled": True})
        with command_line("up", "-c", config, output=place / "up.out") as recorder:

            def is_complete() -> bool:
                assert recorder.exit_code is None, recorder.text()
                return "have been played" in exchange.text() and all(
                    len(recorded_rows(place / "data", symbol, stem)) >= len(recorded_rows(data, symbol, stem))
                    for symbol in SYMBOLS
                    for stem in STREAMS.values()
                )

            eventually(is_complete, 1200, what=f"all rows are there: {recorder.text()}", every_s=5)
            recorder.send(signal.SIGTERM)
            assert recorder.wait(120) in (0, 1), recorder.text()
    for symbol in SYMBOLS:
        for stem in STREAMS.values():
            assert of_exchange(place / "data", symbol, stem) == of_exchange(data, symbol, stem), (symbol, stem)
        last_ns = int(rows(place / "data", symbol, "depth")[-1]["recv_ns"])
        book, wanted = Recording(place / "data").book_at(symbol, last_ns), golden(folder)["books"][symbol]
        best = [[float(side["price"][0]), str(side["quantity"][0].normalize())] for side in (book.bids, book.asks)]
        assert best == [wanted["best_bid"], wanted["best_ask"]], (symbol, book.why)
