"""The digest of canonical rows: of values, whatever file, chunk or library they come from (docs/files.md, "Digest").

In: tables in the order of `sort_key`. Out: 64 hexadecimal digits. A day that is sealed twice, or read back from
Parquet, from CSV or by a stranger's program, has the same one.

Digests of blocks of rows find a changed row: the digest of a day only says that there is one.

A block has 1,024 rows in the order of `sort_key`. Where a day has more than 256 blocks, two neighbours become one,
again and again; the digest of the two is SHA-256 of both. So a certificate has at most 256 of them, whatever the day,
and a change is bounded to a 256th of it.
"""

import hashlib
from collections.abc import Iterator
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from binance_streamer.days.schema import DECIMAL, LEVELS, TIME

_NAMES = {
    pa.int64(): "int64",
    TIME: "timestamp",
    DECIMAL: "decimal",
    pa.float64(): "double",
    pa.bool_(): "bool",
    pa.string(): "text",
    LEVELS: "list",
}
"""Types as the digest's lines name them."""
_WIDTHS = {pa.int64(): 8, TIME: 8, DECIMAL: 16, pa.float64(): 8, pa.uint8(): 1}
"""Bytes of one value in memory: little-endian, as Arrow has them everywhere."""

BLOCK_ROWS = 1024
_MOST_BLOCKS = 256
_DIGEST_BYTES = 8
"""They tell where, not whether: for the latter there is the digest of the day, of 32 bytes."""


class Digest:
    """Digest of rows that come in any number of tables."""

    def __init__(self, schema: pa.Schema) -> None:
        self._columns = [_Column(field.name, field.type) for field in schema]

    def take(self, rows: pa.Table) -> None:
        """Add rows behind those that were taken before; their columns are those of the schema."""
        for column in self._columns:
            for chunk in rows.column(column.name).chunks:
                column.take(chunk)

    def hexdigest(self) -> str:
        """Return the digest of all rows so far, in hexadecimal digits."""
        lines = [line for column in self._columns for line in column.lines()]
        return hashlib.sha256("".join(lines).encode()).hexdigest()


class _Column:
    """One column: a hash of which rows have a value, and one of the values; of lists also those of their members."""

    def __init__(self, name: str, kind: pa.DataType) -> None:
        self.name = name
        self._kind = kind
        self._present, self._values = hashlib.sha256(), hashlib.sha256()
        members = list(kind.value_type) if kind == LEVELS else []
        self._members = [_Column(f"{name}.{member.name}", member.type) for member in members]

    def take(self, values: pa.Array) -> None:
        """Add values behind those that were taken before."""
        self._present.update(_bytes(pc.cast(pc.is_valid(values), pa.uint8())))
        there = values.drop_null() if values.null_count else values
        if self._kind == pa.string():
            self._values.update(_texts(there))
        elif self._kind == pa.bool_():
            self._values.update(_bytes(pc.cast(there, pa.uint8())))
        elif self._members:
            self._values.update(_bytes(pc.cast(pc.list_value_length(there), pa.int64())))
            levels = there.flatten()
            for member, column in zip(levels.flatten(), self._members, strict=True):
                column.take(member)
        else:
            self._values.update(_bytes(there))

    def lines(self) -> Iterator[str]:
        """Yield the line of this column, then those of its members."""
        yield f"{self.name} {_NAMES[self._kind]} {self._present.hexdigest()} {self._values.hexdigest()}\n"
        for member in self._members:
            yield from member.lines()


def _bytes(values: pa.Array) -> memoryview:
    """Return the values of an array of one width, without nulls, as they lie in memory."""
    width = _WIDTHS[values.type]
    data = memoryview(values.buffers()[1]) if len(values) else memoryview(b"")
    return data[values.offset * width : (values.offset + len(values)) * width]


def _texts(values: pa.StringArray) -> memoryview:
    """Return each text behind its length in bytes, 8 bytes little-endian."""
    lengths = pc.cast(pc.binary_length(values), pa.int64())
    prefix = pa.Array.from_buffers(pa.binary(8), len(lengths), [None, lengths.buffers()[1]]).cast(pa.binary())
    joined = pc.binary_join_element_wise(prefix, values.cast(pa.binary()), b"")
    if not len(joined):
        return memoryview(b"")
    offsets = memoryview(joined.buffers()[1]).cast("i")
    start, end = offsets[joined.offset], offsets[joined.offset + len(joined)]
    return memoryview(joined.buffers()[2])[start:end]


class Blocks(msgspec.Struct, frozen=True):
    """Digests of blocks of so many rows each, one behind the other, 16 hexadecimal digits each."""

    rows: int = BLOCK_ROWS
    digests: str = ""

    def differing(self, other: "Blocks") -> list[tuple[int, int]]:
        """Return (first, last + 1) of the rows in blocks that differ; all rows where the sizes of blocks do."""
        width = 2 * _DIGEST_BYTES
        count = max(len(self.digests), len(other.digests)) // width
        if self.rows != other.rows:
            return [(0, max(self.rows, other.rows) * count)]
        places = (slice(width * number, width * (number + 1)) for number in range(count))
        return [
            (self.rows * number, self.rows * (number + 1))
            for number, place in enumerate(places)
            if self.digests[place] != other.digests[place]
        ]


class BlockDigests:
    """Takes rows in order, in any number of tables, and gives the digests of their blocks."""

    def __init__(self, schema: pa.Schema) -> None:
        self._schema = schema
        self._open: list[pa.Table] = []
        self._open_rows = 0
        self._closed: list[bytes] = []

    def take(self, table: Any) -> None:
        """Take the next rows, in the order of `sort_key`."""
        rows = table if isinstance(table, pa.Table) else pa.Table.from_batches([table])
        while len(rows):
            part = rows.slice(0, BLOCK_ROWS - self._open_rows)
            rows = rows.slice(len(part))
            self._open.append(part)
            self._open_rows += len(part)
            if self._open_rows == BLOCK_ROWS:
                self._closed.append(self._digest())
                self._open, self._open_rows = [], 0

    def blocks(self) -> Blocks:
        """Return the digests of all rows so far; the last block may be shorter than the others."""
        digests = [*self._closed, self._digest()] if self._open else list(self._closed)
        rows = BLOCK_ROWS
        while len(digests) > _MOST_BLOCKS:
            pairs = (digests[place : place + 2] for place in range(0, len(digests), 2))
            digests = [hashlib.sha256(b"".join(pair)).digest() for pair in pairs]
            rows *= 2
        return Blocks(rows, b"".join(digest[:_DIGEST_BYTES] for digest in digests).hex())

    def _digest(self) -> bytes:
        digest = Digest(self._schema)
        for table in self._open:
            digest.take(table)
        return bytes.fromhex(digest.hexdigest())
