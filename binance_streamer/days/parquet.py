"""One sealed file: writes the sorted rows of a stream's day as Parquet, and reads them back.

In: tables in the order of `sort_key`. Out: a file that any Parquet reader takes, with what it is in its metadata. The
same rows in the same pieces give the same bytes.

Encodings, measured on the recorded market of docs/files.md, "Sizes": differences (DELTA_BINARY_PACKED) for integers
and times, a dictionary for all else. Levels need the large dictionary: a book comes back to the same quantities.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from binance_streamer import __version__
from binance_streamer.days.digest import Digest
from binance_streamer.days.recorded.digits import Digits, digits_metadata
from binance_streamer.days.schema import LEVELS, TIME, TIME_COLUMNS, sort_key, stream_type_of_stem, table_schema

SCHEMA_VERSION = 1
"""Raised whenever a reader of sealed files could tell the difference."""
PREFIX = "binance-streamer."
"""Of all keys of ours in a file's metadata."""

_ROW_GROUPS = 128
"""A reader of one minute of an even day reads one of them, below 2 % of the rows."""
_LEAST_ROWS, _MOST_ROWS = 8192, 131_072
"""Of a row group: smaller ones compress badly, larger ones take memory."""
_MOST_BYTES = 64 * 2**20
"""Of a row group's Arrow columns: 131,072 rows of depth would have 280 MB."""
_DICTIONARY_BYTES = 8 * 2**20
_COMPRESSION_LEVEL = 9
"""Of zstd, measured on depth: 3 is 2 % larger and takes half the CPU of compressing, 6 us a row less of some 50 for the
whole seal; 19 is 4 % smaller for ten times the CPU."""
_READ_ROWS = 8192


class Place(NamedTuple):
    """The partition that a sealed file is: stem of its stream, symbol as the exchange spells it, day as 20261122."""

    stem: str
    symbol: str
    day: str


class FileFacts(NamedTuple):
    """Facts of a sealed file that its name, the log and the certificate are made of.

    `least` and `most` are the bounds of its columns of integers and times, the latter in microseconds; a column without
    values has none. `nulls` counts the nulls of every column but lists.
    """

    rows: int
    digest: str
    least: dict[str, int]
    most: dict[str, int]
    nulls: dict[str, int]


class ParquetFile:
    """A file that is being written: tables in order, then `finish`.

    `rows` is how many will come; the size of row groups follows from it.
    """

    def __init__(self, path: Path, place: Place, rows: int) -> None:
        self._schema = table_schema(place.stem)
        self._place = place
        self._group_rows = min(max(rows // _ROW_GROUPS, _LEAST_ROWS), _MOST_ROWS)
        self._file = pa.OSFile(str(path), "wb")
        self._writer = _writer(self._file, place.stem, self._schema)
        self._digest = Digest(self._schema)
        self._waiting: list[pa.Table] = []
        self._waiting_bytes = self._rows = 0
        self._facts: dict[str, _ColumnFacts] = {
            field.name: _ColumnFacts() for field in self._schema if field.type != LEVELS
        }

    def take(self, rows: pa.Table) -> None:
        """Add rows behind those that were taken before."""
        self._digest.take(rows)
        for name, facts in self._facts.items():
            facts.take(rows.column(name))
        self._rows += len(rows)
        self._waiting.append(rows)
        self._waiting_bytes += rows.nbytes
        if sum(map(len, self._waiting)) >= self._group_rows or self._waiting_bytes >= _MOST_BYTES:
            self._write(all_of_it=False)

    def finish(self, digits: Mapping[str, Digits] | None = None) -> FileFacts:
        """Write what is left and the metadata, and close; return the facts. The bytes are not yet durable.

        `digits` are those that the exchange wrote, where that is known.
        """
        self._write(all_of_it=True)
        digest = self._digest.hexdigest()
        metadata = _metadata(self._place, self._rows, digest) | (digits_metadata(digits) if digits else {})
        self._writer.add_key_value_metadata({PREFIX + key: value for key, value in metadata.items()})
        self._writer.close()
        self._file.close()
        return FileFacts(
            rows=self._rows,
            digest=digest,
            least={name: facts.least for name, facts in self._facts.items() if facts.least is not None},
            most={name: facts.most for name, facts in self._facts.items() if facts.most is not None},
            nulls={name: facts.nulls for name, facts in self._facts.items()},
        )

    def __enter__(self) -> "ParquetFile":
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file; without `finish` before, it is no whole one, and nobody is to read it."""
        self._writer.close()
        self._file.close()

    def _write(self, *, all_of_it: bool) -> None:
        """Write row groups: full ones, and at the end or beyond the limit of bytes also a smaller one."""
        if not self._waiting:
            return
        rows = pa.concat_tables(self._waiting)
        whole = all_of_it or self._waiting_bytes >= _MOST_BYTES
        count = len(rows) if whole else len(rows) - len(rows) % self._group_rows
        for start in range(0, count, self._group_rows):
            self._writer.write_table(rows.slice(start, min(self._group_rows, count - start)).combine_chunks())
        rest = rows.slice(count)
        self._waiting = [rest] if len(rest) else []
        self._waiting_bytes = rest.nbytes


class _ColumnFacts:
    """Bounds and nulls of one column; bounds of integers and times only."""

    def __init__(self) -> None:
        self.least: int | None = None
        self.most: int | None = None
        self.nulls = 0

    def take(self, values: pa.ChunkedArray) -> None:
        """Count values in, behind those before."""
        self.nulls += values.null_count
        if values.type not in (pa.int64(), TIME):
            return
        bounds = pc.min_max(values.cast(pa.int64()))
        least, most = bounds["min"].as_py(), bounds["max"].as_py()
        if least is not None:
            self.least = least if self.least is None else min(self.least, least)
            self.most = most if self.most is None else max(self.most, most)


def _writer(file: pa.NativeFile, stem: str, schema: pa.Schema) -> pq.ParquetWriter:
    deltas = [field.name for field in schema if field.type in (pa.int64(), TIME)]
    lists = [field.name for field in schema if field.type == LEVELS]
    scalars = [field.name for field in schema if field.name not in {*deltas, *lists} and field.type != pa.bool_()]
    levels = [f"{name}.list.element.{member}" for name in lists for member in ("price", "quantity")]
    return pq.ParquetWriter(
        file,
        schema,
        compression="zstd",
        compression_level=_COMPRESSION_LEVEL,
        use_dictionary=[*scalars, *levels],
        column_encoding=dict.fromkeys(deltas, "DELTA_BINARY_PACKED"),
        dictionary_pagesize_limit=_DICTIONARY_BYTES,
        # bounds of the prices within a message's levels lead no reader anywhere
        write_statistics=[field.name for field in schema if field.name not in lists],
        write_page_index=True,
        write_page_checksum=True,  # so that a flipped byte is an error of reading, not another price
        sorting_columns=[pq.SortingColumn(schema.names.index(name)) for name in sort_key(stem)],
    )


def _metadata(place: Place, rows: int, digest: str) -> dict[str, str]:
    return {
        "schema": f"binance-streamer/{stream_type_of_stem(place.stem)}/{SCHEMA_VERSION}",
        "symbol": place.symbol,
        "stream": place.stem,
        "day": place.day,
        "software": __version__,
        "digest": digest,
        "rows": str(rows),
    }


def metadata_of(path: Path) -> dict[str, str]:
    """Return our own metadata of a sealed file, without the prefix of the keys; `ArrowInvalid` where it is none."""
    with pa.OSFile(str(path)) as file:
        found: dict[bytes, bytes] = pq.read_metadata(file).metadata or {}
    return {
        key.decode().removeprefix(PREFIX): value.decode()
        for key, value in found.items()
        if key.startswith(PREFIX.encode())
    }


def read(path: Path) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a sealed file in its order, some thousand at a time."""
    with pa.OSFile(str(path)) as source, pq.ParquetFile(source, pre_buffer=False) as file:
        yield from file.iter_batches(batch_size=_READ_ROWS, use_threads=False)


def digest_of(path: Path, stem: str, progressed: Callable[[], None] = lambda: None) -> tuple[int, str]:
    """Return how many rows a sealed file has, and their digest, by reading all of them.

    `progressed` is called after each piece, and may raise to give up.
    """
    digest, rows = Digest(table_schema(stem)), 0
    for batch in read(path):
        digest.take(pa.Table.from_batches([batch]))
        rows += batch.num_rows
        progressed()
    return rows, digest.hexdigest()


def stats_of(facts: FileFacts) -> str:
    """Return the statistics of a file as the log of a Delta table has them: rows, bounds and nulls, as JSON."""
    return json.dumps(
        {
            "numRecords": facts.rows,
            "minValues": {name: _stat(name, value) for name, value in facts.least.items()},
            "maxValues": {name: _stat(name, value) for name, value in facts.most.items()},
            "nullCount": facts.nulls,
        }
    )


def _stat(name: str, value: int) -> Any:
    """Return a bound as the log writes it: times as text, exact because the exchange's have milliseconds."""
    if name not in TIME_COLUMNS:
        return value
    return pa.scalar(value, TIME).as_py().isoformat(timespec="milliseconds").replace("+00:00", "Z")
