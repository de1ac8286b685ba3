"""The token that recorded days are read with: a secret in a file of its own, as keys are."""

from pathlib import Path

from binance_streamer.config.schema import ConfigError, MonitorConfig
from binance_streamer.transport.curve import read_secret

_LEAST_CHARACTERS = 24
"""Some hundred bits where they are hexadecimal digits by chance: nobody comes to it by asking."""
_HOW_MADE = "`(umask 077; openssl rand -hex 32 > FILE)` makes one"


def token_of(config: MonitorConfig) -> str:
    """Return the token of `monitor.token_file`, empty where none is set.

    Raises `ConfigError` where the file is not there, others may read it, or it holds no token.
    """
    if not config.token_file:
        return ""
    token = read_secret(Path(config.token_file), _HOW_MADE).decode("ascii", errors="replace").strip()
    if len(token) < _LEAST_CHARACTERS or not token.isprintable() or " " in token:
        raise ConfigError(f"{config.token_file}: expected {_LEAST_CHARACTERS} characters or more; {_HOW_MADE}")
    return token
