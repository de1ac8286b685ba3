"""Make before break: which connections are dialled and closed, and when."""

import itertools
from collections.abc import Callable

from services.ingest.connections.pool import ConnectionState, Decision, Dial, Retire, RouteConnections

LASTS_S = 50.0


class Delay:
    """A second more after each failure; forgets them after what has lasted."""

    def __init__(self) -> None:
        self.count = 0

    def has_lasted(self, lasted_s: float) -> bool:
        return lasted_s >= LASTS_S

    def next_delay_s(self, lasted_s: float) -> float:
        self.count = 1 if self.has_lasted(lasted_s) else self.count + 1
        return float(self.count)


def connections_of(count: int = 1, *, lifetime_s: float = 1000.0, silent_s: float = 60.0) -> RouteConnections:
    numbers = itertools.count(1)
    return RouteConnections(
        "BTCUSDT/public",
        lifetime_s=lifetime_s,
        silent_s=silent_s,
        new_connection=lambda ordinal: ConnectionState(next(numbers), ordinal),
        delays=[Delay() for _ in range(count)],
    )


def never(_: int, __: int) -> bool:
    return False


def always(_: int, __: int) -> bool:
    return True


def on_opened(route: RouteConnections, number: int, now_s: float) -> None:
    """The connection is open, as the network notes it."""
    next(one for one in route.connections() if one.number == number).opened_s = now_s


def on_first_message(route: RouteConnections, number: int, now_s: float) -> None:
    """Its first message has come."""
    next(one for one in route.connections() if one.number == number).delivering_s = now_s


def replace(route: RouteConnections, reason: str, *numbers: int) -> None:
    """A successor of these is wanted."""
    for one in route.connections():
        if one.number in numbers:
            one.replace_reason = one.replace_reason or reason


def delivering(count: int = 1, **times_s: float) -> RouteConnections:
    """Connections 1 to count, open and delivering since 0 s."""
    route = connections_of(count, **times_s)
    route.tick(0.0, never)
    for number in range(1, count + 1):
        on_opened(route, number, 0.0)
        on_first_message(route, number, 0.0)
    return route


def decisions(
    route: RouteConnections, start_s: int, stop_s: int, proven: Callable[[int, int], bool]
) -> list[tuple[int, Decision]]:
    return [(now_s, one) for now_s in range(start_s, stop_s) for one in route.tick(now_s, proven)]


def test_as_many_as_wanted_are_dialled_once() -> None:
    route = connections_of(3)
    assert route.tick(0.0, never) == [Dial(1), Dial(2), Dial(3)]
    assert route.tick(1.0, never) == []


def test_a_lost_connection_is_dialled_again_after_growing_delays() -> None:
    route = connections_of()
    route.tick(0.0, never)
    route.on_ended(1, 0.0)
    assert decisions(route, 0, 10, never) == [(1, Dial(2))]
    route.on_ended(2, 10.0)
    assert decisions(route, 10, 20, never) == [(12, Dial(3))]


def test_only_a_connection_that_has_lasted_resets_the_delay() -> None:
    route = connections_of()
    route.tick(0.0, never)
    route.on_ended(1, 0.0)
    route.tick(1.0, never)
    on_opened(route, 2, 1.0)
    on_first_message(route, 2, 1.0)
    route.on_ended(2, 2.0)
    assert decisions(route, 2, 10, never) == [(4, Dial(3))]
    on_opened(route, 3, 4.0)
    on_first_message(route, 3, 4.0)
    route.on_ended(3, 3.0 + LASTS_S)
    assert decisions(route, 53, 60, never) == [(56, Dial(4))]
    on_opened(route, 4, 56.0)
    route.on_ended(4, 56.0 + LASTS_S)  # a quiet route: open for long is enough
    assert decisions(route, 106, 110, never) == [(107, Dial(5))]


def test_a_route_is_trusted_until_a_connection_of_it_ends_that_has_not_lasted() -> None:
    route = connections_of()
    assert route.is_trusted
    route.tick(0.0, never)
    on_opened(route, 1, 0.0)
    on_first_message(route, 1, 0.0)
    route.on_ended(1, LASTS_S)
    assert route.is_trusted
    route.tick(100.0, never)
    route.on_ended(2, 100.0)  # the exchange is away, which is no fault of this route
    assert route.is_trusted
    route.tick(200.0, never)
    on_opened(route, 3, 200.0)
    on_first_message(route, 3, 200.0)
    route.on_ended(3, 201.0)
    assert not route.is_trusted
    route.tick(300.0, never)
    on_opened(route, 4, 300.0)
    on_first_message(route, 4, 300.0)
    route.on_ended(4, 300.0 + LASTS_S)
    assert route.is_trusted


def test_a_route_whose_first_attempt_failed_is_not_trusted_before_a_connection_has_lasted() -> None:
    route = connections_of()
    route.tick(0.0, never)
    route.on_ended(1, 0.0)
    assert not route.is_trusted


def test_retry_after_is_honoured() -> None:
    route = connections_of()
    route.tick(0.0, never)
    route.on_ended(1, 0.0, retry_after_s=30.0)
    assert decisions(route, 0, 40, never) == [(30, Dial(2))]


def test_retry_after_is_honoured_whatever_happens_to_the_connection_that_was_to_be_replaced() -> None:
    route = delivering()
    replace(route, "lifetime", 1)
    assert route.tick(1.0, never) == [Dial(2)]
    route.on_ended(2, 2.0, retry_after_s=60.0)
    route.on_ended(1, 10.0)
    assert decisions(route, 10, 100, never) == [(62, Dial(3))]


def test_a_connection_is_replaced_before_its_lifetime_is_over_and_closed_after_it_was_proven() -> None:
    route = delivering(lifetime_s=100.0)
    (dialled_s, dial), *rest = decisions(route, 0, 101, always)
    assert 90 <= dialled_s <= 100
    assert dial == Dial(2)
    assert rest == []
    on_opened(route, 2, 101.0)
    assert decisions(route, 101, 110, always) == []
    on_first_message(route, 2, 110.0)
    assert route.tick(110.0, always) == []
    assert route.tick(110.9, always) == []
    assert route.tick(111.0, always) == [Retire(1, "lifetime", proven_by=2)]
    assert [link.number for link in route.connections()] == [2]


def test_connections_of_a_route_are_not_replaced_together() -> None:
    route = delivering(2, lifetime_s=10_000.0)
    times_s = [now_s for now_s, _ in decisions(route, 0, 10_001, never)]
    assert len(times_s) == 2
    assert times_s[1] - times_s[0] > 10


def test_an_unproven_successor_takes_over_after_half_a_minute() -> None:
    route = delivering()
    replace(route, "stale", 1)
    assert route.tick(5.0, never) == [Dial(2)]
    on_opened(route, 2, 5.0)
    on_first_message(route, 2, 6.0)
    assert decisions(route, 6, 60, never) == [(37, Retire(1, "stale", proven_by=None))]


def test_a_successor_that_delivers_nothing_is_given_up_and_the_old_one_kept() -> None:
    route = delivering(silent_s=20.0)
    replace(route, "serverShutdown", 1)
    route.tick(0.0, never)
    on_opened(route, 2, 0.0)
    assert decisions(route, 1, 24, never) == [(21, Retire(2, "silent", proven_by=1)), (22, Dial(3))]
    assert [link.number for link in route.connections()] == [1, 3]


def test_a_quiet_route_is_handed_over_in_silence() -> None:
    route = delivering(silent_s=60.0)
    replace(route, "lifetime", 1)
    route.tick(0.0, always)
    on_opened(route, 2, 0.0)
    assert decisions(route, 1, 60, always) == [(31, Retire(1, "lifetime", proven_by=2))]


def test_where_the_old_one_ends_first_the_successor_takes_its_place() -> None:
    route = delivering()
    replace(route, "serverShutdown", 1)
    route.tick(0.0, never)
    route.on_ended(1, 1.0)
    on_opened(route, 2, 2.0)
    on_first_message(route, 2, 2.0)
    assert decisions(route, 2, 50, never) == []
    assert [link.number for link in route.connections()] == [2]


def test_a_failed_successor_is_tried_again_while_the_old_one_goes_on() -> None:
    route = delivering()
    replace(route, "stale", 1)
    route.tick(0.0, never)
    route.on_ended(2, 0.0)
    assert decisions(route, 0, 5, never) == [(1, Dial(3))]
    assert [link.number for link in route.connections()] == [1, 3]


def test_successors_on_their_way_are_given_up_where_others_are_wanted() -> None:
    route = delivering()
    replace(route, "stale", 1)
    assert route.tick(0.0, never) == [Dial(2)]
    assert route.replace_all("stale") == [Retire(2, "stale", proven_by=1)]
    assert route.tick(1.0, never) == [Dial(3)]
    assert [one.number for one in route.connections()] == [1, 3]


def test_a_shutdown_that_is_announced_to_a_successor_is_heeded_once_that_has_taken_over() -> None:
    route = delivering()
    replace(route, "serverShutdown", 1)
    route.tick(0.0, always)
    on_opened(route, 2, 1.0)
    on_first_message(route, 2, 1.0)
    replace(route, "serverShutdown", 2)
    assert decisions(route, 1, 100, always) == [(2, Retire(1, "serverShutdown", proven_by=2)), (32, Dial(3))]


def test_a_shutdown_that_is_announced_to_a_successor_is_heeded_where_the_old_one_ends_first() -> None:
    route = delivering()
    replace(route, "stale", 1)
    route.tick(0.0, never)
    on_opened(route, 2, 1.0)
    replace(route, "serverShutdown", 2)
    route.on_ended(1, 2.0)
    assert decisions(route, 2, 10, never) == [(3, Dial(3))]
