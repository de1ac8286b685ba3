"""The order book at an instant, as the API tells it."""

import json
from io import BytesIO
from typing import Any
from urllib.parse import urlencode

import pytest

from binance_streamer.days import Recording
from binance_streamer.days.reading.location import Location
from services.monitor.reader.answers import ApiQuestion
from services.monitor.reader.questions import answer_to
from tests.support.recorded_days import SYMBOL, DayWriter


@pytest.fixture(scope="module")
def location(tmp_path_factory: pytest.TempPathFactory) -> Location:
    place = tmp_path_factory.mktemp("book")
    DayWriter().write(place)
    return Location(place, "")


def ask(location: Location, **words: Any) -> tuple[int, dict[str, Any]]:
    answer = answer_to(ApiQuestion("book", urlencode({"symbol": SYMBOL} | words)), location)
    content = BytesIO()
    answer.write(content)
    return answer.status, json.loads(content.getvalue())


def test_a_book_is_that_of_the_recording_with_its_best_levels(location: Location) -> None:
    status, found = ask(location, at="2026-11-22T00:01:00", depth=3)
    book = Recording(location).book_at(SYMBOL, "2026-11-22T00:01:00")
    assert status == 200
    assert found["bids"] == [[str(price), str(quantity)] for price, quantity in book.bids.head(3).iter_rows()]
    assert found["bids"][0] == ["83999.00000000", "1.00000000"]
    assert len(found["asks"]) == 3
    assert (found["why"], found["update_id"], found["ns"]) == ("", 8800, 1_795_305_660_000_000_000)
    assert (found["bids_known_to"], found["unknown_from_ns"]) == (None, None)


def test_a_book_that_is_not_known_says_why_and_between_which_instants(location: Location) -> None:
    _, found = ask(location, at="2026-11-22T00:01:30")
    assert (found["why"], found["bids"], found["update_id"]) == ("updates missing", [], None)
    assert found["unknown_to_ns"] - found["unknown_from_ns"] == 2_999_999_999


def test_what_is_not_recorded_names_what_is(location: Location) -> None:
    status, found = ask(location, symbol="ETHUSDT", at="2026-11-22")
    assert (status, found["known"]) == (404, ["BTCUSDT"])
    status, found = ask(location, stem="depth_100ms", at="2026-11-22T00:01:00")
    assert (status, "depth" in found["known"]) == (404, True)


def test_words_that_are_none_are_refused(location: Location) -> None:
    for words in ({}, {"at": "now"}, {"at": "2026-11-22", "depth": 0}):
        assert ask(location, **words)[0] == 400
