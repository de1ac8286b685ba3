"""Lines of the exchange's messages as collectors write them, and what hftbacktest's converter makes of them."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from binance_streamer.compression import zstd
from tests.support.exports import export_day, exported, written_day
from tests.support.recorded_days import START_MS, DayWriter, recv_ns
from tests.support.sealing import write

TRADES = [(9000 + number, START_MS + 700 * number, f"{84000 + number % 9}.10", number % 2) for number in range(200)]


def write_trades(data: Path) -> None:
    """Add single trades to the day, one of which is none of the market."""
    rows = (
        f"{number},{price},0.030,{ms},{'true' if is_maker else 'false'},{ms + 5},"
        f"{'NA' if number == 9005 else 'MARKET'},{recv_ns(ms)},7,{number},ws,"
        for number, ms, price, is_maker in TRADES
    )
    write(data, rows)


def lines_of(tmp_path: Path, writer: DayWriter, form: str = "raw") -> list[tuple[int, Any]]:
    (file,) = exported(export_day(tmp_path, writer), form, tmp_path).values()
    content = file.path.read_bytes()
    text = gzip.decompress(content) if form == "raw" else zstd.decompress(content)
    lines = [line.split(b" ", 1) for line in text.splitlines()]
    assert len(lines) == file.rows
    return [(int(stamp), json.loads(message)) for stamp, message in lines]


@pytest.mark.parametrize("form", ["raw", "raw-zstd"])
def test_each_message_is_a_line_in_the_order_of_its_receipt(tmp_path: Path, form: str) -> None:
    writer = DayWriter()
    lines = lines_of(tmp_path, writer, form)
    stamps = [stamp for stamp, _ in lines]
    assert stamps == sorted(stamps)
    streams = [message.get("stream", "snapshot") for _, message in lines]
    counts = {name: streams.count(name) for name in sorted(set(streams))}
    assert counts == {
        "btcusdt@aggTrade": 357,
        "btcusdt@bookTicker": 175,
        "btcusdt@depth@0ms": 178,
        "btcusdt@kline_1m": 6,
        "btcusdt@markPrice@1s": 180,
        "snapshot": 3,
    }
    first = next(message for _, message in lines if message.get("stream") == "btcusdt@aggTrade")
    assert first["data"] | {"a": 1000, "p": "84000.0", "q": "0.001", "m": True} == first["data"]


def test_what_rest_brought_is_counted_and_no_line(tmp_path: Path) -> None:
    writer = DayWriter()
    writer.lines["aggtrade"][3] = writer.lines["aggtrade"][3].replace(",ws,", ",rest,")
    (file,) = exported(export_day(tmp_path, writer), "raw", tmp_path).values()
    assert file.note == "without 1 row of REST"


def test_the_converter_of_hftbacktest_makes_the_same_events(tmp_path: Path) -> None:
    pytest.importorskip("numba", reason="./run --group exports pytest installs hftbacktest and numba")
    pytest.importorskip("hftbacktest", reason="./run --group exports pytest installs hftbacktest")
    from hftbacktest.data.utils.binancefutures import convert  # noqa: PLC0415 (optional)

    writer = DayWriter()
    export_day(tmp_path, writer)
    write_trades(tmp_path / "data")
    exported(written_day(tmp_path), "raw", tmp_path)
    events = convert(str(tmp_path / "export" / "btcusdt_20261122.gz"), buffer_size=100_000)
    kinds = events["ev"] & 0xFF
    trades = events[kinds == 2]
    kept = [one for one in TRADES if one[0] != 9005]
    assert trades["px"].tolist() == [float(price) for _, _, price, _ in kept]
    assert trades["local_ts"].tolist() == [recv_ns(ms) for _, ms, *_ in kept]
    assert int((kinds == 1).sum()) == 2 * 178
    assert int((kinds == 4).sum()) == sum(
        line.count("[") - 2 for line in writer.lines["snapshot"]
    )  # of a side one bracket is that of the list
