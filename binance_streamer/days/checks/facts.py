"""One pass over the rows of one stream of one day: what the certificate says of it, and the checks within it.

The archiver lets it watch the rows while it seals them, `verify` while it reads them back: so both see the same facts,
and compare them.
"""

import contextlib
from collections.abc import Sequence, Set
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from binance_streamer.days.checks.finding import Finding
from binance_streamer.days.checks.gaps import GapWindows, compare_ids, compare_runs, new_counts_ns
from binance_streamer.days.checks.ids import Chain, IdHole, id_columns, is_provable, missing_ids, stream_type_of
from binance_streamer.days.checks.numbering import NumberHole, Numbering, RunFacts
from binance_streamer.days.checks.order import flat
from binance_streamer.days.checks.ranges import RangeSet
from binance_streamer.days.day_files import DayFiles
from binance_streamer.days.digest import BlockDigests, Blocks
from binance_streamer.days.rows import NotSealable
from binance_streamer.days.schema import table_schema
from binance_streamer.exchange.stream_types import row_form
from binance_streamer.health.gaps import GapRow
from binance_streamer.wire.statuses import TAKEN_OVER

_SEVERAL_TOPICS = frozenset({"raw"})
"""Files in which the numbers of several streams meet, so that they prove nothing."""


_STATUS = "status"
_TAKEN_OVER = f'"reason":"{TAKEN_OVER}"'


class StreamFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The rows of one stream on one day, counted. Times are of the exchange (ms since 1970), `…_recv_ns` are ours."""

    rows: int = 0
    first_id: int | None = None
    last_id: int | None = None
    first_time_ms: int | None = None
    last_time_ms: int | None = None
    first_recv_ns: int | None = None
    last_recv_ns: int | None = None
    from_rest: int = 0
    """Rows that REST brought, to fill gaps."""
    duplicates: int = 0
    corrections: int = 0
    """Closed bars that the exchange sent again with other values."""
    holes: tuple[IdHole, ...] = ()
    runs: tuple[RunFacts, ...] = ()
    blocks: Blocks = Blocks()
    """By which a changed row is found."""


class StreamPass:
    """Takes all rows of a stream in the order of `sort_key`; then gives facts and findings."""

    name = "facts"

    def __init__(self, stream: str, file: str, gaps: Sequence[GapRow] = (), takeovers: Set[int] = frozenset()) -> None:
        """`gaps` are those of this stream on this day and the day before, each in its newest state.

        `takeovers` are those of `takeovers_of`.
        """
        self.stream, self.file = stream, file
        self._gaps = gaps
        self._takeovers = takeovers
        columns = id_columns(stream)
        self._numbering = Numbering(stream, file, columns.last if columns else None)
        self._has_numbers = stream not in _SEVERAL_TOPICS
        self._windows = GapWindows(stream, file, gaps)
        self._chain = Chain(stream, file, new_counts_ns(gaps)) if columns else None
        self._time_column = time_column(stream)
        self._blocks = BlockDigests(table_schema(stream))
        self._rows = self._from_rest = 0
        self._times: tuple[int, int] | None = None

    def take(self, table: Any) -> None:
        """Take the next rows, in the order of `sort_key`."""
        if not len(table):
            return
        self._rows += len(table)
        self._from_rest += pc.sum(pc.equal(flat(table["source"]), "rest")).as_py() or 0
        self._windows.take(table)
        self._blocks.take(table)
        if self._has_numbers:
            self._numbering.take(table)
        if self._chain is not None:
            self._chain.take(table)
        if self._time_column:
            self._note_times(flat(table[self._time_column]))

    def facts(self, raw: RangeSet | None = None) -> StreamFacts:
        """Return all that was counted, for the certificate; `raw` are ids of the stream's raw rows."""
        chain, times = self._chain, self._times
        return StreamFacts(
            rows=self._rows,
            first_id=chain.first_id if chain else None,
            last_id=chain.last_id if chain else None,
            first_time_ms=times[0] if times else None,
            last_time_ms=times[1] if times else None,
            first_recv_ns=self._windows.least_ns,
            last_recv_ns=self._windows.most_ns,
            from_rest=self._from_rest,
            duplicates=max(self._numbering.duplicates, chain.duplicates if chain else 0),
            corrections=chain.corrections if chain else 0,
            holes=tuple(missing_ids(chain.holes(), raw or RangeSet())) if chain else (),
            runs=tuple(self._numbering.runs()),
            blocks=self._blocks.blocks(),
        )

    @property
    def covered(self) -> RangeSet | None:
        """The ids that the rows cover; None where ids prove nothing, or began anew on this day."""
        if self._chain is None or not is_provable(self.stream) or new_counts_ns(self._gaps):
            return None
        return self._chain.covered()

    def number_holes(self) -> list[NumberHole]:
        """Return the numbers that no row has; whoever knows raw rows and other days can explain them."""
        return self._numbering.holes() if self._has_numbers else []

    def findings(self, raw: RangeSet | None = None) -> list[Finding]:
        """Return what is wrong within the stream, and between it and its gap rows; `raw` are ids of its raw rows."""
        found = [*self._numbering.findings(), *self._windows.findings()]
        if self._chain is not None:
            found += self._chain.findings()
            if self.covered is not None:
                holes, covered, known = self._chain.holes(), self.covered, raw or RangeSet()
                found += compare_ids(self.stream, self.file, holes, covered=covered, gaps=self._gaps, raw=known)
        if stream_type_of(self.stream) is not None:
            found += compare_runs(self.stream, self.file, self._numbering.runs(), self._gaps, self._takeovers)
        return found

    def _note_times(self, times: Any) -> None:
        extremes = pc.min_max(times.cast(pa.timestamp("ms", times.type.tz)).cast(pa.int64()))
        least, most = extremes["min"].as_py(), extremes["max"].as_py()
        if least is not None:
            known = self._times
            self._times = (min(known[0], least), max(known[1], most)) if known else (least, most)


def takeovers_of(files: DayFiles) -> frozenset[int]:
    """Return the runs, by their epochs, that went on in place of another one: of what they missed they list a gap."""
    found: set[int] = set()
    for stream in (files.beside(_STATUS, -1), files.streams.get(_STATUS)):
        with contextlib.suppress(NotSealable):
            for table in stream.unordered() if stream is not None else ():
                rows = zip(table["epoch"].to_pylist(), table["event"].to_pylist(), strict=True)
                found.update(epoch for epoch, event in rows if _TAKEN_OVER in (event or ""))
    return frozenset(found)


def time_column(stream: str) -> str:
    """Return the column of the exchange's time that decides the day of a row; empty where our receipt does."""
    found = stream_type_of(stream)
    form = row_form("depth_snapshot") if stream == "snapshot" else found.row if found else None
    if form is None:
        return ""
    return next((column for column, key in form.columns if key == form.day), "")
