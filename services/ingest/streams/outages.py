"""Times without any connection, of streams that have never had a row.

A stream that has had rows needs none of this: its next row shows the time since the last one (`restart`,
`disconnected`). Before its first row nothing tells where the record would have begun, and so nothing was missed, as it
seems; but the stream is configured, and nobody was listening.

| a stream without a row | listed as |
|---|---|
| from the start of the process to its first open connection, `STARTING_NS` or longer | `not connected yet` |
| from the end of the last open connection to the next one | the reason of that end |
| from the end of the run before, or from its last connection, to the first one of this run | `restart`, or the reason |

While a connection is open nothing is listed: what the exchange sends comes over it, and a quiet stream has nothing.

A run that is killed takes with it what it knew, and no row shows it. So whoever records keeps a note (`noted`), from
which the next run goes on (services/ingest/takeover/noted_outages.py).
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from services.ingest.streams.gaps import RESTART
from services.ingest.streams.stream import StreamRecorder
from services.runtime.gaps.drafts import Gap

STARTING_NS = 30 * 10**9
"""A start takes a second or two; with 200 symbols on a busy machine, and a share of the attempts for each, some ten."""
NOT_CONNECTED = "not connected yet"


class Outage(NamedTuple):
    """A time without any connection that goes on: since when, and why."""

    since_ns: int
    reason: str


Noted = Mapping[str, Outage | None]
"""Streams without a row, by name; None where a connection is open."""


class Outages:
    """The times of all streams of a worker; `recorders` may change while this is used."""

    def __init__(self, recorders: Mapping[str, StreamRecorder], started_ns: int) -> None:
        self._recorders = recorders
        begun = Outage(started_ns, NOT_CONNECTED)
        self._since = {name: begun for name, recorder in recorders.items() if not recorder.is_begun}
        self._without_row = set(self._since)
        self.open_since_ns: dict[str, int] = {}
        """By route: since when it has had a connection without a break."""

    @property
    def noted(self) -> Noted:
        """Return what the next run has to know, should this one be killed."""
        recorders = self._recorders
        self._without_row = {name for name in self._without_row if name in recorders and not recorders[name].is_begun}
        return {name: self._since.get(name) for name in self._without_row}

    def resume(self, noted: Noted, ended_ns: int) -> None:
        """Go on from the note of the run before, which has received nothing behind `ended_ns`; 0: that is not known."""
        for name, outage in noted.items():
            if name in self._without_row and (outage is not None or ended_ns):
                self._since[name] = outage or Outage(ended_ns, RESTART)

    def go_on(self, names: Iterable[str], noted: Noted, ended_ns: int) -> None:
        """Go on with streams that another worker has recorded until now, from its note; see `resume`."""
        for name in names:
            if self._recorders[name].is_begun:
                self.forget(name)
            else:
                self._without_row.add(name)
        self.resume(noted, ended_ns)

    def add(self, name: str, since_ns: int) -> None:
        """Note a stream that is recorded from now on, and that no connection carries yet."""
        if not self._recorders[name].is_begun:
            self._since[name] = Outage(since_ns, NOT_CONNECTED)
            self._without_row.add(name)

    def forget(self, name: str) -> None:
        """Forget a stream that is recorded no more."""
        self._since.pop(name, None)

    def begin(self, route: str, since_ns: int, reason: str) -> None:
        """Note that no connection of the route is open any more."""
        self.open_since_ns.pop(route, None)
        for name, recorder in self._recorders.items():
            if recorder.route == route and not recorder.is_begun:
                self._since.setdefault(name, Outage(since_ns, reason))

    def end(self, route: str | None, until_ns: int) -> list[Gap]:
        """Return the gaps that end now, because a connection of the route is open; with None those of all routes."""
        if route is not None:
            self.open_since_ns.setdefault(route, until_ns)
        gaps = []
        for name, recorder in self._recorders.items():
            if route in (None, recorder.route) and name in self._since:
                since_ns, reason = self._since.pop(name)
                if until_ns - since_ns > (STARTING_NS if reason == NOT_CONNECTED else 0):
                    gaps.append(recorder.outage((since_ns, until_ns), reason))
        return gaps
