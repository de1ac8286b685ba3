"""Symbols that a changed configuration gives to another worker; `apply` says so before it acts.

Each worker has a journal of its own, and no lock is on a symbol. Where one moves, nobody makes sure that it is recorded
once: docs/decisions/0081-members-of-a-group-are-a-file.md.
"""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from binance_streamer.cli.supervisor.control import Supervisor
from binance_streamer.config.groups import MembersFile, is_part, matches_name, symbols_of, workers_by_symbol
from binance_streamer.config.schema import Config, ConfigError, parse, with_members
from binance_streamer.deploy.digest import SETTINGS_VARIABLE
from binance_streamer.deploy.supervisord import symbol_of

_SHOWN = 5


class Moves(NamedTuple):
    """Symbols that are recorded, and will be by another worker; and all workers that lose or get one."""

    symbols: tuple[str, ...] = ()
    workers: frozenset[str] = frozenset()

    @property
    def warning(self) -> str:
        """Return what that costs; empty where nothing moves."""
        if not self.symbols:
            return ""
        shown = " ".join(self.symbols[:_SHOWN]) + (" …" if len(self.symbols) > _SHOWN else "")
        return (
            f"symbols that move to another worker: {len(self.symbols)} ({shown}). That is not exactly once yet: their "
            "rows of some seconds, or of half a minute, will be in the files twice, or be missing and in no gap; gaps "
            "may lie over recorded rows. To have neither, record into a new data folder (docs/configuration.md, groups)"
        )


def moves_of(before: Mapping[str, str], config: Config) -> Moves:
    """Compare who records each symbol, by the worker's name, with who will by this configuration."""
    after = _workers_after(before, config)
    moved = [symbol for symbol, worker in sorted(before.items()) if after.get(symbol, worker) != worker]
    return Moves(tuple(moved), frozenset(of[symbol] for symbol in moved for of in (before, after)))


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
