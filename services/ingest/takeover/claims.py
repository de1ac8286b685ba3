"""The claim on a symbol: one worker at a time records it, and the next one learns whose journal has its last rows.

| beside the journals, `symbols/<symbol>.…` | is | changes |
|---|---|---|
| `lock` | held by the worker that records the symbol | with each start and end |
| `owner` | the producer whose journal has the symbol's last rows; without it one's own has | when the symbol moves |
| `next` | held by a worker that waits and receives every stream of it, so that it could go on | while it waits |
| `unlisted` | names of streams with a loss that no gap lists yet | at an end in order, until the next begin |

A worker that may be killed at any moment writes nothing down: its journal is the truth, and the kernel frees the lock.
Who takes a claim over from another journal first makes that durable, then has a head in its own journal, then is the
owner, and only then records (docs/decisions/0087).
"""

import contextlib
import logging
from collections.abc import Collection, Iterable, Iterator, Mapping, Set
from pathlib import Path

from binance_streamer.config.schema import Config
from binance_streamer.deploy.lock_files import claim_path
from services.ingest.symbols import WorkerSymbols
from services.ingest.takeover.unlisted import UnlistedLosses
from services.runtime.files import replace_file, sync_directory, sync_file
from services.runtime.gaps.last_rows import LastRow
from services.runtime.lock import FileLock

_MOST_OWNERS = 4
"""Workers that may have recorded a symbol within the seconds for which a takeover looks back."""
_log = logging.getLogger(__name__)


class SymbolClaims:
    """The claims that a worker holds. A disk that takes no file leaves a symbol unclaimed."""

    def __init__(self, config: Config, producer: str) -> None:
        self.producer = producer
        self._journal_directory = config.storage.journal_directory
        self._is_durable = config.storage.fsync
        self._held: dict[str, FileLock] = {}
        self.refused: dict[str, str] = {}
        """By symbol: why no lock could be made when its claim was last asked for."""
        self._unowned: set[str] = set()  # ours, and the disk did not take the file that says so

    @property
    def held(self) -> Set[str]:
        """The symbols whose claims are ours."""
        return self._held.keys()

    def try_take(self, symbol: str) -> bool:
        """Take the claim if it is free; return True where it is ours now."""
        if symbol in self._held:
            return True
        lock = FileLock(self._path(symbol, "lock"))
        self.refused.pop(symbol, None)
        try:
            if lock.try_acquire():
                self._held[symbol] = lock
        except OSError as error:
            self.refused[symbol] = f"no lock can be made for it: {error.strerror}"
        return symbol in self._held

    def take_own(self, symbols: Iterable[str]) -> list[str]:
        """Take the claims that are free; return those symbols of which our own journal says where they stand.

        What an end in order has noted of them stands beside the journal too, and is forgotten here.
        """
        owners = {symbol: self.owner(symbol) for symbol in symbols if self.try_take(symbol)}
        own = [symbol for symbol, owner in owners.items() if owner in (None, self.producer)]
        self._unowned |= {symbol for symbol in own if owners[symbol] is None}
        self._own_rest()
        for symbol in own:
            self.take_unlisted(symbol)
        return own

    def renew(self) -> None:
        """Make those files of our claims anew that somebody has deleted, or that the disk has not taken."""
        for symbol, lock in list(self._held.items()):
            if not lock.is_on_disk:
                self._renew(symbol, lock)
        self._own_rest()

    def _renew(self, symbol: str, old: FileLock) -> None:
        new = FileLock(self._path(symbol, "lock"))
        with contextlib.suppress(OSError):
            if new.try_acquire():
                _log.warning("the lock of symbol=%s was deleted; made anew", symbol)
                self._held[symbol] = new
                self._unowned.add(symbol)
                old.release()

    def _own_rest(self) -> None:
        if self._unowned:
            with contextlib.suppress(OSError):
                self.own(sorted(self._unowned & self._held.keys()))
                self._unowned.clear()

    def owner(self, symbol: str) -> str | None:
        """Return the producer whose journal has the symbol's last rows; None where nobody has said so."""
        return next(iter(self.owners(symbol)), None)

    def owners(self, symbol: str) -> list[str]:
        """Return the producers whose journals had the symbol's last rows, the newest first: late rows lie in each."""
        try:
            return self._path(symbol, "owner").read_text("utf-8").split()
        except (OSError, UnicodeDecodeError):
            return []

    def own(self, symbols: Collection[str]) -> None:
        """Say, durably, that from here on our journal has the last rows of these symbols; OSError where that fails."""
        for symbol in symbols:
            path = self._path(symbol, "owner")
            before = [owner for owner in self.owners(symbol) if owner != self.producer]
            replace_file(path, "\n".join([self.producer, *before[: _MOST_OWNERS - 1]]).encode())
            if self._is_durable:
                with path.open("rb") as file:
                    sync_file(file.fileno(), path)
        if symbols and self._is_durable:
            sync_directory(path.parent)

    def take_unlisted(self, symbol: str) -> frozenset[str] | None:
        """Return what the one before has noted at its end, None where it did not; it is forgotten."""
        return self._unlisted(symbol).take_over()

    def next_path(self, symbol: str) -> Path:
        """Return the path of the lock by which the next worker says that it could go on at once."""
        return self._path(symbol, "next")

    def release(self, symbol: str) -> None:
        """Let the next worker have the symbol; nothing is noted of what it may have lost."""
        if symbol in self._held:
            self._held.pop(symbol).release()

    def release_noted(self, unlisted: dict[str, frozenset[str]]) -> None:
        """Let the next workers have these symbols, each with the names of its streams that have an unlisted loss."""
        for symbol, names in unlisted.items():
            if symbol in self._held:
                self._unlisted(symbol).note(names)
                self.release(symbol)

    def _unlisted(self, symbol: str) -> UnlistedLosses:
        return UnlistedLosses(self._path(symbol, "unlisted"))

    def _path(self, symbol: str, kind: str) -> Path:
        return claim_path(self._journal_directory, symbol, kind)


@contextlib.contextmanager
def claiming(config: Config, producer: str) -> Iterator[SymbolClaims]:
    """Give the claims of a worker, and let go of those that it still holds at the end, whatever ends it."""
    claims = SymbolClaims(config, producer)
    try:
        yield claims
    finally:
        for symbol in list(claims.held):
            claims.release(symbol)


def rows_to_judge(
    symbols: WorkerSymbols, claims: SymbolClaims, own: Iterable[str], last_rows: Mapping[str, LastRow]
) -> dict[str, LastRow]:
    """Return the last rows of our own symbols, and of those that nobody records any more: their gaps end with us.

    Of a symbol that has moved our journal tells where it stood once, and of one that waits another journal will tell.
    """
    others = {row.symbol for row in last_rows.values() if row.open_gaps} - symbols.by_name.keys()
    ours = {*own, *claims.take_own(others - symbols.moved(others))}
    return {name: row for name, row in last_rows.items() if row.symbol in ours}
