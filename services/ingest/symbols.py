"""The symbols of a worker: a named worker has one, that of a group those of its members that it serves.

What belongs to a symbol and not to one of its streams stands here: whether it trades, and the snapshot that it wants.
"""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import msgspec

from binance_streamer.config import schema as configuration
from binance_streamer.config.groups import MembersFile, is_part, symbols_of, workers_by_symbol
from binance_streamer.config.schema import Config, SymbolConfig, streams_of
from binance_streamer.exchange.streams import Stream
from binance_streamer.wire.frames import encode_topic
from binance_streamer.wire.requests import SnapshotRequest, read_symbol_status
from services.ingest.streams.snapshots import SnapshotRequests
from services.ingest.trading import Trading

_LOOK_S = 1.0
"""Between two looks at the members of a group."""


class _Snapshot(msgspec.Struct):
    last_update_id: int = msgspec.field(name="lastUpdateId")


_decode_snapshot = msgspec.json.Decoder(_Snapshot).decode


class SymbolChanges(NamedTuple):
    """The symbols that a worker is to record from now on, and those that it records no more."""

    begun: tuple[SymbolConfig, ...]
    ended: tuple[SymbolConfig, ...]


NO_CHANGES = SymbolChanges((), ())


@dataclass(slots=True)
class RecordedSymbol:
    """One symbol of a worker."""

    config: SymbolConfig
    snapshots: SnapshotRequests
    trading: Trading = field(default_factory=Trading)


class WorkerSymbols:
    """The symbols of a worker by name, as they are now."""

    def __init__(self, config: Config, worker: str, config_path: Path | None = None) -> None:
        """`config_path` is the file that is looked at where a symbol is taken out: another worker may have it now."""
        self._worker = worker
        self._config_path = config_path
        self.leaving: frozenset[str] = frozenset()
        """Symbols that are another worker's by the configuration as it is now; recorded here until it is ready."""
        self._retry_s = config.network.snapshot_retry
        self._members = MembersFile(_without_named(config) if is_part(worker) else config)
        self._looked_s = 0.0
        self.by_name: dict[str, RecordedSymbol] = {}
        self._take_members()

    @property
    def are_known(self) -> bool:
        """Return True where the symbols are known; those of a group are once the exchange has told its list."""
        return self._members.knows(self._worker)

    @property
    def streams(self) -> tuple[Stream, ...]:
        """Return the streams of all symbols, those of a symbol together."""
        return tuple(stream for one in self.by_name.values() for stream in streams_of(one.config))

    def look(self, now_s: float) -> SymbolChanges | None:
        """Return what has changed since the last look, and go by it; None where nothing has."""
        if now_s < self._looked_s + _LOOK_S:
            return None
        self._looked_s = now_s
        return self._take_members() if self._members.refresh() else None

    def take_status(self, data: dict[str, Any], now_s: float) -> None:
        """Take what the REST process says of a symbol; `WireError` where it is not readable."""
        status = read_symbol_status(data)
        if status.symbol in self.by_name:
            self.by_name[status.symbol].trading.take(status, now_s)

    def want_snapshots(self, wanted: Iterable[SnapshotRequest], now_s: float) -> None:
        """Ask for these snapshots, of the symbols that are to have any."""
        for one in wanted:
            symbol = self.by_name.get(one.symbol)
            if symbol is not None and symbol.config.depth_snapshot:
                symbol.snapshots.request(one, now_s)

    def take_snapshot(self, data: dict[str, Any]) -> None:
        """Take a snapshot that was on the bus; an error of msgspec where it is not readable."""
        symbol = self.by_name.get(data["symbol"])
        if symbol is not None:
            symbol.snapshots.on_snapshot(_decode_snapshot(data.get("event", b"")).last_update_id)

    @property
    def snapshots_wanted(self) -> dict[str, int]:
        """The least `lastUpdateId` of each snapshot that is asked for, by symbol."""
        wanted = {name: one.snapshots.wanted for name, one in self.by_name.items()}
        return {name: one.last_update_id for name, one in wanted.items() if one}

    def expected(self, now_s: float, now_ms: int) -> Callable[[str], bool]:
        """Return what tells of a symbol whether it trades and its market is open, so that silence is a fault."""
        names = {name for name, one in self.by_name.items() if one.trading.is_expected(now_s, now_ms)}
        return names.__contains__

    def not_trading(self, now_s: float) -> tuple[str, ...]:
        """Return the symbols of which the REST process says that they do not trade."""
        return tuple(name for name, one in self.by_name.items() if not one.trading.is_trading(now_s))

    def off_session(self, now_ms: int) -> tuple[str, ...]:
        """Return the symbols whose market is closed."""
        return tuple(name for name, one in self.by_name.items() if one.trading.is_off_session(now_ms))

    def forget(self, symbol: str) -> None:
        """Forget a symbol that another worker records from here on."""
        del self.by_name[symbol]
        self.leaving -= {symbol}

    def _take_members(self) -> SymbolChanges:
        wanted = {one.symbol: one for one in symbols_of(self._members.config, self._worker)}
        begun = tuple(one for name, one in wanted.items() if name not in self.by_name)
        self.leaving = self.moved(self.by_name.keys() - wanted.keys())
        unwanted = self.by_name.keys() - wanted.keys() - self.leaving
        ended = tuple(one.config for name, one in self.by_name.items() if name in unwanted)
        for one in ended:
            del self.by_name[one.symbol]
        for one in begun:
            self.by_name[one.symbol] = RecordedSymbol(one, SnapshotRequests(self._retry_s, Random()))  # noqa: S311 (jitter)
        return SymbolChanges(begun, ended)

    def moved(self, symbols: Collection[str]) -> frozenset[str]:
        """Return those of the symbols that another worker is to record, by the configuration file as it is now."""
        if not symbols or self._config_path is None:
            return frozenset()
        try:
            config = configuration.load(self._config_path)
        except (configuration.ConfigError, OSError):
            return frozenset()
        workers = workers_by_symbol(MembersFile(config).config)
        return frozenset(symbol for symbol in symbols if symbol in workers)


def topics_of(symbol: str) -> list[bytes]:
    """Return what a worker listens to on the bus for a symbol: what REST brings, and gaps that the writer offers."""
    return [encode_topic(kind, symbol) for kind in ("depth_snapshot", "symbol_status", "repair", "offered_gap")]


def _without_named(config: Config) -> Config:
    """Return the configuration for a worker of a group: `rest` has left the named symbols out, as they are now.

    Those that this process was started with may be members by now.
    """
    selected = msgspec.structs.replace(config.selected, symbols=())
    return msgspec.structs.replace(config, modes={**config.modes, config.mode: selected})
