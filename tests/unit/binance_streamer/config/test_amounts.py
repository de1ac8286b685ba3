"""Times and sizes with a unit, as the configuration has them."""

import pytest

from binance_streamer.config.amounts import bytes_of, seconds_of


@pytest.mark.parametrize(("text", "seconds"), [("7d", 604_800), ("36h", 129_600), ("0.5d", 43_200), ("0d", 0)])
def test_times(text: str, seconds: float) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize(("text", "size"), [("500GB", 500 * 10**9), ("1.5TB", 1_500_000_000_000), ("8.084 kB", 8084)])
def test_sizes(text: str, size: int) -> None:
    assert bytes_of(text) == size


@pytest.mark.parametrize("text", ["", "7", "7 days", "-1d", "1e9d", "d"])
def test_what_is_no_time_says_what_is_expected(text: str) -> None:
    with pytest.raises(ValueError, match="expected days or hours such as 7d or 36h"):
        seconds_of(text)


@pytest.mark.parametrize("text", ["", "500", "500G", "500GiB", "-1GB"])
def test_what_is_no_size_says_what_is_expected(text: str) -> None:
    with pytest.raises(ValueError, match="expected a size such as 500GB"):
        bytes_of(text)
