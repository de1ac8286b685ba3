"""One stream as it is recorded: its continuity, its counts, and its rows."""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol

from binance_streamer.exchange.messages import UNREADABLE, EventIds, Reading
from binance_streamer.exchange.readers import EventReader, ids_reader
from binance_streamer.exchange.rest import step_of
from binance_streamer.exchange.stream_types import Continuity, has_sequence_ids
from binance_streamer.exchange.streams import Stream, stream_from_name
from services.ingest.connections.events import JOURNAL
from services.ingest.streams import demux
from services.ingest.streams.arrivals import NO_READING, Arrival, Bunch, Outcome, plausible
from services.ingest.streams.backfill import BackfillPage, GapOffer
from services.ingest.streams.chain import IdChain
from services.ingest.streams.deduplicator import Deduplicator
from services.ingest.streams.gaps import WENT_BACK, StreamGaps
from services.ingest.streams.heard import Heard
from services.ingest.streams.overlap import KlineTracker, OverlapTracker
from services.runtime.delivery.events import EventRun, event_draft, reading_of, rest_data
from services.runtime.gaps.drafts import Draft, Gap, GapChange
from services.runtime.gaps.last_rows import LastRow, latest_ms
from services.runtime.gaps.open_gaps import OpenGap

OVERLAP_S = 1.0
"""A connection that has been delivering for less may have been opened behind a message in flight on another one."""
QUIET_S = 30.0
NOT_RECORDED = "the stream is not recorded any more"


class Tracker(Protocol):
    """The interface of `IdChain`, `OverlapTracker` and `KlineTracker`, which decide what a message of a stream is."""

    @property
    def newest(self) -> int | None: ...
    @property
    def held(self) -> int: ...
    @property
    def copies(self) -> Deduplicator | None: ...
    @property
    def has_unlisted_loss(self) -> bool: ...
    def take_all(self, connection: int, bunch: Bunch, begin: int, now_s: float, /) -> int: ...
    def offer(self, arrival: Arrival, now_s: float) -> Sequence[Outcome]: ...
    def expire(self, now_s: float) -> Sequence[Outcome]: ...
    def forget(self, connection: int, now_s: float) -> Sequence[Outcome]: ...
    def lost(self, reason: str) -> Sequence[Outcome]: ...
    def covers(self, connection: int) -> bool: ...
    def has_entered(self, connection: int) -> bool: ...
    def restore(self, row: LastRow, reason: str) -> None: ...
    def recall(self, recorded: Sequence[tuple[Arrival, float]]) -> None: ...


class StreamRecorder:
    """One stream over all its connections."""

    def __init__(self, stream: Stream, new_gap_id: Callable[[], str], last_row: LastRow | None) -> None:
        self.stream = stream
        self.route = stream.route
        """The connections that carry it: those of the path of its type, or some of them (`StreamSet.add`)."""
        self.subscribed_s = -math.inf
        """Monotonic time at which it was subscribed to on connections that were open before."""
        self.read = EventReader(stream).read
        self.prefix = demux.prefix_of(stream.name.encode())
        """The bytes that its messages begin with in the exchange's own spelling."""
        self._read_ids = ids_reader(stream)
        self._gaps = StreamGaps(stream, new_gap_id, last_row.open_gaps if last_row else ())
        self.last: Arrival | None = None
        self.tracker = _tracker(stream, self._gaps, last_row, lambda: self.last)
        self.offer = self.tracker.offer
        self._has_last_row = last_row is not None
        self._ids_are_times = stream.type.continuity is Continuity.KLINES
        self.messages = self.rows = self.raw = self.repaired = 0
        self.heard = Heard()
        self.is_anchored = not stream.type.builds_book
        """True once a depth snapshot has been asked for since the stream began or was lost; always for other types."""

    @property
    def is_begun(self) -> bool:
        """Return True where the stream has ever had a row, in this run or in one before it."""
        return bool(self.rows) or self._has_last_row

    @property
    def gaps(self) -> int:
        """Return the number of gaps listed so far."""
        return self._gaps.count

    @property
    def filled_gaps(self) -> list[GapChange]:
        """Return the gaps that a killed run had filled and not closed in the journal."""
        return self._gaps.filled

    @property
    def open_gaps(self) -> list[OpenGap]:
        """Return the listed gaps that REST may still fill, the lowest ids first."""
        return self._gaps.open_gaps

    @property
    def late_rows(self) -> int:
        """Return the number of rows so far that lie behind younger ones, in a hole."""
        return self._gaps.late_rows

    @property
    def repeats(self) -> int:
        """Return the number of messages that were recorded already."""
        return self.messages - self.rows - self.tracker.held

    @property
    def has_sequence_ids(self) -> bool:
        """Return True where each message names the one before it."""
        return has_sequence_ids(self.stream.stream_type)

    def reading_of(self, arrival: Arrival) -> Reading:
        """Return the reading of a message, read in full where it has none; `ExchangeError` where it makes no sense."""
        reading = self.read(arrival.event) if arrival.reading is NO_READING else arrival.reading
        return plausible(reading, latest_ms(arrival.recv_ns), ids_are_times=self._ids_are_times)

    def ids_of(self, event: bytes) -> EventIds | None:
        """Return the sequence ids of a message; None where the stream has none, or the message is not readable."""
        return self.ids_of_all([event])[0] if self.has_sequence_ids else None

    def ids_of_all(self, events: Sequence[bytes]) -> Sequence[EventIds | None]:
        """Return the ids of several messages: read in one loop of C code where all are readable.

        None stands for a message that is not, and for all of a stream that is not read so.
        """
        read_ids = self._read_ids
        if read_ids is None:
            return [None] * len(events)
        try:
            return list(map(read_ids, events))
        except UNREADABLE:
            return [_ids_or_none(read_ids, event) for event in events]

    def take_all(self, connection: int, bunch: Bunch, begin: int, now_s: float) -> int:
        """Take messages from this place on that need no decision, as nearly all do, and return where the next stands.

        They are to be noted (`note_taken`). Nothing has changed by the one that is returned, nor by those behind it.
        """
        return self.tracker.take_all(connection, bunch, begin, now_s) if self.is_anchored else begin

    def lag_ms(self, connection: int, last_id: int | None, recv_ns: int) -> float | None:
        """Return how many ms later than the first copy of a message this one came; None where that is not known."""
        copies, last = self.tracker.copies, self.last
        if copies is not None and connection in copies.lag_s:
            return copies.lag_s[connection] * 1000
        if last is None or last_id is None or last_id != last.reading.last_id:
            return None
        return (recv_ns - last.recv_ns) / 1e6

    def row(self, arrival: Arrival, now_s: float) -> Draft:
        """Count a row, and return it as it is journalled."""
        self.rows += 1
        self.heard.row_s = now_s
        self.last = arrival
        return event_draft(self.stream, *arrival)

    def note_taken(self, run: EventRun, count: int, now_s: float) -> None:
        """Count the last `count` messages of a run, all of which `take_all` took."""
        self.messages += count
        self.rows += count
        self.heard.by_connection[run.connection] = self.heard.row_s = now_s
        self.last = Arrival(run.connection, run.stamps_ns[-1], run.events[-1], reading_of(run.links[-1]))

    def repair(self, page: BackfillPage) -> tuple[list[Draft], list[Gap]]:
        """Return the rows of an answer of REST that are listed as missing, and how the gaps change by them.

        What the answer passed over, the exchange does not have.
        """
        name, symbol, stream_type, variant, *_ = self.stream
        drafts: list[Draft] = []
        gaps: list[Gap] = []
        for number, (previous_id, last_id, event) in enumerate(page.wanted):
            filled = self._gaps.repair(previous_id, last_id)
            if filled is not None:
                gaps += filled
                recv_ns, requested_ns = page.answer.recv_ns + number, page.answer.requested_ns
                data = rest_data(symbol, name, event, recv_ns=recv_ns, requested_ns=requested_ns)
                drafts.append(Draft(stream_type, symbol, variant, data))
        gaps += self._gaps.give_up(page.answer.from_id, page.reached, page.why_missing)
        self.repaired += len(drafts)
        return drafts, gaps

    def take_over(self, offer: GapOffer) -> list[Gap]:
        """Return the rows with which a gap that the writer lists becomes one of this stream; see `StreamGaps`.

        None yet, where the stream has had no row: it is not known where it stands.
        """
        gap, step, newest = offer.gap, step_of(self.stream), self.tracker.newest
        if newest is None:
            return []
        if gap.to_id > newest:
            return [self._gaps.given_up(gap, WENT_BACK)]
        return self._gaps.take_over(gap, [(last - step, last) for last in sorted(offer.present)])

    def give_up(self, page: BackfillPage) -> list[Gap]:
        """Return the gaps that become `unrepairable` because REST does not have what was asked for."""
        return self._gaps.give_up(page.answer.from_id, page.answer.to_id, page.why_missing)

    def end_gaps(self) -> list[Gap]:
        """Return the rows that end its open gaps, because it is recorded no more: nobody asks for what is missing."""
        return self._gaps.end(NOT_RECORDED)

    def restore(self, row: LastRow, reason: str) -> None:
        """Go on from the journal's last row and open gaps, because it did not take all that was handed to it."""
        self._gaps.restore(row.open_gaps)
        self.tracker.restore(row, reason)

    def outage(self, times_ns: tuple[int, int], reason: str) -> Gap:
        """Return the gap of a time for which nobody knows what is missing."""
        return self._gaps.outage(times_ns, reason)

    def lose(self, reason: str) -> Sequence[Outcome]:
        """Take note that something may be missing from here on, and return gaps that show it already."""
        self.is_anchored = not self.stream.type.builds_book
        return self.tracker.lost(reason)

    def go_on_as(self, before: "StreamRecorder") -> None:
        """Go on with the connections of the same stream in a worker that has waited."""
        self.heard, self.route, self.subscribed_s = before.heard, before.route, before.subscribed_s

    def is_covered(self, ended: int, others: Mapping[int, float], now_s: float) -> bool:
        """Return True where the end of a connection costs nothing.

        `others`: those that go on, and since when they have been delivering. One that has not delivered this stream
        covers it where the ended one has not either, since then: it is quiet. A journal says nothing of a stream that
        the other one was subscribed to on the way: it may have missed what came before.
        """
        tracker = self.tracker
        if any(tracker.covers(other) for other in others):
            return True
        heard_s = self.heard.by_connection.get(ended, -math.inf)
        return any(
            not tracker.has_entered(other)
            and heard_s < since_s
            and max(since_s, self.subscribed_s) <= now_s - OVERLAP_S
            and (ended != JOURNAL or since_s >= self.subscribed_s)
            for other, since_s in others.items()
        )

    def is_handed_over(self, old: int, new: int, now_s: float) -> bool:
        """Return True where the old connection is needed no more.

        The new one covers it, or the stream is quiet on both.
        """
        if self.tracker.covers(new):
            return True
        heard_s = self.heard.by_connection.get(old)
        return not self.tracker.has_entered(new) and (heard_s is None or now_s - heard_s >= QUIET_S)


def ended_gaps(last_rows: Mapping[str, LastRow], recorded: Collection[str], new_gap_id: Callable[[], str]) -> list[Gap]:
    """Return the rows that end the open gaps of streams that are recorded no more: only who records one asks for it."""
    return [
        gap
        for name, row in last_rows.items()
        if row.open_gaps and name not in recorded
        for gap in StreamGaps(stream_from_name(name), new_gap_id, row.open_gaps).end(NOT_RECORDED)
    ]


def _tracker(
    stream: Stream, gaps: StreamGaps, last_row: LastRow | None, newest_row: Callable[[], Arrival | None]
) -> Tracker:
    match stream.type.continuity:
        case Continuity.SEQUENCE:
            return IdChain(gaps, last_row=last_row, newest_row=newest_row)
        case Continuity.KLINES:
            return KlineTracker(gaps, last_row=last_row)
        case Continuity.GROWING | Continuity.NONE as continuity:
            return OverlapTracker(gaps, last_row=last_row, ids_grow=continuity is Continuity.GROWING)


def _ids_or_none(read_ids: Callable[[bytes], EventIds], event: bytes) -> EventIds | None:
    try:
        return read_ids(event)
    except UNREADABLE:
        return None
