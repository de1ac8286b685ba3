"""Silence of a stream over all connections, and of one connection beside others."""

from collections.abc import Mapping

from binance_streamer.exchange.streams import stream_of
from services.ingest.streams.heard import Heard, HeardTable, StreamFault

DEPTH = "btcusdt@depth@0ms"
AGG_TRADE = "btcusdt@aggTrade"
FORCE_ORDER = "btcusdt@forceOrder"
STREAMS = [stream_of("BTCUSDT", suffix) for suffix in ("depth@0ms", "aggTrade", "forceOrder")]
PUBLIC, MARKET = 1, 2
"""A connection of each route."""


class Table:
    """The table, and what is written into it."""

    def __init__(self, stale_timeout_s: float = 10.0) -> None:
        self.table = HeardTable(stale_timeout_s)
        self.heard = {one.name: Heard() for one in STREAMS}
        for one in STREAMS:
            self.table.add(one, self.heard[one.name])
        self.is_expected = True

    def row(self, name: str, at_s: float) -> None:
        """A row of the stream comes."""
        self.heard[name].row_s = at_s

    def stale(self, start_s: int, stop_s: int) -> list[tuple[int, str]]:
        """When which streams are reported, asked every second."""
        return [(now_s, name) for now_s in range(start_s, stop_s) for name in self.stale_at(now_s)]

    def stale_at(self, now_s: float) -> list[str]:
        """The streams that are reported now."""
        return [one.stream.name for one in self.table.check(now_s, is_expected=lambda _: self.is_expected).stale]


def connected() -> Table:
    subject = Table()
    subject.table.open(PUBLIC, "public", 0.0)
    subject.table.open(MARKET, "market", 0.0)
    return subject


def test_a_busy_stream_is_stale_after_the_timeout_a_traded_one_after_five_times_as_long_a_quiet_one_never() -> None:
    subject = connected()
    assert subject.stale(0, 60)[0] == (11, DEPTH)
    subject = connected()
    reported = subject.stale(0, 2000)
    assert min(now_s for now_s, name in reported if name == AGG_TRADE) == 51
    assert FORCE_ORDER not in {name for _, name in reported}


def test_data_keeps_a_stream_live() -> None:
    subject = connected()
    for now_s in range(0, 100, 5):
        subject.row(DEPTH, now_s)
        subject.row(AGG_TRADE, now_s)
        assert subject.stale_at(now_s) == []
    assert subject.table.state(DEPTH) == "live"


def test_a_stream_that_stays_silent_is_reported_at_growing_intervals() -> None:
    subject = connected()
    assert [now_s for now_s, name in subject.stale(0, 160) if name == DEPTH] == [11, 32, 73, 154]
    assert subject.table.state(DEPTH) == "stale"


def test_a_stale_stream_that_speaks_is_live_again() -> None:
    subject = connected()
    subject.stale(0, 20)
    subject.row(DEPTH, 20)
    assert subject.table.check(20, is_expected=lambda _: True).revived == [DEPTH]
    subject.row(DEPTH, 21)
    assert subject.table.check(21, is_expected=lambda _: True).revived == []
    assert subject.table.state(DEPTH) == "live"
    assert [now_s for now_s, name in subject.stale(21, 40) if name == DEPTH] == [32]


def test_without_a_connection_silence_means_nothing() -> None:
    subject = connected()
    subject.table.close(PUBLIC)
    assert DEPTH not in {name for _, name in subject.stale(0, 100)}
    assert subject.table.state(DEPTH) == "waiting"


def test_a_symbol_that_does_not_trade_is_not_nagged() -> None:
    subject = connected()
    subject.is_expected = False
    assert subject.stale(0, 500) == []


def test_a_symbol_whose_market_is_closed_is_stale_no_more_and_gets_new_patience_when_it_opens() -> None:
    subject = connected()
    subject.stale(0, 20)
    assert subject.table.state(DEPTH) == "stale"
    subject.is_expected = False
    assert subject.stale(20, 500) == []
    assert subject.table.state(DEPTH) == "waiting"
    assert subject.table.suspicious(500, is_expected=lambda _: False) == []
    subject.is_expected = True
    assert [now_s for now_s, name in subject.stale(500, 520) if name == DEPTH] == [510]


def test_a_process_that_was_stopped_does_not_blame_the_exchange() -> None:
    subject = connected()
    subject.stale_at(1)
    assert subject.stale_at(500) == []
    assert subject.stale_at(501) == []


def test_a_new_connection_is_given_time() -> None:
    subject = connected()
    subject.stale(0, 20)
    subject.table.open(3, "public", 20)
    assert [now_s for now_s, name in subject.stale(20, 60) if name == DEPTH] == [41]


def test_trades_that_are_silent_for_very_long_while_depth_moves_are_suspicious() -> None:
    subject = connected()
    subject.row(DEPTH, 99)
    subject.stale_at(99)
    assert subject.table.suspicious(99, is_expected=lambda _: True) == []
    assert subject.table.suspicious(101, is_expected=lambda _: True) == [AGG_TRADE]
    subject.row(AGG_TRADE, 102)
    subject.stale_at(103)
    assert subject.table.suspicious(103, is_expected=lambda _: True) == []


def test_a_connection_that_comes_and_goes_does_not_hide_that_the_others_are_silent() -> None:
    subject = connected()
    reported = []
    for now_s in range(40):
        if now_s % 8 == 0:
            subject.table.open(3, "public", now_s)
        reported += [(now_s, name) for name in subject.stale_at(now_s)]
    assert reported == [(11, DEPTH)]


def test_a_row_that_is_released_by_the_end_of_the_last_connection_makes_nothing_live() -> None:
    subject = connected()
    subject.row(DEPTH, 5.0)
    subject.table.close(PUBLIC)
    assert DEPTH not in {name for _, name in subject.stale(5, 100)}
    assert (subject.table.state(DEPTH), subject.table.silent_s(DEPTH, 100)) == ("waiting", None)


Told = tuple[float, float, Mapping[int, float]]
"""The time, that of the newest row, and when each connection delivered last."""


def beside(name: str = DEPTH, stale_timeout_s: float = 60.0) -> Table:
    subject = Table(stale_timeout_s)
    route = next(one.route for one in STREAMS if one.name == name)
    subject.table.open(1, route, 0.0)
    subject.table.open(2, route, 0.0)
    return subject


def stalled_at(subject: Table, told: Told, name: str = DEPTH) -> set[StreamFault]:
    now_s, row_s, heard_s = told
    subject.row(name, row_s)
    subject.heard[name].by_connection.update(heard_s)
    return subject.table.check(now_s, is_expected=lambda _: True).stalled


def stalls(*told: Told) -> list[float]:
    """When there is any."""
    subject = beside()
    return [one[0] for one in told if stalled_at(subject, one)]


def test_a_connection_that_misses_for_longer_than_the_patience_what_another_one_brings_has_stalled() -> None:
    found = stalls(*((now_s, now_s, {1: now_s, 2: min(now_s, 10)}) for now_s in range(101)))
    assert found == list(range(72, 101))


def test_one_that_delivers_again_has_not() -> None:
    found = stalls(*((now_s, now_s, {1: now_s, 2: 0 if now_s < 70 else now_s}) for now_s in range(200)))
    assert found == list(range(62, 70))


def test_one_that_never_delivers_it_has_stalled_too() -> None:
    subject = beside()
    found = [stalled_at(subject, (now_s, now_s, {1: now_s})) for now_s in range(63)]
    assert found[-1] == {StreamFault("stalled", DEPTH, 2)}


def test_a_stream_that_is_quiet_on_all_and_a_single_message_that_one_missed_are_no_stall() -> None:
    assert stalls(*((now_s, 50, {1: 50, 2: 10}) for now_s in range(50, 500))) == []


def test_a_copy_that_is_still_on_its_way_is_no_stall() -> None:
    rare: list[Told] = []
    for at_s in range(100, 2000, 100):
        rare += [
            (at_s, at_s, {1: at_s, 2: at_s - 100.0}),
            (at_s + 1, at_s, {1: at_s, 2: at_s + 0.01}),
        ]
        rare += [(float(now_s), at_s, {1: at_s, 2: at_s + 0.01}) for now_s in range(at_s + 2, at_s + 100, 4)]
    assert stalls(*rare) == []


def test_a_process_that_was_stopped_does_not_blame_the_connection_that_it_reads_last() -> None:
    assert (
        stalls(
            (10, 10, {1: 10, 2: 9.9}),
            (500, 500, {1: 500, 2: 9.9}),
            (500.2, 500, {1: 500, 2: 500.1}),
        )
        == []
    )


def test_a_stream_without_patience_never_stalls() -> None:
    subject = beside(FORCE_ORDER)
    for now_s in range(1000):
        assert not stalled_at(subject, (now_s, now_s, {1: now_s}), FORCE_ORDER)


def test_what_does_not_help_is_asked_for_at_growing_intervals_and_soon_again_after_a_long_rest() -> None:
    subject = beside()
    asked_s = [now_s for now_s in range(0, 20_000, 10) if subject.table.claim_replacement(DEPTH, now_s)]
    assert asked_s[:6] == [0, 70, 200, 450, 940, 1910]
    rest_s = asked_s[-1] + 65 * 60 + 10
    assert [now_s for now_s in range(rest_s, rest_s + 100, 10) if subject.table.claim_replacement(DEPTH, now_s)] == [
        rest_s,
        rest_s + 70,
    ]
