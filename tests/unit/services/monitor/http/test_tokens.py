"""The token of the API: a file that others cannot read."""

from pathlib import Path

import pytest

from binance_streamer.config.schema import ConfigError, MonitorConfig
from services.monitor.http.tokens import token_of

TOKEN = "0123456789abcdef0123456789abcdef"


def test_no_file_is_no_token() -> None:
    assert token_of(MonitorConfig()) == ""


def test_a_token_stands_in_a_file_of_our_own(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text(f"{TOKEN}\n", encoding="ascii")
    path.chmod(0o600)
    assert token_of(MonitorConfig(token_file=str(path))) == TOKEN


@pytest.mark.parametrize(
    ("content", "mode", "error"),
    [(TOKEN, 0o640, "chmod 600"), ("short", 0o600, "24 characters"), (f"{TOKEN} {TOKEN}", 0o600, "openssl rand")],
)
def test_what_others_read_or_is_none_is_refused(tmp_path: Path, content: str, mode: int, error: str) -> None:
    path = tmp_path / "token"
    path.write_text(content, encoding="ascii")
    path.chmod(mode)
    with pytest.raises(ConfigError, match=error):
        token_of(MonitorConfig(token_file=str(path)))


def test_a_file_that_is_not_there_says_how_one_is_made(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="openssl rand -hex 32"):
        token_of(MonitorConfig(token_file=str(tmp_path / "token")))
