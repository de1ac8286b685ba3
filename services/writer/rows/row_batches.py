"""Makes the rows of messages that go into one file together: the writer's hot path.

Nearly all that comes are runs of messages of one stream. Where they go into the file of one day, the path, the loss
tracker and the buffer are looked up once for all of them, and only the first and the last row are made as objects.
"""

from collections.abc import Iterable

from services.runtime.delivery.events import MessageColumns
from services.writer.rows.cells import RowFault
from services.writer.rows.daily_files import DAY_MS, day_of
from services.writer.rows.layout import Lines
from services.writer.rows.routes import RowRoute
from services.writer.rows.row_ids import has_bars, may_be_closed_bar
from services.writer.rows.rows import Row, RowMaker, Run


class RowBatch:
    """Lines of consecutive messages that go into one file; `telling` are the rows that continuity looks at."""

    __slots__ = ("_day_from_ms", "_day_to_ms", "_messages", "_run", "_start", "lines", "target")

    def __init__(self, run: Run, messages: MessageColumns[RowRoute], start: int, day_ms: int | None) -> None:
        """Begin without lines; `start` is the place of the first message, `day_ms` its time that decides the day."""
        day = day_of(day_ms, messages.stamps_ns[start])
        self._run = run
        self._messages = messages
        self._start = start
        self._day_from_ms = day * DAY_MS
        self._day_to_ms = self._day_from_ms + DAY_MS
        self.target = messages.known.target(day)
        self.lines: list[bytes] = []

    @property
    def first(self) -> Row:
        """Return the first row, without its line."""
        return self._row(self._start)

    @property
    def last(self) -> Row:
        """Return the last row, without its line."""
        return self._row(self._start + len(self.lines) - 1)

    @property
    def telling(self) -> list[Row]:
        """Return the rows that say where the stream stands, without their lines: the first, the last, closed bars."""
        topic, events = self._messages.known.topic, self._messages.events
        between = range(self._start + 1, self._start + len(self.lines) - 1) if has_bars(topic) else ()
        bars = [self._row(at) for at in between if may_be_closed_bar(topic, events[at])]
        return [self.first, *bars, self.last]

    def takes(self, day_ms: int | None) -> bool:
        """Return True if a message of this time goes into the same file."""
        return day_ms is not None and 0 < self._day_from_ms <= day_ms < self._day_to_ms  # day 0: no time could be had

    def _row(self, at: int) -> Row:
        route, seqs, stamps_ns, events = self._messages
        target = self.target
        return Row(
            target, b"", target.series, self._run.epoch, seqs[at], route.topic, route.stream, stamps_ns[at], events[at]
        )


def row_batches(maker: RowMaker, run: Run, batch: Iterable[MessageColumns[RowRoute]]) -> list[RowBatch | Row]:
    """Return the rows of these messages in batches, raw ones alone: the rows that the maker makes of their frames."""
    found: list[RowBatch | Row] = []
    for messages in batch:
        assert messages.known.cells is not None
        lines = messages.known.cells.lines(messages, run.epoch)
        row_batch = _of_one_day(run, messages, lines) if lines else None
        found += [row_batch] if row_batch else _one_by_one(maker, run, messages, lines)
    return found


def _of_one_day(run: Run, messages: MessageColumns[RowRoute], lines: Lines) -> RowBatch | None:
    """Return all lines as one batch; None where one of them is missing, or lies in another day."""
    whole = [line for line in lines.lines if line is not None]
    days_ms = [day_ms for day_ms in lines.days_ms if day_ms is not None]
    if len(whole) < len(lines.lines):
        return None
    row_batch = RowBatch(run, messages, 0, days_ms[0])
    row_batch.lines = whole
    return row_batch if row_batch.takes(min(days_ms)) and row_batch.takes(max(days_ms)) else None


def _one_by_one(
    maker: RowMaker, run: Run, messages: MessageColumns[RowRoute], lines: Lines | None
) -> list[RowBatch | Row]:
    """Return the rows of messages some of which have their line already (`lines`)."""
    found: list[RowBatch | Row] = []
    row_batch: RowBatch | None = None
    route, seqs, stamps_ns, events = messages
    assert route.cells is not None
    read, epoch = route.cells.read, run.epoch
    for number, event in enumerate(events):
        line, day_ms = (lines.lines[number], lines.days_ms[number]) if lines else (None, None)
        if line is None:
            try:
                columns, extra, day_ms = read(event)
            except RowFault as fault:
                found.append(maker.raw_message(run, messages, number, reason=str(fault)))
                row_batch = None
                continue
            line = b"%b,%d,%d,%d,ws,%b\n" % (columns, stamps_ns[number], epoch, seqs[number], extra)
        if row_batch is None or not row_batch.takes(day_ms):
            row_batch = RowBatch(run, messages, number, day_ms)
            found.append(row_batch)
        row_batch.lines.append(line)
    return found
