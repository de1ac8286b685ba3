"""What becomes of connections and streams together, over hours: the reader and the dialler are the test."""

import itertools

import pytest

from services.ingest.connections.dialler import Need
from services.ingest.connections.events import Failed
from tests.support.running_network import Start, book_ticker, force_order, mark_price

ACK = b'{"result":null,"id":1}'


def test_a_connection_that_goes_silent_beside_another_one_is_replaced_without_a_gap(start: Start) -> None:
    run = start("bookTicker", connections=2)
    run.until(300, lambda one: [book_ticker(run.now_s)] if one != 2 or run.now_s < 10 else [])
    assert list(run.dialled) == [1, 2, 3]
    assert 70 < run.dialled[3] < 72
    assert sorted(run.open) == [1, 3]
    assert run.gaps == []


def test_a_connection_that_stalls_is_shown_as_such_until_it_is_replaced(start: Start) -> None:
    run = start("bookTicker", connections=2)

    def states(until_s: float) -> list[str]:
        run.until(until_s, lambda one: [book_ticker(run.now_s)] if one != 2 or run.now_s < 10 else [])
        return [link.state for link in run.coordinator.status(run.now_s).connections]

    assert states(60) == ["delivering", "delivering"]
    assert states(71.5)[:2] == ["delivering", "stalled"]
    assert states(200) == ["delivering", "delivering"]


def test_what_only_the_silent_one_was_there_for_is_a_gap_as_soon_as_there_is_a_row(start: Start) -> None:
    run = start("bookTicker", connections=2)
    run.until(20, lambda one: [book_ticker(run.now_s)] if one != 2 or run.now_s < 10 else [])
    run.is_reachable = False
    run.until(100, lambda one: [book_ticker(run.now_s)] if one != 2 else [])
    run.lose(1)
    run.until(103)
    run.is_reachable = True
    run.until(107, lambda one: [book_ticker(run.now_s)] if one != 2 else [])
    last_s = run.gaps[0][2]
    assert 103 < last_s < 106
    assert run.gaps == [("disconnected", 100.0, last_s)]
    run.until(200, lambda one: [book_ticker(run.now_s)])
    assert len(run.gaps) == 1


def test_a_silent_connection_does_not_answer_for_quiet_streams(start: Start) -> None:
    """The forced order of second 5 came over both; those that came while nobody listened may be missing."""
    run = start("markPrice@1s", "forceOrder", connections=2)
    orders = {5.0, 110.0}

    def exchange(_: int) -> list[bytes]:
        return [mark_price(run.now_s), *([force_order(run.now_s)] if run.now_s in orders else [])]

    run.until(20, lambda one: exchange(one) if one != 2 or run.now_s < 10 else [])
    run.is_reachable = False
    run.until(100, lambda one: exchange(one) if one != 2 else [])
    run.lose(1)
    run.until(103)
    run.is_reachable = True
    run.until(111, lambda one: exchange(one) if one != 2 else [])
    assert ("disconnected", 5.0, 110.0) in run.gaps


def test_an_exchange_that_is_away_before_the_first_row_of_a_stream_is_a_gap(start: Start) -> None:
    """From the start on, and again before a quiet stream has had its first row; a normal start is none."""
    run = start("markPrice@1s", "forceOrder")
    run.is_reachable = False
    run.until(120)
    assert run.gaps == []
    run.is_reachable = True
    run.until(150, lambda _: [mark_price(run.now_s)])
    assert run.gaps == [("not connected yet", 0.0, 120.5), ("not connected yet", 0.0, 120.5)]
    run.lose(next(iter(run.open)))
    run.is_reachable = False
    run.until(190)
    run.is_reachable = True
    run.until(260, lambda _: [mark_price(run.now_s)])
    assert len(run.gaps) == 4
    for reason, from_s, to_s in run.gaps[2:]:
        assert (reason, from_s) == ("disconnected", 150.0)
        assert 190 < to_s < 260


def test_where_no_replacement_helps_few_are_asked_for(start: Start) -> None:
    run = start("bookTicker", "markPrice@1s", connections=2)
    run.until(3600, lambda one: [book_ticker(run.now_s)] if run.open[one] == "public" and one == 1 else [])
    public = [number for number, route, _ in run.line.asked if route == "public"]
    assert 5 <= len(public) - 2 <= 8
    assert run.gaps == []
    assert 1 in run.open


def test_a_planned_replacement_of_a_quiet_route_is_no_gap(start: Start) -> None:
    run = start("forceOrder", connections=1, connection_lifetime=1000)
    orders = {1.0, 1500.0}
    run.until(1600, lambda _: [force_order(run.now_s)] if run.now_s in orders else [])
    assert list(run.open) == [2]
    assert run.gaps == []


def test_a_successor_that_ends_before_the_one_that_it_replaced_proves_nothing(start: Start) -> None:
    run = start("forceOrder", connections=1, connection_lifetime=1000)
    orders = {1.0, 1500.0}

    def lose_the_successor() -> None:
        if run.line.closed and 2 in run.open:
            run.lose(2)

    run.meanwhile = lose_the_successor
    run.until(1600, lambda _: [force_order(run.now_s)] if run.now_s in orders else [])
    assert list(run.open) == [3]
    assert run.gaps == [("disconnected", 1.0, 1500.0)]


@pytest.mark.parametrize(
    ("status", "shortest_s", "most_attempts"), [(403, 0, 60), (451, 0, 60), (429, 60, 60), (418, 120, 60)]
)
def test_an_address_that_is_refused_stays_away_for_longer_and_longer(
    start: Start, status: int, shortest_s: float, most_attempts: int
) -> None:
    run = start("forceOrder", connections=1, reconnect_delay=1, reconnect_delay_max=1)
    run.answer = lambda number: Failed(number, "http: refused", 0.0, status)
    run.until(4 * 3600)
    times_s = list(run.dialled.values())
    assert 5 < len(times_s) < most_attempts
    assert min(b - a for a, b in itertools.pairwise(times_s)) >= shortest_s


def test_an_exchange_that_closes_after_the_first_message_is_left_alone_for_longer_and_longer(start: Start) -> None:
    run = start("bookTicker", connections=1, reconnect_delay=5, reconnect_delay_max=60)

    def close_those_that_have_delivered() -> None:
        for connection in list(run.open):
            run.deliver(connection, book_ticker(run.now_s))
            run.lose(connection)

    run.meanwhile = close_those_that_have_delivered
    run.until(1200)
    close_those_that_have_delivered()  # one may have been opened in the last half second
    assert 20 < len(run.dialled) < 80
    assert run.coordinator.network._need_of("public") == Need.DOUBTFUL


def test_refusals_are_forgotten_only_after_a_connection_has_lasted(start: Start) -> None:
    run = start("bookTicker", connections=1, reconnect_delay=1, reconnect_delay_max=10)
    opens = run.answer
    run.answer = lambda number: Failed(number, "http: refused", 0.0, 403) if number % 2 else opens(number)

    def close_all() -> None:
        for connection in list(run.open):
            run.lose(connection)

    run.meanwhile = close_all
    run.until(4 * 3600)
    assert 10 < len(run.dialled) < 120


def test_an_acknowledgement_does_not_make_a_successor_one_that_delivers(start: Start) -> None:
    run = start("bookTicker", connections=1, connection_lifetime=1000)
    run.until(1040, lambda one: [book_ticker(run.now_s) if one == 1 else ACK])
    assert 1 in run.open
    states = [link.state for link in run.coordinator.status(run.now_s).connections]
    assert states == ["delivering", "open"]
