"""Who gets the next snapshot."""

from binance_streamer.wire.requests import SnapshotRequest
from services.rest.schedule.snapshot_queue import DAY_MS, MAX_WAITING, SnapshotQueue

NOON_MS = 20_000 * DAY_MS + DAY_MS // 2
HOUR_S = 3600.0
HOUR_MS = 3_600_000


def a_queue(*periodic: str) -> SnapshotQueue:
    queue = SnapshotQueue(periodic, interval_s=HOUR_S, retry_s=5)
    queue.start({}, NOON_MS)
    return queue


def due(queue: SnapshotQueue, now_s: float, now_ms: int) -> SnapshotRequest | None:
    return queue.next_asked(now_s) or queue.next_periodic(now_s, now_ms) or queue.next_audit(now_s)


def next_of(queue: SnapshotQueue, now_s: float, now_ms: int = NOON_MS) -> str | None:
    wanted = due(queue, now_s, now_ms)
    return wanted.symbol if wanted else None


def answered(queue: SnapshotQueue, symbol: str, last_update_id: int, now_s: float, now_ms: int = NOON_MS) -> None:
    queue.note_recorded(SnapshotRequest(symbol, 0, ""), last_update_id, now_s, now_ms)


def test_nothing_is_asked_for_before_somebody_wants_it() -> None:
    assert next_of(a_queue("A"), 0.0) is None


def test_requests_come_in_the_order_in_which_they_were_first_made() -> None:
    queue = a_queue()
    for symbol in ("B", "A", "B", "C"):
        assert queue.try_add(SnapshotRequest(symbol, 1, "sequence"), 0.0)
    order = []
    while wanted := due(queue, 1.0, NOON_MS):
        order.append(wanted.symbol)
        answered(queue, wanted.symbol, 9, 1.0)
    assert order == ["B", "A", "C"]


def test_what_books_wait_for_comes_before_what_workers_ask_for() -> None:
    queue = a_queue()
    for symbol, producer in (("A", "ingest-all-0"), ("B", "ingest-all-0"), ("C", "orderbook"), ("B", "orderbook")):
        queue.try_add(SnapshotRequest(symbol, 1, "connected", producer), 0.0)
    queue.try_add(SnapshotRequest("B", 2, "connected", "ingest-all-0"), 0.0)
    order = []
    while wanted := due(queue, 1.0, NOON_MS):
        order.append(wanted.symbol)
        answered(queue, wanted.symbol, 9, 1.0)
    assert order == ["B", "C", "A"]


def test_symbols_that_come_and_go_have_their_turns() -> None:
    queue = SnapshotQueue(("A", "B"), interval_s=HOUR_S, retry_s=5)
    queue.start({"A": NOON_MS, "B": NOON_MS}, NOON_MS)
    queue.stretch(1000.0)
    later_ms = NOON_MS + HOUR_MS
    queue.follow(("B", "C", "D", "E"), later_ms)
    assert queue.taken_ms == {"B": NOON_MS, "C": later_ms, "D": later_ms, "E": later_ms}
    assert queue.interval_s == 4000
    assert next_of(queue, 3600.0, later_ms) == "B"


def test_requests_for_a_symbol_are_one_with_the_highest_need() -> None:
    queue = a_queue()
    queue.try_add(SnapshotRequest("A", 7, "sequence"), 0.0)
    queue.try_add(SnapshotRequest("A", 5, "restart"), 1.0)
    assert due(queue, 1.0, NOON_MS) == SnapshotRequest("A", 7, "sequence")
    assert len(queue) == 1


def test_a_fresh_snapshot_satisfies_and_an_old_one_was_not_seen() -> None:
    queue = a_queue()
    answered(queue, "A", 100, 10.0)
    assert queue.try_add(SnapshotRequest("A", 100, "sequence"), 19.0)
    assert next_of(queue, 19.0) is None
    queue.try_add(SnapshotRequest("A", 100, "sequence"), 20.0)
    assert next_of(queue, 20.0) == "A"


def test_a_fresh_snapshot_that_is_too_old_in_ids_does_not_satisfy() -> None:
    queue = a_queue()
    answered(queue, "A", 100, 10.0)
    queue.try_add(SnapshotRequest("A", 101, "sequence"), 11.0)
    assert next_of(queue, 11.0) == "A"


def test_a_request_made_while_its_snapshot_is_under_way_is_satisfied_by_it() -> None:
    queue = a_queue()
    queue.try_add(SnapshotRequest("A", 50, "sequence"), 0.0)
    queue.try_add(SnapshotRequest("A", 60, "sequence"), 1.0)
    answered(queue, "A", 60, 2.0)
    assert len(queue) == 0


def test_a_snapshot_too_old_is_asked_for_again_later_and_others_come_first() -> None:
    queue = a_queue()
    queue.try_add(SnapshotRequest("A", 100, "sequence"), 0.0)
    queue.try_add(SnapshotRequest("B", 1, "sequence"), 0.0)
    answered(queue, "A", 99, 1.0)
    assert next_of(queue, 1.0) == "B"
    answered(queue, "B", 5, 2.0)
    assert next_of(queue, 5.9) is None
    assert next_of(queue, 6.0) == "A"


def test_an_impossible_need_costs_less_and_less_and_ends_with_its_asker() -> None:
    queue = a_queue()
    asked_at = []
    for second in range(600):
        if second % 5 == 0 and second < 300:
            queue.try_add(SnapshotRequest("A", 1 << 60, "sequence"), float(second))
        if next_of(queue, float(second)):
            asked_at.append(second)
            answered(queue, "A", 1, float(second))
    assert asked_at == [0, 5, 15, 35, 75, 135, 195, 255, 315, 375]
    assert len(queue) == 0


def test_a_refused_symbol_is_left_alone_for_a_while() -> None:
    queue = a_queue()
    queue.try_add(SnapshotRequest("A", 1, "sequence"), 0.0)
    wanted = due(queue, 0.0, NOON_MS)
    assert wanted
    queue.note_refusal(wanted, 0.0, NOON_MS)
    queue.try_add(SnapshotRequest("A", 1, "sequence"), 1.0)
    assert next_of(queue, 4.9) is None
    assert next_of(queue, 5.0) == "A"


def test_after_a_failure_others_come_first() -> None:
    queue = a_queue()
    queue.try_add(SnapshotRequest("A", 1, "sequence"), 0.0)
    queue.try_add(SnapshotRequest("B", 1, "sequence"), 0.0)
    wanted = due(queue, 0.0, NOON_MS)
    assert wanted
    queue.note_failure(wanted, 0.0)
    queue.try_add(SnapshotRequest("A", 1, "sequence"), 1.0)
    assert next_of(queue, 1.0) == "B"
    answered(queue, "B", 9, 1.0)
    assert next_of(queue, 4.9) is None, "repeating a request does not bring it forward"
    assert next_of(queue, 5.0) == "A"


def test_a_symbol_that_always_fails_is_asked_for_once_a_minute_at_last() -> None:
    queue = a_queue()
    asked_at = []
    for second in range(300):
        if second % 5 == 0:
            queue.try_add(SnapshotRequest("A", 1, "sequence"), float(second))
        if wanted := due(queue, float(second), NOON_MS):
            asked_at.append(second)
            queue.note_failure(wanted, float(second))
    assert asked_at == [0, 5, 15, 35, 75, 135, 195, 255]


def test_a_flood_of_symbols_is_bounded() -> None:
    queue = a_queue()
    taken = [queue.try_add(SnapshotRequest(f"S{number}", 1, "sequence"), 0.0) for number in range(MAX_WAITING + 5)]
    assert taken.count(True) == len(queue) == MAX_WAITING
    assert queue.try_add(SnapshotRequest("S0", 2, "sequence"), 1.0)


def test_periodic_snapshots_spread_over_the_interval() -> None:
    queue = a_queue("A", "B", "C", "D")
    due_at_minute = []
    for minute in range(1, 121):
        now_ms = NOON_MS + minute * 60_000
        while symbol := next_of(queue, minute * 60.0, now_ms):
            due_at_minute.append((minute, symbol))
            answered(queue, symbol, minute, minute * 60.0, now_ms)
    assert due_at_minute == [
        (15, "B"), (30, "C"), (45, "D"), (60, "A"), (75, "B"), (90, "C"), (105, "D"), (120, "A"),
    ]  # fmt: skip


def test_after_midnight_every_symbol_is_due_at_once() -> None:
    queue = a_queue("A", "B", "C")
    before_ms, midnight_ms = 20_001 * DAY_MS - 1000, 20_001 * DAY_MS
    for symbol in ("A", "B", "C"):
        answered(queue, symbol, 1, 0.0, before_ms)
    assert next_of(queue, 1.0, midnight_ms - 1) is None
    order: list[str] = []
    while wanted := due(queue, 2.0, midnight_ms + len(order)):
        order.append(wanted.symbol)
        answered(queue, wanted.symbol, 2, 2.0, midnight_ms + len(order))
    assert order == ["A", "B", "C"]


def test_requests_come_before_periodic_snapshots_and_count_as_them() -> None:
    queue = a_queue("A", "B")
    later_ms = NOON_MS + 2 * HOUR_MS
    queue.try_add(SnapshotRequest("B", 1, "sequence"), 0.0)
    assert next_of(queue, 0.0, later_ms) == "B"
    answered(queue, "B", 5, 0.0, later_ms)
    assert next_of(queue, 0.0, later_ms) == "A"
    answered(queue, "A", 5, 0.0, later_ms)
    assert next_of(queue, 0.0, later_ms) is None


def test_a_symbol_that_does_not_trade_gets_no_periodic_snapshot_but_a_requested_one() -> None:
    queue = a_queue("A")
    later_ms = NOON_MS + HOUR_MS
    queue.set_idle(frozenset({"A"}))
    assert next_of(queue, 0.0, later_ms) is None
    queue.try_add(SnapshotRequest("A", 1, "sequence"), 0.0)
    assert next_of(queue, 0.0, later_ms) == "A"


def test_one_symbol_that_fails_does_not_stop_the_other_periodic_ones() -> None:
    queue = a_queue("A", "B")
    later_ms = NOON_MS + HOUR_MS
    wanted = due(queue, 0.0, later_ms)
    assert wanted
    assert wanted.symbol == "A"
    queue.note_failure(wanted, 0.0)
    assert next_of(queue, 0.0, later_ms) == "B"


def test_a_restart_knows_when_the_last_snapshot_was_taken() -> None:
    queue = a_queue("A", "B")
    queue.start({"A": NOON_MS - 2 * HOUR_MS}, NOON_MS)
    assert next_of(queue, 0.0) == "A"
    answered(queue, "A", 1, 0.0)
    assert next_of(queue, 0.0) is None


def test_a_clock_set_back_delays_no_periodic_snapshot_by_more_than_an_interval() -> None:
    queue = a_queue("A")
    queue.start({"A": NOON_MS + DAY_MS}, NOON_MS)
    answered(queue, "A", 1, 0.0, NOON_MS + DAY_MS)
    assert next_of(queue, 0.0, NOON_MS + 1) is None
    assert next_of(queue, 0.0, NOON_MS + HOUR_MS) == "A"


def test_audits_come_behind_all_others() -> None:
    queue = a_queue("P")
    queue.try_add(SnapshotRequest("A", 7, "audit"), 0.0)
    queue.try_add(SnapshotRequest("B", 5, "sequence"), 1.0)
    later_ms = NOON_MS + HOUR_MS
    order = []
    while wanted := due(queue, 2.0, later_ms):
        order.append((wanted.symbol, wanted.reason))
        answered(queue, wanted.symbol, 9, 2.0, later_ms)
    assert order == [("B", "sequence"), ("P", "periodic"), ("A", "audit")]


def test_somebody_who_waits_makes_an_audit_urgent() -> None:
    queue = a_queue()
    queue.try_add(SnapshotRequest("A", 7, "audit"), 0.0)
    queue.try_add(SnapshotRequest("B", 7, "audit"), 0.0)
    queue.try_add(SnapshotRequest("B", 5, "sequence"), 1.0)
    queue.try_add(SnapshotRequest("B", 8, "audit"), 1.0)
    assert due(queue, 1.0, NOON_MS) == SnapshotRequest("B", 8, "sequence")
