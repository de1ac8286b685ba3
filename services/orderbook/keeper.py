"""One symbol's book as the service shows it: the stream that it is built from, since when it is valid, its audits.

`book.sequence` knows one stream. Here is what goes beyond that: which of a symbol's depth streams makes the book, the
times of the update that the book stands at, the comparison with snapshots and with bookTicker, and what the service
still has to send (`snapshot_need`, `findings`, `has_changed_validity`).
"""

from random import Random
from typing import NamedTuple

from binance_streamer.exchange.depth import BestQuote, DepthSnapshot, DepthUpdate
from services.orderbook.book.audit import Audit, Difference, Outcome
from services.orderbook.book.book import OrderBook
from services.orderbook.book.quotes import TopComparison, TopDifference
from services.orderbook.book.sequence import BookSequence, SyncState
from services.orderbook.book.snapshot_pacing import SnapshotNeed

SPEEDS = ("0ms", "100ms", "250ms", "500ms")
"""Variants of depth streams, the fastest first. Each is a chain of ids of its own; one of them makes the book."""
_SLOWER_AFTER = 20
_SLOWER_AFTER_S = 30.0
"""After so many messages of a slower stream, and so long without one of the stream that makes the book, the slower one
makes it: the other comes no more, because its worker fell back to another speed."""
_MOST_WAITING = 2_000
"""Updates whose times are remembered while they wait: twice as many as `MOST_BUFFERED` waiting updates."""
_SMOOTHING = 0.1
"""The share of the newest second in `activity`."""


class Now(NamedTuple):
    """One moment by both clocks: `s` of the monotonic clock for intervals, `ns` of the wall clock for stamps."""

    s: float
    ns: int


class Stamps(NamedTuple):
    """The times of an update: the exchange's two, and when it was received."""

    event_time_ms: int
    transact_time_ms: int
    recv_ns: int


class Keeper:
    """The book of one symbol, fed with what comes off the bus.

    Its owner takes `snapshot_need`, `findings` and `has_changed_validity` after each message, and clears them.
    """

    def __init__(self, symbol: str, *, retry_s: float, rng: Random, with_quotes: bool) -> None:
        self.symbol = symbol
        self.stream = ""
        """The stream that makes the book; empty before the first update."""
        self.sequence = BookSequence(retry_s=retry_s, rng=rng)
        self.valid_since_ns: int | None = None
        self.stamps: Stamps | None = None
        """Of the update that the book stands at; None before the first."""
        self.received = 0
        """Updates of the stream that makes the book."""
        self.last_update_s = 0.0
        """The time at which the last of them came, by the monotonic clock."""
        self.missed = 0
        """Messages of its streams that the bus did not bring."""
        self.activity = 0.0
        """Messages a second, smoothed over some ten seconds."""
        self.audits = dict.fromkeys(Outcome, 0)
        self.quotes = TopComparison() if with_quotes else None
        self.snapshot_need: SnapshotNeed | None = None
        """A request that has become due and is not passed on yet."""
        self.findings: list[Audit] = []
        """Results of comparisons that are not recorded yet."""
        self.has_changed_validity = False
        """The book has become valid or not valid, and that is not published yet."""
        self._retry_s, self._rng = retry_s, rng
        self._speed: int | None = None  # index into SPEEDS
        self._slower = 0  # messages of slower streams since the last one of the stream that makes the book
        self._earlier = (0, 0)  # updates and resyncs of the streams that made the book before
        self._pending: DepthSnapshot | None = None  # to be compared when the book has come to its id
        self._waiting_stamps: dict[int, Stamps] = {}  # by id, of updates that the book has not taken
        self._levels = (0, 0)
        self._noted = (False, 0)  # validity and resyncs when `_note_validity` looked last
        self._rate_from = (0, -1.0)  # `received`, and when it was that

    @property
    def book(self) -> OrderBook:
        """The levels; they are the exchange's only while `is_valid`."""
        return self.sequence.book

    @property
    def is_valid(self) -> bool:
        """Return True if the book is the exchange's after its last update."""
        return self.sequence.is_valid

    @property
    def updates(self) -> int:
        """Updates applied, of all streams that made the book."""
        return self._earlier[0] + self.sequence.updates

    @property
    def resyncs(self) -> int:
        """Times that the book was valid and then no more."""
        return self._earlier[1] + self.sequence.resyncs

    @property
    def levels(self) -> tuple[int, int]:
        """The number of bids and asks when they were counted last; (0, 0) while the book is not valid."""
        return self._levels if self.is_valid else (0, 0)

    def count_levels(self) -> tuple[int, int]:
        """Count bids and asks. It is a pass over the whole book, too much for each message that says `levels`."""
        self._levels = self.book.counts
        return self.levels

    def try_follow(self, speed: int, stream: str, now: Now) -> bool:
        """Decide for a message of `stream` whether the book is built from that; return True if the message counts.

        The book is built from the fastest stream that comes; `speed` is its place in `SPEEDS`. A faster one takes over
        with its first message, a slower one when the present one has stopped. The book then begins anew: updates of
        another speed do not join it.
        """
        if speed == self._speed:
            self._slower = 0
            return True
        if self._speed is not None and speed > self._speed:
            self._slower += 1
            if self._slower < _SLOWER_AFTER or now.s - self.last_update_s < _SLOWER_AFTER_S:
                return False
        if self._speed is not None:
            lost = 1 if self.is_valid else 0
            self._earlier = self.updates, self.resyncs + lost
            self.sequence = BookSequence(retry_s=self._retry_s, rng=self._rng)
            self._pending, self.stamps = None, None
        self._speed, self.stream, self._slower = speed, stream, 0
        self._note_validity(now)
        return True

    def take_update(self, update: DepthUpdate, recv_ns: int, now: Now) -> None:
        """Apply an update of the stream that makes the book: call it where `try_follow` returned True."""
        sequence, final = self.sequence, update.final_update_id
        self.received += 1
        self.last_update_s = now.s
        applied = sequence.updates
        request = sequence.take_update(update, now.s)
        if request is not None:
            self.snapshot_need = request
        if sequence.updates == applied + 1 and sequence.book.update_id == final:
            self.stamps = Stamps(update.event_time_ms, update.transact_time_ms, recv_ns)
            if self.quotes is not None and sequence.is_valid:
                self._check_top(self.quotes.take_book(sequence.book), now)
        elif not sequence.is_valid:
            self._waiting_stamps[final] = Stamps(update.event_time_ms, update.transact_time_ms, recv_ns)
            if len(self._waiting_stamps) > _MOST_WAITING:
                del self._waiting_stamps[next(iter(self._waiting_stamps))]
        if self._pending is not None:
            self._audit_pending(now)
        self._note_validity(now)

    def take_snapshot(self, snapshot: DepthSnapshot, now: Now) -> None:
        """Compare a valid book with a depth snapshot; let one that is not valid begin with it, if that helps."""
        if self.sequence.state is SyncState.VALID:
            if snapshot.last_update_id >= self.book.update_id:
                self.sequence.expect_snapshot()
            self._pending = snapshot
            self._audit_pending(now)
        else:
            self._begin_with(snapshot, now)
        self._note_validity(now)

    def take_quote(self, quote: BestQuote, now: Now) -> None:
        """Compare the top of the book with a bookTicker, as soon as both have the same update id."""
        if self.quotes is not None:
            self._check_top(self.quotes.take_quote(quote), now)
            self._note_validity(now)

    def doubt(self, reason: str, now: Now) -> None:
        """Hold the book for not valid until an update shows that none is missing: its stream may have stopped."""
        self.sequence.doubt(reason)
        self._note_validity(now)

    def tick(self, now: Now) -> None:
        """Ask for what is due, and measure `activity`; call it every second."""
        self.snapshot_need = self.sequence.tick(now.s) or self.snapshot_need
        count, at_s = self._rate_from
        if now.s > at_s:
            rate = (self.received - count) / (now.s - at_s)
            self.activity += (rate - self.activity) * (1.0 if at_s < 0 else _SMOOTHING)
            self._rate_from = self.received, now.s

    def _audit_pending(self, now: Now) -> None:
        """Compare the book with the snapshot that waits, if the book has come to it."""
        snapshot = self._pending
        if snapshot is None:
            return
        if self.sequence.state is not SyncState.VALID:
            self._pending = None
            self._begin_with(snapshot, now)
        elif snapshot.last_update_id > self.book.update_id:
            return
        elif self.sequence.comparable_from is None:  # another program asked for it: nothing was kept to compare it with
            self._pending = None
        elif (result := self.sequence.audit(snapshot, now.s)) is not None:
            self._pending = None
            self._add_finding(result)

    def _check_top(self, difference: TopDifference | None, now: Now) -> None:
        if difference is None:
            return
        sides = zip(("bid", "ask"), difference.ours, difference.theirs, strict=True)
        differences = tuple(
            Difference(side, "", ours and " ".join(ours), theirs and " ".join(theirs))
            for side, ours, theirs in sides
            if ours != theirs
        )
        found = Audit(Outcome.FAILED, difference.update_id, differences=differences, compared=2, kind="bookticker")
        self._add_finding(found)
        self.snapshot_need = self.sequence.refute("its top is not bookTicker's", now.s) or self.snapshot_need

    def _add_finding(self, finding: Audit) -> None:
        self.audits[finding.outcome] += 1
        self.findings.append(finding)

    def _begin_with(self, snapshot: DepthSnapshot, now: Now) -> None:
        request = self.sequence.take_snapshot(snapshot, now.s)
        if request is not None:
            self.snapshot_need = request

    def _note_validity(self, now: Now) -> None:
        """Look whether the book has become valid or not valid, and note since when and at which update."""
        sequence = self.sequence
        seen = (sequence.is_valid, self._earlier[1] + sequence.resyncs)
        if seen == self._noted:
            return
        is_new_book = seen[1] != self._noted[1]
        self._noted = seen
        self.has_changed_validity = True
        self.valid_since_ns = now.ns if seen[0] else None
        self.stamps = self._waiting_stamps.get(sequence.book.update_id, self.stamps)
        if seen[0]:
            self.count_levels()
            self._waiting_stamps.clear()
        if self.quotes is not None and (is_new_book or not seen[0]):
            self.quotes.forget()
