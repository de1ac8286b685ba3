"""The difference in docs/adding-a-rest-series.md is all that a new series takes."""

from pathlib import Path

from tests.support.differences import tried_difference

_TEST = "tests/unit/binance_streamer/exchange/test_rest_series.py"


def test_the_difference_makes_a_series_with_its_test(tmp_path: Path) -> None:
    said = tried_difference("adding-a-rest-series.md", [_TEST], tmp_path)
    assert "test_an_answer_of_each_series[lastPrice] PASSED" in said
