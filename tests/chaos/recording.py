"""The two sides that are compared: what the simulator sent, and what lies in the files. Read by json and csv alone."""

import contextlib
import csv
import hashlib
import heapq
import io
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

import msgspec

from binance_streamer.exchange.stream_types import file_stem, row_form
from binance_streamer.exchange.streams import Stream, stream_from_name
from tests.chaos.oracle import STRICT, Gap, Message, Row, Rules, Verdict, judge
from tests.support.recorded import recorded_files, recorded_rows, recorded_text

_decode = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_STREAM = b'{"stream":"'
_DATA = b'","data":'
_IDS = {"aggTrade": ("a", None), "trade": ("t", None), "depth": ("u", "pu"), "rpiDepth": ("u", "pu")}
_REST_LACKS = ("event_time", "extra")
_REST_LACKS_OF_BARS = ("first_trade_id", "last_trade_id")


class Judged(NamedTuple):
    """One stream of a run, its tape and what is wrong with its recording."""

    stream: Stream
    tape: list[Message]
    recv_ns: dict[int, int]
    verdict: Verdict


def judged(tape_directory: Path, data_directory: Path, rules: Rules = STRICT) -> Iterator[Judged]:
    """Every stream of the tape, one after the other: a long run is larger than memory."""
    with tempfile.TemporaryDirectory() as folder:
        for name, path in _by_stream(tape_directory, Path(folder)).items():
            stream = stream_from_name(name)
            tape = _tape(stream, path)
            rows = rows_of(data_directory, stream)
            gaps = gaps_of(data_directory, stream, has_ids=any(message.last_id is not None for message in tape))
            verdict = judge(tape, rows, gaps, rules)
            place = {message.key: index for index, message in enumerate(tape)}
            recv_ns = {place[row.key]: row.recv_ns for row in rows if row.key in place}
            yield Judged(stream, tape, recv_ns, verdict)


def _by_stream(tape_directory: Path, folder: Path) -> dict[str, Path]:
    """The tape in a file per stream."""
    paths: dict[str, Path] = {}
    with contextlib.ExitStack() as stack, (tape_directory / "tape.txt").open("rb") as tape:
        files: dict[bytes, BinaryIO] = {}
        for line in tape:
            head = line[line.index(b"{") : line.index(_DATA)]
            if head not in files:
                path = paths[head.removeprefix(_STREAM).decode()] = folder / str(len(paths))
                files[head] = stack.enter_context(path.open("wb"))
            files[head].write(line)
    return paths


def _tape(stream: Stream, path: Path) -> list[Message]:
    """In the order sent; a message that came later over another connection stands there once."""
    content = _Content(stream)
    found: dict[bytes, Message] = {}
    with path.open("rb") as lines:
        for line in lines:
            if not line.endswith(b"\n"):
                break  # of a simulator that still runs
            stamp, copies, frame = line.split(b" ", 2)
            message = content.message(int(stamp), int(copies), frame[frame.index(_DATA) + len(_DATA) : -2])
            before = found.get(message.key)
            found[message.key] = before._replace(copies=before.copies + message.copies) if before else message
    return list(found.values())


def rows_of(data_directory: Path, stream: Stream) -> list[Row]:
    """All rows of a stream, in the order of its files; days are merged by receive stamp, as times may go back a day."""
    paths = recorded_files(data_directory, stream.symbol, file_stem(stream.stream_type, stream.variant))
    return list(heapq.merge(*map(_rows_in, paths), key=lambda row: row.recv_ns))


def _rows_in(path: Path) -> Iterator[Row]:
    with io.StringIO(recorded_text(path), newline="") as file:
        lines = csv.reader(file, strict=True)
        header = next(lines)
        end = header.index("recv_ns")
        lacking = _REST_LACKS + (_REST_LACKS_OF_BARS if "open_time" in header else ())
        absent = [header.index(column) for column in lacking if column in header]
        for cells in lines:
            assert len(cells) == len(header), f"{path}: half a row: {cells}"
            stamp, epoch, seq = map(int, cells[end : end + 3])
            if cells[end + 3] == "rest" and absent:
                assert not any(cells[number] for number in absent), f"{path}: REST does not say that: {cells}"
                left = [cell for number, cell in enumerate(cells[:end]) if number not in absent]
                yield Row(_digest(left), stamp, epoch, seq, is_repaired=True)
            else:
                yield Row(_digest([*cells[:end], cells[-1]]), stamp, epoch, seq)


def gaps_of(data_directory: Path, stream: Stream, *, has_ids: bool) -> list[Gap]:
    """The gaps of a stream, each in its last state. Of klines only those in time: ids are those of closed bars."""
    newest: dict[str, Gap] = {}
    for cells in recorded_rows(data_directory, stream.symbol, "gap"):
        if cells["stream"] != stream.name or (not has_ids and cells["from_id"] and cells["to_id"]):
            continue
        numbers = {key: int(cells[key]) if cells[key] else None for key in ("from_id", "to_id", "to_ns")}
        newest[cells["gap_id"]] = Gap(
            cells["gap_id"],
            cells["state"],
            numbers["from_id"],
            numbers["to_id"],
            int(cells["from_ns"]),
            numbers["to_ns"],
            cells["reason"],
        )
    return list(newest.values())


def raw_reasons(data_directory: Path, symbol: str) -> list[str]:
    """Return the reasons for which messages of a symbol were recorded raw."""
    return [row["reason"] for row in recorded_rows(data_directory, symbol, "raw")]


class _Content:
    """The cells that the row of a message of one stream must have."""

    def __init__(self, stream: Stream) -> None:
        suffix = stream.name.partition("@")[2].partition("@")[0]
        self._id_keys = _IDS.get(suffix)
        form = row_form(stream.stream_type)
        assert form is not None
        self._columns = form.columns
        self._levels = form.levels
        self._inner = form.inner
        self._implied = {"e", "s", f"{form.inner}.s", f"{form.inner}.i"}

    def message(self, sent_ns: int, copies: int, event: bytes) -> Message:
        members = _decode(event)
        if self._inner:
            inner = _decode(members.pop(self._inner))
            members |= {f"{self._inner}.{key}": value for key, value in inner.items()}
        previous_id, last_id = self._ids(members)
        cells = list(self._cells(members))
        key = _digest([*cells, self._extra(members)])
        return Message(sent_ns, copies, key, previous_id, last_id, self._rest_key(cells))

    def _rest_key(self, cells: list[str]) -> bytes | None:
        """Return the cells of its row from REST: of trades, and of bars once they are closed."""
        row = dict(zip((column for column, _ in self._columns), cells, strict=True))
        is_bar = "open_time" in row
        if "agg_trade_id" not in row and row.get("is_closed") != "true":
            return None
        lacking = _REST_LACKS + (_REST_LACKS_OF_BARS if is_bar else ())
        return _digest(cell for column, cell in row.items() if column not in lacking)

    def _ids(self, members: dict[str, msgspec.Raw]) -> tuple[int | None, int | None]:
        if self._id_keys is None:
            return None, None
        last, previous = self._id_keys
        last_id = int(bytes(members[last]))
        return (int(bytes(members[previous])) if previous else last_id - 1), last_id

    def _cells(self, members: dict[str, msgspec.Raw]) -> Iterator[str]:
        for _, key in self._columns:
            text = bytes(members.pop(key, b"")).decode()
            yield text.replace('"', "") if key in self._levels or text.startswith('"') else text

    def _extra(self, members: dict[str, msgspec.Raw]) -> str:
        left = {key: value for key, value in members.items() if key not in self._implied}
        mark = f"{self._inner}."
        outer = {key: value for key, value in left.items() if not key.startswith(mark)}
        inner = {key.removeprefix(mark): value for key, value in left.items() if key.startswith(mark)}
        texts = [*_texts(outer), *([f'"{self._inner}":{{{",".join(_texts(inner))}}}'] if inner else [])]
        return "{" + ",".join(texts) + "}" if texts else ""


def _texts(members: dict[str, msgspec.Raw]) -> Iterator[str]:
    for key, value in members.items():
        yield f'"{key}":{bytes(value).decode()}'


def _digest(cells: Iterable[str]) -> bytes:
    return hashlib.blake2b("\x1f".join(cells).encode(), digest_size=16).digest()
