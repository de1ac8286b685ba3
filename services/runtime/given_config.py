"""The configuration that a process was started for, whatever has become of the file since.

Whoever starts a process names in `BINANCE_STREAMER_SETTINGS` a file `<settings>.yaml`: what the process keeps of its
configuration, under the name that `deploy.digest` gives to all that it reads. The first start takes the
YAML, if that still has these settings, and keeps a copy; every later one takes the copy.
"""

import logging
from pathlib import Path

from binance_streamer.config import schema as configuration
from binance_streamer.config.schema import Config, ConfigError
from binance_streamer.deploy.digest import settings_of
from services.runtime.files import replace_file

_log = logging.getLogger(__name__)


def given_config(name: str, config_path: Path, kept: Path) -> Config:
    """Return the configuration that this process was started for; `ConfigError` where it is gone.

    `name` is that of the process: `writer`, `ingest-BTCUSDT`, `standby-BTCUSDT`.
    """
    known = _read(kept, config_path)
    if known is not None:
        return known
    config, text = configuration.load_with_text(config_path)
    kind, _, symbol = name.partition("-")
    service = "ingest" if kind == "standby" else kind
    if settings_of(config, config_path, service, symbol) != kept.stem:
        raise ConfigError(
            f"{config_path} has changed since {name} was configured to run with it, and what it was is not kept: "
            f"run `binance-streamer apply -c {config_path}` (`apply --compose` for containers)"
        )
    try:
        replace_file(kept, text.encode())
    except OSError as error:
        _log.warning("a restart will need the configuration as it is now: %s", error)
    return config


def _read(kept: Path, config_path: Path) -> Config | None:
    try:
        return configuration.parse(kept.read_text(encoding="utf-8"), config_path)
    except (OSError, UnicodeDecodeError, ConfigError):
        return None  # not kept yet, or damaged: the YAML may still be the same
