"""Times, days and places on a command line."""

from pathlib import Path

import pytest
import typer

from binance_streamer.cli.errors import CommandError, Exit
from binance_streamer.cli.recordings.words import days_and_places, places_of, stamp, stamp_ns
from binance_streamer.config.schema import Config, StorageConfig


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


def test_a_bucket_is_a_place_as_a_folder_is(tmp_path: Path) -> None:
    url = "s3://records/usdm/lake"
    words = ["2026-11-22", url, str(tmp_path)]
    assert days_and_places(words, ["elsewhere"], Exit.NOT_CHECKED) == ({"20261122"}, [url, str(tmp_path)])
    nowhere = str(tmp_path / "nowhere")
    assert days_and_places([], [nowhere, url], Exit.NOT_CHECKED) == (set(), [url])
    with pytest.raises(CommandError, match="nowhere is not there"):
        days_and_places([nowhere, url], [], Exit.NOT_CHECKED)


@pytest.mark.parametrize("lake", ["", "/srv/lake", "s3://records/usdm/lake"])
def test_the_places_of_a_configuration_are_its_data_folder_and_its_lake(lake: str) -> None:
    config = Config(mode="development", modes={}, storage=StorageConfig(output_directory="/srv/data", lake=lake))
    assert places_of(config) == ["/srv/data", *([lake] if lake else [])]
