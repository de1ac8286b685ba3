"""The recorded files of a demo, compared with the simulator's tape: every cell of every row.

In: the tape's folder and the data folder. Out: one comparison for each stream. Rows are compared as a sum of hashes, so
that memory does not grow with the length of a demo; order does not count, since copies come over several connections.
"""

import csv
import hashlib
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from binance_streamer.cli.recordings.opening import SUFFIXES, opened_lines
from binance_streamer.config.symbols import encode_name
from binance_streamer.exchange.rows import RowForm
from binance_streamer.exchange.stream_types import file_stem, row_form
from binance_streamer.exchange.streams import Stream, stream_from_name, suffix_of

_STREAM = b'{"stream":"'
_DATA = b'","data":'
_decode = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
csv.field_size_limit(sys.maxsize)


class RowSet(NamedTuple):
    """Rows as a set in which one may occur twice: how many, and the sum of their hashes modulo 2**128.

    A sum, and not an exclusive or: there two equal rows would cancel each other, and a doubled row would not show.
    """

    rows: int
    digest: int


class StreamComparison(NamedTuple):
    """One stream: messages that the simulator handed over, rows in the files, and whether they are the same."""

    symbol: str
    stream: str
    sent: int
    rows: int
    is_equal: bool


class RecordedRows:
    """The rows of one stream: those that came live, and by their first cell those that REST brought later."""

    def __init__(self, data_directory: Path, stream: Stream) -> None:
        self.live = RowSet(0, 0)
        self.repaired: dict[str, list[list[str]]] = defaultdict(list)
        self.form = row_form(stream.stream_type)
        columns = [column for column, _ in self.form.columns] if self.form else ["event"]
        for path in _files(data_directory, stream):
            with opened_lines(path) as lines:
                for row in csv.DictReader(lines, strict=True):
                    found = [row[column] for column in columns]
                    if row["source"] == "rest" and stream.stream_type in ("aggtrade", "kline"):
                        self.repaired[found[0]].append(found)
                    else:
                        self.live = _added(self.live, found)

    def take_repaired(self, sent: list[str]) -> bool:
        """Return True, and use the row up, if REST brought this message: equal in every cell that REST has."""
        rows = self.repaired.get(sent[0], [])
        for row in rows:
            if all(mine in ("", theirs) for mine, theirs in zip(row, sent, strict=True)):
                rows.remove(row)
                return True
        return False


def compare(tape: Path, data_directory: Path) -> list[StreamComparison]:
    """Compare every stream of the tape with its files.

    A message counts as sent where it was handed to at least one connection, or where REST brought it later.
    """
    recorded: dict[str, RecordedRows] = {}
    sums: dict[str, RowSet] = {}
    repaired: dict[str, int] = defaultdict(int)
    with (tape / "tape.txt").open("rb") as file:
        for line in file:
            _, copies, frame = line.rstrip(b"\n").split(b" ", 2)
            end = frame.index(_DATA)
            name = frame[len(_STREAM) : end].decode()
            if name not in recorded:
                recorded[name] = RecordedRows(data_directory, stream_from_name(name))
            sent = cells(frame[end + len(_DATA) : -1], recorded[name].form)
            if recorded[name].take_repaired(sent):
                repaired[name] += 1
            elif copies != b"0":
                sums[name] = _added(sums.get(name, RowSet(0, 0)), sent)
    found = []
    for name in {*sums, *repaired}:
        stream, rows, sent_live = stream_from_name(name), recorded[name], sums.get(name, RowSet(0, 0))
        stray = sum(map(len, rows.repaired.values()))
        found.append(
            StreamComparison(
                stream.symbol,
                suffix_of(name),
                sent_live.rows + repaired[name],
                rows.live.rows + repaired[name] + stray,
                rows.live == sent_live and not stray,
            )
        )
    return sorted(found)


def _files(data_directory: Path, stream: Stream) -> list[Path]:
    """Return the daily files of one stream, the oldest first."""
    folder = encode_name(stream.symbol)
    stem = file_stem(stream.stream_type, stream.variant)
    days = f"{stem}_{folder}_{'[0-9]' * 8}.csv"
    return sorted(path for suffix in SUFFIXES for path in (data_directory / folder).glob(days + suffix))


def cells(event: bytes, form: RowForm | None) -> list[str]:
    """Return the cells that the row of this message must have."""
    if form is None:
        return [event.decode()]
    members = _decode(event)
    return list(_cells(members, _decode(members[form.inner]) if form.inner else {}, form))


def _cells(members: dict[str, msgspec.Raw], inner: dict[str, msgspec.Raw], form: RowForm) -> Iterator[str]:
    """Yield the cells of a message in the order of the columns.

    This is written again here, and not taken from the writer: a comparison with its own code would repeat its mistakes.
    """
    for _, key in form.columns:
        value = inner.get(key.partition(".")[2]) if "." in key else members.get(key)
        if value is None or (key in form.optional and bytes(value) == b"null"):
            yield ""
        elif key in form.levels:
            yield bytes(value).replace(b'"', b"").decode()
        elif bytes(value).startswith(b'"'):
            yield msgspec.json.decode(value, type=str)
        else:
            yield bytes(value).decode()


def _added(total: RowSet, row: Iterable[str]) -> RowSet:
    """Return the set with one row more; cells are joined by a separator that no cell holds."""
    digest = hashlib.blake2b("\x1f".join(row).encode(), digest_size=16).digest()
    return RowSet(total.rows + 1, (total.digest + int.from_bytes(digest, "big")) % 2**128)
