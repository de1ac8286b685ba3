"""The difference in docs/adding-a-stream.md is all that a new stream type takes."""

from pathlib import Path

from tests.support.differences import tried_difference

_TESTS = ["tests/unit/binance_streamer/exchange/test_stream_types.py", "tests/unit/docs/test_file_patterns.py"]


def test_the_difference_makes_a_stream_type_with_its_test(tmp_path: Path) -> None:
    said = tried_difference("adding-a-stream.md", _TESTS, tmp_path)
    assert "test_a_message_of_each_type[impactPrice@3s] PASSED" in said
