"""Every series by one answer: its request, its file and its row, literally."""

from typing import NamedTuple

import msgpack
import pytest

from binance_streamer.exchange.rest_series import REST_SERIES, endpoints, rest_series
from services.writer.rows.rows import RowMaker, Run
from tests.support.data import REPOSITORY


class Case(NamedTuple):
    """An answer, and what becomes of it."""

    endpoint: str
    body: str
    weight: int
    file: str
    cells: str


CASES = [
    Case("openInterest", '{"openInterest":"10659.509","symbol":"BTCUSDT","time":1790526539011}',
         1, "openinterest", "10659.509,1790526539011"),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.endpoint)
def test_an_answer_of_each_series(case: Case) -> None:
    series = rest_series(case.endpoint)
    assert series is not None
    assert (series.path("BTCUSDT"), series.weight) == (f"/fapi/v1/{case.endpoint}?symbol=BTCUSDT", case.weight)
    data = {
        "symbol": "BTCUSDT", "stream": series.path("BTCUSDT"), "recv_ns": 1790526539100000001, "producer": "rest",
        "epoch": 7, "seq": 1, "source": "rest", "connection": 0, "requested_ns": 1790526539000000001,
        "event": case.body.encode(),
    }  # fmt: skip
    (row,) = RowMaker().rows(Run("rest", 7), 0, [msgpack.packb((series.name, data))], now_ns=1)
    assert row.target.path == f"BTCUSDT/{case.file}_BTCUSDT_20260927.csv"
    assert row.line == f"{case.cells},1790526539100000001,7,1,rest,\n".encode()
    assert row.target.header.decode().startswith(",".join(column for column, _ in series.row.columns) + ",recv_ns,")


def test_every_series_has_a_case_and_stands_in_the_documentation() -> None:
    assert {case.endpoint for case in CASES} == set(endpoints())
    files, configuration = (
        (REPOSITORY / "docs" / name).read_text(encoding="utf-8") for name in ("files.md", "configuration.md")
    )
    for series in REST_SERIES.values():
        columns = ", ".join(column for column, _ in series.row.columns)
        assert f"| `{series.name}` | `{columns}` |" in files
        assert f"`{series.endpoint}`" in configuration
