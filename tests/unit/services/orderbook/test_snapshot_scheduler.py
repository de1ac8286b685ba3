"""The order of requests for snapshots, and how often each is sent."""

from binance_streamer.wire.requests import AUDIT, SnapshotRequest
from services.orderbook.book.snapshot_pacing import RANGE
from services.orderbook.snapshot_scheduler import MOST_OUTSTANDING, SnapshotScheduler
from tests.support.chance import Chance


def a_scheduler(**activity: float) -> SnapshotScheduler:
    return SnapshotScheduler(retry_s=5, rng=Chance(0.5), activity=lambda symbol: activity.get(symbol, 0.0))


def names(wanted: list[SnapshotRequest]) -> list[str]:
    return [one.symbol for one in wanted]


def test_one_request_is_sent_at_once_and_again_until_it_is_settled() -> None:
    scheduler = a_scheduler()
    scheduler.request(SnapshotRequest("A", 7, "starting"))
    assert scheduler.take_due(0) == [SnapshotRequest("A", 7, "starting")]
    assert scheduler.take_due(4.9) == []
    scheduler.request(SnapshotRequest("A", 9, "gap"))
    assert scheduler.take_due(5) == [SnapshotRequest("A", 9, "gap")]
    scheduler.settle("A")
    assert (scheduler.take_due(100), len(scheduler), scheduler.requested("A")) == ([], 0, None)


def test_few_are_outstanding_and_the_busiest_come_first() -> None:
    symbols = {f"S{number}": float(number) for number in range(500)}
    scheduler = a_scheduler(**symbols)
    for symbol in symbols:
        scheduler.request(SnapshotRequest(symbol, 0, "starting"))
    served = names(scheduler.take_due(0))
    assert served == ["S499", "S498", "S497", "S496"]
    for number in range(1, 497):
        scheduler.settle(served[number - 1])
        served += names(scheduler.take_due(number / 10))
        assert len(set(served)) - number <= MOST_OUTSTANDING
    assert list(dict.fromkeys(served)) == [f"S{number}" for number in range(499, -1, -1)]


def test_who_is_not_served_lets_the_others_pass_and_is_asked_for_again() -> None:
    scheduler = a_scheduler(A=9, B=8, C=7, D=6, E=1)
    for symbol in "ABCDE":
        scheduler.request(SnapshotRequest(symbol, 0, "starting"))
    asked: list[str] = []
    for now_s in range(30):
        asked += names(scheduler.take_due(now_s))
    assert asked[:4] == ["A", "B", "C", "D"]
    assert asked.index("E") == 12
    assert asked.count("A") == 6
    assert asked.count("E") == 3


def asked_for(scheduler: SnapshotScheduler, seconds: int) -> list[str]:
    return [name for now_s in range(seconds) for name in names(scheduler.take_due(now_s))]


def test_an_audit_that_is_not_answered_is_given_up_and_the_others_come() -> None:
    scheduler = a_scheduler()
    for symbol in "ABC":
        scheduler.request(SnapshotRequest(symbol, 1, AUDIT))
    assert asked_for(scheduler, 100) == ["A"] * 3 + ["B"] * 3 + ["C"] * 3
    assert len(scheduler) == 0


def test_books_that_are_never_served_do_not_stop_audits() -> None:
    scheduler = a_scheduler()
    for number in range(MOST_OUTSTANDING + 2):
        scheduler.request(SnapshotRequest(f"never {number}", 0, "starting"))
    asked = asked_for(scheduler, 30)
    for symbol in "AB":
        scheduler.request(SnapshotRequest(symbol, 1, AUDIT))
    asked = [name for now_s in range(30, 200) for name in names(scheduler.take_due(now_s))]
    assert (asked.count("A"), asked.count("B")) == (3, 3)
    assert asked.count("never 0") > 10


def test_a_book_that_breaks_while_it_waits_for_an_audit_is_asked_for_at_once() -> None:
    scheduler = a_scheduler()
    for reason in (AUDIT, RANGE):
        scheduler.request(SnapshotRequest("A", 1, reason))
        assert scheduler.take_due(10) == [SnapshotRequest("A", 1, reason)]
        scheduler.request(SnapshotRequest("A", 2, "gap"))
        assert scheduler.take_due(10.1) == [SnapshotRequest("A", 2, "gap")]
        scheduler.settle("A")


def test_an_audit_waits_until_nobody_waits_for_a_book() -> None:
    scheduler = a_scheduler(A=9, B=9)
    scheduler.request(SnapshotRequest("A", 1, AUDIT))
    scheduler.request(SnapshotRequest("B", 1, AUDIT))
    scheduler.request(SnapshotRequest("C", 1, "gap"))
    assert names(scheduler.take_due(0)) == ["C"]
    scheduler.settle("C")
    assert names(scheduler.take_due(0)) == ["A"]
    assert names(scheduler.take_due(1)) == []
    scheduler.request(SnapshotRequest("C", 5, "gap"))
    assert names(scheduler.take_due(1)) == ["C"]
    scheduler.settle("C")
    scheduler.settle("A")
    assert names(scheduler.take_due(2)) == ["B"]
