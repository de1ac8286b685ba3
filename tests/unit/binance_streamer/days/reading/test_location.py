"""Places that users name, and the folders of a recording that they lead to."""

from pathlib import Path

import pytest

from binance_streamer.config.schema import ConfigError
from binance_streamer.days.reading.location import Location, locate
from tests.support.configs import write_config


def config(folder: Path) -> Path:
    """A configuration with a data folder and a lake beside it."""
    storage = {"output_directory": "data", "journal_directory": "journal", "lake": "lake"}
    return write_config(folder, {"BTCUSDT": ["aggTrade"]}, {}, storage=storage)


def test_a_configuration_names_both(tmp_path: Path) -> None:
    both = Location(tmp_path / "data", str(tmp_path / "lake"))
    path = config(tmp_path)
    assert locate(path) == both
    path.rename(tmp_path / "streamer.yaml")
    assert locate(tmp_path) == both


def test_without_a_place_the_configuration_of_the_commands_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = config(tmp_path)
    monkeypatch.setattr("binance_streamer.config.schema.OWN_PATH", path)
    assert locate(None) == Location(tmp_path / "data", str(tmp_path / "lake"))


def test_a_folder_is_data_or_a_lake(tmp_path: Path) -> None:
    assert locate(tmp_path) == Location(tmp_path, "")
    (tmp_path / "depth" / "_delta_log").mkdir(parents=True)
    assert locate(str(tmp_path)) == Location(None, str(tmp_path))
    assert locate("s3://bucket/lake/") == Location(None, "s3://bucket/lake")


def test_what_is_no_place_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no recording"):
        locate(tmp_path / "nowhere")
    (tmp_path / "streamer.yaml").write_text("mode: 5\n")
    with pytest.raises(ConfigError):
        locate(tmp_path)
