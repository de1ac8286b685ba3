"""The market of a demo, and the program that makes it."""

from pathlib import Path

import pytest

from binance_streamer.cli.demo.simulator import SeededMarket, Simulator
from binance_streamer.cli.errors import CommandError


def test_a_market_has_a_symbol_to_add_and_the_recorded_ones_keep_their_rate() -> None:
    market = SeededMarket(3, 300.0, 1)
    assert list(market.contents().symbols) == ["BTCUSDT", "ETHUSDT", "SOLUSDT"]
    assert market.spare == "BNBUSDT"
    assert market.arguments() == ["--symbols", "BTCUSDT,ETHUSDT,SOLUSDT,BNBUSDT", "--rate", "400.0", "--seed", "1"]


def test_a_small_market_is_as_small_as_it_was_asked_for() -> None:
    market = SeededMarket(1, 6000.0, 7)
    assert market.spare is None
    assert market.arguments() == ["--symbols", "BTCUSDT", "--rate", "6000.0", "--seed", "7"]


def test_the_largest_market_has_a_name_for_every_symbol() -> None:
    market = SeededMarket(200, 300.0, 1)
    names = [*market.contents().symbols, market.spare]
    assert len(set(names)) == 201


def test_a_simulator_that_ended_is_told_of_with_what_ended_it(tmp_path: Path) -> None:
    gone = Simulator(SeededMarket(1, 100.0, 1), tmp_path / "tape", tmp_path)
    with pytest.raises(CommandError, match="No such file or directory"):
        gone.stats()
    (tmp_path / "simulator.log").write_text(
        "listening 4711\nTraceback (most recent call last):\n  File …\nOSError: [Errno 28] No space left on device\n"
    )
    with pytest.raises(CommandError, match=r"does not answer: OSError: \[Errno 28\] No space left on device$"):
        gone.stats()
