"""Streams of all symbols together, in a group: the rows of each member are those of its own streams."""

from pathlib import Path

import pytest

from tests.chaos.pipeline import SYMBOLS, Pipeline, running
from tests.chaos.runs import check, check_without_gaps, kill_and_restart, seeded
from tests.support.recorded import recorded_rows
from tests.support.waiting import eventually

STREAMS = ("aggTrade", "!markPrice@arr@1s", "!forceOrder@arr", "!bookTicker", "!miniTicker@arr", "!ticker@arr")


def members_have_rows(pipeline: Pipeline, kinds: tuple[str, ...], count: int) -> None:
    for symbol in pipeline.symbols:
        for kind in kinds:
            eventually(
                lambda s=symbol, k=kind: len(recorded_rows(pipeline.data, s, k)) >= count,  # type: ignore[misc]
                60,
                what=f"{symbol} {kind} has {count} rows",
            )


def test_a_group_records_its_members_from_streams_of_all_symbols(place: Path) -> None:
    """On two connections, one of which is cut."""
    network = {"connections": 2, "exchange_info_interval": 1}
    with running(place, rate=300, symbols=SYMBOLS[:3], streams=STREAMS, group_workers=1, network=network) as one:
        kinds = ("markprice", "bookticker", "miniticker", "ticker")
        members_have_rows(one, kinds, 2)
        one.simulator.command("close rst !markPrice@arr@1s on 1")
        members_have_rows(one, kinds, 4)
        for name in STREAMS[1:]:  # two connections
            eventually(lambda n=name: one.subscribers(n) == 2, 60, what=f"{name} is subscribed to again")  # type: ignore[misc]
        others = [one.status(name)["others"] for name in one.ingests]
        streams = one.finish()
    assert all(found["!bookTicker"] > 0 for found in others)
    check(streams, [])
    check_without_gaps(streams)


@pytest.mark.slow
def test_killed_workers_lose_and_double_nothing(place: Path) -> None:
    random = seeded()
    with running(place, rate=600, symbols=SYMBOLS, streams=STREAMS, group_workers=1) as one:
        faults = [kill_and_restart(one, random, victim) for victim in (*one.ingests, "writer", *one.ingests)]
        streams = one.finish()
    assert {stream.stream.symbol for stream in streams if stream.tape} == set(SYMBOLS)
    check(streams, faults, one.downs)
