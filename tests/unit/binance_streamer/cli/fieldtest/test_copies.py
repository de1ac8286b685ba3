"""Pairs of copies: equal, different, or without a partner."""

from binance_streamer.cli.fieldtest.copies import CopyComparison, CopyTally


def _mark(time_ms: int, price: str = "1.0") -> bytes:
    return b'{"stream":"a@markPrice@1s","data":{"e":"markPriceUpdate","E":%d,"p":"%s"}}' % (time_ms, price.encode())


def _trade(agg_id: int, time_ms: int = 5, price: str = "1.0") -> bytes:
    return b'{"stream":"a@aggTrade","data":{"E":%d,"a":%d,"p":"%s"}}' % (time_ms, agg_id, price.encode())


def _compared(*messages: tuple[int, bytes, int | None, float]) -> CopyTally:
    comparison = CopyComparison()
    for side, message, agg_id, now_s in messages:
        comparison.take(side, message, id=agg_id, now_s=now_s)
    return comparison.tally


def test_equal_bytes_are_identical() -> None:
    tally = _compared((0, _trade(1), 1, 0.0), (1, _trade(1), 1, 0.1), (1, _trade(2), 2, 0.2), (0, _trade(2), 2, 0.3))
    assert tally == CopyTally(identical=2)


def test_the_same_id_with_other_bytes_differs_and_says_where() -> None:
    tally = _compared((0, _trade(1), 1, 0.0), (1, _trade(1, 6, "1.1"), 1, 0.1))
    assert (tally.identical, tally.different, dict(tally.differ_in)) == (0, 1, {"E": 1, "p": 1})


def test_spaces_alone_differ_too() -> None:
    tally = _compared((0, _trade(1), 1, 0.0), (1, _trade(1).replace(b",", b", "), 1, 0.1))
    assert dict(tally.differ_in) == {"the order or the spaces": 1}


def test_a_price_that_stands_still_is_paired_by_its_time() -> None:
    tally = _compared(
        *((0, _mark(1000), None, 1.0), (0, _mark(2000), None, 2.0)),
        *((1, _mark(2000), None, 2.1), (0, _mark(3000), None, 3.0), (1, _mark(3000), None, 3.1)),
    )
    assert tally == CopyTally(identical=2)


def test_times_of_its_own_on_each_connection_differ_in_that_alone() -> None:
    sent = [((0, _mark(at * 1000), None, float(at)), (1, _mark(at * 1000 + 1), None, at + 0.1)) for at in range(1, 31)]
    tally = _compared(*(message for pair in sent for message in pair))
    assert tally.identical == tally.alone == 0
    assert tally.different > 10
    assert set(tally.differ_in) == {"E"}


def test_what_one_connection_alone_brought_is_counted_once_it_has_waited() -> None:
    begun = ((0, _trade(1), 1, 0.0), (1, _trade(1), 1, 0.1))
    assert _compared(*begun, (0, _trade(2), 2, 1.0), (0, _trade(3), 3, 10.0)).alone == 0
    assert _compared(*begun, (0, _trade(2), 2, 1.0), (0, _trade(3), 3, 16.1)).alone == 1


def test_what_came_before_the_other_connection_began_has_no_copy() -> None:
    early = [(0, _trade(number), number, float(number)) for number in range(1, 40)]
    tally = _compared(*early, (1, _trade(39), 39, 39.1), (0, _trade(40), 40, 60.0), (1, _trade(40), 40, 60.1))
    assert tally == CopyTally(identical=2)


def test_the_first_message_behind_a_reconnect_may_have_come_over_the_other_connection_before() -> None:
    comparison = CopyComparison()
    for side, number in ((0, 1), (1, 1), (0, 2)):
        comparison.take(side, _trade(number), id=number, now_s=float(number))
    comparison.reopened(1)
    for side, number, now_s in ((1, 2, 2.1), (0, 3, 30.0), (1, 3, 30.1)):
        comparison.take(side, _trade(number), id=number, now_s=now_s)
    assert comparison.tally == CopyTally(identical=3)


def test_what_came_while_a_connection_was_reopened_has_no_copy() -> None:
    comparison = CopyComparison()
    for side, number in ((0, 1), (1, 1), (0, 2)):
        comparison.take(side, _trade(number), id=number, now_s=float(number))
    comparison.reopened(1)
    for side, number, now_s in ((0, 3, 3.0), (0, 4, 4.0), (1, 4, 4.1), (0, 5, 30.0), (1, 5, 30.1)):
        comparison.take(side, _trade(number), id=number, now_s=now_s)
    assert comparison.tally == CopyTally(identical=3)
