"""Which connection has stopped delivering what others bring."""

from collections.abc import Mapping

from services.ingest.streams.stalls import Heard, StalledStream, Stalls

STREAM = "btcusdt@bookTicker"
STALL = StalledStream(STREAM, 2)


def stalls(*told: tuple[float, float, Mapping[int, float]]) -> list[float]:
    """When there is any. Told are the time, that of the newest row, and when each connection delivered last."""
    subject = Stalls()
    return [now_s for now_s, row_s, heard_s in told if subject.check([Heard(STREAM, 60.0, row_s, heard_s)], now_s)]


def test_a_connection_that_misses_for_longer_than_the_patience_what_another_one_brings_has_stalled() -> None:
    found = stalls(*((now_s, now_s, {1: now_s, 2: min(now_s, 10)}) for now_s in range(101)))
    assert found == list(range(72, 101))


def test_one_that_delivers_again_has_not() -> None:
    found = stalls(*((now_s, now_s, {1: now_s, 2: 0 if now_s < 70 else now_s}) for now_s in range(200)))
    assert found == list(range(62, 70))


def test_one_that_never_delivers_it_has_stalled_too() -> None:
    subject = Stalls()
    found = [subject.check([Heard(STREAM, 60.0, now_s, {1: now_s, 2: 0})], now_s) for now_s in range(63)]
    assert found[-1] == {STALL}


def test_a_stream_that_is_quiet_on_all_and_a_single_message_that_one_missed_are_no_stall() -> None:
    assert stalls(*((now_s, 50, {1: 50, 2: 10}) for now_s in range(50, 500))) == []


def test_a_copy_that_is_still_on_its_way_is_no_stall() -> None:
    rare: list[tuple[float, float, Mapping[int, float]]] = []
    for at_s in range(100, 2000, 100):
        rare += [(at_s, at_s, {1: at_s, 2: at_s - 100.0}), (at_s + 1, at_s, {1: at_s, 2: at_s + 0.01})]
        rare += [(float(now_s), at_s, {1: at_s, 2: at_s + 0.01}) for now_s in range(at_s + 2, at_s + 100, 4)]
    assert stalls(*rare) == []


def test_a_process_that_was_stopped_does_not_blame_the_connection_that_it_reads_last() -> None:
    assert stalls((10, 10, {1: 10, 2: 9.9}), (500, 500, {1: 500, 2: 9.9}), (500.2, 500, {1: 500, 2: 500.1})) == []


def test_a_stream_without_patience_never_stalls() -> None:
    subject = Stalls()
    for now_s in range(1000):
        assert not subject.check([Heard("btcusdt@forceOrder", 0.0, now_s, {1: now_s, 2: 0})], now_s)


def test_what_does_not_help_is_asked_for_at_growing_intervals_and_soon_again_after_a_long_rest() -> None:
    subject = Stalls()
    asked_s = [now_s for now_s in range(0, 20_000, 10) if subject.may_ask(STREAM, 60.0, now_s)]
    assert asked_s[:6] == [0, 70, 200, 450, 940, 1910]
    rest_s = asked_s[-1] + 65 * 60 + 10
    assert [now_s for now_s in range(rest_s, rest_s + 100, 10) if subject.may_ask(STREAM, 60.0, now_s)] == [
        rest_s,
        rest_s + 70,
    ]
