"""Events for hftbacktest: counts and prices of the rows, in an order that it takes; and a backtest runs on them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.exports import best_prices, export_day, exported, received_at
from tests.support.recorded_days import START_MS, DayWriter, recv_ns

EXCHANGE, LOCAL, BUY, SELL = 1 << 31, 1 << 30, 1 << 29, 1 << 28
UPDATE, TRADE, CLEAR, SNAPSHOT = 1, 2, 3, 4


def events_of(tmp_path: Path, writer: DayWriter) -> Any:
    (file,) = exported(export_day(tmp_path, writer), "hftbacktest", tmp_path).values()
    with np.load(file.path) as arrays:
        events = arrays["data"]
    assert len(events) == file.rows
    return events


def kind(events: Any) -> Any:
    return events["ev"] & 0xFF


def trades_of(writer: DayWriter) -> list[tuple[int, int, float, float, bool]]:
    """Times (exchange, receipt), price, quantity and side of the recorded trades, as Python reads their text."""
    found = []
    for line in writer.lines["aggtrade"]:
        cells = line.split(",")
        times = int(cells[5]) * 10**6, int(cells[9])
        found.append((*times, float(cells[1]), float(cells[2]), cells[6] == "false"))
    return found


def test_trades_are_those_of_the_rows(tmp_path: Path) -> None:
    writer = DayWriter()
    events = events_of(tmp_path, writer)
    trades = events[(kind(events) == TRADE) & (events["ev"] & LOCAL > 0)]
    columns = (trades[name].tolist() for name in ("exch_ts", "local_ts", "px", "qty"))
    is_buy = (trades["ev"] & BUY > 0).tolist()
    assert list(zip(*columns, is_buy, strict=True)) == trades_of(writer)
    assert len(trades) == 357


def test_the_book_of_the_events_is_that_of_the_recorded_tops(tmp_path: Path) -> None:
    writer = DayWriter()
    events = events_of(tmp_path, writer)
    events = events[(events["ev"] & EXCHANGE > 0) & (kind(events) != TRADE)]
    tops = best_prices(writer)
    sides: dict[int, dict[float, float]] = {BUY: {}, SELL: {}}
    compared = 0
    for at in np.unique(events["exch_ts"]):
        for event in events[events["exch_ts"] == at]:
            if kind(event) == CLEAR:
                sides[BUY].clear()
                sides[SELL].clear()
            elif event["qty"]:
                sides[int(event["ev"]) & (BUY | SELL)][event["px"]] = event["qty"]
            else:
                sides[int(event["ev"]) & (BUY | SELL)].pop(event["px"], None)
        top = tops.get(at // 10**6)
        if top is not None:
            assert (max(sides[BUY]), min(sides[SELL])) == top, at
            compared += 1
        if START_MS + 92_300 <= at // 10**6 < START_MS + 95_300:
            assert sides == {BUY: {}, SELL: {}}
    assert compared == 180 - 5 - 6  # without the outage of bookTicker and the hole; the snapshot's time is none of them


def test_a_trade_that_came_late_has_a_place_in_each_order(tmp_path: Path) -> None:
    """One that REST brought two minutes later: the exchange sees it in its second, strategies two minutes later."""
    writer = DayWriter()
    late_ns = recv_ns(START_MS + 125_000)
    writer.lines["aggtrade"][10] = received_at(writer.lines["aggtrade"][10], late_ns)
    events = events_of(tmp_path, writer)
    mine = events[(kind(events) == TRADE) & (events["exch_ts"] == (START_MS + 5000) * 10**6)]
    assert (mine["ev"] & (EXCHANGE | LOCAL)).tolist() == [EXCHANGE, LOCAL]
    for flag, name in ((EXCHANGE, "exch_ts"), (LOCAL, "local_ts")):
        stamps = events[name][events["ev"] & flag > 0]
        assert (np.diff(stamps) >= 0).all()
    assert mine["local_ts"].tolist() == [late_ns, late_ns]


def test_a_clock_behind_the_exchange_is_shifted_by_the_least_delay(tmp_path: Path) -> None:
    writer = DayWriter()
    for stem, lines in writer.lines.items():
        for place, line in enumerate(lines):
            recorded_ns = int(line.rsplit(",", 5)[1])  # 5 ms behind the message's time
            writer.lines[stem][place] = received_at(line, recorded_ns - 7_000_000)
    events = events_of(tmp_path, writer)
    assert (events["local_ts"] - events["exch_ts"]).min() == 0


def test_hftbacktest_runs_a_backtest_on_the_file(tmp_path: Path) -> None:
    pytest.importorskip("numba", reason="./run --group exports pytest installs hftbacktest and numba")
    hftbacktest = pytest.importorskip("hftbacktest", reason="./run --group exports pytest installs hftbacktest")
    from hftbacktest.data.validation import validate_event_order  # noqa: PLC0415 (optional)

    writer = DayWriter()
    validate_event_order(events_of(tmp_path, writer))
    asset = (
        hftbacktest.BacktestAsset()
        .data([str(tmp_path / "export" / "BTCUSDT_20261122.npz")])
        .linear_asset(1.0)
        .constant_order_latency(10_000_000, 10_000_000)
        .risk_adverse_queue_model()
        .no_partial_fill_exchange()
        .trading_value_fee_model(0.0002, 0.0007)
        .tick_size(0.1)
        .lot_size(0.001)
        .last_trades_capacity(1000)
    )
    backtest = hftbacktest.HashMapMarketDepthBacktest([asset])
    tops = best_prices(writer)
    compared = unknown = 0
    while backtest.elapse(1_000_000_000) == 0:
        now_ms = backtest.current_timestamp // 10**6
        depth = backtest.depth(0)
        if compared == 20:
            backtest.submit_buy_order(0, 1, depth.best_ask + 10, 0.01, hftbacktest.GTC, hftbacktest.LIMIT, False)
        top = tops.get(now_ms - 700)
        if top is not None:
            assert (depth.best_bid, depth.best_ask) == top, now_ms
            compared += 1
        elif START_MS + 93_000 <= now_ms <= START_MS + 95_000:
            assert np.isnan(depth.best_bid)
            assert np.isnan(depth.best_ask)
            unknown += 1
    trades = backtest.last_trades(0)
    assert trades["px"].tolist() == [price for _, _, price, *_ in trades_of(writer)][: len(trades)]
    assert len(trades) >= 355  # those of the last second come behind the last whole one
    assert (compared >= 160, unknown) == (True, 3)
    assert backtest.position(0) == 0.01
    assert backtest.close() == 0
