"""The recorded files of a demo, compared with the simulator's tape: every cell of every row."""

import csv
import hashlib
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from binance_streamer.exchange import ROW_FORMS, RowForm, Stream, file_stem, stream_from_name
from binance_streamer.names import encode_name

_STREAM = b'{"stream":"'
_DATA = b'","data":'
_decode = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
csv.field_size_limit(sys.maxsize)


class Sum(NamedTuple):
    """Rows as a set in which one may occur twice: how many, and the sum of their hashes."""

    rows: int
    digest: int


class Verdict(NamedTuple):
    """One stream: messages that the simulator handed over, rows in the files, and whether they are the same."""

    symbol: str
    stream: str
    sent: int
    rows: int
    is_equal: bool


def verdicts(tape: Path, data_directory: Path) -> list[Verdict]:
    """All streams of the tape."""
    found = []
    for name, sent in sent_sums(tape).items():
        stream = stream_from_name(name)
        rows = recorded_sum(data_directory, stream)
        found.append(Verdict(stream.symbol, name.partition("@")[2], sent.rows, rows.rows, rows == sent))
    return sorted(found)


def sent_sums(tape: Path) -> dict[str, Sum]:
    """Per stream what was handed to at least one connection."""
    sums: dict[str, Sum] = defaultdict(lambda: Sum(0, 0))
    forms: dict[str, RowForm | None] = {}
    with (tape / "tape.txt").open("rb") as file:
        for line in file:
            _, copies, frame = line.rstrip(b"\n").split(b" ", 2)
            end = frame.index(_DATA)
            name = frame[len(_STREAM) : end].decode()
            if copies == b"0":
                continue
            if name not in forms:
                forms[name] = ROW_FORMS.get(stream_from_name(name).stream_type)
            sums[name] = _added(sums[name], cells(frame[end + len(_DATA) : -1], forms[name]))
    return dict(sums)


def recorded_sum(data_directory: Path, stream: Stream) -> Sum:
    """All days of one stream."""
    folder = encode_name(stream.symbol)
    stem = file_stem(stream.stream_type, stream.variant)
    form = ROW_FORMS.get(stream.stream_type)
    columns = [column for column, _ in form.columns] if form else ["event"]
    total = Sum(0, 0)
    for path in sorted((data_directory / folder).glob(f"{stem}_{folder}_{'[0-9]' * 8}.csv")):
        with path.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file, strict=True):
                total = _added(total, [row[column] for column in columns])
    return total


def cells(event: bytes, form: RowForm | None) -> list[str]:
    """What a message's row must say."""
    if form is None:
        return [event.decode()]
    members = _decode(event)
    return list(_cells(members, _decode(members[form.inner]) if form.inner else {}, form))


def _cells(members: dict[str, msgspec.Raw], inner: dict[str, msgspec.Raw], form: RowForm) -> Iterator[str]:
    for _, key in form.columns:
        value = inner.get(key.partition(".")[2]) if "." in key else members.get(key)
        if value is None:
            yield ""
        elif key in form.levels:
            yield bytes(value).replace(b'"', b"").decode()
        elif bytes(value).startswith(b'"'):
            yield msgspec.json.decode(value, type=str)
        else:
            yield bytes(value).decode()


def _added(total: Sum, row: Iterable[str]) -> Sum:
    digest = hashlib.blake2b("\x1f".join(row).encode(), digest_size=16).digest()
    return Sum(total.rows + 1, (total.digest + int.from_bytes(digest, "big")) % 2**128)
