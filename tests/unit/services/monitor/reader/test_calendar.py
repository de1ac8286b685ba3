"""Days of a recording, their certificates and gaps, read from files without the libraries of the extra `days`."""

import json
import subprocess
import sys
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from binance_streamer.days.reading.location import Location
from binance_streamer.days.sources import certificate_path
from services.monitor.reader import calendar
from services.monitor.reader.answers import ApiQuestion
from services.monitor.reader.questions import answer_to
from tests.support.recorded_days import DayWriter

GAP = {"gap_id": "s-1", "state": "unrepairable", "from_id": 10, "to_id": 13, "from_ns": 1_795_219_200_000_000_005,
       "to_ns": 1_795_219_201_000_000_000, "reason": "disconnected", "fault": "network"}  # fmt: skip


@pytest.fixture
def location(tmp_path: Path) -> Location:
    """BTCUSDT: sealed on the 20th and 21st, and recorded on the 22nd; ETHUSDT: sealed on the 21st."""
    DayWriter().write(tmp_path / "data")
    lake = tmp_path / "lake"
    certify(lake, "BTCUSDT", "20261120", condition="available", clean_percent=100.0)
    certify(lake, "BTCUSDT", "20261121", condition="degraded", clean_percent=99.5, gaps={"aggtrade": [GAP]})
    certify(lake, "ETHUSDT", "20261121", condition="missing", clean_percent=None)
    return Location(tmp_path / "data", str(lake))


def certify(lake: Path, symbol: str, day: str, gaps: dict[str, Any] | None = None, **fields: Any) -> None:
    path = lake / certificate_path(symbol, day)
    path.parent.mkdir(parents=True, exist_ok=True)
    streams = {stem: {"condition": "degraded", "gaps": some} for stem, some in (gaps or {}).items()}
    path.write_text(json.dumps({"symbol": symbol, "day": day, "streams": streams, **fields}), encoding="utf-8")


def ask(location: Location, path: str, query: str) -> tuple[int, Any, str]:
    """Status, decoded body and URL of what comes next."""
    answer = answer_to(ApiQuestion(path, query), location)
    content = BytesIO()
    answer.write(content)
    return answer.status, json.loads(content.getvalue()), answer.next


def test_days_have_the_condition_of_their_certificates_or_are_open(location: Location) -> None:
    assert ask(location, "days", "from=2026-11-19&to=20261122") == (
        200,
        {
            "days": ["20261119", "20261120", "20261121", "20261122"],
            "symbols": [
                {
                    "symbol": "BTCUSDT",
                    "condition": ["", "available", "degraded", "open"],
                    "clean_percent": [None, 100.0, 99.5, None],
                },
                {"symbol": "ETHUSDT", "condition": ["", "", "missing", ""], "clean_percent": [None] * 4},
            ],
        },
        "",
    )


def test_a_certificate_that_is_none_is_said_and_hides_no_other(location: Location) -> None:
    Path(location.lake, certificate_path("BTCUSDT", "20261120")).write_text("{", encoding="utf-8")
    _, found, _ = ask(location, "days", "from=20261120&to=20261121")
    assert found["symbols"][0]["condition"] == ["unreadable", "degraded"]


def test_without_a_lake_or_data_days_are_what_there_is(location: Location) -> None:
    assert ask(location._replace(lake=""), "days", "from=20261121&to=20261122")[1]["symbols"] == [
        {"symbol": "BTCUSDT", "condition": ["", "open"], "clean_percent": [None, None]}
    ]
    _, found, _ = ask(location._replace(data=None), "days", "from=20261121&to=20261122")
    assert [one["condition"] for one in found["symbols"]] == [["degraded", ""], ["missing", ""]]


def test_without_words_days_are_the_last_sixty(location: Location) -> None:
    assert len(ask(location, "days", "")[1]["days"]) == 60


@pytest.mark.parametrize(
    ("path", "query", "error"),
    [
        ("days", "from=20261122&to=20261121", "expected 1 to 400 days, got 0 from 20261122 to 20261121"),
        ("days", "from=20200101&to=20261121", "expected 1 to 400 days, got 2517 from 20200101 to 20261121"),
        ("days", "from=yesterday", "expected a day such as 20261122, got 'yesterday'"),
        ("days", "till=20261122", "Object contains unknown field `till`; the words are from, to"),
        ("gaps", "", "Object missing required field `day`; the words are day, symbol, skip"),
        ("gaps", "day=20261122&skip=-1", "Expected `int` >= 0 - at `$.skip`; the words are day, symbol, skip"),
        ("certificate", "symbol=BTCUSDT&day=20261332", "expected a day such as 20261122, got '20261332'"),
    ],
)
def test_a_question_that_is_none_is_refused_with_what_to_do(
    location: Location, path: str, query: str, error: str
) -> None:
    assert ask(location, path, query) == (400, {"error": error}, "")


def test_a_certificate_is_given_as_it_was_written(location: Location) -> None:
    status, found, _ = ask(location, "certificate", "symbol=BTCUSDT&day=2026-11-21")
    assert (status, found["condition"], found["streams"]["aggtrade"]["gaps"]) == (200, "degraded", [GAP])


def test_a_day_without_a_certificate_names_those_that_have_one(location: Location) -> None:
    status, found, _ = ask(location, "certificate", "symbol=BTCUSDT&day=20261122")
    assert (status, found["known"]) == (404, ["20261120", "20261121"])
    assert ask(location, "certificate", "symbol=..%2F..%2Fetc&day=20261122")[0] == 404


def test_what_is_no_question_names_those_that_are(location: Location) -> None:
    status, found, _ = ask(location, "days/20261122", "")
    assert (status, found["known"]) == (404, ["book", "certificate", "days", "gaps", "rows"])


def test_gaps_of_an_open_day_are_those_of_its_file(location: Location) -> None:
    status, found, following = ask(location, "gaps", "day=20261122")
    assert (status, found["total"], following) == (200, 3, "")
    assert [(gap["stem"], gap["state"], gap["fault"], gap["missing"]) for gap in found["gaps"]] == [
        ("aggtrade", "unrepairable", "network", 3),
        ("bookticker", "unrepairable", "network", None),
        ("depth", "unrepairable", "network", None),
    ]
    assert ask(location, "gaps", "day=20261122&symbol=BTCUSDT") == (status, found, following)


def test_gaps_of_a_sealed_day_are_those_of_its_certificate(location: Location) -> None:
    _, found, _ = ask(location, "gaps", "day=20261121&symbol=BTCUSDT")
    assert found["gaps"] == [GAP | {"symbol": "BTCUSDT", "stem": "aggtrade", "missing": 3}]


def test_a_gap_that_was_repaired_behind_the_seal_is_repaired(location: Location) -> None:
    path = Path(str(location.data), "BTCUSDT", "gap_BTCUSDT_20261121.csv")
    path.write_text(
        "gap_id,state,stream,from_id,to_id,from_ns,to_ns,reason,recv_ns,epoch,seq,source,extra\n"
        f"s-1,repaired,btcusdt@aggTrade,10,13,{GAP['from_ns']},{GAP['to_ns']},disconnected,1,1,1,local,\n",
        encoding="utf-8",
    )
    _, found, _ = ask(location, "gaps", "day=20261121")
    assert [(gap["gap_id"], gap["state"], gap["missing"]) for gap in found["gaps"]] == [("s-1", "repaired", 0)]


def test_gaps_of_what_is_not_recorded_name_what_is(location: Location) -> None:
    status, found, _ = ask(location, "gaps", "day=20261121&symbol=SOLUSDT")
    assert (status, found) == (
        404, {"error": "nothing of SOLUSDT is recorded on 20261121", "known": ["BTCUSDT", "ETHUSDT"]},
    )  # fmt: skip


def test_many_gaps_are_cut_and_gone_on_with(location: Location, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calendar, "MOST_GAPS", 2)
    _, found, following = ask(location, "gaps", "day=20261122")
    assert (found["total"], len(found["gaps"])) == (3, 2)
    assert following == "/api/gaps?day=20261122&symbol=&skip=2"
    _, rest, end = ask(location, "gaps", following.partition("?")[2])
    assert ([gap["stem"] for gap in rest["gaps"]], end) == (["depth"], "")


def test_days_and_gaps_need_no_library_of_the_extra() -> None:
    code = (
        "import sys\nfor name in ('polars', 'pyarrow', 'deltalake', 'duckdb', 'numpy'): sys.modules[name] = None\n"
        "import services.monitor.reader.__main__"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
