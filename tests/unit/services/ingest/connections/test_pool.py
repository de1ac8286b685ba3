"""Make before break: which connections are dialled and closed, and when."""

import itertools
from collections.abc import Callable

from services.ingest.connections.pool import Decision, Dial, Retire, RouteConnections

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


def route(count: int = 1, *, lifetime_s: float = 1000.0, silent_s: float = 60.0) -> RouteConnections:
    numbers = itertools.count(1)
    return RouteConnections(
        "BTCUSDT/public",
        lifetime_s=lifetime_s,
        silent_s=silent_s,
        new_number=lambda: next(numbers),
        delays=[Delay() for _ in range(count)],
    )


def never(_: int, __: int) -> bool:
    return False


def always(_: int, __: int) -> bool:
    return True


def delivering(count: int = 1, **times_s: float) -> RouteConnections:
    """Connections 1 to count, open and delivering since 0 s."""
    links = route(count, **times_s)
    links.tick(0.0, never)
    for number in range(1, count + 1):
        links.opened(number, 0.0)
        links.delivered(number, 0.0)
    return links


def decisions(
    links: RouteConnections, start_s: int, stop_s: int, proven: Callable[[int, int], bool]
) -> list[tuple[int, Decision]]:
    return [(now_s, one) for now_s in range(start_s, stop_s) for one in links.tick(now_s, proven)]


def test_as_many_as_wanted_are_dialled_once() -> None:
    links = route(3)
    assert links.tick(0.0, never) == [Dial(1), Dial(2), Dial(3)]
    assert links.tick(1.0, never) == []


def test_a_lost_connection_is_dialled_again_after_growing_delays() -> None:
    links = route()
    links.tick(0.0, never)
    links.ended(1, 0.0)
    assert decisions(links, 0, 10, never) == [(1, Dial(2))]
    links.ended(2, 10.0)
    assert decisions(links, 10, 20, never) == [(12, Dial(3))]


def test_only_a_connection_that_has_lasted_resets_the_delay() -> None:
    links = route()
    links.tick(0.0, never)
    links.ended(1, 0.0)
    links.tick(1.0, never)
    links.opened(2, 1.0)
    assert links.delivered(2, 1.0) is True
    assert links.delivered(2, 1.0) is False
    links.ended(2, 2.0)
    assert decisions(links, 2, 10, never) == [(4, Dial(3))]
    links.opened(3, 4.0)
    links.delivered(3, 4.0)
    links.ended(3, 3.0 + LASTS_S)
    assert decisions(links, 53, 60, never) == [(56, Dial(4))]
    links.opened(4, 56.0)
    links.ended(4, 56.0 + LASTS_S)  # a quiet route: open for long is enough
    assert decisions(links, 106, 110, never) == [(107, Dial(5))]


def test_a_route_is_trusted_until_a_connection_of_it_ends_that_has_not_lasted() -> None:
    links = route()
    assert links.is_trusted
    links.tick(0.0, never)
    links.opened(1, 0.0)
    links.delivered(1, 0.0)
    links.ended(1, LASTS_S)
    assert links.is_trusted
    links.tick(100.0, never)
    links.ended(2, 100.0)  # the exchange is away, which is no fault of this route
    assert links.is_trusted
    links.tick(200.0, never)
    links.opened(3, 200.0)
    links.delivered(3, 200.0)
    links.ended(3, 201.0)
    assert not links.is_trusted
    links.tick(300.0, never)
    links.opened(4, 300.0)
    links.delivered(4, 300.0)
    links.ended(4, 300.0 + LASTS_S)
    assert links.is_trusted


def test_a_route_whose_first_attempt_failed_is_not_trusted_before_a_connection_has_lasted() -> None:
    links = route()
    links.tick(0.0, never)
    links.ended(1, 0.0)
    assert not links.is_trusted


def test_retry_after_is_honoured() -> None:
    links = route()
    links.tick(0.0, never)
    links.ended(1, 0.0, retry_after_s=30.0)
    assert decisions(links, 0, 40, never) == [(30, Dial(2))]


def test_retry_after_is_honoured_whatever_happens_to_the_connection_that_was_to_be_replaced() -> None:
    links = delivering()
    links.replace("lifetime", 1)
    assert links.tick(1.0, never) == [Dial(2)]
    links.ended(2, 2.0, retry_after_s=60.0)
    links.ended(1, 10.0)
    assert decisions(links, 10, 100, never) == [(62, Dial(3))]


def test_a_connection_is_replaced_before_its_lifetime_is_over_and_closed_after_it_was_proven() -> None:
    links = delivering(lifetime_s=100.0)
    (dialled_s, dial), *rest = decisions(links, 0, 101, always)
    assert 90 <= dialled_s <= 100
    assert dial == Dial(2)
    assert rest == []
    links.opened(2, 101.0)
    assert decisions(links, 101, 110, always) == []
    links.delivered(2, 110.0)
    assert links.tick(110.0, always) == []
    assert links.tick(110.9, always) == []
    assert links.tick(111.0, always) == [Retire(1, "lifetime", proven_by=2)]
    assert [link.number for link in links.links()] == [2]


def test_connections_of_a_route_are_not_replaced_together() -> None:
    links = delivering(2, lifetime_s=10_000.0)
    times_s = [now_s for now_s, _ in decisions(links, 0, 10_001, never)]
    assert len(times_s) == 2
    assert times_s[1] - times_s[0] > 10


def test_an_unproven_successor_takes_over_after_half_a_minute() -> None:
    links = delivering()
    links.replace("stale", 1)
    assert links.tick(5.0, never) == [Dial(2)]
    links.opened(2, 5.0)
    links.delivered(2, 6.0)
    assert decisions(links, 6, 60, never) == [(37, Retire(1, "stale", proven_by=None))]


def test_a_successor_that_delivers_nothing_is_given_up_and_the_old_one_kept() -> None:
    links = delivering(silent_s=20.0)
    links.replace("serverShutdown", 1)
    links.tick(0.0, never)
    links.opened(2, 0.0)
    assert decisions(links, 1, 24, never) == [(21, Retire(2, "silent", proven_by=1)), (22, Dial(3))]
    assert [link.number for link in links.links()] == [1, 3]


def test_a_quiet_route_is_handed_over_in_silence() -> None:
    links = delivering(silent_s=60.0)
    links.replace("lifetime", 1)
    links.tick(0.0, always)
    links.opened(2, 0.0)
    assert decisions(links, 1, 60, always) == [(31, Retire(1, "lifetime", proven_by=2))]


def test_where_the_old_one_ends_first_the_successor_takes_its_place() -> None:
    links = delivering()
    links.replace("serverShutdown", 1)
    links.tick(0.0, never)
    links.ended(1, 1.0)
    links.opened(2, 2.0)
    links.delivered(2, 2.0)
    assert decisions(links, 2, 50, never) == []
    assert [link.number for link in links.links()] == [2]


def test_a_failed_successor_is_tried_again_while_the_old_one_goes_on() -> None:
    links = delivering()
    links.replace("stale", 1)
    links.tick(0.0, never)
    links.ended(2, 0.0)
    assert decisions(links, 0, 5, never) == [(1, Dial(3))]
    assert [link.number for link in links.links()] == [1, 3]


def test_successors_on_their_way_are_given_up_where_others_are_wanted() -> None:
    links = delivering()
    links.replace("stale", 1)
    assert links.tick(0.0, never) == [Dial(2)]
    assert links.replace_all("stale") == [Retire(2, "stale", proven_by=1)]
    assert links.tick(1.0, never) == [Dial(3)]
    assert links.opened(2, 2.0) is False
    assert links.opened(3, 2.0) is True


def test_a_shutdown_that_is_announced_to_a_successor_is_heeded_once_that_has_taken_over() -> None:
    links = delivering()
    links.replace("serverShutdown", 1)
    links.tick(0.0, always)
    links.opened(2, 1.0)
    links.delivered(2, 1.0)
    links.replace("serverShutdown", 2)
    assert decisions(links, 1, 100, always) == [(2, Retire(1, "serverShutdown", proven_by=2)), (32, Dial(3))]


def test_a_shutdown_that_is_announced_to_a_successor_is_heeded_where_the_old_one_ends_first() -> None:
    links = delivering()
    links.replace("stale", 1)
    links.tick(0.0, never)
    links.opened(2, 1.0)
    links.replace("serverShutdown", 2)
    links.ended(1, 2.0)
    assert decisions(links, 2, 10, never) == [(3, Dial(3))]
