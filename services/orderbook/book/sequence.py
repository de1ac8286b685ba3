"""Keeps a book in step with its stream: the exchange's rules of snapshot and updates, as a state machine.

The rules (docs/exchange.md): update ids are sparse, so that only `pu` says what an update hangs on. Behind a snapshot
with id L, updates up to L are dropped; the first one beyond it needs `pu <= L`; from there, or from an update that ends
at L exactly, each needs `pu` to be the id before. Told of updates, snapshots and the time (`now_s`, monotonic); what it
is told returns the request for a snapshot that is due now, if one is.
"""

from bisect import bisect_left, bisect_right
from enum import StrEnum
from operator import attrgetter
from typing import NamedTuple

from binance_streamer.exchange.depth import DepthSnapshot, DepthUpdate
from binance_streamer.exchange.messages import ExchangeError
from services.orderbook.book.audit import Audit, Outcome, Trail, audit
from services.orderbook.book.book import OrderBook
from services.runtime.retry import RandomSource, doubled_s, spread_s

REBASED = 1_000_000
"""Update ids that fall by more begin a new count."""
_PATIENCE_S = 60.0
"""The stream reaches a snapshot's id within this, unless the ids began anew between the two."""
MOST_BUFFERED = 1_000
MOST_BUFFERED_MS = 20_000
"""A snapshot on its way is younger than this; older updates would be dropped behind it."""
RANGE = "range"
DOUBT = "doubt"
BEYOND = "beyond the levels of the snapshot"
_STABLE_S = 60.0
"""A book that was valid for so long may ask for its next snapshot at once."""
_LONGEST_PAUSE_ROUNDS = 16
"""Of the retry time, between two snapshots that a book which is never stable begins anew with."""
_final_update_id = attrgetter("final_update_id")


class SyncState(StrEnum):
    """Only in SYNCED is the book known to be the exchange's."""

    BUFFERING = "buffering"
    SNAPSHOT_REQUESTED = "snapshot_requested"
    BRIDGING = "bridging"
    SYNCED = "synced"
    UNRELIABLE = "unreliable"


class SnapshotNeed(NamedTuple):
    """A snapshot is wanted; one helps when its id is at least this."""

    last_update_id: int
    reason: str


class BookSequence:
    """The book of one symbol, and what it waits for."""

    def __init__(self, *, retry_s: float, rng: RandomSource) -> None:
        self.book = OrderBook()
        self.state = SyncState.BUFFERING
        self._reason = "starting"
        self.resyncs = 0
        """How often it was valid and is no more."""
        self.updates = 0
        """Updates applied."""
        self.repeats = 0
        """Updates that the book had already."""
        self._retry_s = retry_s
        self._rng = rng
        self._trail: Trail | None = None
        self._buffer: list[DepthUpdate] = []  # by final_update_id, not all of them hang together
        self._has_book = False
        self._is_anchored = False  # the book's id is the end of an update: the next one hangs on exactly it
        self._is_doubted = self._is_doubt_over = False
        self._loaded_s = 0.0
        self._newest = -1
        self._newest_transact_ms = 0
        self._next_request_s = 0.0
        self._next_range_s = 0.0
        self._synced_s = 0.0
        self._reloads = -1  # snapshots that a book began anew with since it was stable; the first one does not count

    @property
    def is_valid(self) -> bool:
        """Whether the book is the exchange's at `book.update_id`, as far as it is known.

        Best bid and ask are; how many levels are, `book.known_top` says. Beyond the levels that the snapshot had the
        book still follows its updates, but there may be others.
        """
        return self.state is SyncState.SYNCED and self.book.is_top_known

    @property
    def reason(self) -> str:
        """Why it is not valid; empty where it is."""
        if self.state is not SyncState.SYNCED:
            return self._reason
        return "" if self.book.is_top_known else BEYOND

    @property
    def is_doubted(self) -> bool:
        """Whether it is right if nothing is missing since its last update, which is not known."""
        return self._is_doubted

    @property
    def buffered(self) -> int:
        """Updates that wait for what they hang on."""
        return len(self._buffer)

    def update(self, update: DepthUpdate, now_s: float) -> SnapshotNeed | None:
        """Take an update of the stream."""
        final = update.final_update_id
        if self.state is SyncState.SYNCED and update.prev_final_update_id == self.book.update_id < final:
            self._newest, self._newest_transact_ms = final, update.transact_time_ms
            problem = self._apply(update)
            if not problem:
                return None
            self._fail(problem, now_s)
            return self.tick(now_s)
        if self._went_back(update):
            self._buffer.clear()
            self._newest, self._newest_transact_ms = -1, 0
            self._fail("ids went back", now_s)
        elif self.state is SyncState.SYNCED:
            if final <= self.book.update_id:
                self.repeats += 1
                return None
            self._fail("gap", now_s, is_book_right=True)
        self._store(update)
        self._proceed(now_s)
        return self.tick(now_s)

    def snapshot(self, snapshot: DepthSnapshot, now_s: float) -> SnapshotNeed | None:
        """Take a snapshot, asked for or not. A valid book does not need it: see `audit`."""
        last_update_id = snapshot.last_update_id
        if self.state is SyncState.SYNCED:
            return None
        if self._is_doubted and not self._buffer and last_update_id == self.book.update_id:
            self._trust(now_s)  # the exchange has nothing newer
            return None
        if self._has_book and not self._buffer:
            if self.book.update_id - REBASED <= last_update_id <= self.book.update_id:
                return None
        elif self._newest >= 0 and last_update_id < self._least():
            self._reason = "snapshot older than the stream"
            return self.tick(now_s)
        self._load(snapshot, now_s)
        self._proceed(now_s)
        return self.tick(now_s)

    def tick(self, now_s: float) -> SnapshotNeed | None:
        """The request that is due, sent or repeated; call it at least every second.

        A valid book asks too, with the reason `range`, before its price leaves what its snapshot knew:
        `expect_snapshot`, and give it to `audit`.
        """
        if self.state is SyncState.SYNCED:
            if now_s < self._next_range_s or not self.book.is_running_out:
                return None
            self._next_range_s = now_s + spread_s(self._retry_s, self._rng)
            return SnapshotNeed(self.book.update_id, RANGE)
        if now_s < self._next_request_s or not self._needs_snapshot():
            return None
        self._next_request_s = now_s + spread_s(self._retry_s, self._rng)
        if self._is_doubted:
            return SnapshotNeed(self.book.update_id, DOUBT)
        self.state = SyncState.SNAPSHOT_REQUESTED
        return SnapshotNeed(self._least(), self._reason)

    def expect_snapshot(self) -> None:
        """A snapshot is asked for: from here on a book that follows its stream can be compared with one."""
        if self.state is SyncState.SYNCED and self._trail is None:
            self._trail = Trail(self.book)

    @property
    def comparable_from(self) -> int | None:
        """The least id of a snapshot that the book can be compared with; None: `expect_snapshot` first."""
        return None if self._trail is None else self._trail.begins_at

    def audit(self, snapshot: DepthSnapshot, now_s: float) -> Audit | None:
        """Compare a book that follows its stream with a snapshot; None: ask again after its next update.

        Needs `expect_snapshot` before the snapshot was taken, each time.
        Where levels differ the book begins anew with the snapshot, and `resyncs` counts it.
        """
        if self.state is not SyncState.SYNCED:
            return Audit(Outcome.NOT_COMPARABLE, snapshot.last_update_id, f"not valid: {self.reason}")
        trail = self._trail
        if trail is None:
            return Audit(Outcome.NOT_COMPARABLE, snapshot.last_update_id, "not asked for")
        result = audit(self.book, trail, snapshot)
        if result is not None and result.outcome is not Outcome.NOT_COMPARABLE:
            self._trail = None
        if result is not None and result.outcome is Outcome.FAILED:
            self._fail("audit failed", now_s)
            self._buffer = trail.behind(snapshot.last_update_id)
            self._load(snapshot, now_s)
            self._proceed(now_s)
        return result

    def refute(self, reason: str, now_s: float) -> SnapshotNeed | None:
        """Something else shows that the book is wrong: it begins anew."""
        if self.state is SyncState.SYNCED:
            self._fail(reason, now_s)
        return self.tick(now_s)

    def doubt(self, reason: str) -> None:
        """The stream may have stopped: not valid until the next update shows that nothing is missing."""
        if self.state is SyncState.SYNCED:
            self.state, self._reason = SyncState.UNRELIABLE, reason
            self._is_doubted = True
        self._is_doubt_over = False

    def end_doubt(self) -> None:
        """What may have stopped the stream is over: a snapshot shows whether anything is missing, if no update does."""
        self._is_doubt_over = True

    def _apply(self, update: DepthUpdate) -> str:
        """What is wrong then; empty: nothing."""
        try:
            self.book.apply(update)
        except ExchangeError as error:
            return f"unreadable update: {error}"
        if self._trail is not None:
            self._follow(self._trail, update)
        self.updates += 1
        return "crossed" if self.book.is_crossed else ""

    def _follow(self, trail: Trail, update: DepthUpdate) -> None:
        if not trail.is_full:
            trail.record(update)
        else:  # a book that runs out of what it knows goes on waiting
            self._trail = Trail(self.book) if self.book.is_running_out else None

    def _went_back(self, update: DepthUpdate) -> bool:
        """Whether the exchange counts anew: copies and stragglers have a lower id too, but no later transaction."""
        final = update.final_update_id
        is_later = update.transact_time_ms > self._newest_transact_ms
        return final < self._newest - REBASED or (final <= self._newest and is_later)

    def _store(self, update: DepthUpdate) -> None:
        buffer, final = self._buffer, update.final_update_id
        if final > self._newest:
            self._newest, self._newest_transact_ms = final, update.transact_time_ms
            buffer.append(update)
        else:
            place = bisect_left(buffer, final, key=_final_update_id)
            if place < len(buffer) and buffer[place].final_update_id == final:
                self.repeats += 1
            else:
                buffer.insert(place, update)
        since_ms = self._newest_transact_ms - MOST_BUFFERED_MS
        while buffer and (len(buffer) > MOST_BUFFERED or buffer[0].event_time_ms < since_ms):
            del buffer[0]

    def _load(self, snapshot: DepthSnapshot, now_s: float) -> None:
        self.book.load(snapshot)
        self._trail = None
        self._reloads += 1
        self._has_book, self._is_anchored, self._is_doubted = True, False, False
        self._loaded_s = now_s
        self.state = SyncState.BRIDGING

    def _proceed(self, now_s: float) -> None:
        """Apply what the buffer has for the book."""
        if not self._has_book:
            return
        problem = self._drop_known(now_s)
        is_proven = self._is_anchored and self.state is SyncState.BRIDGING
        while not problem and self._buffer and self._hangs_on_book(self._buffer[0]):
            problem = self._apply(self._buffer.pop(0))
            self._is_anchored = is_proven = True
        if problem:
            self._fail(problem, now_s)
        elif self._buffer:
            if self.state is SyncState.BRIDGING or self._is_doubted:
                self._fail(
                    "gap" if self._is_anchored else "snapshot older than the stream",
                    now_s,
                    is_book_right=self._is_anchored,
                )
        elif is_proven and self.book.is_crossed:
            self._fail("crossed", now_s)
        elif is_proven:
            self._trust(now_s)

    def _trust(self, now_s: float) -> None:
        self.state, self._reason, self._is_doubted = SyncState.SYNCED, "", False
        self._synced_s = now_s

    def _drop_known(self, now_s: float) -> str:
        """Drop what the book has already; what is wrong with that, if anything."""
        known = bisect_right(self._buffer, self.book.update_id, key=_final_update_id)
        if not known:
            self._is_anchored = self._is_anchored or self._newest == self.book.update_id >= 0
            return ""
        if self._buffer[known - 1].final_update_id == self.book.update_id:
            self._is_anchored = True
        elif not self._is_anchored and now_s - self._loaded_s > _PATIENCE_S:
            return "ids stay below the snapshot's"
        del self._buffer[:known]
        return ""

    def _hangs_on_book(self, update: DepthUpdate) -> bool:
        previous, update_id = update.prev_final_update_id, self.book.update_id
        return previous == update_id if self._is_anchored else previous <= update_id

    def _fail(self, reason: str, now_s: float, *, is_book_right: bool = False) -> None:
        """Not valid any more. A book that was right to its id can still go on, if what is missing comes late."""
        if self.state is SyncState.SYNCED or self._is_doubted:
            self.resyncs += 1
            if now_s - self._synced_s >= _STABLE_S:
                self._reloads = 0
        if self._reloads > 0:
            longest_s = _LONGEST_PAUSE_ROUNDS * self._retry_s
            pause_s = doubled_s(self._reloads, first_s=self._retry_s, ceiling_s=longest_s)
            self._next_request_s = max(self._next_request_s, now_s + spread_s(pause_s, self._rng))
        if not is_book_right:
            self._trail = None
        self._has_book, self._is_doubted = is_book_right, False
        self.state, self._reason = SyncState.UNRELIABLE, reason

    def needs_snapshot_for(self, reason: str) -> bool:
        """Whether the book still needs what was asked for for a reason of `SnapshotNeed`."""
        if reason == RANGE:
            return self.state is SyncState.SYNCED and self.book.is_running_out
        return self.state not in (SyncState.SYNCED, SyncState.BRIDGING)

    def _needs_snapshot(self) -> bool:
        if self.state is SyncState.BRIDGING:
            return False
        if self._is_doubted and self._is_doubt_over:
            return True
        return bool(self._buffer) or (self._newest >= 0 and not self._has_book)

    def _least(self) -> int:
        """The least id of a snapshot that the newest updates hang on."""
        buffer = self._buffer
        if not buffer:
            return self._newest
        first = len(buffer) - 1
        while first and buffer[first].prev_final_update_id == buffer[first - 1].final_update_id:
            first -= 1
        return buffer[first].prev_final_update_id
