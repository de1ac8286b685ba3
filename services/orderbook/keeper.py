"""One symbol's book as the service shows it: its stream, since when it is right, its audits."""

from random import Random
from typing import NamedTuple

from binance_streamer.exchange.depth import BestQuote, DepthSnapshot, DepthUpdate
from services.orderbook.book.audit import Difference, Outcome
from services.orderbook.book.book import OrderBook
from services.orderbook.book.quotes import TopComparison, TopDifference
from services.orderbook.book.sequence import BookSequence, SnapshotNeed, SyncState

SPEEDS = ("0ms", "100ms", "250ms", "500ms")
"""Of depth streams, the fastest first. Each is a chain of its own; one of them makes the book."""
_SLOWER_AFTER = 20
"""So many messages of a slower stream, and none of the one that the book is built from for `_SLOWER_AFTER_S`: it comes
no more, a worker fell back to another speed."""
_SLOWER_AFTER_S = 30.0


_MOST_WAITING = 2_000
_SMOOTHING = 0.1


class Now(NamedTuple):
    """The monotonic clock, and the wall clock."""

    s: float
    ns: int


class Stamps(NamedTuple):
    """Of an update: the exchange's times, and when it was received."""

    event_time_ms: int
    transact_time_ms: int
    recv_ns: int


class Finding(NamedTuple):
    """A comparison of the book with what the exchange says; `kind` is the stream type of that."""

    kind: str
    outcome: Outcome
    last_update_id: int
    compared: int
    learnt: int = 0
    differences: tuple[Difference, ...] = ()


class Keeper:
    """Told of what comes off the bus; its owner takes `wish`, `findings` and `is_urgent` and clears them."""

    def __init__(self, symbol: str, *, retry_s: float, rng: Random, with_quotes: bool) -> None:
        self.symbol = symbol
        self.stream = ""
        self.sequence = BookSequence(retry_s=retry_s, rng=rng)
        self.valid_since_ns: int | None = None
        self.stamps: Stamps | None = None
        """Of the last applied update; None before the first."""
        self.heard = 0
        self.heard_s = 0.0
        self.missed = 0
        """Messages of its streams that the bus did not bring."""
        self.activity = 0.0
        """Messages a second, lately."""
        self.audits = dict.fromkeys(Outcome, 0)
        self.quotes = TopComparison() if with_quotes else None
        self.wish: SnapshotNeed | None = None
        self.findings: list[Finding] = []
        self.is_urgent = False
        """Valid, and was not; or the other way round."""
        self._retry_s, self._rng = retry_s, rng
        self._speed: int | None = None
        self._slower = 0
        self._earlier = (0, 0)  # updates and resyncs of the streams before
        self._pending: DepthSnapshot | None = None
        self._waiting: dict[int, Stamps] = {}  # of updates that the book has not taken
        self._levels = (0, 0)
        self._mark = (False, 0)
        self._counted = (0, -1.0)

    @property
    def book(self) -> OrderBook:
        """Right only while `is_valid`."""
        return self.sequence.book

    @property
    def is_valid(self) -> bool:
        """Whether the book is the exchange's after its last update."""
        return self.sequence.is_valid

    @property
    def is_doubted(self) -> bool:
        """Whether its stream may have stopped."""
        return self.sequence.is_doubted

    @property
    def updates(self) -> int:
        """Updates applied."""
        return self._earlier[0] + self.sequence.updates

    @property
    def resyncs(self) -> int:
        """How often it was valid and then no more."""
        return self._earlier[1] + self.sequence.resyncs

    @property
    def levels(self) -> tuple[int, int]:
        """How many bids and asks there were when they were counted last; none while the book is not valid."""
        return self._levels if self.is_valid else (0, 0)

    def count_levels(self) -> tuple[int, int]:
        """Count them: a pass over the whole book, too much for each message that has `levels`."""
        self._levels = self.book.counts
        return self.levels

    def take_update(self, update: DepthUpdate, recv_ns: int, now: Now) -> None:
        """An update of the stream that the book is built from: see `follows`."""
        sequence, final = self.sequence, update.final_update_id
        self.heard += 1
        self.heard_s = now.s
        applied = sequence.updates
        request = sequence.update(update, now.s)
        if request is not None:
            self.wish = request
        if sequence.updates == applied + 1 and sequence.book.update_id == final:
            self.stamps = Stamps(update.event_time_ms, update.transact_time_ms, recv_ns)
            if self.quotes is not None and sequence.is_valid:
                self._check_top(self.quotes.book(sequence.book), now)
        elif not sequence.is_valid:
            self._waiting[final] = Stamps(update.event_time_ms, update.transact_time_ms, recv_ns)
            if len(self._waiting) > _MOST_WAITING:
                del self._waiting[next(iter(self._waiting))]
        if self._pending is not None:
            self._compare(now)
        self._note(now)

    def take_snapshot(self, snapshot: DepthSnapshot, now: Now) -> None:
        """A depth snapshot: a book that follows its stream is compared with it, another one may begin with it."""
        if self.sequence.state is SyncState.SYNCED:
            if snapshot.last_update_id >= self.book.update_id:
                self.sequence.expect_snapshot()
            self._pending = snapshot
            self._compare(now)
        else:
            self._begin_with(snapshot, now)
        self._note(now)

    def take_quote(self, quote: BestQuote, now: Now) -> None:
        """A best quote."""
        if self.quotes is not None:
            self._check_top(self.quotes.quote(quote), now)
            self._note(now)

    def doubt(self, reason: str, now: Now) -> None:
        """What keeps the stream from coming; the book is right again with the next update, if none is missing."""
        self.sequence.doubt(reason)
        self._note(now)

    def tick(self, now: Now) -> None:
        """Every second."""
        self.wish = self.sequence.tick(now.s) or self.wish
        count, at_s = self._counted
        if now.s > at_s:
            rate = (self.heard - count) / (now.s - at_s)
            self.activity += (rate - self.activity) * (1.0 if at_s < 0 else _SMOOTHING)
            self._counted = self.heard, now.s

    def follows(self, speed: int, stream: str, now: Now) -> bool:
        """Whether the book is built from this stream, from now on if not before: the fastest that comes."""
        if speed == self._speed:
            self._slower = 0
            return True
        if self._speed is not None and speed > self._speed:
            self._slower += 1
            if self._slower < _SLOWER_AFTER or now.s - self.heard_s < _SLOWER_AFTER_S:
                return False
        if self._speed is not None:
            lost = 1 if self.is_valid else 0
            self._earlier = self.updates, self.resyncs + lost
            self.sequence = BookSequence(retry_s=self._retry_s, rng=self._rng)
            self._pending, self.stamps = None, None
        self._speed, self.stream, self._slower = speed, stream, 0
        self._note(now)
        return True

    def _compare(self, now: Now) -> None:
        """With the snapshot that waits for the book to come to it."""
        snapshot = self._pending
        if snapshot is None:
            return
        if self.sequence.state is not SyncState.SYNCED:
            self._pending = None
            self._begin_with(snapshot, now)
            return
        if snapshot.last_update_id > self.book.update_id:
            return
        if self.sequence.comparable_from is None:  # somebody else had asked
            self._pending = None
            return
        result = self.sequence.audit(snapshot, now.s)
        if result is None:
            return
        self._pending = None
        self._found(
            Finding(
                "depth_snapshot",
                result.outcome,
                result.last_update_id,
                result.compared,
                result.learnt,
                result.differences,
            )
        )

    def _check_top(self, difference: TopDifference | None, now: Now) -> None:
        if difference is None:
            return
        sides = zip(("bid", "ask"), difference.ours, difference.theirs, strict=True)
        differences = tuple(
            Difference(side, "", ours and " ".join(ours), theirs and " ".join(theirs))
            for side, ours, theirs in sides
            if ours != theirs
        )
        self._found(Finding("bookticker", Outcome.FAILED, difference.update_id, 2, differences=differences))
        self.wish = self.sequence.refute("its top is not bookTicker's", now.s) or self.wish

    def _found(self, finding: Finding) -> None:
        self.audits[finding.outcome] += 1
        self.findings.append(finding)

    def _begin_with(self, snapshot: DepthSnapshot, now: Now) -> None:
        request = self.sequence.snapshot(snapshot, now.s)
        if request is not None:
            self.wish = request

    def _note(self, now: Now) -> None:
        sequence = self.sequence
        mark = (sequence.is_valid, self._earlier[1] + sequence.resyncs)
        if mark == self._mark:
            return
        is_new_book = mark[1] != self._mark[1]
        self._mark = mark
        self.is_urgent = True
        self.valid_since_ns = now.ns if mark[0] else None
        self.stamps = self._waiting.get(sequence.book.update_id, self.stamps)
        if mark[0]:
            self.count_levels()
            self._waiting.clear()
        if self.quotes is not None and (is_new_book or not mark[0]):
            self.quotes.forget()
