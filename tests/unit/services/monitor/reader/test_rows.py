"""Slices of recorded streams: typed as `days.scan` gives them, bounded, and gone on with without a hole."""

import json
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode

import polars as pl
import pytest

from binance_streamer.days import Recording
from binance_streamer.days.reading.location import Location
from services.monitor.reader import rows as rows_module
from services.monitor.reader.answers import ApiQuestion
from services.monitor.reader.questions import answer_to
from tests.support.recorded_days import SYMBOL, DayWriter

DAY = "2026-11-22T00:00:00"


@pytest.fixture(scope="module")
def location(tmp_path_factory: pytest.TempPathFactory) -> Location:
    place = tmp_path_factory.mktemp("rows")
    DayWriter().write(place)
    return Location(place, "")


def ask(location: Location, query: str = "", **words: Any) -> tuple[int, bytes, str]:
    """Status, body and URL of what comes next."""
    chosen = {"symbol": SYMBOL, "stem": "aggtrade", "from": DAY} | words
    answer = answer_to(ApiQuestion("rows", query or urlencode(chosen)), location)
    content = BytesIO()
    answer.write(content)
    return answer.status, content.getvalue(), answer.next


def lines(content: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in content.splitlines()]


def test_rows_are_json_lines_with_the_columns_of_scan(location: Location) -> None:
    status, content, following = ask(location, to="2026-11-22T00:00:01")
    assert (status, following) == (200, "")
    first, second = lines(content)
    assert first == {
        "agg_trade_id": 1000, "price": "84000.00000000", "quantity": "0.00100000", "first_trade_id": 50000,
        "last_trade_id": 50001, "transact_time": "2026-11-22T00:00:00+00:00", "is_buyer_maker": True,
        "event_time": "2026-11-22T00:00:00.150+00:00", "normal_quantity": "0.00100000",
        "recv_ns": 1795305600005000000, "epoch": 1795300000000000001, "seq": 1, "source": "ws", "extra": None,
    }  # fmt: skip
    assert second["agg_trade_id"] == 1001


def test_arrow_has_the_very_rows_of_scan(location: Location) -> None:
    _, content, _ = ask(location, stem="depth", to="2026-11-22T00:03:00", format="arrow")
    scanned = Recording(location).scan("depth", SYMBOL, DAY, "2026-11-22T00:03:00").collect()
    assert pl.read_ipc_stream(BytesIO(content)).equals(scanned)
    assert len(scanned) == 178


@pytest.mark.parametrize("limit", [1, 7, 100, 356])
def test_a_cut_answer_goes_on_without_a_hole_and_nothing_twice(location: Location, limit: int) -> None:
    _, whole, _ = ask(location, to="2026-11-22T00:04:00")
    _, content, following = ask(location, to="2026-11-22T00:04:00", limit=limit)
    pieces = [content]
    while following:
        assert len(lines(pieces[-1])) == limit
        _, content, following = ask(location, following.partition("?")[2])
        pieces.append(content)
    assert b"".join(pieces) == whole
    assert len(lines(whole)) == 357


def test_rows_of_one_stamp_stay_together(location: Location, tmp_path: Path) -> None:
    day = DayWriter()
    row = day.lines["markprice"][0]
    day.lines["markprice"] = [row.replace(",1,ws,", f",{number},ws,") for number in range(1, 6)]
    day.write(tmp_path)
    _, content, following = ask(Location(tmp_path, ""), stem="markprice", limit=2)
    assert [line["seq"] for line in lines(content)] == [1, 2, 3, 4, 5]
    assert parse_qs(following)["from"] == [str(lines(content)[0]["recv_ns"] + 1)]


def test_more_than_an_hour_is_cut_by_time(location: Location) -> None:
    _, content, following = ask(location, **{"from": "2026-11-21T23:30:00", "to": "2026-11-22T12:00:00"})
    assert len(lines(content)) == 357
    assert parse_qs(following)["from"] == ["1795307400000000000"]
    assert parse_qs(following)["to"] == ["1795348800000000000"]
    _, content, following = ask(location, following.partition("?")[2])
    assert (content, parse_qs(following)["from"]) == (b"", ["1795311000000000000"])


def test_a_stream_that_is_not_recorded_names_those_that_are(location: Location) -> None:
    stems = ["aggtrade", "bookticker", "depth", "gap", "kline_1m", "markprice", "orderbook", "snapshot"]
    for stem in ("trade", "../depth"):
        status, content, _ = ask(location, stem=stem)
        assert (status, json.loads(content)["known"]) == (404, stems)
        assert f"no {stem} of BTCUSDT is recorded" in json.loads(content)["error"]
    status, content, _ = ask(location, symbol="BTCUSD")
    assert (status, json.loads(content)["known"]) == (404, ["BTCUSDT"])


def test_a_time_without_rows_is_an_empty_answer(location: Location) -> None:
    assert ask(location, **{"from": "2026-11-23"})[:2] == (200, b"")
    assert ask(location, stem="forceorder")[:2] == (200, b"")


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ({"from": "noon"}, "instants are as 2026-11-22T13:00:00.5"),
        ({"from": "1795305600"}, "too few digits"),
        ({"to": "2026-11-21"}, "expected `from` before `to`"),
        ({"limit": rows_module.MOST_ROWS + 1}, "Expected `int` <= 50000"),
        ({"format": "csv"}, "Invalid enum value 'csv'"),
    ],
)
def test_words_that_are_none_are_refused(location: Location, words: dict[str, Any], error: str) -> None:
    status, content, _ = ask(location, **words)
    assert (status, error in json.loads(content)["error"]) == (400, True), content


def test_a_file_that_cannot_be_read_is_said_with_its_place(tmp_path: Path) -> None:
    day = DayWriter()
    day.lines["aggtrade"][5] = day.lines["aggtrade"][5].replace("84", "eighty-four", 1)
    day.write(tmp_path)
    status, content, _ = ask(Location(tmp_path, ""))
    assert status == 500
    assert "aggtrade_BTCUSDT_20261122.csv" in json.loads(content)["error"]
