"""Rows of consecutive messages that go into one file, made and noted together: the writer's hot path. Pure."""

from collections.abc import Iterable

from services.writer.cells import RowFault
from services.writer.places import DAY_MS, Target, day_of
from services.writer.rows import Event, Route, Row, RowMaker, Run


class Bunch:
    """Lines of one file in their order, and what continuity needs to know of the first and of the last one."""

    __slots__ = ("_day_from_ms", "_day_to_ms", "_first", "_last", "_run", "lines", "route", "target")

    def __init__(self, run: Run, day: int, event: Event) -> None:
        self._run = run
        self._first = self._last = event
        self._day_from_ms = day * DAY_MS
        self._day_to_ms = self._day_from_ms + DAY_MS
        self.route: Route = event[0]
        self.target: Target = self.route.target(day)
        self.lines: list[bytes] = []

    @property
    def first(self) -> Row:
        """The first row, without its line."""
        return self._row(self._first)

    @property
    def last(self) -> Row:
        """The last one."""
        return self._row(self._last)

    def takes(self, route: Route, day_ms: int | None) -> bool:
        """Whether a message of this time goes into the same file."""
        return route is self.route and day_ms is not None and self._day_from_ms <= day_ms < self._day_to_ms

    def add(self, event: Event, line: bytes) -> None:
        """One more message."""
        self._last = event
        self.lines.append(line)

    def _row(self, event: Event) -> Row:
        route, seq, recv_ns, message = event
        target = self.target
        return Row(target, b"", target.series, self._run.epoch, seq, route.topic, route.stream, recv_ns, message)


def bunches(maker: RowMaker, run: Run, events: Iterable[Event]) -> list[Bunch | Row]:
    """The rows of these messages, the same that the maker makes of their frames; those that have no form alone."""
    found: list[Bunch | Row] = []
    bunch: Bunch | None = None
    epoch, join = run.epoch, b"".join
    for event in events:
        route, seq, recv_ns, message = event
        assert route.cells is not None
        try:
            pieces, extra, day_ms = route.cells.read(message)
        except RowFault as fault:
            found.append(maker.raw_event(run, event, reason=str(fault)))
            bunch = None
            continue
        pieces.append(b",%d,%d,%d,ws,%b\n" % (recv_ns, epoch, seq, extra))
        if bunch is None or not bunch.takes(route, day_ms):
            bunch = Bunch(run, day_of(day_ms, recv_ns), event)
            found.append(bunch)
        bunch.add(event, join(pieces))
    return found
