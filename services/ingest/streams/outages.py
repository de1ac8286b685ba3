"""Times without any connection, of streams that have never had a row.

A stream that has had rows needs none of this: its next row shows the time since the last one (`restart`,
`disconnected`). Before its first row nothing tells where the record would have begun, and so nothing was missed, as it
seems; but the stream is configured, and nobody was listening.

| a stream without a row | listed as |
|---|---|
| from the start of the process to its first open connection, `STARTING_NS` or longer | `not connected yet` |
| from the end of the last open connection to the next one | the reason of that end |

While a connection is open nothing is listed: what the exchange sends comes over it, and a quiet stream has nothing.
"""

from collections.abc import Mapping

from services.ingest.streams.stream import StreamRecorder
from services.runtime.gaps.drafts import Gap

STARTING_NS = 30 * 10**9
"""A start takes a second or two; with 200 symbols on a busy machine, and a share of the attempts for each, some ten."""
NOT_CONNECTED = "not connected yet"


class Outages:
    """The times of all streams of a worker; `recorders` may change while this is used."""

    def __init__(self, recorders: Mapping[str, StreamRecorder], started_ns: int) -> None:
        self._recorders = recorders
        begun = (started_ns, NOT_CONNECTED)
        self._since = {name: begun for name, recorder in recorders.items() if not recorder.is_begun}

    def add(self, name: str, since_ns: int) -> None:
        """Note a stream that is recorded from now on, and that no connection carries yet."""
        if not self._recorders[name].is_begun:
            self._since[name] = (since_ns, NOT_CONNECTED)

    def forget(self, name: str) -> None:
        """Forget a stream that is recorded no more."""
        self._since.pop(name, None)

    def begin(self, route: str, since_ns: int, reason: str) -> None:
        """Note that no connection of the route is open any more."""
        for name, recorder in self._recorders.items():
            if recorder.route == route and not recorder.is_begun:
                self._since.setdefault(name, (since_ns, reason))

    def end(self, route: str | None, until_ns: int) -> list[Gap]:
        """Return the gaps that end now, because a connection of the route is open; with None those of all routes."""
        gaps = []
        for name, recorder in self._recorders.items():
            if route in (None, recorder.route) and name in self._since:
                since_ns, reason = self._since.pop(name)
                if until_ns - since_ns > (STARTING_NS if reason == NOT_CONNECTED else 0):
                    gaps.append(recorder.outage((since_ns, until_ns), reason))
        return gaps
