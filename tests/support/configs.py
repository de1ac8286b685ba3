"""Configurations for tests: everything in one directory, short delays."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

Symbols = Mapping[str, Sequence[str]]


def write_config(directory: Path, symbols: Symbols, network: Mapping[str, Any], **sections: Mapping[str, Any]) -> Path:
    """A configuration of these symbols and streams, with all of its files below `directory`.

    `sections` (storage=…, performance=…) are laid over what stands here.
    """
    values: dict[str, Any] = {
        "mode": "development",
        "modes": {
            "development": {
                "symbols": [{"symbol": symbol, "streams": list(streams)} for symbol, streams in symbols.items()]
            }
        },
        "network": {"reconnect_delay": 0.2, "reconnect_delay_max": 1, "snapshot_spacing": 0.05, "snapshot_retry": 1,
                    **network},
        "storage": {"output_directory": "data", "journal_directory": "journal", "flush_interval": 0.2,
                    "commit_interval": 0.5},
        "logging": {"file": "log/{process}.log"},
        "endpoints": {"run_directory": "run"},
        "monitor": {"enabled": False},
    }  # fmt: skip
    for name, section in sections.items():
        values[name] = {**values.get(name, {}), **section}
    path = directory / "streamer.yaml"
    path.write_text(yaml.safe_dump(values, sort_keys=False, allow_unicode=True), encoding="utf-8")
    return path
