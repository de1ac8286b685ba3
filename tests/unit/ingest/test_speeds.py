"""Which depth speeds are asked for: the rule alone."""

import itertools

from binance_streamer.exchange import Stream, stream_of
from services.ingest.speeds import DepthSpeeds

TICKER, DEPTH, SLOWER, TRADES = (
    stream_of("BTCUSDT", suffix) for suffix in ("bookTicker", "depth@0ms", "depth@100ms", "aggTrade")
)


def refuse(speeds: DepthSpeeds, times: int, now_s: float) -> list[Stream]:
    """What is wanted after so many refusals of what was."""
    for _ in range(times):
        speeds.fruitless([one for one in speeds.wanted if one.route == "public"], now_s)
    return speeds.wanted


def test_where_it_is_not_configured_nothing_changes_what_is_wanted() -> None:
    speeds = DepthSpeeds([TICKER, SLOWER])
    speeds.stale(SLOWER)
    assert refuse(speeds, 5, 0.0) == [TICKER, SLOWER]
    assert speeds.suits([TICKER])


def test_while_it_is_silent_the_substitute_is_asked_for_beside_it() -> None:
    speeds = DepthSpeeds([DEPTH, TICKER])
    speeds.stale(TICKER)
    assert speeds.wanted == [DEPTH, TICKER]
    speeds.stale(DEPTH)
    assert speeds.wanted == [DEPTH, TICKER, SLOWER]
    assert speeds.suits([DEPTH, TICKER])
    speeds.heard()
    assert speeds.wanted == [DEPTH, TICKER]


def test_two_fruitless_connections_in_a_row_and_it_is_left_out_two_more_and_it_is_back() -> None:
    speeds = DepthSpeeds([DEPTH])
    assert refuse(speeds, 1, 0.0) == [DEPTH]
    speeds.delivered([DEPTH])
    assert refuse(speeds, 1, 0.0) == [DEPTH]
    assert refuse(speeds, 1, 0.0) == [SLOWER]
    assert not speeds.suits([DEPTH])
    assert refuse(speeds, 1, 0.0) == [SLOWER]
    assert refuse(speeds, 1, 0.0) == [DEPTH, SLOWER]


def test_connections_of_before_and_of_another_route_are_no_evidence() -> None:
    speeds = DepthSpeeds([DEPTH, TRADES])
    for _ in range(5):
        speeds.fruitless([TRADES], 0.0)
    assert speeds.wanted == [DEPTH, TRADES]
    refuse(speeds, 2, 0.0)
    for _ in range(5):
        speeds.fruitless([DEPTH], 0.0)
        speeds.fruitless([TRADES], 0.0)
    assert speeds.wanted == [TRADES, SLOWER]
    speeds.fruitless([SLOWER], 0.0)
    speeds.delivered([TRADES])
    speeds.fruitless([SLOWER], 0.0)
    assert DEPTH in speeds.wanted


def test_it_is_asked_for_again_after_a_minute_then_at_twice_as_long_up_to_an_hour() -> None:
    speeds = DepthSpeeds([DEPTH])
    refuse(speeds, 2, 0.0)
    again_s = [0]
    for now_s in range(20_000):
        speeds.tick(now_s)
        if DEPTH in speeds.wanted:
            again_s.append(now_s)
            refuse(speeds, 2, now_s)
    assert [b - a for a, b in itertools.pairwise(again_s)] == [60, 120, 240, 480, 960, 1920] + [3600] * 4


def test_once_it_came_or_the_substitute_was_refused_too_the_waits_are_short_again() -> None:
    for is_refused in (False, True):
        speeds = DepthSpeeds([DEPTH])
        refuse(speeds, 2, 0.0)
        for now_s in range(60, 300):
            speeds.tick(now_s)
            if DEPTH in speeds.wanted:
                refuse(speeds, 2, now_s)
        if is_refused:
            refuse(speeds, 2, 300.0)
        else:
            speeds.heard()
        assert refuse(speeds, 2, 300.0) == [SLOWER]
        speeds.tick(359.0)
        assert speeds.wanted == [SLOWER]
        speeds.tick(360.0)
        assert speeds.wanted == [DEPTH, SLOWER]


def test_who_has_both_configured_is_never_without_the_other() -> None:
    speeds = DepthSpeeds([DEPTH, SLOWER])
    assert speeds.wanted == [DEPTH, SLOWER]
    speeds.stale(DEPTH)
    assert speeds.wanted == [DEPTH, SLOWER]
    assert refuse(speeds, 2, 0.0) == [SLOWER]
    speeds.heard()
    assert speeds.wanted == [DEPTH, SLOWER]
