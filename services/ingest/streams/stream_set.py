"""All streams of a worker: messages in, drafts of what is to be journalled out.

Every message ends in exactly one way: a row, a repeat that is counted, or a raw row with the reason why it is none.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

from binance_streamer.exchange.messages import ExchangeError
from binance_streamer.exchange.streams import Stream, route_with_room
from binance_streamer.wire.requests import SnapshotRequest
from services.ingest.connections.events import Delivered, HandedOver, Lost
from services.ingest.streams import demux
from services.ingest.streams.arrivals import (
    NO_READING,
    Arrival,
    Bunch,
    Outcome,
    PendingDrafts,
    raw_draft,
    reading_from,
)
from services.ingest.streams.backfill import BackfillPage
from services.ingest.streams.gaps import REPAIRED
from services.ingest.streams.heard import LATE, StreamFault
from services.ingest.streams.stream import StreamRecorder, ended_gaps
from services.runtime.delivery.events import EventRun
from services.runtime.gaps.drafts import Draft, Gap
from services.runtime.gaps.last_rows import LastRow


class StreamSet:
    """All streams of one worker, by name.

    `name` is that of the worker, a symbol or `<group>-<k>`: raw rows that name no stream are its own. Results wait
    until they are fetched: drafts in `collect`, wanted snapshots in `anchors`, announced ends of connections in
    `shutdowns`.
    """

    def __init__(
        self,
        name: str,
        streams: Iterable[Stream],
        *,
        last_rows: Mapping[str, LastRow],
        new_gap_id: Callable[[], str],
    ) -> None:
        self.recorders: dict[str, StreamRecorder] = {}
        self.refused: Counter[str] = Counter()
        """Number of raw rows, by kind of reason."""
        self.first_arrivals: Counter[int] = Counter()
        """Number of rows that came first over a connection, by connection."""
        self.lag_ms: dict[int, float] = {}
        """By connection: milliseconds from the first copy of a message to this connection's own, for the newest."""
        self.anchors: list[SnapshotRequest] = []
        """Snapshots that order books need, because they begin anew."""
        self.shutdowns: set[int] = set()
        """Connections over which the exchange has announced their end (`serverShutdown`)."""
        self._by_name: dict[bytes, StreamRecorder] = {}
        self._name = name
        self._let_go: set[bytes] = set()
        """Names of streams that were recorded, and of which something may still be under way."""
        self.last_rows = last_rows
        """Where each stream stood when it was last recorded; a stream that is added goes on behind it."""
        self._new_gap_id = new_gap_id
        self._pending = PendingDrafts()
        self._run_of = self._pending.run_of
        for stream in streams:
            self.add(stream)
        self._pending.list_gaps(ended_gaps(last_rows, self.recorders, new_gap_id))

    def add(self, stream: Stream) -> None:
        """Record this stream too, from where the last run ended; on the first route of its type that has room."""
        recorder = StreamRecorder(stream, self._new_gap_id, self.last_rows.get(stream.name))
        taken = ((one.route, one.stream.subscribed) for one in self.recorders.values())
        recorder.route = route_with_room(stream, taken)
        self.recorders[stream.name] = self._by_name[stream.name.encode()] = recorder
        self._let_go.discard(stream.name.encode())
        self._pending.list_gaps(recorder.filled_gaps)

    def remove(self, stream: Stream) -> None:
        """Record this stream no more."""
        del self.recorders[stream.name], self._by_name[stream.name.encode()]

    def let_go(self, stream: Stream, now_s: float) -> None:
        """Record this stream no more: give up what it waits for, end its open gaps, ignore what is still under way."""
        recorder = self.recorders[stream.name]
        self._take(recorder, recorder.tracker.expire(math.inf), now_s)
        self._pending.list_gaps(recorder.end_gaps())
        self.remove(stream)
        self._let_go.add(stream.name.encode())

    def take_over(self, before: "StreamSet") -> None:
        """Go on with the connections of these streams: same routes, same times at which each was heard."""
        self._let_go |= before._let_go
        for name, recorder in self.recorders.items():
            recorder.go_on_as(before.recorders[name])

    @property
    def unlisted(self) -> frozenset[str]:
        """Return the streams of which something may be missing that their next row will show, and nothing else does."""
        return frozenset([name for name, one in self.recorders.items() if one.tracker.has_unlisted_loss])

    @property
    def is_holding(self) -> bool:
        """Return True where messages wait for others, so that `expire` must be called within `GRACE_S`."""
        return any(recorder.tracker.held for recorder in self.recorders.values())

    def deliver(self, delivered: Delivered, now_s: float) -> None:
        """Take messages of one connection, in their order."""
        connection, stamps_ns, messages, _ = delivered
        at = 0
        while at < len(messages):
            name, event = demux.split(messages[at])
            recorder = self._by_name.get(name)
            if recorder is None:
                self._deliver_unusual(Arrival(connection, stamps_ns[at], messages[at], NO_READING), now_s)
                at += 1
            else:
                events = [event, *demux.events_like(recorder.prefix, messages, at + 1)]
                end = at + len(events)
                bunch = Bunch(stamps_ns[at:end], events, recorder.ids_of_all(events))
                self._deliver_alike(recorder, connection, bunch, now_s)
                at = end

    def list_gaps(self, gaps: Iterable[Gap]) -> None:
        """Have gaps journalled that others have found: times without any connection, gaps of the writer."""
        self._pending.list_gaps(gaps)

    def expire(self, now_s: float) -> None:
        """Give up what has been waited for for long enough, and release what was held behind it."""
        for recorder in self.recorders.values():
            self._take(recorder, recorder.tracker.expire(now_s), now_s)

    def lose(self, lost: Lost, now_s: float) -> None:
        """Take note that a connection has ended, and that it is not known what that has cost.

        A stream that none of the others is known to have had without a break gets a gap, where its next row shows one.
        """
        for recorder in self._of(lost.route):
            self._leave(recorder, lost, now_s)
        self._forget(lost.connection, lost.route)

    def lose_streams(self, names: Iterable[str], lost: Lost, now_s: float) -> None:
        """Take note that an open connection does not deliver these streams any more, as if it had ended for them."""
        for name in names:
            if name in self.recorders:  # it may have been let go since it was seen to be missing
                self._leave(self.recorders[name], lost, now_s)

    def hand_over(self, end: HandedOver, now_s: float) -> None:
        """Take note that a connection has ended, and that another one has all that it delivered."""
        for recorder in self._of(end.route):
            self._take(recorder, recorder.tracker.forget(end.connection, now_s), now_s)
        self._forget(end.connection, end.route)

    def has_heard(self, connection: int) -> bool:
        """Return True where a message of any stream came over it; an acknowledgement is none, nor is a raw row."""
        return any(connection in one.heard.by_connection for one in self.recorders.values())

    def late(self) -> set[StreamFault]:
        """Return the connections that bring copies of a stream too late to be told; nothing of it is taken of them."""
        copies = {name: one.tracker.copies for name, one in self.recorders.items()}
        return {StreamFault(LATE, name, late) for name, known in copies.items() if known for late in known.late}

    def has_taken_over(self, old: int, new: int, now_s: float) -> bool:
        """Return True where the old connection may be closed: the new one has each stream, or the stream is quiet."""
        return all(one.is_handed_over(old, new, now_s) for one in self.recorders.values())

    def collect(self, recv_ns: int) -> list[Draft | EventRun]:
        """Return what is to be journalled since the last call, in the order of `PendingDrafts`."""
        return self._pending.collect(recv_ns)

    def repair(self, page: BackfillPage) -> None:
        """Record those rows of an answer of REST that are still missing."""
        recorder = self.recorders[page.answer.stream]
        drafts, gaps = recorder.repair(page)
        for row in drafts:
            self._pending.add(row)
        self._pending.list_gaps(gaps)

    def give_up(self, page: BackfillPage) -> list[Gap]:
        """List what this answer refuses as `unrepairable`, and return those gaps."""
        gaps = self.recorders[page.answer.stream].give_up(page)
        self._pending.list_gaps(gaps)
        return gaps

    def restore(self, rows: Mapping[str, LastRow], reason: str) -> None:
        """Go on from the last rows in the journal: it did not take all, or has listed a gap of its own."""
        for name, recorder in self.recorders.items():
            if name in rows:
                recorder.restore(rows[name], reason)
                self._pending.list_gaps(recorder.filled_gaps)

    def _leave(self, recorder: StreamRecorder, lost: Lost, now_s: float) -> None:
        is_covered = recorder.is_covered(lost.connection, lost.others, now_s)
        self._take(recorder, recorder.tracker.forget(lost.connection, now_s), now_s)
        if not is_covered:
            self._take(recorder, recorder.lose(lost.reason), now_s)

    def note_lost(self, name: str, to_id: int | None, reason: str) -> None:
        """Take note that the producer has listed a gap of its own up to this id: a book begins anew behind it."""
        if name in self.recorders and self.recorders[name].stream.type.builds_book and to_id is not None:
            self.anchors.append(SnapshotRequest(self.recorders[name].stream.symbol, to_id, reason))

    def _forget(self, connection: int, route: str) -> None:
        for recorder in self._of(route):
            recorder.heard.by_connection.pop(connection, None)
        self.lag_ms.pop(connection, None)
        self.first_arrivals.pop(connection, None)

    def _deliver_alike(self, recorder: StreamRecorder, connection: int, bunch: Bunch, now_s: float) -> None:
        """Take messages of one stream: those that need no decision together, the others one by one."""
        at, count = 0, len(bunch.events)
        while at < count:
            end = recorder.take_all(connection, bunch, at, now_s)
            if end > at:
                self._extend_run(recorder, connection, bunch.part(at, end), now_s)
            if end < count:
                stamps_ns, events, ids = bunch
                arrival = Arrival(connection, stamps_ns[end], events[end], reading_from(ids[end]))
                self._deliver_one(recorder, arrival, now_s)
            at = end + 1

    def _extend_run(self, recorder: StreamRecorder, connection: int, taken: Bunch, now_s: float) -> None:
        """Append messages that were taken to the run that is to be journalled."""
        run = self._run_of(recorder.stream, connection)
        run.stamps_ns += taken.stamps_ns
        run.events += taken.events
        run.links += [ids for ids in taken.ids if ids is not None]
        recorder.note_taken(run, len(taken.events), now_s)
        self.first_arrivals[connection] += len(taken.events)

    def _deliver_one(self, recorder: StreamRecorder, arrival: Arrival, now_s: float) -> None:
        """Take a message that needs a decision: read it in full, and ask the tracker."""
        connection, recv_ns, event, _ = arrival
        try:
            reading = recorder.reading_of(arrival)
        except ExchangeError as error:
            inner = demux.inner_event(recorder.stream.name.encode(), event)
            if inner is None:
                self._take_raw(arrival, recorder.stream.name, str(error))
            else:
                self._deliver_one(recorder, arrival._replace(event=inner), now_s)
            return
        recorder.messages += 1
        recorder.heard.by_connection[connection] = now_s
        outcomes = recorder.offer(arrival._replace(reading=reading), now_s)
        if outcomes:
            self._take(recorder, outcomes, now_s)
        else:
            lag_ms = recorder.lag_ms(connection, reading.last_id, recv_ns)
            if lag_ms is not None:
                self.lag_ms[connection] = lag_ms

    def _of(self, route: str) -> list[StreamRecorder]:
        return [recorder for recorder in self.recorders.values() if recorder.route == route]

    def _take(self, recorder: StreamRecorder, outcomes: Sequence[Outcome], now_s: float) -> None:
        symbol = recorder.stream.symbol
        for outcome in outcomes:
            if isinstance(outcome, Arrival):
                self._pending.add(recorder.row(outcome, now_s))
                self.first_arrivals[outcome.connection] += 1
                if not recorder.is_anchored:
                    recorder.is_anchored = True
                    self.anchors.append(SnapshotRequest(symbol, outcome.reading.previous_id or 0, "connected"))
            else:
                self._pending.list_gaps([outcome])
                if recorder.stream.type.builds_book and outcome.to_id is not None and outcome.state != REPAIRED:
                    self.anchors.append(SnapshotRequest(symbol, outcome.to_id, outcome.reason))

    def _deliver_unusual(self, arrival: Arrival, now_s: float) -> None:
        """Respell a message that is not in the exchange's usual spelling, or record it raw."""
        if demux.is_subscribed(arrival.event):
            return
        parsed = demux.parse(arrival.event)
        if parsed is None:
            self._take_raw(arrival, "", "not the combined form")
            return
        name, event = parsed
        if name in self._let_go:
            return
        if name not in self._by_name:
            self._take_raw(arrival, "", f"unknown stream: {name.decode(errors='replace')!r:.80}")
            return
        respelt = demux.joined(name, event)
        self.deliver(Delivered(arrival.connection, [arrival.recv_ns], [respelt], 0), now_s)

    def _take_raw(self, arrival: Arrival, name: str, reason: str) -> None:
        """Record a message raw. `name` is its stream; empty where not even that could be read."""
        kind, symbol = reason.partition(":")[0], self._name
        if name:
            self.recorders[name].raw += 1
            kind, symbol = "unreadable event", self.recorders[name].stream.symbol
        if demux.is_shutdown(arrival.event):
            self.shutdowns.add(arrival.connection)
            kind = reason = "serverShutdown"
        self.refused[kind] += 1
        self._pending.add(raw_draft(symbol, arrival, name, reason))
