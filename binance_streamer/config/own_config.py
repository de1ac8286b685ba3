"""A configuration of the user's own: a commented YAML in a folder that also holds all that is recorded with it."""

from importlib import resources
from pathlib import Path

from binance_streamer.config.schema import OWN_PATH, ConfigError


def template() -> str:
    """Return the text of a new configuration, with its comments: `template.yaml` of the installed package."""
    return resources.files("binance_streamer").joinpath("template.yaml").read_text(encoding="utf-8")


def create(folder: Path) -> Path:
    """Write a new configuration into this folder and return its path; `ConfigError` where one is there already.

    The file is opened for exclusive creation: of two calls at the same time one fails, and no configuration is
    overwritten. The folder gets mode 0750, since recordings are for the user and his group.
    """
    path = folder / OWN_PATH.name
    try:
        folder.mkdir(mode=0o750, parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(template())
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be made ({error.strerror}): name another folder, binance-streamer init FOLDER"
        ) from error
    return path
