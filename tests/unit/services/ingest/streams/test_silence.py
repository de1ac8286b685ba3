"""Silence, judged by the type of the stream."""

import pytest

from binance_streamer.exchange.streams import stream_of
from binance_streamer.wire.frames import WireError
from services.ingest.streams.silence import Liveness
from services.ingest.streams.trading import OffSession, Trading

DEPTH = "btcusdt@depth@0ms"
AGG_TRADE = "btcusdt@aggTrade"
FORCE_ORDER = "btcusdt@forceOrder"
STREAMS = [stream_of("BTCUSDT", suffix) for suffix in ("depth@0ms", "aggTrade", "forceOrder")]


def connected(now_s: float = 0.0) -> Liveness:
    liveness = Liveness(STREAMS, 10.0)
    liveness.opened("public", now_s)
    liveness.opened("market", now_s)
    return liveness


def stale(liveness: Liveness, start_s: int, stop_s: int) -> list[tuple[int, str]]:
    """Which streams are reported when, asked every second."""
    return [(now_s, one.stream.name) for now_s in range(start_s, stop_s) for one in liveness.check(now_s)]


def test_a_busy_stream_is_stale_after_the_timeout_a_traded_one_after_five_times_as_long_a_quiet_one_never() -> None:
    liveness = connected()
    assert stale(liveness, 0, 60)[0] == (11, DEPTH)
    liveness = connected()
    reported = stale(liveness, 0, 2000)
    assert min(now_s for now_s, name in reported if name == AGG_TRADE) == 51
    assert FORCE_ORDER not in {name for _, name in reported}


def test_data_keeps_a_stream_live() -> None:
    liveness = connected()
    for now_s in range(0, 100, 5):
        liveness.heard(DEPTH, now_s)
        liveness.heard(AGG_TRADE, now_s)
        assert liveness.check(now_s) == []
    assert liveness.state(DEPTH) == "live"


def test_a_stream_that_stays_silent_is_reported_at_growing_intervals() -> None:
    liveness = connected()
    assert [now_s for now_s, name in stale(liveness, 0, 160) if name == DEPTH] == [11, 32, 73, 154]
    assert liveness.state(DEPTH) == "stale"


def test_a_stale_stream_that_speaks_is_live_again() -> None:
    liveness = connected()
    stale(liveness, 0, 20)
    assert liveness.heard(DEPTH, 20) is True
    assert liveness.heard(DEPTH, 21) is False
    assert [now_s for now_s, name in stale(liveness, 21, 40) if name == DEPTH] == [32]


def test_without_a_connection_silence_means_nothing() -> None:
    liveness = connected()
    liveness.closed("public")
    assert DEPTH not in {name for _, name in stale(liveness, 0, 100)}
    assert liveness.state(DEPTH) == "waiting"


def test_a_symbol_that_does_not_trade_is_not_nagged() -> None:
    liveness = connected()
    liveness.is_trading = False
    assert stale(liveness, 0, 500) == []


def test_a_symbol_whose_market_is_closed_is_stale_no_more_and_gets_new_patience_when_it_opens() -> None:
    liveness = connected()
    stale(liveness, 0, 20)
    assert liveness.state(DEPTH) == "stale"
    liveness.is_off_session = True
    assert stale(liveness, 20, 500) == []
    assert liveness.state(DEPTH) == "waiting"
    assert liveness.suspicious(500) == []
    liveness.is_off_session = False
    assert [now_s for now_s, name in stale(liveness, 500, 520) if name == DEPTH] == [510]


def test_that_a_symbol_does_not_trade_is_believed_for_as_long_as_it_is_said_again() -> None:
    trading = Trading()
    assert trading.holds(0.0)
    for said_s in (0.0, 60.0, 120.0):
        trading.learn("SETTLING", said_s)
        assert not trading.holds(said_s)
    assert [now_s for now_s in range(120, 430, 60) if not trading.holds(now_s)] == [120, 180, 240, 300, 360, 420]
    assert trading.holds(421.0)
    trading.learn(None, 500.0)
    assert not trading.holds(500.0)
    trading.learn("TRADING", 501.0)
    assert trading.holds(501.0)


def test_hours_that_are_none_are_refused_and_change_nothing() -> None:
    hours = OffSession()
    assert not hours.covers(1500)
    hours.learn([[1000, 2000], [5000, 6000]])
    assert [now_ms for now_ms in (999, 1000, 1999, 2000, 5500) if hours.covers(now_ms)] == [1000, 1999, 5500]
    for wrong in (7, None, [[1000]], [["a", "b"]], [[-1, 5]], [[0, 1 << 60]]):
        with pytest.raises(WireError, match="off_session"):
            hours.learn(wrong)
    assert hours.covers(1500)


def test_a_process_that_was_stopped_does_not_blame_the_exchange() -> None:
    liveness = connected()
    liveness.check(1)
    assert liveness.check(500) == []
    assert liveness.check(501) == []


def test_a_new_connection_is_given_time() -> None:
    liveness = connected()
    stale(liveness, 0, 20)
    liveness.opened("public", 20)
    assert [now_s for now_s, name in stale(liveness, 20, 60) if name == DEPTH] == [41]


def test_trades_that_are_silent_for_very_long_while_depth_moves_are_suspicious() -> None:
    liveness = connected()
    liveness.heard(DEPTH, 99)
    assert liveness.suspicious(99) == []
    assert liveness.suspicious(101) == [AGG_TRADE]
    liveness.heard(AGG_TRADE, 102)
    assert liveness.suspicious(103) == []


def test_a_connection_that_comes_and_goes_does_not_hide_that_the_others_are_silent() -> None:
    liveness = connected()
    reported = []
    for now_s in range(40):
        if now_s % 8 == 0:
            liveness.opened("public", now_s)
        reported += [(now_s, one.stream.name) for one in liveness.check(now_s)]
    assert reported == [(11, DEPTH)]
