"""A slice of a recorded stream, in the order of receipt, as JSON lines or Arrow. Needs the extra `days`.

A slice is bounded in rows and in time. Where it is cut, rows with one receive stamp stay together, so that the next one
begins at a stamp and no row is in both or in none.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

import msgspec
import polars as pl

from binance_streamer.days import Recording
from binance_streamer.days.reading.instants import to_ns
from binance_streamer.days.reading.location import Location
from binance_streamer.days.rows import NotSealable
from services.monitor.reader.answers import ApiAnswer, RefusedError, Sink, asked

MOST_ROWS = 50_000
MOST_NS = 3600 * 10**9
"""An hour of depth of a busy symbol is as many rows as one answer may have, several times."""
_DEFAULT_ROWS = 1000
_DEFAULT_NS = 60 * 10**9
_SLICE_ROWS = 2000
_JSON_LINES, _ARROW = "application/x-ndjson", "application/vnd.apache.arrow.stream"
_RECV_NS = "recv_ns"
_MOST_CHARACTERS = 1000
"""Of what a library says of a file."""


class _RowsQuestion(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    symbol: str
    stem: str
    start: str = msgspec.field(name="from")
    to: str = ""
    limit: Annotated[int, msgspec.Meta(ge=1, le=MOST_ROWS)] = _DEFAULT_ROWS
    format: Literal["jsonl", "arrow"] = "jsonl"


def rows(query: str, location: Location) -> ApiAnswer:
    """Return the rows of a stream and symbol that were received from an instant on; a minute where no end is named."""
    wanted = asked(_RowsQuestion, query)
    start_ns = instant_ns(wanted.start)
    end_ns = instant_ns(wanted.to) if wanted.to else start_ns + _DEFAULT_NS
    if end_ns < start_ns:
        raise RefusedError(400, f"expected `from` before `to`, got {wanted.start} and {wanted.to}")
    near_ns = min(end_ns, start_ns + MOST_NS)
    recording = Recording(location)
    with refusing_faults(recording, wanted.symbol):
        found = recording.scan(wanted.stem, wanted.symbol, start_ns, near_ns)
        cut_ns = _cut(found, wanted.limit) or near_ns
        frame = found.filter(pl.col(_RECV_NS) < cut_ns).collect().sort(_RECV_NS, maintain_order=True)
    following = ""
    if cut_ns < end_ns:
        words: dict[str, Any] = {"symbol": wanted.symbol, "stem": wanted.stem, "from": cut_ns, "to": end_ns}
        following = "/api/rows?" + urlencode(words | {"limit": wanted.limit, "format": wanted.format})
    if wanted.format == "arrow":
        return ApiAnswer(lambda sink: _write_arrow(frame, sink), _ARROW, next=following)
    return ApiAnswer(lambda sink: _write_lines(frame, sink), _JSON_LINES, next=following)


def instant_ns(text: str) -> int:
    """Return an instant in ns since 1970, from ISO 8601 text or digits; refuses what is none."""
    try:
        return to_ns(int(text) if text.isdigit() else text)
    except ValueError as error:
        raise RefusedError(400, f"{error}; instants are as 2026-11-22T13:00:00.5, or ns since 1970, UTC") from None


@contextmanager
def refusing_faults(recording: Recording, symbol: str) -> Iterator[None]:
    """Refuse what is not recorded at all, with the names of what is, and what cannot be read.

    A file may be gone because its day was sealed meanwhile, or hold something else than rows.
    """
    try:
        yield
    except LookupError as error:
        if type(error) is not LookupError:  # a missing key is a bug
            raise
        raise RefusedError(404, str(error), _known(recording, symbol)) from error
    except FileNotFoundError as error:
        raise RefusedError(503, f"a day was sealed meanwhile, ask again: {error}") from error
    except (pl.exceptions.PolarsError, NotSealable) as error:
        raise RefusedError(500, f"a file cannot be read: {str(error)[:_MOST_CHARACTERS]}") from error


def _known(recording: Recording, symbol: str) -> list[str]:
    """Return the stems that are recorded of a symbol; of one that is not, the symbols that are."""
    names = recording.contents()
    stems: list[str] = names.filter(pl.col("symbol") == symbol)["stem"].unique().sort().to_list()
    return stems or names["symbol"].unique().sort().to_list()


def _cut(found: pl.LazyFrame, limit: int) -> int | None:
    """Return the stamp before which there are at most `limit` rows, or those of one stamp; None where all fit."""
    stamps = found.select(_RECV_NS).collect()[_RECV_NS].sort()
    if len(stamps) <= limit:
        return None
    cut_ns: int = stamps[limit]
    if cut_ns > stamps[0]:
        return cut_ns
    return cut_ns + 1


def _write_lines(frame: pl.DataFrame, sink: Sink) -> None:
    for part in frame.iter_slices(_SLICE_ROWS):
        sink.write(part.write_ndjson().encode())


def _write_arrow(frame: pl.DataFrame, sink: Sink) -> None:
    content = BytesIO()
    frame.write_ipc_stream(content, compat_level=pl.CompatLevel.oldest())
    sink.write(content.getvalue())
