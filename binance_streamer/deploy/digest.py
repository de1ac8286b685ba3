"""A digest of all that a process reads of the configuration: where it changes, the process has to be started again.

Only what differs from the defaults counts, and places inside the configuration's folder count relative to it: the same
YAML has the same names in every checkout.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from binance_streamer.config.groups import is_part, parts_of
from binance_streamer.config.schema import Config, default_of
from binance_streamer.exchange.rest_series import polled_of

SETTINGS_VARIABLE = "BINANCE_STREAMER_SETTINGS"
"""In a process's environment: `<folder>/<settings>.yaml`, where it keeps the configuration that it was started for. A
supervisor sees by the name where something changed that this process reads."""

SECTIONS: Mapping[str, tuple[str, ...]] = {
    "bus": ("performance", "logging", "endpoints"),
    "writer": ("storage", "performance", "logging", "endpoints"),
    "rest": ("network", "storage", "performance", "logging", "endpoints"),
    "ingest": ("network", "storage", "performance", "logging", "endpoints"),
    "orderbook": ("orderbook", "network", "storage", "performance", "logging", "endpoints"),
    "archiver": ("storage", "archiver", "performance", "logging", "endpoints"),
    "monitor": (
        "monitor", "alerts", "orderbook", "network", "storage", "performance", "logging", "endpoints",
    ),
}  # fmt: skip
"""The sections that a service may read."""

_OF_ARCHIVER = frozenset({"lake", "keep_csv", "retention"})
"""Keys of `storage` that only the archiver reads, and the monitor `lake` of them."""
UNREAD: Mapping[str, Mapping[str, frozenset[str]]] = {
    **{name: {"storage": _OF_ARCHIVER} for name in ("writer", "rest", "orderbook")},
    "monitor": {"storage": _OF_ARCHIVER - {"lake"}},
    "ingest": {
        "network": frozenset({
            "rest_url", "request_timeout", "weight_share", "snapshot_interval", "snapshot_spacing",
            "exchange_info_interval", "clock_interval",
        }),
        "storage": _OF_ARCHIVER | frozenset({
            "output_directory", "file_format", "rotation", "flush_interval", "commit_interval", "compress_interval",
        }),
        "performance": frozenset({"batch_size"}),
        "endpoints": frozenset({"orderbook_query"}),
    },
}  # fmt: skip
"""Keys of these sections that a service does not read: restarting an ingest worker costs a gap, and what records need
not start again because days are to be sealed."""

_OF_ALL_SYMBOLS = ("rest", "orderbook", "monitor")
_CHARACTERS = 12


def settings_of(config: Config, config_path: Path, service: str, worker: str = "") -> str:
    """Return the digest of all that this service reads, of an ingest worker for its symbols: 12 hexadecimal digits."""
    default = default_of(config, config_path)
    unread = UNREAD.get(service, {})
    read: dict[str, Any] = {
        section: _changes(getattr(config, section), getattr(default, section), unread.get(section, frozenset()))
        for section in SECTIONS[service]
    }
    if service == "ingest":
        symbol = config.symbol(worker)
        by_websocket = tuple(name for name in symbol.streams if polled_of(symbol.symbol, name) is None)
        read["symbol"] = msgspec.structs.replace(symbol, streams=by_websocket)
        read["connections"] = config.connections
        groups = [group for group in config.groups if is_part(worker) and worker in parts_of(group)]
        read |= {"groups": groups} if groups else {}
    if service in _OF_ALL_SYMBOLS:
        read["symbols"] = config.named
        read |= {"groups": config.groups} if config.groups else {}
    return hashlib.sha256(_relative(msgspec.json.encode(read, order="deterministic"), config_path)).hexdigest()[
        :_CHARACTERS
    ]


def kept_file(state: Path, settings: str) -> Path:
    """Return the file where processes with these settings keep their configuration; `state` is supervisord's folder."""
    return state / "settings" / f"{settings}.yaml"


def _changes(section: Any, default: Any, unread: frozenset[str]) -> dict[str, Any]:
    return {
        key: value
        for key in section.__struct_fields__
        if key not in unread and (value := getattr(section, key)) != getattr(default, key)
    }


def _relative(text: bytes, config_path: Path) -> bytes:
    folder = config_path.resolve().parent
    for place, name in ((folder, b"."), (folder.parent, b"..")):
        if place != place.parent:
            text = text.replace(msgspec.json.encode(str(place))[1:-1], name)
    return text
