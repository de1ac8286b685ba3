"""The needs of configurations, reckoned by hand."""

from pathlib import Path

import pytest

from binance_streamer.config.schema import Config, parse
from binance_streamer.deploy.plan import Machine, plan_of

ROOMY = Machine(cores=8, memory_bytes=32_000_000_000, free_bytes=2_000_000_000_000)
SMALL = Machine(cores=2, memory_bytes=8_000_000_000, free_bytes=100_000_000_000)


def configured(symbols: list[str], streams: str, extra: str = "") -> Config:
    listed = "".join(f"      - {{symbol: {one}, streams: [{streams}]}}\n" for one in symbols)
    return parse(f"mode: production\nmodes:\n  production:\n    symbols:\n{listed}{extra}", Path("/x/streamer.yaml"))


def many(count: int) -> list[str]:
    return [f"S{number}USDT" for number in range(count)]


def planned(config: Config, machine: Machine = ROOMY) -> dict[str, tuple[str, str]]:
    return {line.name: (line.value, line.advice) for line in plan_of(config, machine)}


def test_one_symbol_fits() -> None:
    found = planned(configured(["BTCUSDT"], "aggTrade, depth@0ms, kline_1m, openInterest@60s"))
    assert all(not advice for _, advice in found.values())
    assert found["symbols"][0] == "1, 4 streams"
    assert found["connections"][0] == "4; 300 attempts in five minutes"
    # 8 of our own, a snapshot of 20 an hour, an audit of 20 every ten minutes, and 1
    assert found["REST weight a minute"][0] == "11 of 1200 (network.weight_share 0.5 of 2400)"
    assert found["messages a second"][0].startswith("39 ")


def test_connections_and_minutes_of_520_symbols() -> None:
    found = planned(configured(many(520), "aggTrade, depth@0ms, kline_1m"), SMALL)
    value, advice = found["connections"]
    assert value == "2080; 300 attempts in five minutes"
    assert advice.startswith("7 times five minutes pass")
    assert found["until all is live"][0] == "30.0 minutes; order books 47.3 minutes"
    # 520 workers of 38 MB, 230 MB of the others, 520 books of 2 MB
    assert found["memory"] == (
        "21.0 GB of 8.0 GB, 520 workers of 38.0 MB",
        "fewer workers (126 have room): groups, or fewer symbols; or more memory",
    )
    assert found["cores"][1]


def test_a_group_shares_connections_and_workers() -> None:
    members = ", ".join(many(520))
    streams = "aggTrade, depth@0ms, openInterest@5m"
    group = f"    groups: [{{name: all, workers: 8, members: [{members}], streams: [{streams}]}}]\n"
    found = planned(parse(f"mode: production\nmodes:\n  production:\n{group}", Path("/x/streamer.yaml")), SMALL)
    assert found["connections"] == ("32; 300 attempts in five minutes", "")
    assert found["memory"] == ("534.0 MB of 8.0 GB, 8 workers of 38.0 MB", "")
    assert found["REST weight a minute"][0].startswith("112 of 1200")


def test_series_take_weight_and_requests() -> None:
    found = planned(configured(many(700), "markPrice@1s, openInterest@60s, premiumIndex@60s, longShortRatio@5m"))
    value, advice = found["REST weight a minute"]
    assert value.startswith("1408 of 1200")
    assert "longer intervals" in advice
    assert found["/futures/data requests in 5 min"] == (
        "700 of 500", "buckets come late, and complete: longer periods, or fewer of them, if that matters"
    )  # fmt: skip


def test_one_request_serves_all_symbols() -> None:
    found = planned(configured(many(100), "markPrice@1s, fundingInfo"))
    assert found["REST weight a minute"][0].startswith("8 of 1200")
    assert found["funding requests in 5 min"] == ("1 of 250", "")


@pytest.mark.parametrize(("file_format", "day"), [("csv", "4.1 GB"), ("csv.zst", "1.1 GB")])
def test_bytes_a_day_and_days_until_the_disk_is_full(file_format: str, day: str) -> None:
    config = configured(["BTCUSDT", "ETHUSDT"], "depth@0ms", f"storage: {{file_format: {file_format}}}\n")
    value, advice = planned(config, SMALL)["data a day"]
    assert value.startswith(f"{day} as {file_format}; 100.0 GB free are ")
    assert not advice


def test_a_disk_that_is_full_within_days_does_not_fit() -> None:
    little = SMALL._replace(free_bytes=2_000_000_000)
    advice = planned(configured(["BTCUSDT"], "depth@0ms"), little)["data a day"][1]
    assert advice == "a larger disk, storage.file_format: csv.zst, or a lake with retention"
