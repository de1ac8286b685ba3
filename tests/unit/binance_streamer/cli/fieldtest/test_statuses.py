"""Statuses of the recorder, folded over restarts and replaced connections."""

from binance_streamer.cli.fieldtest.seen import RecorderSeen
from binance_streamer.cli.fieldtest.statuses import StatusFold
from binance_streamer.wire.status_parts import ConnectionStatus
from binance_streamer.wire.statuses import IngestStatus, OrderbookStatus, RestStatus, Status, WriterStatus, status_data


def _folded(*statuses: Status) -> RecorderSeen:
    seen = RecorderSeen()
    fold = StatusFold(seen, lifetime_s=100.0)
    for status in statuses:
        fold.take(status_data(status))
    return seen


def _worker(*ages_s: tuple[int, float], epoch: int = 1, state: str = "delivering") -> IngestStatus:
    connections = tuple(
        ConnectionStatus(connection=number, route="public", state=state, age_s=age_s) for number, age_s in ages_s
    )
    return IngestStatus(producer="ingest-BTCUSDT", epoch=epoch, connections=connections, opened={"public": len(ages_s)})


def test_a_connection_that_is_gone_was_planned_when_it_was_old_enough() -> None:
    seen = _folded(_worker((1, 89.5), (2, 40.0)), _worker((2, 41.0), (3, 1.0)), _worker((3, 2.0)))
    assert (seen.planned_ends, seen.early_ends, seen.most_open) == (1, 1, 2)


def test_connections_of_a_restarted_worker_are_no_ends() -> None:
    seen = _folded(_worker((1, 40.0), (2, 40.0)), _worker((1, 1.0), epoch=2))
    assert (seen.planned_ends, seen.early_ends, seen.opened) == (0, 0, 3)


def test_a_connection_that_never_delivered_is_no_end() -> None:
    seen = _folded(_worker((1, 5.0), state="dialling"), _worker())
    assert (seen.early_ends, seen.most_open) == (0, 0)


def test_cpu_is_a_share_of_the_time_behind_the_start_and_memory_is_the_most() -> None:
    seen = _folded(
        Status(producer="bus", epoch=1, up_s=2.0, cpu_s=1.5, rss_bytes=9),
        Status(producer="bus", epoch=1, up_s=12.0, cpu_s=2.0, rss_bytes=7),
    )
    assert seen.processes == {"bus": (0.05, 9)}


def test_writer_rest_and_books_are_as_they_were_last() -> None:
    seen = _folded(
        WriterStatus(producer="writer", rows=7, new_keys={"BTCUSDT/trade": ("zz",)}, raw={"x@y": {"no price": 2}}),
        RestStatus(producer="rest", used_weight=61, weight_limit=2400, clock_offset_ms=1.5, clock_error_ms=4.0),
        RestStatus(producer="rest", used_weight=9, weight_limit=2400, answers={"200": 3}),
        OrderbookStatus(producer="orderbook", audits_passed=2, tops_compared=5, valid=1),
    )
    assert (seen.rows, seen.new_keys, seen.raw_rows) == (7, {"BTCUSDT/trade": ("zz",)}, {"x@y: no price": 2})
    assert (seen.weight, seen.clock, seen.rest_answers) == ((61, 2400), (1.5, 4.0), {"200": 3})
    assert (seen.audits, seen.books) == ((2, 0, 5), (1, 0))


def test_a_status_that_cannot_be_read_is_left_out() -> None:
    seen = RecorderSeen()
    StatusFold(seen, lifetime_s=100.0).take({"producer": "writer", "rows": "many"})
    assert seen == RecorderSeen()
