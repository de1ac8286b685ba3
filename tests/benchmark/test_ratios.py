"""CPU of ingest and writer over a plain loop's is not a third above that of the last `python -m benchmarks`."""

import json
import statistics

import pytest

from benchmarks.__main__ import CASES, FIGURES, Case
from benchmarks.feed import ROOT
from benchmarks.pipeline_cpu import compare
from tests.support.data import market_data

pytestmark = [
    pytest.mark.benchmark,
    pytest.mark.skipif(not FIGURES.is_file(), reason="no call of `python -m benchmarks` to compare with"),
]


@pytest.mark.parametrize("case", [one for one in CASES if "100/s" not in one.name], ids=lambda case: case.name)
def test_no_ratio_is_a_third_above_the_last_ones(case: Case) -> None:
    market_data("usdm-btceth-20240808")
    before = json.loads(FIGURES.read_text(encoding="utf-8")).get(case.name)
    if before is None:
        pytest.skip("the last call of `python -m benchmarks` did not come so far")
    found = compare(case.load, 3, ["plain"], {"ours": ROOT}, case.setting)
    assert statistics.median(found["ours", case.ours]) < before * 4 / 3
