"""Symbols that a changed configuration gives to another worker; `apply` says so, and stops nobody too early.

A claim on each symbol sees to it that one worker at a time records it, whatever is started and stopped in which order
(docs/decisions/0087). Nothing is missed, either, where the next worker receives the symbol before the other one ends.
"""

import os
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from binance_streamer.cli.supervisor.control import Supervisor
from binance_streamer.config.groups import MembersFile, is_part, matches_name, symbols_of, workers_by_symbol
from binance_streamer.config.schema import Config, ConfigError, parse, with_members
from binance_streamer.deploy.digest import SETTINGS_VARIABLE
from binance_streamer.deploy.lock_files import claim_path, is_held
from binance_streamer.deploy.supervisord import symbol_of

_SHOWN = 5
_LOOK_S = 0.1


class Moves(NamedTuple):
    """Symbols that are recorded, and will be by another worker; and the workers that lose one, by symbol."""

    symbols: tuple[str, ...] = ()
    losers: tuple[str, ...] = ()

    def of(self, worker: str | None) -> list[str]:
        """Return the symbols that this worker loses."""
        return [symbol for symbol, loser in zip(self.symbols, self.losers, strict=True) if loser == worker]

    @property
    def line(self) -> str:
        """Return what is to be said of them; empty where nothing moves."""
        return f"> symbols that move to another worker: {_shown(self.symbols)}" if self.symbols else ""

    def warning(self, config: Config) -> str:
        """Return what is to be done first, where a version recorded that knew no claims; empty where none did."""
        unclaimed = [one for one in self.symbols if not _claim_path(config, one, "owner").exists()]
        if not unclaimed:
            return ""
        return (
            f"recorded by a version from before symbols could move: {_shown(unclaimed)}. Their rows of some seconds "
            "may be in the files twice; to have none, first `binance-streamer restart` with the configuration as it was"
        )


def await_next(config: Config, symbols: Collection[str], within_s: float) -> list[str]:
    """Wait until the next workers of these symbols receive them; return those of which none does so in time."""
    end_s = time.monotonic() + within_s
    left = sorted(symbols)
    while left and time.monotonic() < end_s:
        left = [one for one in left if not is_held(_claim_path(config, one, "next"))]
        if left:
            time.sleep(_LOOK_S)
    return left


def _claim_path(config: Config, symbol: str, kind: str) -> Path:
    return claim_path(config.storage.journal_directory, symbol, kind)


def _shown(symbols: Sequence[str]) -> str:
    return f"{len(symbols)} ({' '.join(symbols[:_SHOWN])}{' …' if len(symbols) > _SHOWN else ''})"


def moves_of(before: Mapping[str, str], config: Config) -> Moves:
    """Compare who records each symbol, by the worker's name, with who will by this configuration."""
    after = _workers_after(before, config)
    moved = [symbol for symbol, worker in sorted(before.items()) if after.get(symbol, worker) != worker]
    return Moves(tuple(moved), tuple(before[symbol] for symbol in moved))


def recording_workers(config_path: Path, supervisor: Supervisor) -> dict[str, str]:
    """Return the name of the worker that records each symbol now, by what each of them was started for."""
    found: dict[str, str] = {}
    known: dict[Path, Config] = {}
    for process in supervisor.processes():
        worker = symbol_of(process.name)
        if worker is None or not process.is_alive:
            continue
        if not is_part(worker):
            found[worker] = worker
            continue
        kept = kept_settings(process.pid).get(SETTINGS_VARIABLE)
        try:
            if kept is not None and Path(kept) not in known:
                known[Path(kept)] = MembersFile(parse(Path(kept).read_text("utf-8"), config_path)).config
        except (OSError, ValueError, ConfigError):
            continue
        if kept is not None:
            found |= {one.symbol: worker for one in symbols_of(known[Path(kept)], worker)}
    return found


def kept_settings(pid: int) -> dict[str, str]:
    """Return the variable that names the configuration for which a process was started; empty where it has none."""
    try:
        variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return {}
    begin = f"{SETTINGS_VARIABLE}=".encode()
    kept = next((one[len(begin) :] for one in variables if one.startswith(begin)), b"")
    return {SETTINGS_VARIABLE: os.fsdecode(kept)} if kept else {}


def _workers_after(before: Iterable[str], config: Config) -> dict[str, str]:
    """Return the worker of each symbol. One that is recorded now and not named is a member of a group that it matches.

    The file of the members has it only once `rest` has found it, which it does behind its restart.
    """
    members = MembersFile(config)
    found = dict(members.found)
    for group in config.groups:
        own = found.get(group.name, ())
        found[group.name] = (*own, *(one for one in sorted(before) if one not in own and matches_name(group, one)))
    return workers_by_symbol(with_members(config, found))
