"""What the bodies of answers say."""

import json

import pytest

from binance_streamer.exchange.streams import stream_of
from services.rest.answers import AnswerError, has_rows, read_clock_sample, read_snapshot, refusal
from services.rest.schedule.backfill_queue import BackfillRequest
from tests.support.rest_scene import NOW_MS, an_answer

MISSING = BackfillRequest(stream_of("BTCUSDT", "aggTrade"), "g", 10, 20, NOW_MS * 10**6)


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


@pytest.mark.parametrize("numbers", [(1 << 70, 1), (1, 10**30), (-(1 << 64), 1)])
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


def test_rows_that_were_not_asked_for_are_no_answer() -> None:
    assert has_rows(an_answer(200, b'[{"a":11}]'), MISSING)
    assert has_rows(an_answer(200, b'[{"a":900}]'), MISSING)
    assert not has_rows(an_answer(200, b"[]"), MISSING)
    for body in (b'[{"a":10}]', b"{}", b"", b'[{"a":12},{"a":11}]', b'[{"p":1}]'):
        with pytest.raises(AnswerError):
            has_rows(an_answer(200, body), MISSING)
