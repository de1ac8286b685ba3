"""The streams of a worker, of which some wait: another worker still records their symbols.

What waits is judged like all others, so that connections are known to be good, and is not recorded; the last seconds
of it are remembered, as those of a whole worker that waits (`standby`). When the other one has let a symbol go, its
streams go on behind the journal that has their last rows.

| a symbol | its streams | next |
|---|---|---|
| recorded | rows and gaps are journalled | |
| waiting | judged, remembered | its claim is ours: recorded, from where the other journal ends |
"""

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from binance_streamer.exchange.stream_types import has_sequence_ids
from binance_streamer.exchange.streams import Stream
from binance_streamer.wire.statuses import TAKEN_OVER
from services.ingest.connections.events import JOURNAL, Delivered, HandedOver, Lost
from services.ingest.streams.arrivals import Arrival, Bunch, Outcome
from services.ingest.streams.backfill import BackfillPage
from services.ingest.streams.stream import StreamRecorder
from services.ingest.streams.stream_set import StreamSet
from services.ingest.takeover.recent import RecentArrivals, part_of
from services.ingest.takeover.release import JournalEnd, go_on
from services.runtime.delivery.events import EventRun
from services.runtime.gaps.drafts import Draft, Gap
from services.runtime.gaps.last_rows import LastRow


class WorkerStreams(StreamSet):
    """The streams of all symbols of a worker that records; those of `waiting` symbols are another one's still."""

    waiting: frozenset[str] = frozenset()
    leaving: frozenset[str] = frozenset()
    """Symbols whose streams are let go so that another worker can go on with them, and with their open gaps."""
    _recent: RecentArrivals | None = None
    _waiting_names: frozenset[bytes] = frozenset()

    def wait_for(self, symbols: Collection[str], recent: RecentArrivals | None = None) -> None:
        """Do not record these symbols yet, whose streams are to be added; `recent` has what has come of them so far."""
        self.waiting |= frozenset(symbols)
        self._recent = self._recent or recent or RecentArrivals(())
        self._remember()

    def wait_no_more(self, symbol: str) -> None:
        """Forget a symbol that waited, and whose streams have been let go."""
        self.waiting -= {symbol}
        self._remember()

    def go_on_waiting(self, before: StreamSet, symbols: Collection[str], recent: RecentArrivals) -> None:
        """Take over streams that have waited, and go on waiting for these symbols."""
        for name, recorder in before.recorders.items():
            if recorder.stream.symbol in symbols:
                self._put(name, recorder)
        self.wait_for(symbols, recent)

    def begin(
        self,
        symbol: str,
        end: JournalEnd,
        now: tuple[int, float],
        *,
        lost_journal: Callable[[str], Lost],
        seen_s: float,
    ) -> None:
        """Record this symbol from here on, behind the end of the journal that has its last rows; `now` by both clocks.

        `seen_s` is when another worker was last seen to record them: until then it has what connections had not.
        """
        now_ns, now_s = now
        names = [name for name, one in self.recorders.items() if one.stream.symbol == symbol]
        wanted = {name.encode() for name in names}.__contains__
        recent = self._recent.of(wanted) if self._recent else []
        streams = [self.recorders[name].stream for name in names]
        part = StreamSet(self._name, streams, last_rows=end.last_rows, new_gap_id=self._new_gap_id)
        go_on(part, self, end, recent, now)
        for name, recorder in part.recorders.items():
            lost = lost_journal(recorder.route)
            since_s = {one: max(at_s, recorder.subscribed_s) + now_s - seen_s for one, at_s in lost.others.items()}
            part.lose_streams([name], lost._replace(others=since_s), now_s)
            recorder.heard.by_connection.pop(JOURNAL, None)
        self.waiting -= {symbol}
        for name, recorder in part.recorders.items():
            self._put(name, recorder)
        self.note_takeover([symbol], now_ns)
        for draft in part.collect(now_ns):
            for one in draft.drafts() if isinstance(draft, EventRun) else (draft,):
                self._pending.add(one)
        self.anchors += part.anchors
        self._remember()

    def note_takeover(self, symbols: Iterable[str], now_ns: int) -> None:
        """Have a row tell that this run goes on in place of another one: no gap is to be expected between the two."""
        for symbol in symbols:
            data = {"symbol": symbol, "stream": "status", "recv_ns": now_ns, "source": "local", "reason": TAKEN_OVER}
            self._pending.add(Draft("status", symbol, "takeover", data))

    @property
    def unlisted(self) -> frozenset[str]:
        """Return the streams with an unlisted loss, of symbols that are recorded here."""
        return frozenset(name for name in super().unlisted if not self._waits(self.recorders[name]))

    def add(self, stream: Stream) -> None:
        """Record this stream too; where its symbol waits, another journal will tell where it stands."""
        known = self.last_rows
        if stream.symbol in self.waiting:
            self.last_rows = {}
        super().add(stream)
        self.last_rows = known
        if self.waiting:
            self._remember()

    def let_go(self, stream: Stream, now_s: float) -> None:
        """Record this stream no more; of a symbol that leaves, another worker goes on with its open gaps."""
        if stream.symbol in self.leaving:
            recorder = self.recorders[stream.name]
            self._take(recorder, recorder.tracker.expire(math.inf), now_s)
            recorder.end_gaps()  # told to nobody: they stay open
        super().let_go(stream, now_s)
        if self._recent is not None and stream.symbol in self.waiting:
            self._recent.let_go(stream.name)
            self._remember()

    def deliver(self, delivered: Delivered, now_s: float) -> None:
        """Take messages of one connection, in their order."""
        if self._recent is not None:
            part = part_of(delivered, self._waiting_names.__contains__)
            if part.messages:
                self._recent.add(part._replace(size_bytes=sum(map(len, part.messages))), now_s)
        super().deliver(delivered, now_s)

    def lose(self, lost: Lost, now_s: float) -> None:
        """Take note that a connection has ended, and that it is not known what that has cost."""
        super().lose(lost, now_s)
        if self._recent is not None and lost.connection != JOURNAL:
            self._recent.add_lost(lost, now_s)

    def lose_streams(self, names: Iterable[str], lost: Lost, now_s: float) -> None:
        """Take note that an open connection does not deliver these streams any more."""
        names = list(names)
        super().lose_streams(names, lost, now_s)
        if self._recent is not None:
            self._recent.add_lost_streams(names, lost, now_s)

    def hand_over(self, end: HandedOver, now_s: float) -> None:
        """Take note that a connection has ended, and that another one has all that it delivered."""
        super().hand_over(end, now_s)
        if self._recent is not None:
            self._recent.add_handed_over(end, now_s)

    def list_gaps(self, gaps: Iterable[Gap]) -> None:
        """Have gaps journalled that others have found, of symbols that are recorded here."""
        super().list_gaps(gap for gap in gaps if gap.symbol not in self.waiting)

    def repair(self, page: BackfillPage) -> None:
        """Record those rows of an answer of REST that are missing here; another worker's answers are not ours."""
        if not self._waits(self.recorders[page.answer.stream]):
            super().repair(page)

    def give_up(self, page: BackfillPage) -> list[Gap]:
        """List what this answer refuses as `unrepairable`, and return those gaps."""
        return [] if self._waits(self.recorders[page.answer.stream]) else super().give_up(page)

    def restore(self, rows: Mapping[str, LastRow], reason: str) -> None:
        """Go on from the last rows in the journal, of symbols that are recorded here."""
        super().restore({name: row for name, row in rows.items() if row.symbol not in self.waiting}, reason)

    def _take(self, recorder: StreamRecorder, outcomes: Sequence[Outcome], now_s: float) -> None:
        if not self._waits(recorder):
            super()._take(recorder, outcomes, now_s)
        elif rows := sum(isinstance(outcome, Arrival) for outcome in outcomes):
            recorder.rows += rows
            recorder.heard.row_s = now_s

    def _extend_run(self, recorder: StreamRecorder, connection: int, taken: Bunch, now_s: float) -> None:
        if not self._waits(recorder):
            super()._extend_run(recorder, connection, taken, now_s)
            return
        recorder.messages += len(taken.events)
        recorder.rows += len(taken.events)
        recorder.heard.by_connection[connection] = recorder.heard.row_s = now_s

    def _take_raw(self, arrival: Arrival, name: str, reason: str) -> None:
        if not name or not self._waits(self.recorders[name]):
            super()._take_raw(arrival, name, reason)

    def _waits(self, recorder: StreamRecorder) -> bool:
        return recorder.stream.symbol in self.waiting

    def _put(self, name: str, recorder: StreamRecorder) -> None:
        self.recorders[name] = self._by_name[name.encode()] = recorder

    def _remember(self) -> None:
        """Remember what comes of the streams that wait, as long as there are any."""
        waiting = [one.stream for one in self.recorders.values() if one.stream.symbol in self.waiting]
        self._waiting_names = frozenset(stream.name.encode() for stream in waiting)
        if not self.waiting:
            self._recent = None
        elif self._recent is not None:
            self._recent.keep_last_of(one.name for one in waiting if not has_sequence_ids(one.stream_type))
