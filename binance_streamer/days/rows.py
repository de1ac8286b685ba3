"""Reads daily files into typed Arrow batches, exactly: a value that does not fit its column's type is an error.

In: `….csv`, `….csv.zst` (any number of zstd frames) or `….jsonl`, and as an option the number of bytes to read. Out:
record batches in the order of the file, each of some 16 MiB of text, so that memory does not grow with the file.

Every cell is read as text first and converted column by column. Arrow's own CSV converters would do both in one step,
but theirs for decimals overflows without a word, and the error of a conversion does not name its row.
"""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from binance_streamer.days.recorded.digits import Digits, digits_metadata, found_digits
from binance_streamer.days.schema import DECIMAL, LEVELS, TIME, columns, table_schema

CHUNK_BYTES = 16 * 2**20
"""Text that is converted at once. Its Arrow columns take about twice as much, and conversions some copies of one."""
_LAST_MS = 253_402_300_799_999
"""The end of the year 9999, the last that Python, pandas and Delta tables can write as a date."""


class Span(NamedTuple):
    """Receive stamps from `start_ns` on, and below `end_ns`."""

    start_ns: int = 0
    end_ns: int = 2**63 - 1


class NotSealable(ValueError):  # noqa: N818 (a fact about a file, not a fault of the program)
    """A file with something in it that the typed schema cannot hold; it stays CSV.

    `line` counts from 1, which is the header; 0 where the file as a whole is meant. `column` is empty where no column
    is to blame.
    """

    def __init__(self, file: Path, line: int, column: str, why: str) -> None:
        place = "".join([str(file), f" line {line}" if line else "", f" column {column}" if column else ""])
        super().__init__(f"{place}: {why}")
        self.file, self.line, self.column, self.why = file, line, column, why


class _Fault(ValueError):  # noqa: N818 (never leaves this module)
    """Something in a piece of text that does not convert; the row is not known yet."""

    def __init__(self, column: str, why: str) -> None:
        super().__init__(why)
        self.column, self.why = column, why


def batches(path: Path, stem: str, end: int | None = None, *, span: Span | None = None) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a daily file, typed by `table_schema(stem)`, in the order of the file.

    The metadata of a batch's schema says how many digits its decimals had (`digits`).

    `end` is the number of bytes of the file (compressed ones, where it is) that count: what the writer has made
    durable. With a `span`, rows received outside of it are left out before their other cells are converted, which takes
    most of the time. Raises `NotSealable` for other columns, a torn last line, and values that do not fit their type;
    rows before that place may have been yielded.
    """
    is_json = ".jsonl" in path.suffixes
    line = 1
    for text in _texts(path, end):
        rows = text
        if line == 1 and not is_json:
            rows = behind_header(path, text, stem)
            line = 2
        if rows:
            yield _located(path, rows, stem, line=line, is_json=is_json, span=span)
            line += rows.count(b"\n")


def behind_header(path: Path, text: bytes, stem: str) -> bytes:
    """Return the beginning of a file without its header; `NotSealable` where that is not the one of this version."""
    header, _, rows = text.partition(b"\n")
    if header != ",".join(columns(stem)).encode():
        raise NotSealable(path, 1, "", "has other columns than this version records")
    return rows


def _texts(path: Path, end: int | None) -> Iterator[bytes]:
    """Yield the text of a file in pieces of whole lines."""
    size = path.stat().st_size
    if end is not None and size < end:
        raise NotSealable(path, 0, "", f"has {size} bytes, fewer than the {end} that the writer recorded")
    count = size if end is None else end
    if not count:
        return
    with pa.OSFile(str(path)) as file, file.get_stream(0, count) as plain:
        stream = pa.CompressedInputStream(plain, "zstd") if path.suffix == ".zst" else plain
        rest: list[bytes] = []
        try:
            while block := stream.read(CHUNK_BYTES):
                cut = block.rfind(b"\n") + 1
                if cut:
                    yield b"".join([*rest, block[:cut]])
                    rest.clear()
                rest.append(block[cut:])
        except OSError as error:
            raise NotSealable(path, 0, "", str(error)) from error
        if any(rest):
            raise NotSealable(path, 0, "", "ends within a line")


def _located(  # noqa: PLR0913 (what is read, and the place of it)
    path: Path, text: bytes, stem: str, *, line: int, is_json: bool, span: Span | None
) -> pa.RecordBatch:
    """Return the rows of whole lines; `line` is the number of the first one. Where one is bad, `NotSealable` names it.

    A bad line is found by halving: the half that does not convert has it.
    """
    try:
        return _typed(_from_json(text, stem) if is_json else _from_csv(text, stem), stem, span)
    except _Fault as fault:
        count = text.count(b"\n")
        if count > 1:
            lines = io.BytesIO(text).readlines()  # `splitlines` would also split at a carriage return
            half = count // 2
            _located(path, b"".join(lines[:half]), stem, line=line, is_json=is_json, span=span)
            _located(path, b"".join(lines[half:]), stem, line=line + half, is_json=is_json, span=span)
        raise NotSealable(path, line, fault.column, fault.why) from fault


_Cells = dict[str, pa.StringArray]
"""All cells of some rows as text, by column."""


def _from_json(text: bytes, stem: str) -> _Cells:
    """Return the cells of JSON lines; a member that is an object is kept as its own text."""
    names = columns(stem)
    try:
        rows = [_decode_line(line) for line in io.BytesIO(text)]
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _Fault("", f"is no JSON object: {error}") from error
    if any(tuple(row) != names for row in rows):
        raise _Fault("", f"has other keys than {', '.join(names)}")
    return {name: pa.array([_json_cell(row[name]) for row in rows], pa.string()) for name in names}


_decode_line = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def _json_cell(value: msgspec.Raw) -> str:
    text = bytes(value).decode()
    return str(msgspec.json.decode(text)) if text[:1] == '"' else text


def _from_csv(text: bytes, stem: str) -> _Cells:
    """Return the cells of CSV lines, which must be as many as the lines."""
    names = columns(stem)
    table = _cells(text, names, quote='"')
    if len(table) != text.count(b"\n"):
        raise _Fault("", "a quoted cell is not closed")
    return {name: table.column(name).combine_chunks() for name in names}


def _cells(text: bytes, names: tuple[str, ...], *, quote: str | bool) -> pa.Table:
    """Return all cells of CSV lines as text; an empty one is null, and `""` an empty text."""
    try:
        return csv.read_csv(
            pa.BufferReader(text),
            read_options=csv.ReadOptions(column_names=names, use_threads=False, block_size=len(text) + 1),
            parse_options=csv.ParseOptions(quote_char=quote, ignore_empty_lines=False),
            convert_options=csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()),
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
            ),
        )
    except pa.ArrowInvalid as error:
        raise _Fault("", str(error).partition("\n")[0][:200]) from error


def _typed(cells: _Cells, stem: str, span: Span | None) -> pa.RecordBatch:
    """Return the columns converted to their types, of the rows received within the span."""
    schema = table_schema(stem)
    arrays = []
    digits: dict[str, Digits] = {}
    if span is not None:
        cells = _received_within(cells, span)
    for field in schema:
        try:
            texts = cells.pop(field.name)
            arrays.append(_converted(texts, field.type))
            digits |= found_digits(field, texts)
        except (pa.ArrowInvalid, _Fault) as error:
            raise _Fault(field.name, str(error)[:200]) from error
    return pa.RecordBatch.from_arrays(arrays, schema=schema.with_metadata(digits_metadata(digits)))


def _received_within(cells: _Cells, span: Span) -> _Cells:
    try:
        stamps = _converted(cells["recv_ns"], pa.int64())
    except pa.ArrowInvalid as error:
        raise _Fault("recv_ns", str(error)[:200]) from error
    is_within = pc.and_(pc.greater_equal(stamps, span.start_ns), pc.less(stamps, span.end_ns))
    if _all(is_within):
        return cells
    return {name: column.filter(is_within) for name, column in cells.items()}


def _converted(cells: pa.StringArray, kind: pa.DataType) -> pa.Array:
    """Return the cells as values of a type; `ArrowInvalid` where one has none, or more digits than the type.

    An empty text has no value of any other type than text: it becomes null, like a cell that is missing. The exchange
    writes `""` for numbers that it does not have, such as the funding rate of a contract with a delivery date.
    """
    if kind == pa.string():
        return cells
    empty = pc.equal(cells, "")
    if pc.any(empty).as_py():
        cells = pc.if_else(empty, pa.scalar(None, pa.string()), cells)
    if kind == LEVELS:
        return _levels(cells)
    if kind == pa.bool_():
        return _flags(cells)
    return _times(cells) if kind == TIME else pc.cast(cells, kind)


def _flags(cells: pa.StringArray) -> pa.BooleanArray:
    if not _all(pc.is_in(cells, pa.array(["true", "false", None], pa.string()))):
        raise pa.ArrowInvalid("is neither true nor false")
    return pc.equal(cells, "true")


def _times(cells: pa.StringArray) -> pa.TimestampArray:
    """Return milliseconds as timestamps."""
    milliseconds = pc.cast(cells, pa.int64())
    if not _all(pc.and_(pc.greater_equal(milliseconds, 0), pc.less_equal(milliseconds, _LAST_MS))):
        raise pa.ArrowInvalid("is no time in milliseconds between 1970 and 9999")
    return pc.multiply(milliseconds, 1000).cast(TIME)


def _levels(cells: pa.StringArray) -> pa.ListArray:
    """Return cells such as `[[84551.10,3],[84551,0]]` as lists of levels.

    All levels of a batch are converted as one table of two columns: brackets are cut off, and each level becomes a line
    of its own.
    """
    filled = cells.filter(pc.and_(pc.is_valid(cells), pc.not_equal(cells, "[]")))
    if not _all(pc.and_(pc.starts_with(filled, "[["), pc.ends_with(filled, "]]"))):
        raise pa.ArrowInvalid("is no list of levels")
    inner = pc.binary_slice(filled.cast(pa.binary()), 2, -2)
    lines = pc.binary_join_element_wise(pc.replace_substring(inner, b"],[", b"\n"), b"", b"\n")
    text = b"".join(lines.to_pylist())
    pairs = _cells(text, ("price", "quantity"), quote=False) if text else None
    lengths = pc.add(pc.count_substring(cells, "],["), pc.cast(pc.not_equal(cells, "[]"), pa.int32()))
    ends = pc.cumulative_sum(pc.fill_null(lengths, 0))
    if pairs is not None and len(pairs) != ends[-1].as_py():
        raise pa.ArrowInvalid("is no list of levels")
    return _as_lists(pairs, ends, pc.is_valid(cells))


def _as_lists(pairs: pa.Table | None, ends: pa.Int32Array, is_valid: pa.BooleanArray) -> pa.ListArray:
    """Return lists of the levels in `pairs`; list n ends before the level `ends[n]`, and is null if not valid."""
    names = ("price", "quantity")
    members = [
        pc.cast(pairs.column(name).combine_chunks(), DECIMAL) if pairs is not None else pa.array([], DECIMAL)
        for name in names
    ]
    if any(member.null_count for member in members):
        raise pa.ArrowInvalid("a level lacks its price or quantity")
    levels = pa.StructArray.from_arrays(members, fields=list(LEVELS.value_type))
    offsets = pa.concat_arrays([pa.array([0], pa.int32()), ends])
    return pa.ListArray.from_arrays(offsets, levels, type=LEVELS, mask=pc.invert(is_valid))


def _all(mask: Any) -> bool:
    """Return True if no value of the mask is False; nulls do not count."""
    return bool(pc.all(mask).as_py() is not False)


def text_tables(path: Path, stem: str, end: int | None = None) -> Iterator[pa.Table]:
    """Yield the cells of a daily file as text, as they stand there, in the order of the file.

    `end` as for `batches`. Raises `NotSealable` for other columns, a torn last line, other numbers of cells.
    """
    is_first = ".jsonl" not in path.suffixes
    for text in _texts(path, end):
        rows = behind_header(path, text, stem) if is_first else text
        is_first = False
        if rows:
            yield text_table(path, rows, stem)


def text_table(path: Path, text: bytes, stem: str) -> pa.Table:
    """Return the cells of whole lines as text: an empty one is null, `""` an empty text; `NotSealable` as above."""
    try:
        return pa.table(_from_json(text, stem) if ".jsonl" in path.suffixes else _from_csv(text, stem))
    except _Fault as fault:
        raise NotSealable(path, 0, fault.column, fault.why) from fault
