"""What the bodies of answers say."""

import json

import pytest

from binance_streamer.exchange.streams import stream_of
from services.rest.answers import AnswerError, read_clock_sample, read_rows, read_snapshot, refusal
from services.rest.schedule.backfill_queue import MissingRows
from tests.support.rest_scene import NOW_MS, an_answer

MISSING = MissingRows(stream_of("BTCUSDT", "aggTrade"), "g", 10, 20, NOW_MS * 10**6)


def test_the_time_stands_between_the_stamps_of_its_request() -> None:
    sample = read_clock_sample(an_answer(200, b'{"serverTime":2500}')._replace(requested_ns=1, recv_ns=3))
    assert sample == (2500, 1, 3)


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"serverTime":"1"}', b'{"serverTime":0}', b'{"serverTime":1e999}'])
def test_what_is_no_time_is_refused(body: bytes) -> None:
    with pytest.raises(AnswerError):
        read_clock_sample(an_answer(200, body))


def test_every_truncated_snapshot_is_refused() -> None:
    body = json.dumps({"lastUpdateId": 7, "E": 1, "T": 1, "bids": [["1.0", "2"]], "asks": [], "new": {}}).encode()
    assert read_snapshot(an_answer(200, body)).lastUpdateId == 7
    for size in range(len(body)):
        with pytest.raises(AnswerError):
            read_snapshot(an_answer(200, body[:size]))


@pytest.mark.parametrize("numbers", [(1 << 70, 1), (-(1 << 64), 1)])
def test_a_snapshot_whose_numbers_no_journal_takes_is_none(numbers: tuple[int, int]) -> None:
    body = b'{"lastUpdateId":%d,"E":%d,"bids":[],"asks":[]}' % numbers
    with pytest.raises(AnswerError, match="expected a depth snapshot"):
        read_snapshot(an_answer(200, body))


def test_a_fresh_listing_has_the_id_minus_one() -> None:
    assert read_snapshot(an_answer(200, b'{"lastUpdateId":-1,"bids":[],"asks":[]}')).lastUpdateId == -1


def test_the_words_of_a_refusal_are_the_exchanges() -> None:
    body = b'{"code":-1122,"msg":"Invalid symbol status."}'
    assert refusal(an_answer(400, body)) == "-1122 Invalid symbol status."
    assert refusal(an_answer(404, b"<html>")) == "status 404"


def test_an_odd_event_time_does_not_cost_a_snapshot() -> None:
    for odd in (b"null", b'"1"', b"1e30", b"{}", b"-5"):
        snapshot = read_snapshot(an_answer(200, b'{"lastUpdateId":7,"E":%b,"bids":[],"asks":[]}' % odd))
        assert (snapshot.lastUpdateId, snapshot.event_time_ms) == (7, 0)


def test_rows_that_were_not_asked_for_are_no_answer() -> None:
    assert [row.last_id for row in read_rows(an_answer(200, b'[{"a":9},{"a":11}]'), MISSING).rows] == [9, 11]
    assert read_rows(an_answer(200, b'[{"a":900}]'), MISSING).rows
    assert not read_rows(an_answer(200, b"[]"), MISSING).rows
    for body in (b'[{"a":10}]', b"{}", b"", b'[{"p":1}]'):
        with pytest.raises(AnswerError):
            read_rows(an_answer(200, body), MISSING)
