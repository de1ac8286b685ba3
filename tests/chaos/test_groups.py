"""A group of symbols: its workers are killed, and the exchange lists and ends symbols, while it is recorded."""

from pathlib import Path

import pytest

from tests.chaos.pipeline import SYMBOLS, Pipeline, running
from tests.chaos.runs import check, check_without_gaps, kill_and_restart, seeded
from tests.support.recorded import recorded_rows
from tests.support.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def test_killed_workers_of_a_group_lose_and_double_nothing(place: Path) -> None:
    random = seeded()
    with running(place, rate=1000, symbols=SYMBOLS, group_workers=2) as pipeline:
        victims = ["writer", "rest", *pipeline.ingests, *pipeline.ingests]
        random.shuffle(victims)
        faults = [kill_and_restart(pipeline, random, victim) for victim in victims]
        streams = pipeline.finish()
    assert {stream.stream.symbol for stream in streams if stream.tape} == set(SYMBOLS)
    check(streams, faults, pipeline.downs)


def is_recorded(pipeline: Pipeline, symbol: str) -> bool:
    return bool(pipeline.files_of(symbol, "depth@0ms"))


def test_listings_and_an_end_touch_nobody_else(place: Path) -> None:
    """Two symbols are listed while three are recorded, one of them ends and comes back."""
    network = {"exchange_info_interval": 1}
    with Pipeline(place, rate=500, symbols=SYMBOLS, streams=("depth@0ms",), group_workers=2, network=network) as one:
        for symbol in SYMBOLS[3:]:
            one.simulator.command(f"symbol {symbol} PENDING_TRADING")
        one.start()
        for symbol in SYMBOLS[:3]:
            eventually(lambda name=symbol: is_recorded(one, name), 90, what=f"{symbol} is recorded")  # type: ignore[misc]
        for symbol in SYMBOLS[3:]:
            assert not is_recorded(one, symbol)
            one.simulator.command(f"symbol {symbol} TRADING")
        for symbol in SYMBOLS[3:]:
            eventually(lambda name=symbol: is_recorded(one, name), 60, what=f"{symbol} is recorded")  # type: ignore[misc]
        one.simulator.command(f"symbol {SYMBOLS[0]} SETTLING")
        lower = SYMBOLS[0].lower()
        eventually(lambda: one.subscribers(f"{lower}@depth@0ms") == 0, 60, what="the ended symbol is let go")
        one.simulator.command(f"symbol {SYMBOLS[0]} TRADING")
        eventually(lambda: one.subscribers(f"{lower}@depth@0ms") > 0, 60, what="it is recorded again")
        assert [one.status(name)["opened"] for name in one.ingests] == [{"public": 1}] * 2
        streams = one.finish()
    check(streams, [])
    gaps = {stream.stream.symbol: stream.verdict.gaps for stream in streams if stream.verdict.gaps}
    assert set(gaps) <= {SYMBOLS[0]}  # what it sent while nobody listened


def test_what_one_symbol_sends_costs_the_others_no_row(place: Path) -> None:
    """Garbage, deep nesting, events that nobody knows and messages of a megabyte, fifty times each."""
    with running(place, rate=600, symbols=SYMBOLS[:4], group_workers=1) as one:
        noisy = f"{SYMBOLS[0].lower()}@aggTrade"
        for _ in range(50):
            for command in (
                f"garbage {noisy}",
                f"nested {noisy} 5000",
                f"unknown-event {noisy}",
                f"huge {noisy} 1000000",
            ):
                one.simulator.command(command)
        opened = one.status("ingest-all-0")["opened"]
        streams = one.finish()
    check(streams, [])
    check_without_gaps(streams)
    assert opened == {"public": 1, "market": 1}
    raw = [len(recorded_rows(one.data, name, "raw")) for name in (SYMBOLS[0], "all-0")]
    assert sum(raw) == 200, raw


def test_fifty_listings_at_once_are_recorded_within_a_minute_and_touch_nobody(place: Path) -> None:
    """Ten symbols are recorded when fifty more begin to trade."""
    symbols = tuple(f"C{number:02}USDT" for number in range(60))
    before, listed = symbols[:10], symbols[10:]
    network = {"exchange_info_interval": 5}
    with Pipeline(place, rate=300, symbols=symbols, streams=("depth@0ms",), group_workers=2, network=network) as one:
        for symbol in listed:
            one.simulator.command(f"symbol {symbol} PENDING_TRADING")
        one.start()
        for symbol in before:
            eventually(lambda name=symbol: is_recorded(one, name), 120, what=f"{symbol} is recorded")  # type: ignore[misc]
        for symbol in listed:
            one.simulator.command(f"symbol {symbol} TRADING")
        for symbol in listed:
            eventually(lambda name=symbol: is_recorded(one, name), 60, what=f"{symbol} is recorded")  # type: ignore[misc]
        opened = [one.status(name)["opened"] for name in one.ingests]
        streams = one.finish()
    check(streams, [])
    check_without_gaps(streams)
    assert opened == [{"public": 1}] * 2
