"""Groups of symbols: which of the exchange's symbols are their members, and which worker of a group serves a member.

A group names its members, or says which symbols of the exchange they are (`match`). These `rest` finds in the
exchange's list, and keeps them in a file of the run directory: one fact, by which every other process goes.
`<group>-<k>` is the name of the group's worker k; no symbol has such a name, since none has ASCII letters in lower
case.
"""

import contextlib
import re
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

import msgspec

from binance_streamer.config.schema import Config, GroupConfig, SymbolConfig, member_of, part_name, with_members
from binance_streamer.config.symbols import symbol_fault
from binance_streamer.exchange.streams import UPPER

MEMBERS_FILE = "members.json"
TRADING = "TRADING"
ENDED = frozenset({"SETTLING", "CLOSE", "DELIVERED"})
"""Statuses behind which nothing comes any more; one before them, like PRE_SETTLE, may still send
(docs/exchange.md §5.2.15)."""
_is_part = re.compile(r"[a-z][a-z0-9_]*-[0-9]{1,2}").fullmatch


class Contract(NamedTuple):
    """A symbol as the exchange lists it, as far as a group asks for it; what it does not say is empty."""

    symbol: str
    status: str = TRADING
    contract: str = ""
    quote: str = ""


def is_part(worker: str) -> bool:
    """Return True where this is the name of a group's worker, and not a symbol."""
    return _is_part(worker) is not None


def part_of(group: GroupConfig, symbol: str) -> int:
    """Return the number of the worker that serves a member: the one with the highest hash of both (rendezvous).

    So a member that comes or goes moves no other one, and with one worker more, 1 of n members moves.
    """
    return _part_of(symbol, group.workers)


@lru_cache(maxsize=4096)
def _part_of(symbol: str, workers: int) -> int:
    """Return the number of a member's worker; remembered, since it is asked for each second of each member."""
    return max(range(workers), key=lambda number: blake2b(f"{symbol}/{number}".encode(), digest_size=8).digest())


@lru_cache(maxsize=16)  # a judgement of 500 members asks for it eight times
def parts_of(group: GroupConfig) -> Mapping[str, tuple[str, ...]]:
    """Return the members of each worker of a group, by the worker's name, in the order of the group."""
    parts: dict[str, list[str]] = {part_name(group, number): [] for number in range(group.workers)}
    for symbol in group.members:
        parts[part_name(group, part_of(group, symbol))].append(symbol)
    return {name: tuple(symbols) for name, symbols in parts.items()}


def members_of(group: GroupConfig, listed: Iterable[Contract], before: Iterable[str] = ()) -> tuple[str, ...]:
    """Return the symbols that a group matches, sorted: those that trade, and those of `before` that have not ended.

    A member stays through a pause of trading: leaving it out would cost what comes behind the pause. Its contract and
    its quote count when it begins alone: a contract that runs out has another type, and still trades.
    """
    known = frozenset(before)
    return tuple(
        sorted(
            one.symbol
            for one in listed
            if member_fault(one.symbol) is None
            and (
                one.status not in ENDED and matches_name(group, one.symbol)
                if one.symbol in known
                else one.status == TRADING and matches(group, one)
            )
        )
    )


def matches(group: GroupConfig, one: Contract) -> bool:
    """Return True where a symbol is one of those that the group says, whatever its status is."""
    match = group.match
    return (
        match is not None
        and matches_name(group, one.symbol)
        and one.contract in match.contract
        and (not match.quote or one.quote in match.quote)
    )


def matches_name(group: GroupConfig, symbol: str) -> bool:
    """Return True where a group matches a symbol by its name, as far as that goes."""
    return group.match is not None and symbol not in group.exclude and fnmatchcase(symbol, group.match.symbol)


def is_wanted(config: Config, symbol: str) -> bool:
    """Return True where a symbol has a worker, or will have one once `rest` has found it to be a member."""
    return symbol in workers_by_symbol(config) or any(matches_name(group, symbol) for group in config.groups)


def member_fault(symbol: str) -> str | None:
    """Return the reason why a symbol that the exchange lists cannot be recorded under its name, or None."""
    if symbol != symbol.translate(UPPER):
        return "must be in upper case"
    return symbol_fault(symbol)


class MembersFile:
    """The members of matching groups as `rest` has found them, by the group's name; written in one step.

    `config` is what is to be recorded now. Before the first list of the exchange nobody knows it: `is_known`.
    """

    def __init__(self, config: Config) -> None:
        self._given = config
        self._path = Path(config.endpoints.run_directory) / MEMBERS_FILE
        self._is_needed = any(group.match is not None for group in config.groups)
        self._stamp: tuple[int, int, int] | None = None
        self._found: dict[str, tuple[str, ...]] = {}
        self.config = config
        self.refresh()

    @property
    def is_known(self) -> bool:
        """Return True where the members of every group are known."""
        return all(group.match is None or group.name in self._found for group in self._given.groups)

    def knows(self, worker: str) -> bool:
        """Return True where the symbols of a worker are known: those of its group, and of the groups before it.

        A group that is listed earlier takes symbols from it, a later one does not. A named worker knows its own symbol.
        """
        if not is_part(worker):
            return True
        for group in self._given.groups:
            if group.match is not None and group.name not in self._found:
                return False
            if worker in parts_of(group):
                return True
        return True

    @property
    def found(self) -> Mapping[str, tuple[str, ...]]:
        """Return the members by group, as the file had them last; also of groups that are not configured."""
        return self._found

    def refresh(self) -> bool:
        """Look at the file; return True where the members have changed.

        A file that cannot be read changes nothing, nor does it for a group that it does not have.
        """
        if not self._is_needed:
            return False
        with contextlib.suppress(OSError, msgspec.DecodeError, UnicodeDecodeError):
            found = self._path.stat()
            stamp = (found.st_ino, found.st_mtime_ns, found.st_size)
            if stamp == self._stamp:
                return False
            read = msgspec.json.decode(self._path.read_bytes(), type=dict[str, tuple[str, ...]])
            self._stamp = stamp
            return self._take(read)
        return False

    def content(self, found: Mapping[str, Sequence[str]]) -> bytes:
        """Return what is to be written into the file for these members."""
        return msgspec.json.encode(found)

    @property
    def path(self) -> Path:
        """Return the path of the file."""
        return self._path

    def _take(self, found: dict[str, tuple[str, ...]]) -> bool:
        sound = {group: tuple(one for one in symbols if member_fault(one) is None) for group, symbols in found.items()}
        self._found = self._found | sound
        before, self.config = self.config, with_members(self._given, self._found)
        return before.groups != self.config.groups


def symbols_of(config: Config, worker: str) -> tuple[SymbolConfig, ...]:
    """Return the symbols that a worker records: its own, or those members of its group that it serves."""
    if not is_part(worker):
        return (config.symbol(worker),)
    for group in config.groups:
        if worker in (parts := parts_of(group)):
            return tuple(member_of(group, symbol) for symbol in parts[worker])
    return ()


def workers_by_symbol(config: Config) -> dict[str, str]:
    """Return the name of the worker of each recorded symbol."""
    found = {symbol.symbol: symbol.symbol for symbol in config.named}
    for group in config.groups:
        found |= {symbol: part for part, symbols in parts_of(group).items() for symbol in symbols}
    return found
