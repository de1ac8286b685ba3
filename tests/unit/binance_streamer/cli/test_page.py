"""The address of the page is told only when the monitor serves it."""

from pathlib import Path

import pytest

from binance_streamer.cli import page
from binance_streamer.config.schema import Config, load
from tests.support.configs import write_config


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return load(write_config(tmp_path, {"BTCUSDT": ["aggTrade"]}, {}, monitor={"address": "127.0.0.1:8787"}))


def test_the_address_is_told_once_it_is_served(config: Config) -> None:
    assert page.line_of(config, "serving") == "look at it: http://127.0.0.1:8787/"


@pytest.mark.parametrize("state", ["", "starting"])
def test_nothing_is_told_before(config: Config, state: str) -> None:
    assert page.line_of(config, state) == ""


def test_a_port_that_another_program_has_is_said(config: Config) -> None:
    assert page.line_of(config, "cannot listen on 127.0.0.1:8787: Address already in use") == (
        "there is no page: the monitor cannot listen on 127.0.0.1:8787: Address already in use; "
        "set monitor.address to a free port"
    )


def test_a_monitor_that_is_not_heard_has_no_state(config: Config) -> None:
    assert page.state_of_monitor(config, 0.1) == ""
