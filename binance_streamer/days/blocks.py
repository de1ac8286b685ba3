"""Digests of blocks of rows, by which a changed row is found: the digest of a day only says that there is one.

A block has 1,024 rows in the order of `sort_key`. Where a day has more than 256 blocks, two neighbours become one,
again and again; the digest of the two is SHA-256 of both. So a certificate has at most 256 of them, whatever the day,
and a change is bounded to a 256th of it.
"""

import hashlib
from typing import Any

import msgspec
import pyarrow as pa

from binance_streamer.days.digest import Digest

BLOCK_ROWS = 1024
_MOST_BLOCKS = 256
_DIGEST_BYTES = 8
"""They tell where, not whether: for the latter there is the digest of the day, of 32 bytes."""


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
