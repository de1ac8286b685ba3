"""The last seconds of what a waiting worker's connections have brought: messages, and what became of connections."""

import math
from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import compress
from typing import NamedTuple

from binance_streamer.exchange.streams import Stream
from services.ingest.connections.events import JOURNAL, Delivered, HandedOver, Lost
from services.ingest.streams import demux
from services.ingest.streams.stream_set import StreamSet

RECENT_S = 10.0
"""Whoever records is behind by milliseconds; when it stops in order, it pushes for up to 5 s what it has journalled,
before it lets go of its journal."""
MOST_BYTES = 64 * 1024 * 1024
"""As the reader's own queue: ten seconds at 6 MB/s, ten times what the busiest symbol sends."""

Change = Callable[[StreamSet], None]
"""A change of connections (lost, handed over), done to the streams in its place between messages."""


class Arrived(NamedTuple):
    """Messages, or what became of a connection, and the monotonic time at which it was taken."""

    at_s: float
    what: Delivered | Change


class RecentArrivals:
    """Messages and changes of the last seconds, in order; the oldest goes first.

    Of streams whose messages do not name their predecessor, the last message that each connection has brought stays
    however old it is: by it alone a quiet stream is seen to go on where the journal ends.
    """

    def __init__(self, without_ids: Collection[str]) -> None:
        self.dropped = 0
        """Messages that went before their time, for want of room."""
        self.size_bytes = 0
        self._arrived: deque[Arrived] = deque()
        self._without_ids = frozenset(name.encode() for name in without_ids)
        self._last: dict[tuple[bytes, int], Arrived] = {}
        self._since_s: dict[bytes, float] = {}  # by stream that was let go: what came until then is not of its new run

    def keep_last_of(self, names: Iterable[str]) -> None:
        """Keep the last messages of these streams from now on, and no others'; one that was let go begins anew."""
        self._without_ids = frozenset(name.encode() for name in names)
        for name in self._without_ids & self._since_s.keys():
            if self._since_s[name] == math.inf:
                self._since_s[name] = self._arrived[-1].at_s if self._arrived else -math.inf

    def let_go(self, name: str) -> None:
        """Forget what came of a stream, as far as its ids do not show what is missing behind it."""
        ended = name.encode()
        if ended in self._without_ids:
            self._since_s[ended] = math.inf
            for key in [key for key in self._last if key[0] == ended]:
                del self._last[key]

    def add(self, what: Delivered | Change, now_s: float) -> None:
        """Remember messages, or a change; forget what is too old, or too much."""
        self._arrived.append(Arrived(now_s, what))
        if isinstance(what, Delivered):
            self.size_bytes += what.size_bytes
        arrived = self._arrived
        while arrived[0].at_s < now_s - RECENT_S or self.size_bytes > MOST_BYTES:
            self._forget(arrived.popleft(), now_s)

    def add_lost(self, lost: Lost, now_s: float) -> None:
        """Remember that a connection has ended; while another worker recorded, it has cost nothing."""
        beside = _beside_journal(lost)
        self.add(lambda streams: streams.lose(beside, now_s), now_s)
        self.forget(lost.connection)

    def add_lost_streams(self, names: Sequence[str], lost: Lost, now_s: float) -> None:
        """Remember that an open connection does not deliver these streams any more."""
        beside = _beside_journal(lost)
        self.add(lambda streams: streams.lose_streams(names, beside, now_s), now_s)

    def add_handed_over(self, end: HandedOver, now_s: float) -> None:
        """Remember that a connection has ended, and that another one has all that it delivered."""
        self.add(lambda streams: streams.hand_over(end, now_s), now_s)
        self.forget(end.connection)

    def forget(self, connection: int) -> None:
        """Forget the last messages of a connection that has ended; what it has brought lately stays."""
        for key in [key for key in self._last if key[1] == connection]:
            del self._last[key]

    def all(self) -> Iterable[Arrived]:
        """Return all of it, in order."""
        last = sorted(self._last.values(), key=lambda one: one.at_s)
        until_s = max((since_s for since_s in self._since_s.values() if since_s < math.inf), default=-math.inf)
        return [*last, *(self._of_new_runs(one) if one.at_s <= until_s else one for one in self._arrived)]

    def of(self, is_wanted: Callable[[bytes], bool]) -> list[Arrived]:
        """Return the messages of some streams, told by their names, and all changes, in order."""
        return [
            one if not isinstance(one.what, Delivered) else Arrived(one.at_s, part_of(one.what, is_wanted))
            for one in self.all()
        ]

    def _of_new_runs(self, arrived: Arrived) -> Arrived:
        """Return it without messages of streams that were let go behind them."""
        at_s, what = arrived
        if not isinstance(what, Delivered):
            return arrived
        return Arrived(at_s, part_of(what, lambda name: at_s > self._since_s.get(name, -math.inf)))

    def _forget(self, oldest: Arrived, now_s: float) -> None:
        at_s, what = oldest
        if not isinstance(what, Delivered):
            return
        self.size_bytes -= what.size_bytes
        if at_s >= now_s - RECENT_S:
            self.dropped += len(what.messages)
        for number, message in enumerate(what.messages):
            name, _ = demux.split(message)
            if name in self._without_ids and at_s > self._since_s.get(name, -math.inf):
                last = Delivered(what.connection, [what.stamps_ns[number]], [message], 0)
                self._last[name, what.connection] = Arrived(at_s, last)


class StandbyStreams(StreamSet):
    """The streams of a worker that waits: they judge everything, so that connections are known to be good.

    What becomes of connections is remembered, to be done again to the streams that will record.
    """

    recent: RecentArrivals

    def lose(self, lost: Lost, now_s: float) -> None:
        """Take note that a connection has ended, and that it is not known what that has cost."""
        super().lose(lost, now_s)
        self.recent.add_lost(lost, now_s)

    def lose_streams(self, names: Iterable[str], lost: Lost, now_s: float) -> None:
        """Take note that an open connection does not deliver these streams any more."""
        names = list(names)
        super().lose_streams(names, lost, now_s)
        self.recent.add_lost_streams(names, lost, now_s)

    def let_go(self, stream: Stream, now_s: float) -> None:
        """Record this stream no more; should it come back, then nobody knows what it has missed."""
        super().let_go(stream, now_s)
        self.recent.let_go(stream.name)

    def hand_over(self, end: HandedOver, now_s: float) -> None:
        """Take note that a connection has ended, and that another one has all that it delivered."""
        super().hand_over(end, now_s)
        self.recent.add_handed_over(end, now_s)


def part_of(delivered: Delivered, is_wanted: Callable[[bytes], bool]) -> Delivered:
    """Return the messages of streams that are wanted, told by their names."""
    kept = [is_wanted(demux.split(message)[0]) for message in delivered.messages]
    messages = list(compress(delivered.messages, kept))
    return delivered._replace(stamps_ns=list(compress(delivered.stamps_ns, kept)), messages=messages)


def _beside_journal(lost: Lost) -> Lost:
    """Return the end of a connection beside the journal: while another worker recorded, it has cost nothing."""
    return lost._replace(others={**lost.others, JOURNAL: -math.inf})
