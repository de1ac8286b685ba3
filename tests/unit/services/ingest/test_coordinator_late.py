"""A connection that delivers later and later, beside one that does not: it is retired, and no row is there twice."""

from collections.abc import Callable

import pytest

from tests.support.running_network import Running, Start, book_ticker, mark_price

STEP_S = 0.5


class Exchange:
    """Sends a message every half second; `delay_s` is how much later each connection has it at a time."""

    def __init__(self, run: Running, message: Callable[[float], bytes], delay_s: Callable[[int, float], float]) -> None:
        self.run = run
        self.message = message
        self.delay_s = delay_s
        self.next_s: dict[int, float] = {}
        self.sent: list[bytes] = []

    def __call__(self, connection: int) -> list[bytes]:
        due: list[bytes] = []
        at_s = self.next_s.setdefault(connection, self.run.now_s)
        while at_s <= self.run.now_s - self.delay_s(connection, self.run.now_s):
            due.append(self.message(at_s))
            at_s += STEP_S
        self.next_s[connection] = at_s
        self.sent += [one for one in due if one not in self.sent]
        return due


def event_of(frame: bytes) -> bytes:
    return frame.partition(b'"data":')[2][:-1]


def grows(connection: int, now_s: float) -> float:
    return min(75.0, now_s / 4) if connection == 2 else 0.0


def jumps(connection: int, now_s: float) -> float:
    return 75.0 if connection == 2 and now_s > 60 else 0.0


MESSAGES = pytest.mark.parametrize(
    ("stream", "message"), [("bookTicker", book_ticker), ("markPrice@1s", mark_price)], ids=["bookticker", "markprice"]
)


@MESSAGES
@pytest.mark.parametrize("delay_s", [grows, jumps])
def test_a_connection_that_falls_behind_doubles_no_row_and_is_replaced(
    start: Start, stream: str, message: Callable[[float], bytes], delay_s: Callable[[int, float], float]
) -> None:
    run = start(stream, connections=2)
    exchange = Exchange(run, message, delay_s)
    run.until(400, exchange)
    assert run.rows == [event_of(one) for one in exchange.sent]
    assert run.gaps == []
    assert sorted(run.open)[0] == 1
    assert 2 not in run.open


def test_it_is_said_to_be_late_while_another_one_takes_its_place(start: Start) -> None:
    run = start("bookTicker", connections=2)
    exchange = Exchange(run, book_ticker, grows)
    states: set[tuple[int, str]] = set()

    def look() -> None:
        states.update((link.connection, link.state) for link in run.coordinator.status(run.now_s).connections)

    run.meanwhile = look
    run.until(400, exchange)
    assert (2, "late") in states
    assert {number for number, state in states if state == "late"} == {2}


def test_nothing_of_a_late_one_is_taken_where_it_is_all_that_is_left_and_that_is_a_gap(start: Start) -> None:
    run = start("markPrice@1s", connections=2)
    exchange = Exchange(run, mark_price, grows)
    run.until(55, exchange)
    run.is_reachable = False
    run.until(65, exchange)
    run.lose(1)
    run.until(80, exchange)
    run.is_reachable = True
    run.until(200, exchange)
    assert len(run.rows) == len(set(run.rows))
    [(reason, from_s, to_s)] = run.gaps
    assert (reason, from_s) == ("disconnected", 65.0)
    assert 80 <= to_s <= 90


def test_two_connections_as_late_as_each_other_are_both_taken(start: Start) -> None:
    run = start("bookTicker", connections=2)
    exchange = Exchange(run, book_ticker, lambda _, now_s: min(75.0, now_s / 4))
    run.until(400, exchange)
    assert run.rows == [event_of(one) for one in exchange.sent]
    assert sorted(run.open) == [1, 2]


def test_the_bound_is_one_of_count_too(start: Start) -> None:
    """Within two seconds one connection is 12,000 messages behind: more than are remembered for sure."""
    run = start("bookTicker", connections=2)
    run.until(5, lambda _: [book_ticker(run.now_s)])
    burst = [book_ticker(run.now_s + 0.1 * number) for number in range(1, 25_000)]
    run.deliver(1, *burst)
    for begin in range(0, len(burst), 1000):
        run.deliver(2, *burst[begin : begin + 1000])
    assert len(run.rows) == len(set(run.rows))
    run.until(60, lambda _: [book_ticker(run.now_s + 5000)])
    assert sorted(run.open) == [1, 3]
    assert run.gaps == []
