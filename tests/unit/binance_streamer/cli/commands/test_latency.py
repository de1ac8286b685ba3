"""Latencies and the clock beside them, from files as the writer leaves them."""

import gzip
import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from binance_streamer.cli.commands import latency
from binance_streamer.cli.errors import CommandError, Exit
from binance_streamer.cli.recordings.distribution import EDGES_MS, Distribution, bars
from binance_streamer.config import schema as configuration
from binance_streamer.config.schema import Config
from tests.support.configs import write_config

EVENT_MS = 1_790_000_000_000
TRADES = "agg_trade_id,price,transact_time,event_time,recv_ns,epoch,seq,source,extra\n"
CLOCK = "offset_ms,error_ms,round_trip_ms,samples,server_time,step_ms,step_from_ns,recv_ns,epoch,seq,source,extra\n"


def a_row(number: int, late_ms: float, source: str = "ws") -> str:
    return f"{number},1.0,5,{EVENT_MS},{round((EVENT_MS + late_ms) * 10**6)},1,{number},{source},\n"


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return configuration.load(write_config(tmp_path, {"BTCUSDT": ["aggTrade"]}, {}))


@pytest.fixture
def data(config: Config) -> Path:
    root = Path(config.storage.output_directory)
    folder = root / "%E9%BE%99%E8%99%BEUSDT"
    folder.mkdir(parents=True)
    name = "aggtrade_%E9%BE%99%E8%99%BEUSDT_20260921.csv"
    (folder / name).write_text(TRADES + "".join(a_row(n, n) for n in range(1, 101)) + a_row(101, 9999, "rest"))
    next_day = TRADES + a_row(102, -3.5) + "103,1.0,5,,6,1,103,ws,\n" + "104,1.0"
    (folder / name.replace("21.csv", "22.csv.gz")).write_bytes(gzip.compress(next_day.encode()))
    (folder / "gap_%E9%BE%99%E8%99%BEUSDT_20260921.csv").write_text("gap_id,recv_ns,source\n1,5,ws\n")
    (root / "clock_20260921.csv").write_text(
        CLOCK + "-2.0,3.0,4.0,5,1,,,7,1,1,rest,\n" + ",,,,,100.0,6,7,1,2,local,\n" + "4.0,9.5,17.0,5,1,,,8,1,3,rest,\n"
    )
    return root


def shown(text: str) -> dict[str, object]:
    values: dict[str, object] = json.loads(text)
    return values


def test_all_rows_of_all_days_that_came_over_a_websocket(
    config: Config, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert latency.of_files(config, [data], as_json=True) is Exit.OK
    assert shown(capsys.readouterr().out) == {
        "streams": [
            {
                "symbol": "龙虾USDT",
                "stream": "aggtrade",
                "latency": {
                    "count": 101,
                    "min_ms": -3.5,
                    "mean_ms": 49.965,
                    "median_ms": 50.0,
                    "p95_ms": 95.0,
                    "p99_ms": 99.0,
                    "max_ms": 100.0,
                    "histogram": [1, 0, 1, 3, 5, 10, 30, 50, 1, 0, 0, 0],
                },
            }
        ],
        "clock": {
            "20260921": {
                "measurements": 2,
                "offset_ms": 1.0,
                "least_ms": -2.0,
                "most_ms": 4.0,
                "error_ms": 9.5,
                "steps": 1,
            }
        },
        "clock_now": None,
        "histogram_edges_ms": list(EDGES_MS),
    }


def test_a_table_names_the_clock(config: Config, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (file,) = data.glob("*/aggtrade_*_20260921.csv")
    assert latency.of_files(config, [file], as_json=False) is Exit.OK
    table = capsys.readouterr().out
    assert "龙虾USDT" in table
    assert "20260921: the exchange's clock was 1.0 ms ahead of ours (median of 2, -2.0 to +4.0)" in table
    assert "± 9.5 ms" in table


def test_what_holds_no_latency_is_said(config: Config, data: Path, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="no rows with an event time in today's files"):
        latency.of_files(config, [], as_json=False)
    with pytest.raises(CommandError, match="is not there"):
        latency.of_files(config, [tmp_path / "nothing"], as_json=False)
    (gaps,) = data.glob("*/gap_*")
    with pytest.raises(CommandError, match="no rows with an event time"):
        latency.of_files(config, [gaps], as_json=False)


@given(st.lists(st.integers(-500_000, 500_000), min_size=1, max_size=300))
def test_percentiles_are_those_of_the_sorted_list(hundredths: list[int]) -> None:
    distribution = Distribution()
    for number in hundredths:
        distribution.add(number / 100)
    found = distribution.summary()
    ordered = sorted(number / 100 for number in hundredths)
    for share, value in ((0.5, found.median_ms), (0.95, found.p95_ms), (0.99, found.p99_ms)):
        assert value == ordered[math.ceil(len(ordered) * share) - 1]
    assert (found.count, found.min_ms, found.max_ms) == (len(ordered), ordered[0], ordered[-1])
    assert sum(found.histogram) == len(ordered)
    assert found.histogram[0] == sum(value < 0 for value in ordered)
    assert found.histogram[-1] == sum(value >= 1000 for value in ordered)
    assert found.mean_ms == pytest.approx(sum(ordered) / len(ordered), abs=0.001)


@pytest.mark.parametrize(("latency_ms", "told_ms"), [(2.4961, 2.496), (2.5041, 2.504)])
def test_no_percentile_is_beyond_minimum_and_maximum(latency_ms: float, told_ms: float) -> None:
    distribution = Distribution()
    distribution.add(latency_ms)
    found = distribution.summary()
    assert found.min_ms == found.median_ms == found.p99_ms == found.max_ms == told_ms


def test_a_bin_with_anything_in_it_is_seen() -> None:
    assert bars((0, 1, 10_000, 5000)) == " ▁█▄"
