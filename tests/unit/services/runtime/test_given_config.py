"""A process that starts again runs with the configuration that it was started for."""

from pathlib import Path

import pytest

from binance_streamer.cli.supervisor import files
from binance_streamer.config import schema as configuration
from binance_streamer.config.schema import Config, ConfigError
from binance_streamer.deploy.digest import kept_file, settings_of
from services.runtime.given_config import given_config

BASE = "base: lower.yaml\nstorage: {output_directory: recorded}\n"
LOWER = """
mode: development
modes:
  development:
    symbols:
      - {symbol: 币安人生USDT, streams: [bookTicker, markPrice@1s]}
      - {symbol: ETHUSDT, streams: [trade]}
"""
NAME = "ingest-币安人生USDT"


@pytest.fixture
def yaml(tmp_path: Path) -> Path:
    path = tmp_path / "upper.yaml"
    path.write_text(BASE, encoding="utf-8")
    path.with_name("lower.yaml").write_text(LOWER, encoding="utf-8")
    return path


@pytest.fixture
def kept(yaml: Path) -> Path:
    settings = settings_of(configuration.load(yaml), yaml, "ingest", "币安人生USDT")
    return kept_file(yaml.parent / "var" / "run.supervisor", settings)


def streams(config: Config) -> tuple[str, ...]:
    return config.symbol("币安人生USDT").streams


@pytest.mark.parametrize(
    "now",
    [
        LOWER.replace("- {symbol: 币安人生USDT, streams: [bookTicker, markPrice@1s]}", ""),
        LOWER.replace("bookTicker, ", ""),
        LOWER.replace("development", "production"),
        LOWER + "    - half a li",
        "",
    ],
)
def test_a_restart_takes_what_it_had_whatever_the_file_says(yaml: Path, kept: Path, now: str) -> None:
    first = given_config(NAME, yaml, kept)
    assert streams(first) == ("bookTicker", "markPrice@1s")
    yaml.with_name("lower.yaml").write_text(now, encoding="utf-8")
    assert given_config(NAME, yaml, kept) == first
    yaml.with_name("lower.yaml").unlink()
    assert given_config(NAME, yaml, kept) == first
    assert first.storage.output_directory == str(yaml.parent / "recorded")


def test_a_first_start_refuses_a_file_that_has_changed(yaml: Path, kept: Path) -> None:
    yaml.with_name("lower.yaml").write_text(LOWER.replace("bookTicker, ", ""), encoding="utf-8")
    with pytest.raises(ConfigError, match="binance-streamer apply"):
        given_config(NAME, yaml, kept)
    assert not kept.exists()


def test_a_change_that_it_does_not_read_is_no_reason_to_refuse(yaml: Path, kept: Path) -> None:
    yaml.with_name("lower.yaml").write_text(LOWER.replace("[trade]", "[kline_1m]"), encoding="utf-8")
    assert streams(given_config(NAME, yaml, kept)) == ("bookTicker", "markPrice@1s")


def test_a_damaged_copy_is_replaced_while_the_file_is_the_same(yaml: Path, kept: Path) -> None:
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b'{"mode": "devel\xff')
    assert streams(given_config(NAME, yaml, kept)) == ("bookTicker", "markPrice@1s")
    yaml.unlink()
    assert streams(given_config(NAME, yaml, kept)) == ("bookTicker", "markPrice@1s")


def test_a_disk_that_keeps_nothing_does_not_stop_it(yaml: Path) -> None:
    settings = settings_of(configuration.load(yaml), yaml, "writer")
    kept = kept_file(yaml, settings)  # below a file
    assert given_config("writer", yaml, kept).mode == "development"


def test_copies_that_no_program_names_are_deleted(yaml: Path, kept: Path) -> None:
    given_config(NAME, yaml, kept)
    config = configuration.load(yaml)
    state = yaml.parent / "var" / "run.supervisor"
    files.forget_settings(state, files.wanted_programs(config, yaml))
    assert kept.exists()
    yaml.with_name("lower.yaml").write_text(LOWER.replace("bookTicker, ", ""), encoding="utf-8")
    files.forget_settings(state, files.wanted_programs(configuration.load(yaml), yaml))
    assert not kept.exists()
