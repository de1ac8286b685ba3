"""Trades, quotes and bars: names and values, and bars that are the exchange's own."""

import json
from pathlib import Path

import polars as pl
import pytest

from binance_streamer.days import Recording
from binance_streamer.days.parquet import Place
from binance_streamer.days.reading.market import BAR_COLUMNS
from binance_streamer.days.seal import seal
from binance_streamer.days.sources import sources
from tests.support.recorded_days import START_MS, DayWriter
from tests.support.recorded_market import record_messages
from tests.support.sealing import begun, parts
from tests.support.virtual_market import VirtualMarket


def test_trades_and_quotes_have_the_names_of_the_field(tmp_path: Path) -> None:
    DayWriter().write(tmp_path)
    trades = Recording(tmp_path).trades("BTCUSDT").head(2).collect()
    assert trades.select("agg_trade_id", "side", "first_trade_id", "last_trade_id").rows() == [
        (1000, "sell", 50_000, 50_001),
        (1001, "buy", 50_002, 50_003),
    ]
    assert trades["price"].cast(pl.String).to_list() == ["84000.00000000", "84000.70000000"]
    assert trades["time"].dt.epoch("ms").to_list() == [START_MS, START_MS + 500]
    quote = Recording(tmp_path).quotes("BTCUSDT").head(1).collect().to_dicts()[0]
    values = {name: str(quote[name]) for name in ("bid_price", "bid_quantity", "ask_price", "ask_quantity")}
    assert quote["update_id"] == 7030
    assert values == {
        "bid_price": "83999.00000000",
        "bid_quantity": "2.00000000",
        "ask_price": "84010.00000000",
        "ask_quantity": "1.00000000",
    }


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four minutes of the simulator's market as daily files."""
    data = tmp_path_factory.mktemp("market")
    messages: list[tuple[int, str, bytes]] = []
    simulated = VirtualMarket()

    def take(suffix: str, event: dict[str, object]) -> None:
        messages.append((simulated.now_ms * 10**6, f"btcusdt@{suffix}", json.dumps(event).encode()))

    simulated.on_message = take
    simulated.run(240)
    record_messages(messages, data)
    return data


def different(recording: Recording, interval: str) -> list[str]:
    """The columns in which a whole bar of trades and the exchange's differ; the first one began before the trades."""
    bars = recording.bars("BTCUSDT", interval).filter(pl.col("kline_open").is_not_null()).collect()[1:]
    assert len(bars) >= 2
    return [name for name in BAR_COLUMNS if bars[name].to_list() != bars[f"kline_{name}"].to_list()]


def test_bars_are_the_klines_of_the_exchange(market: Path, tmp_path: Path) -> None:
    assert different(Recording(market), "1m") == []
    lake = begun(tmp_path)
    for one in sources(market):
        seal(parts([one.path]), Place(one.stem, one.symbol, one.day), lake)
    assert different(Recording(tmp_path), "1m") == []


def test_a_bar_without_its_trades_differs(market: Path, tmp_path: Path) -> None:
    folder = tmp_path / "BTCUSDT"
    folder.mkdir()
    for path in market.glob("*/*"):
        lines = path.read_bytes().splitlines(keepends=True)
        left = lines[: len(lines) // 2] + lines[len(lines) // 2 + 1 :] if path.name.startswith("aggtrade") else lines
        (folder / path.name).write_bytes(b"".join(left))
    assert "volume" in different(Recording(tmp_path), "1m")


def test_bars_of_any_length_add_up(market: Path) -> None:
    recording = Recording(market)
    whole = recording.bars("BTCUSDT", "1d").select(pl.col("volume", "quote_volume", "trades").sum()).collect()
    short = recording.bars("BTCUSDT", "10s").collect()
    assert whole.equals(short.select(pl.col("volume", "quote_volume", "trades").sum()))
    assert short["kline_open"].null_count() == len(short) > 20


def test_bars_open_within_their_time_whenever_their_trades_were_received(tmp_path: Path) -> None:
    days = DayWriter()
    late = days.lines["aggtrade"].pop(150).split(",")
    late[9] = str(int(late[9]) + 3_600_000 * 10**6)  # fetched an hour later
    days.lines["aggtrade"].append(",".join(late))
    days.write(tmp_path)
    bars = Recording(tmp_path).bars("BTCUSDT", "1m", "2026-11-22T00:01", "2026-11-22T00:02").collect()
    assert bars["open_time"].dt.epoch("ms").to_list() == [START_MS + 60_000]
    assert bars["trades"].to_list() == bars["kline_trades"].to_list() == [240]
