"""Check `order`: rows stand where they were written, or in a sealed file where the sort key puts them.

| file | order |
|---|---|
| daily file (CSV) | `seq` grows within each `epoch`: rows stand in the order in which the writer took them |
| sealed file (Parquet) | the sort key grows strictly from row to row |
"""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from binance_streamer.days.checks.finding import Finding, FindingList


class WrittenOrder:
    """Check `order` of a daily file, whose tables come in the order of its lines."""

    name = "order"

    def __init__(self, stream: str, file: str, id_column: str | None) -> None:
        self._found = FindingList(self.name, stream, file)
        self._id_column = id_column
        self._newest: dict[int, int] = {}

    def take(self, table: Any) -> None:
        """Look at the next lines of the file."""
        if self._continues(table):
            return
        ids = integers(table[self._id_column]).to_pylist() if self._id_column else [None] * len(table)
        rows = zip(*(table[name].to_pylist() for name in ("epoch", "seq", "recv_ns")), ids, strict=True)
        newest = self._newest
        for epoch, seq, recv_ns, number in rows:
            before = newest.get(epoch, 0)
            if seq < before:
                self._found.add(f"seq {seq} of epoch {epoch} stands behind {before}", id=number, recv_ns=recv_ns)
            else:
                newest[epoch] = seq

    def findings(self) -> Sequence[Finding]:
        """Return the rows that stand behind a younger one of their epoch."""
        return self._found.all()

    def _continues(self, table: Any) -> bool:
        """Return True where all rows are of one epoch and count on from the newest: the usual case, seen at once."""
        if not len(table):
            return True
        epochs, seqs = flat(table["epoch"]), flat(table["seq"])
        epoch = epochs[0].as_py()
        if not pc.all(pc.equal(epochs, epoch)).as_py() or seqs[0].as_py() <= self._newest.get(epoch, 0):
            return False
        if len(seqs) > 1 and not pc.all(pc.greater(seqs[1:], seqs[:-1])).as_py():
            return False
        self._newest[epoch] = seqs[-1].as_py()
        return True


class KeyOrder:
    """Check `order` of a sealed file: every row has a greater key than the one before, null keys first."""

    name = "order"

    def __init__(self, stream: str, file: str, key: Sequence[str]) -> None:
        self._found = FindingList(self.name, stream, file)
        self._key = tuple(key)
        self._last: tuple[Any, ...] | None = None

    def take(self, table: Any) -> None:
        """Look at the next rows of the file."""
        columns = [flat(table[name]) for name in self._key]
        if len(table) and self._grows(columns[0]):
            self._last = tuple(_comparables(column[-1:])[0] for column in columns)
            return
        for row in zip(*(_comparables(column) for column in columns), flat(table["recv_ns"]).to_pylist(), strict=True):
            key = row[:-1]
            if self._last is not None and key <= self._last:
                self._found.add(f"{self._key[0]} {key[0]} stands behind {self._last[0]}", id=key[0], recv_ns=row[-1])
            self._last = key

    def findings(self) -> Sequence[Finding]:
        """Return the rows whose key is not greater than that of the row before."""
        return self._found.all()

    def _grows(self, column: Any) -> bool:
        """Return True where the first column alone grows strictly, so that the others need no look."""
        if column.null_count or (self._last is not None and _comparables(column[:1])[0] <= self._last[0]):
            return False
        return len(column) < 2 or bool(pc.all(pc.greater(column[1:], column[:-1])).as_py())


def flat(column: Any) -> Any:
    """Return a column as one array; a table has it in chunks, a batch as it is."""
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def integers(column: Any) -> Any:
    """Return ids as int64; times become milliseconds since 1970."""
    array = flat(column)
    if pa.types.is_timestamp(array.type):
        return pc.divide(array.cast(pa.timestamp("us", array.type.tz)).cast(pa.int64()), 1000)
    return array


def _comparables(column: Any) -> list[Any]:
    """Return the values of a key's column, null as what is below all of them."""
    array = integers(column)
    least: Any = "" if pa.types.is_string(array.type) else -1
    return [least if value is None else value for value in array.to_pylist()]
