"""Tells which rows of REST are in the files already, where a worker's journal is older than they are.

A power cut may take the end of a journal whose rows are durable in the files, and a backup of it may be restored. Such
a worker takes for missing what it had recorded, and has it fetched. The writer knows better: when a new run hangs on a
record that is not the last one that it had of the run before, it notes the last id of each stream, of klines the last
closed bar, and what was missing below. A row of REST up to that id that was not missing is in the files. That holds for
48 hours: REST has nothing older, and should the exchange begin its ids anew some day, small ones are new again.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from binance_streamer.exchange.rest import KEPT_MS
from binance_streamer.wire.frames import Topic
from services.writer.rows.row_ids import is_fetched, late_id_of
from services.writer.rows.rows import Row


class KnownIds(NamedTuple):
    """All ids of one topic of one producer up to `last_id` are in the files, but for those in `missing`: (from, to].

    Said at `noted_ns`, a stamp of the wall clock.
    """

    producer: str
    topic: Topic
    last_id: int
    missing: tuple[tuple[int, int], ...]
    noted_ns: int

    def has(self, number: int) -> bool:
        """Return True if the row with this id is in the files."""
        return number <= self.last_id and not any(low < number <= high for low, high in self.missing)


class KnownRows:
    """Knows for each topic which rows the files have, of producers whose journal was found to be older than them."""

    def __init__(self, known: Iterable[KnownIds] = ()) -> None:
        self._known = {(one.producer, one.topic): one for one in known}

    def note(self, known: Iterable[KnownIds]) -> None:
        """Note what is in the files, in place of what was known of these topics before."""
        self._known |= {(one.producer, one.topic): one for one in known}

    def without(self, producer: str, rows: list[Row]) -> list[Row]:
        """Return the rows without those of REST that are in the files."""
        return [row for row in rows if not self._has(producer, row)] if self._known else rows

    def list(self) -> Sequence[KnownIds]:
        """Return all that is known, for the ledger."""
        return [*self._known.values()]

    def _has(self, producer: str, row: Row) -> bool:
        if row.topic is None or not is_fetched(row):
            return False
        known = self._known.get((producer, row.topic))
        is_recent = known is not None and row.recv_ns - known.noted_ns < KEPT_MS * 1_000_000
        return known is not None and is_recent and known.has(late_id_of(row))
