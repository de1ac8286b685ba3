"""Times on a command line."""

import pytest
import typer

from binance_streamer.cli.recordings.words import stamp, stamp_ns


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("20261122", 1_795_305_600_000_000_000),
        ("2026-11-22T12:00", 1_795_348_800_000_000_000),
        ("2026-11-22T14:00:00.123456789+02:00", 1_795_348_800_123_456_789),
        ("1795348800123456789", 1_795_348_800_123_456_789),
    ],
)
def test_a_time_is_typed_as_a_day_a_time_or_nanoseconds(text: str, ns: int) -> None:
    assert stamp_ns(text) == ns
    assert stamp(text) == text


@pytest.mark.parametrize("text", ["yesterday", "", "0", "1795348800123", "2026-11-22T25:00"])
def test_what_is_no_time_is_a_usage_error(text: str) -> None:
    """Milliseconds among them, which would be a moment of 1970."""
    with pytest.raises(typer.BadParameter, match="expected 2026-11-22T13:00"):
        stamp(text)
