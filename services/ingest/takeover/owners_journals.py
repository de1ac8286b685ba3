"""The journals of those who have recorded a symbol, read by the worker that goes on with it."""

import logging
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from binance_streamer.config.schema import Config
from binance_streamer.config.symbols import decode_name
from services.ingest.takeover.claims import SymbolClaims
from services.ingest.takeover.release import JournalEnd, since_ns
from services.runtime.gaps.last_rows import LastRow, newest_ns
from services.runtime.journal.foreign import ForeignJournal

_log = logging.getLogger(__name__)


class OwnersJournals:
    """Journals by their producers, each opened once."""

    def __init__(self, config: Config, claims: SymbolClaims) -> None:
        self._config = config
        self._claims = claims
        self._opened: dict[str, ForeignJournal] = {}

    def ends(self, owners: Mapping[str, str], names: Collection[str]) -> dict[str, JournalEnd]:
        """Return where each symbol stands in its owner's journal.

        `names` are the streams without ids whose last seconds are wanted, of all symbols. A symbol may have moved more
        than once within these seconds: so they are read from the journals of its earlier owners, too.
        """
        found: dict[str, JournalEnd] = {}
        for owner in set(owners.values()):
            symbols = [symbol for symbol, one in owners.items() if one == owner]
            found |= {
                symbol: end._replace(unlisted=self._claims.take_unlisted(symbol))
                for symbol, end in ends_in(self._journal(owner), symbols, names).items()
            }
        for symbol, end in found.items():
            earlier = [self._journal(one) for one in self._claims.owners(symbol) if one != owners[symbol]]
            found[symbol] = with_rows_of(end, earlier)
        return found

    def sync(self, owners: Iterable[str]) -> None:
        """Make these journals durable; OSError where the disk fails."""
        for owner in owners:
            self._journal(owner).sync()

    def _journal(self, producer: str) -> ForeignJournal:
        if producer not in self._opened:
            self._opened[producer] = ForeignJournal(self._config.journal_of(producer))
        return self._opened[producer]


def newest_producer(config: Config, symbol: str) -> str | None:
    """Return the producer whose journal has the newest row of a symbol that nobody is said to own; None without a row.

    The file that says so is missing where the disk did not take it, or somebody has deleted it.
    """
    newest = {
        decode_name(directory.name): newest_ns(of_symbol(ForeignJournal(directory).last_rows, symbol).values())
        for directory in Path(config.storage.journal_directory).glob("ingest-*")
    }
    producer = max((name for name in newest if newest[name]), key=lambda name: newest[name], default=None)
    _log.warning("nobody is said to have symbol=%s; the newest rows are those of %s", symbol, producer)
    return producer


def ends_in(journal: ForeignJournal, symbols: Collection[str], names: Collection[str]) -> dict[str, JournalEnd]:
    """Return where symbols stand in one journal, which is read back once for all of them; `names` as in `ends`."""
    rows = {name: row for name, row in journal.last_rows.items() if row.symbol in symbols}
    wanted = [name for name in rows if name in names]
    since = min(since_ns(of_symbol(rows, symbol)) for symbol in symbols)
    recorded = journal.recorded_events(wanted, since) if wanted else {}
    return {
        symbol: JournalEnd(
            of_symbol(rows, symbol),
            {name: messages for name, messages in recorded.items() if rows[name].symbol == symbol},
            None,
        )
        for symbol in symbols
    }


def of_symbol(rows: Mapping[str, LastRow], symbol: str) -> dict[str, LastRow]:
    """Return the last rows of the streams of one symbol."""
    return {name: row for name, row in rows.items() if row.symbol == symbol}


def with_rows_of(end: JournalEnd, earlier: Iterable[ForeignJournal]) -> JournalEnd:
    """Return the end of a journal with what those of earlier owners hold of the same seconds, in order of receipt."""
    begin_ns = since_ns(end.last_rows)
    recorded = {name: set(messages) for name, messages in end.recorded.items()}
    for journal in earlier:
        rows = journal.last_rows
        names = [name for name in recorded if name in rows and rows[name].recv_ns >= begin_ns]
        for name, messages in journal.recorded_events(names, begin_ns).items() if names else ():
            recorded[name].update(one for one in messages if one[0] >= begin_ns)
    return end._replace(recorded={name: sorted(messages) for name, messages in recorded.items()})
