"""Keeps a book in step with its depth stream: the exchange's rules of snapshot and updates, as a state machine.

An update covers the ids `(pu, u]`, where `pu` is the `u` of the update before it; ids are sparse, so that only `pu`
says whether two updates **join** (docs/exchange.md §5). Behind a snapshot with id L, updates with `u <= L` are dropped,
and the first one beyond it needs `pu <= L`. From there on, or from an update with `u == L`, the book is **anchored**:
its id is the end of an update, and the next one joins only if its `pu` is exactly that id.

| state | the book | left when | to |
|---|---|---|---|
| BUFFERING | none; no update has come | the first update comes, so that a request is due | SNAPSHOT_REQUESTED |
| | | a snapshot comes before any update | BRIDGING |
| SNAPSHOT_REQUESTED | none, or right up to its id | a snapshot comes that the waiting updates join | BRIDGING |
| | | what was missing comes late: the book goes on | VALID |
| BRIDGING | a snapshot's; no update has joined it | one joins, or one ends at the snapshot's id | VALID |
| | | the first update behind it does not join, or ids stay below it | UNRELIABLE |
| VALID | the exchange's | an update is missing or unreadable, the book crossed, an audit failed | UNRELIABLE |
| | | the stream may have stopped (`doubt`) | UNRELIABLE, doubted |
| UNRELIABLE | none, or right up to its id | a request is due | SNAPSHOT_REQUESTED |
| | | what was missing comes late | VALID |
| | | a snapshot comes that the waiting updates join | BRIDGING |
| UNRELIABLE, doubted | right, if none is missing | the next update joins, or a snapshot has the same id | VALID |
| | | the next update does not join | UNRELIABLE |

States follow each other within one call where nothing has to be waited for. After a failed audit, too, the book begins
anew with the snapshot that it failed by, and is VALID again if the updates behind that join.

The sequence is given updates, snapshots and the time (`now_s`, monotonic, in seconds), and reads no clock. A call
returns the request for a snapshot that has become due, or None. Updates that wait are in `update_buffer`, the times of
requests in `snapshot_pacing`.
"""

from enum import StrEnum

from binance_streamer.exchange.depth import DepthSnapshot, DepthUpdate
from binance_streamer.exchange.messages import ExchangeError
from services.orderbook.book.audit import Audit, Outcome, Trail, audit
from services.orderbook.book.book import OrderBook
from services.orderbook.book.snapshot_pacing import DOUBT, RANGE, SnapshotNeed, SnapshotPacing
from services.orderbook.book.update_buffer import REBASED, UpdateBuffer
from services.runtime.retry import RandomSource

_PATIENCE_S = 60.0
"""The stream reaches a snapshot's id within this time, unless the ids began anew between the two: REST answers at most
some seconds ahead of the stream."""
BEYOND = "beyond the levels of the snapshot"


class SyncState(StrEnum):
    """The states of the table above. Only in VALID is the book known to be the exchange's."""

    BUFFERING = "buffering"
    SNAPSHOT_REQUESTED = "snapshot_requested"
    BRIDGING = "bridging"
    VALID = "valid"
    UNRELIABLE = "unreliable"


class BookSequence:
    """The book of one symbol, its state, and the updates that it cannot apply yet."""

    def __init__(self, *, retry_s: float, rng: RandomSource) -> None:
        """Begin without a book; requests for a snapshot are repeated after `retry_s`, a little spread by `rng`."""
        self.book = OrderBook()
        self.state = SyncState.BUFFERING
        self._reason = "starting"
        self.resyncs = 0
        """Times that the book was valid and then no more; a doubt that proved wrong does not count."""
        self.updates = 0
        """Updates applied."""
        self.repeats = 0
        """Updates that came although the book or the buffer had them already; ignored."""
        self._pacing = SnapshotPacing(retry_s=retry_s, rng=rng)
        self._buffer = UpdateBuffer()
        self._trail: Trail | None = None  # there while a snapshot to compare with is awaited
        self._has_book = False  # the book is right up to its id
        self._is_anchored = False
        self._is_doubted = self._is_doubt_over = False
        self._loaded_s = 0.0

    @property
    def is_valid(self) -> bool:
        """Return True if the book is the exchange's at `book.update_id`, as far as that can be known.

        Best bid and ask are then right; `book.known_top` says how many levels behind them are. Beyond the levels that
        the snapshot had the book still follows its updates, but there may be others.
        """
        return self.state is SyncState.VALID and self.book.is_top_known

    @property
    def reason(self) -> str:
        """Why the book is not valid; empty where it is."""
        if self.state is not SyncState.VALID:
            return self._reason
        return "" if self.book.is_top_known else BEYOND

    @property
    def is_doubted(self) -> bool:
        """Return True if the book is right provided that nothing is missing since its last update, which is unknown."""
        return self._is_doubted

    @property
    def buffered(self) -> int:
        """The number of updates that wait for a snapshot, or for an update before them."""
        return len(self._buffer)

    @property
    def comparable_from(self) -> int | None:
        """The least id of a snapshot that the book can be compared with; None: call `expect_snapshot` first."""
        return None if self._trail is None else self._trail.begins_at

    def take_update(self, update: DepthUpdate, now_s: float) -> SnapshotNeed | None:
        """Apply an update of the stream, keep it for later, or ignore it where the book has it already."""
        final = update.final_update_id
        if self.state is SyncState.VALID and update.prev_final_update_id == self.book.update_id < final:
            self._buffer.note_newest(update)
            problem = self._apply(update)
            if not problem:
                return None
            self._fail(problem, now_s)
            return self.tick(now_s)
        if self._buffer.is_new_count(update):
            self._buffer.restart()
            self._fail("ids went back", now_s)
        elif self.state is SyncState.VALID:
            if final <= self.book.update_id:
                self.repeats += 1
                return None
            self._fail("gap", now_s, is_book_right=True)
        if not self._buffer.add(update):
            self.repeats += 1
        self._join_waiting(now_s)
        return self.tick(now_s)

    def take_snapshot(self, snapshot: DepthSnapshot, now_s: float) -> SnapshotNeed | None:
        """Begin anew with a snapshot, asked for or not, if that helps. A book that follows its stream does not need
        it: give it to `audit`."""
        last_update_id = snapshot.last_update_id
        if self.state is SyncState.VALID:
            return None
        if self._is_doubted and not self._buffer and last_update_id == self.book.update_id:
            self._become_valid(now_s)  # the exchange has nothing newer
            return None
        if self._has_book and not self._buffer:
            if self.book.update_id - REBASED <= last_update_id <= self.book.update_id:
                return None
        elif self._buffer.newest_id >= 0 and last_update_id < self._buffer.least_helpful_id():
            self._reason = "snapshot older than the stream"
            return self.tick(now_s)
        self._load(snapshot, now_s)
        self._join_waiting(now_s)
        return self.tick(now_s)

    def tick(self, now_s: float) -> SnapshotNeed | None:
        """Return the request that is due, for the first time or again; call it at least every second.

        A valid book asks too, with the reason `RANGE`, before its price leaves what its snapshot knew: call
        `expect_snapshot`, and give the snapshot to `audit`.
        """
        if self.state is SyncState.VALID:
            is_due = self.book.is_running_out and self._pacing.try_range_request(now_s)
            return SnapshotNeed(self.book.update_id, RANGE) if is_due else None
        if not self._needs_snapshot() or not self._pacing.try_request(now_s):
            return None
        if self._is_doubted:
            return SnapshotNeed(self.book.update_id, DOUBT)
        self.state = SyncState.SNAPSHOT_REQUESTED
        return SnapshotNeed(self._buffer.least_helpful_id(), self._reason)

    def needs_snapshot_for(self, reason: str) -> bool:
        """Return True if the book still needs the snapshot that it asked for with this reason."""
        if reason == RANGE:
            return self.state is SyncState.VALID and self.book.is_running_out
        return self.state not in (SyncState.VALID, SyncState.BRIDGING)

    def expect_snapshot(self) -> None:
        """Keep what a snapshot will be compared with; call it when one is asked for."""
        if self.state is SyncState.VALID and self._trail is None:
            self._trail = Trail(self.book)

    def audit(self, snapshot: DepthSnapshot, now_s: float) -> Audit | None:
        """Compare a book that follows its stream with a snapshot; None: ask again after its next update.

        Needs `expect_snapshot` before the snapshot was taken, each time.
        Where levels differ the book begins anew with the snapshot, and `resyncs` counts it.
        """
        if self.state is not SyncState.VALID:
            return Audit(Outcome.NOT_COMPARABLE, snapshot.last_update_id, f"not valid: {self.reason}")
        trail = self._trail
        if trail is None:
            return Audit(Outcome.NOT_COMPARABLE, snapshot.last_update_id, "not asked for")
        result = audit(self.book, trail, snapshot)
        if result is not None and result.outcome is not Outcome.NOT_COMPARABLE:
            self._trail = None
        if result is not None and result.outcome is Outcome.FAILED:
            self._fail("audit failed", now_s)
            self._buffer.replace(trail.behind(snapshot.last_update_id))
            self._load(snapshot, now_s)
            self._join_waiting(now_s)
        return result

    def refute(self, reason: str, now_s: float) -> SnapshotNeed | None:
        """Give up a book that something other than an audit has shown to be wrong; it begins anew."""
        if self.state is SyncState.VALID:
            self._fail(reason, now_s)
        return self.tick(now_s)

    def doubt(self, reason: str) -> None:
        """Hold the book for not valid until its next update shows that nothing is missing: its stream may have stopped.

        No snapshot is asked for before `end_doubt`: as long as the stream is away, each would soon be old.
        """
        if self.state is SyncState.VALID:
            self.state, self._reason = SyncState.UNRELIABLE, reason
            self._is_doubted = True
        self._is_doubt_over = False

    def end_doubt(self) -> None:
        """The stream should come again: if no update shows whether anything is missing, a snapshot will."""
        self._is_doubt_over = True

    def _apply(self, update: DepthUpdate) -> str:
        """Apply an update that joins; return what is wrong with the book then, empty where nothing is."""
        try:
            self.book.apply(update)
        except ExchangeError as error:
            return f"unreadable update: {error}"
        if self._trail is not None:
            self._trail = self._trail.extended(update, self.book)
        self.updates += 1
        return "crossed" if self.book.is_crossed else ""

    def _load(self, snapshot: DepthSnapshot, now_s: float) -> None:
        self.book.load(snapshot)
        self._trail = None
        self._pacing.count_reload()
        self._has_book, self._is_anchored, self._is_doubted = True, False, False
        self._loaded_s = now_s
        self.state = SyncState.BRIDGING

    def _join_waiting(self, now_s: float) -> None:
        """Apply the waiting updates that join the book, and settle the state that follows from what is left."""
        if not self._has_book:
            return
        problem = self._drop_known(now_s)
        is_proven = self._is_anchored and self.state is SyncState.BRIDGING
        while not problem and (first := self._buffer.first) is not None and self._joins(first):
            problem = self._apply(self._buffer.pop_first())
            self._is_anchored = is_proven = True
        if problem:
            self._fail(problem, now_s)
        elif self._buffer:
            if self.state is SyncState.BRIDGING or self._is_doubted:
                reason = "gap" if self._is_anchored else "snapshot older than the stream"
                self._fail(reason, now_s, is_book_right=self._is_anchored)
        elif is_proven and self.book.is_crossed:
            self._fail("crossed", now_s)
        elif is_proven:
            self._become_valid(now_s)

    def _drop_known(self, now_s: float) -> str:
        """Drop the waiting updates that the book has already; return what is wrong with the ids, if anything is.

        Where the ids stay below the snapshot's nothing is dropped: the updates wait for a snapshot of the new count.
        """
        buffer, update_id = self._buffer, self.book.update_id
        self._is_anchored = self._is_anchored or buffer.has_end_at(update_id)
        is_late = not self._is_anchored and now_s - self._loaded_s > _PATIENCE_S
        if is_late and buffer.has_known(update_id):
            return "ids stay below the snapshot's"
        buffer.drop_through(update_id)
        return ""

    def _joins(self, update: DepthUpdate) -> bool:
        previous, update_id = update.prev_final_update_id, self.book.update_id
        return previous == update_id if self._is_anchored else previous <= update_id

    def _become_valid(self, now_s: float) -> None:
        self.state, self._reason, self._is_doubted = SyncState.VALID, "", False
        self._pacing.start_valid(now_s)

    def _fail(self, reason: str, now_s: float, *, is_book_right: bool = False) -> None:
        """Leave VALID. A book that is right up to its id is kept, and goes on if what is missing comes late."""
        if self.state is SyncState.VALID or self._is_doubted:
            self.resyncs += 1
            self._pacing.end_valid(now_s)
        self._pacing.delay_next(now_s)
        if not is_book_right:
            self._trail = None
        self._has_book, self._is_doubted = is_book_right, False
        self.state, self._reason = SyncState.UNRELIABLE, reason

    def _needs_snapshot(self) -> bool:
        if self.state is SyncState.BRIDGING:
            return False
        if self._is_doubted and self._is_doubt_over:
            return True
        return bool(self._buffer) or (self._buffer.newest_id >= 0 and not self._has_book)
