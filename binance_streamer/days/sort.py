"""Sorts more rows than fit into memory: runs on the disk, then a merge, all of it on whole columns.

Rows mostly come in order. So each batch is sorted, and what is not below the end of a run is appended to it; what is
below begins or continues another run. A day with some late rows has two runs. The merge holds one piece of each run in
memory.
"""

import contextlib
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

_PIECE_BYTES = 4 * 2**20
"""A run is read back in pieces of this size of Arrow columns."""
_MAX_RUNS = 32
"""More runs are merged into one before others are begun: the merge holds a piece of each, 128 MiB at most."""
_LEAST = {pa.int64(): -(2**63), pa.string(): ""}
"""Stand for a null in comparisons, by type: nulls come first."""

ORIGIN = "#origin"
"""A column that lives while several files are sorted together: the number of the file that a row is from."""

_Key = tuple[str, ...]
_Values = tuple[int | str, ...]


def sorted_batches(batches: Iterable[pa.RecordBatch], key: _Key, spill: Path) -> Generator[pa.Table]:
    """Yield all rows in the order of the columns `key` (integers and texts, nulls first), in tables of some MiB.

    All batches are taken before the first table comes. `spill` is an empty folder for runs, which takes about as much
    room as the rows in compressed form; the files in it are gone when the last table has been taken.
    """
    runs: list[_SortedRun] = []
    number = 0
    try:
        for batch in batches:
            rest = _sorted(pa.Table.from_batches([batch]), key)
            for run in runs:
                rest = run.take(rest, key)
            if len(rest):
                if len(runs) == _MAX_RUNS:
                    runs = [_merged_run(runs, key, spill / f"{number}.arrow")]
                    number += 1
                runs.append(_SortedRun(spill / f"{number}.arrow"))
                number += 1
                runs[-1].take(rest, key)
        yield from _merged(runs, key)
    finally:
        for run in runs:
            run.remove()


class _SortedRun:
    """Rows in order, in a file: taken until it is read, once, from the beginning."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer: pa.RecordBatchFileWriter | None = None
        self._end: _Values | None = None

    def take(self, rows: pa.Table, key: _Key) -> pa.Table:
        """Append what is not below the last row so far; return the rest. `rows` are in order."""
        below = 0 if self._end is None else _count_below(rows, key, self._end)
        self._append(rows.slice(below), key)
        return rows.slice(0, below)

    def _append(self, rows: pa.Table, key: _Key) -> None:
        if not len(rows):
            return
        if self._writer is None:
            options = pa.ipc.IpcWriteOptions(compression="lz4")
            self._writer = pa.ipc.new_file(str(self._path), rows.schema, options=options)
        self._writer.write_table(rows, max_chunksize=max(1, _PIECE_BYTES * len(rows) // max(rows.nbytes, 1)))
        self._end = _values(rows, key, len(rows) - 1)

    def pieces(self) -> Generator[pa.Table]:
        """Yield the rows, a few MiB at a time."""
        if self._writer is not None:
            self._writer.close()
        with pa.OSFile(str(self._path)) as file, pa.ipc.open_file(file) as reader:
            for number in range(reader.num_record_batches):
                batch = reader.get_batch(number)
                if batch.num_rows:  # a table made of several may have empty pieces
                    yield pa.Table.from_batches([batch])

    def remove(self) -> None:
        """Remove the file; nothing happens where there is none."""
        if self._writer is not None:
            self._writer.close()
        self._path.unlink(missing_ok=True)


def _merged_run(runs: list[_SortedRun], key: _Key, path: Path) -> _SortedRun:
    """Return one run of the rows of several, which are removed."""
    merged = _SortedRun(path)
    for table in _merged(runs, key):
        merged.take(table, key)
    for run in runs:
        run.remove()
    return merged


def _merged(runs: list[_SortedRun], key: _Key) -> Iterator[pa.Table]:
    """Yield the rows of all runs in order.

    No later piece of any run has a row below the end of the piece that ends first, so that all rows up to there, of all
    pieces in memory, come next.
    """
    with contextlib.ExitStack() as stack:
        sources = [stack.enter_context(contextlib.closing(run.pieces())) for run in runs]
        heads = {number: piece for number, source in enumerate(sources) if (piece := next(source, None)) is not None}
        while len(heads) > 1:
            bound = min(_values(piece, key, len(piece) - 1) for piece in heads.values())
            ready = []
            for number, piece in list(heads.items()):
                count = _count_up_to(piece, key, bound)
                ready.append(piece.slice(0, count))
                _advance(heads, sources, number, count)
            yield _sorted(pa.concat_tables(ready), key)
        for number, piece in heads.items():
            yield piece
            yield from sources[number]


def _advance(heads: dict[int, pa.Table], sources: list[Generator[pa.Table]], number: int, count: int) -> None:
    """Drop the first rows of a run's piece in memory; get the next piece where none are left."""
    if count < len(heads[number]):
        heads[number] = heads[number].slice(count)
        return
    following = next(sources[number], None)
    if following is None:
        del heads[number]
    else:
        heads[number] = following


def _sorted(rows: pa.Table, key: _Key) -> pa.Table:
    """Return the rows in order, and the table itself where they are in order already."""
    if len(rows) < 2 or _is_sorted(rows, key):
        return rows
    keys = pa.table([_comparable(rows, name) for name in key], names=list(key))
    order = pc.sort_indices(keys, sort_keys=[(name, "ascending") for name in key])
    return rows.take(order)


def _is_sorted(rows: pa.Table, key: _Key) -> bool:
    """Return True if no row is below the one before it."""
    below: pa.ChunkedArray | None = None
    for name in reversed(key):
        column = _comparable(rows, name)
        before, after = column.slice(0, len(column) - 1), column.slice(1)
        less = pc.less(after, before)
        below = less if below is None else pc.or_(less, pc.and_(pc.equal(after, before), below))
    return not pc.any(below).as_py()


def _count_below(rows: pa.Table, key: _Key, values: _Values) -> int:
    """Return the number of rows below a key; `rows` are in order, so that they are the first ones."""
    return _count(rows, key, values, with_equal=False)


def _count_up_to(rows: pa.Table, key: _Key, values: _Values) -> int:
    """Return the number of rows not above a key; `rows` are in order, so that they are the first ones."""
    return _count(rows, key, values, with_equal=True)


def _count(rows: pa.Table, key: _Key, values: _Values, *, with_equal: bool) -> int:
    found = pa.scalar(with_equal)
    for name, value in zip(reversed(key), reversed(values), strict=True):
        column = _comparable(rows, name)
        found = pc.or_(pc.less(column, value), pc.and_(pc.equal(column, value), found))
    return int(pc.sum(found).as_py() or 0)


def _values(rows: pa.Table, key: _Key, number: int) -> _Values:
    """Return the key of one row."""
    return tuple(_comparable(rows.slice(number, 1), name)[0].as_py() for name in key)


def _comparable(rows: pa.Table, name: str) -> pa.ChunkedArray:
    """Return a key column with nulls replaced by the least value."""
    column = rows.column(name)
    return pc.fill_null(column, _LEAST[column.type]) if column.null_count else column


def marked(rows: pa.Table, origin: int) -> pa.Table:
    """Return rows with the number of their file in the column `ORIGIN`."""
    return rows.append_column(ORIGIN, pa.repeat(pa.scalar(origin, pa.int64()), len(rows)))


class FirstCopies:
    """Drops rows that an earlier file has too: the same values of `key`. Within one file nothing is dropped.

    The rows come in the order of (`key`, `ORIGIN`).
    """

    def __init__(self, key: _Key) -> None:
        self._key = key
        self._last: tuple[object, ...] | None = None
        self._first_origin = 0

    def kept(self, rows: pa.Table) -> pa.Table:
        """Return the rows to keep of the next table in order, without the mark of their file."""
        values = list(zip(*(rows.column(name).to_pylist() for name in self._key), strict=True))
        keep = []
        for value, origin in zip(values, rows.column(ORIGIN).to_pylist(), strict=True):
            if value != self._last:
                self._last, self._first_origin = value, origin
            keep.append(origin == self._first_origin)
        return rows.drop_columns([ORIGIN]).filter(pa.array(keep, pa.bool_()))
