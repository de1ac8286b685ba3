"""Commands in texts are such as can be pasted where the reader stands."""

import os
from pathlib import Path

import pytest

from binance_streamer.cli.hints import Hints


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "run").touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_in_a_checkout_commands_are_run_by_run(checkout: Path) -> None:
    assert Hints(checkout).command("status") == "./run binance-streamer status"


def test_elsewhere_they_are_called_by_their_name(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert Hints(checkout).command("status") == "binance-streamer status"


@pytest.mark.parametrize(
    ("words", "option"),
    [
        ("logs writer", " -c 'my demo/x.yaml'"),
        ("status -c other.yaml", ""),
        ("keys keys --client NAME", ""),
        ("demo", ""),
    ],
)
def test_a_configuration_that_was_named_is_named_again(checkout: Path, words: str, option: str) -> None:
    hints = Hints(checkout)
    for path in (checkout / "my demo" / "x.yaml", Path("my demo/x.yaml")):
        hints.config_path = path
        assert hints.command(words) == f"./run binance-streamer {words}{option}"


def test_a_configuration_elsewhere_is_named_as_it_is(checkout: Path) -> None:
    hints = Hints(checkout)
    hints.config_path = Path("/srv/binance/streamer.yaml")
    assert hints.command("up") == "./run binance-streamer up -c /srv/binance/streamer.yaml"


def test_the_recording_that_was_asked_is_named(checkout: Path) -> None:
    hints = Hints(checkout)
    hints.unnamed_path = Path("config/streamer.yaml")
    assert hints.recording() == "config/streamer.yaml (-c FILE names another one)"
    hints.config_path = checkout / "demo-1" / "streamer.yaml"
    assert hints.recording() == "demo-1/streamer.yaml"


def test_the_newest_demo_of_this_folder_is_proposed(checkout: Path) -> None:
    for number, name in enumerate(("demo-2", "demo-1")):
        (checkout / name).mkdir()
        (checkout / name / "streamer.yaml").touch()
        os.utime(checkout / name / "streamer.yaml", (number, number))
    hints = Hints(checkout)
    hints.unnamed_path = Path("config/streamer.yaml")
    assert hints.recording() == "config/streamer.yaml (another one is named with -c, such as -c demo-1/streamer.yaml)"


def test_only_commands_in_backticks_are_changed(checkout: Path) -> None:
    text = "binance-streamer: see `binance-streamer status`, `up` and `binance-streamer stop`"
    assert Hints(checkout).in_text(text) == (
        "binance-streamer: see `./run binance-streamer status`, `up` and `./run binance-streamer stop`"
    )
