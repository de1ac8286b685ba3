"""Compares a book with a later snapshot, level by level.

A snapshot has an id L of its own, which is seldom the end of an update. So it is compared with the book as it was after
the last update with `u <= L`. If another update spans L, some of its changes are in the snapshot and some are not, so
that its levels are left out. To have the book as it was, a `Trail` is kept from the request on: a copy, and the updates
since.
"""

from bisect import bisect_right
from decimal import Decimal
from enum import StrEnum
from operator import attrgetter
from typing import NamedTuple

from binance_streamer.exchange.depth import DepthSnapshot, DepthUpdate, Level
from services.orderbook.book.book import OrderBook, TrustedRange, edge
from services.orderbook.book.decimal_text import same_number
from services.orderbook.book.side import Side

_final_update_id = attrgetter("final_update_id")
MOST_BYTES = 5_000_000
MOST_MS = 30_000
"""The most that a trail keeps, in bytes and in time: a snapshot that comes later cannot be compared. BTCUSDT makes
30 KB a second, and many times that when the market moves; few snapshots are awaited at a time."""
_UPDATE_BYTES = 200
"""The memory of an update beside its levels, roughly."""


class Trail:
    """A copy of a book, and the updates since: from them the book after each of these updates can be made.

    Kept only while a snapshot is awaited, so that a book costs nothing for it at other times.
    """

    def __init__(self, book: OrderBook) -> None:
        self._start = book.copy()
        self._updates: list[DepthUpdate] = []
        self._bytes = 0

    @property
    def begins_at(self) -> int:
        """The id of the book as it was copied."""
        return self._start.update_id

    @property
    def is_full(self) -> bool:
        """Return True if so much has been kept that no snapshot is waited for any more."""
        updates = self._updates
        is_old = bool(updates) and updates[-1].transact_time_ms > updates[0].transact_time_ms + MOST_MS
        return is_old or self._bytes > MOST_BYTES

    def record(self, update: DepthUpdate) -> None:
        """Remember an update that was applied to the book."""
        self._updates.append(update)
        self._bytes += _UPDATE_BYTES + sum(len(memoryview(side)) for side in (update.bids_json, update.asks_json))

    def extended(self, update: DepthUpdate, book: OrderBook) -> "Trail | None":
        """Return this trail with an update that was applied to `book`; None where no snapshot came in time.

        A book that runs out of the levels that it knows cannot do without its snapshot: its trail begins anew.
        """
        if not self.is_full:
            self.record(update)
            return self
        return Trail(book) if book.is_running_out else None

    def book_at(self, update_id: int) -> OrderBook:
        """Return the book after the last update with `u <= update_id`, which must be `begins_at` or more."""
        book = self._start.copy()
        for update in self._updates[: self._known(update_id)]:
            book.apply(update)
        return book

    def behind(self, update_id: int) -> list[DepthUpdate]:
        """Return the updates with `u > update_id`, in their order."""
        return self._updates[self._known(update_id) :]

    def _known(self, update_id: int) -> int:
        return bisect_right(self._updates, update_id, key=_final_update_id)


class Outcome(StrEnum):
    """The result of an audit in one word."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_COMPARABLE = "not comparable"


class Difference(NamedTuple):
    """A level that is not the same in our book and in the snapshot; a quantity is None where there is no level."""

    side: str
    price: str
    ours: str | None
    theirs: str | None


class Audit(NamedTuple):
    """The result of a comparison; `compared` counts the levels of both sides."""

    outcome: Outcome
    last_update_id: int
    reason: str = ""
    differences: tuple[Difference, ...] = ()
    compared: int = 0
    learnt: int = 0
    """Levels of the snapshot beyond what the book could know, which it has taken over."""
    kind: str = "depth_snapshot"
    """The stream type of what the book was compared with; the other one is bookticker."""


class _Found(NamedTuple):
    differences: list[Difference]
    unknown: list[Level]
    compared: int


def audit(book: OrderBook, trail: Trail, snapshot: DepthSnapshot) -> Audit | None:
    """Compare the book with a snapshot, and where nothing differs widen its trusted range by the snapshot's.

    Levels of the snapshot that the book could not know are added to it; they are no difference.
    None where the book has not come to the snapshot's id yet: compare again after its next update.
    """
    last_update_id = snapshot.last_update_id
    if last_update_id > book.update_id:
        return None
    if last_update_id < trail.begins_at:
        return Audit(Outcome.NOT_COMPARABLE, last_update_id, "older than the updates that are kept")
    then, later = trail.book_at(last_update_id), trail.behind(last_update_id)
    is_spanned = then.update_id < last_update_id and bool(later)
    changes = [update.levels() for update in later]
    bids = _compare(then.bids, snapshot.bids, [bids for bids, _ in changes], is_spanned=is_spanned)
    asks = _compare(then.asks, snapshot.asks, [asks for _, asks in changes], is_spanned=is_spanned)
    differences = (*bids.differences, *asks.differences)
    if differences:
        return Audit(Outcome.FAILED, last_update_id, "levels differ", differences, bids.compared + asks.compared)
    wider = _wider(book, snapshot)
    if bids.unknown or asks.unknown or wider != book.trusted_range or book.is_running_out:
        book.learn(bids.unknown, asks.unknown, wider)
    return Audit(
        Outcome.PASSED,
        last_update_id,
        compared=bids.compared + asks.compared,
        learnt=len(bids.unknown) + len(asks.unknown),
    )


def _compare(then: Side, theirs: list[Level], later: list[list[Level]], *, is_spanned: bool) -> _Found:
    """Compare one side as it was with the snapshot's; `later` has the levels of each update behind the snapshot's id.

    A level that is unknown here counts as new only if no later update has changed it: the book has that already.
    """
    ours = {Decimal(price): quantity for price, quantity in then.levels()}
    changed = {Decimal(price) for levels in later for price, _ in levels}
    left_out = {Decimal(price) for price, _ in later[0]} if is_spanned else set()
    expected = {Decimal(text): (text, quantity) for text, quantity in theirs}
    worst = edge(theirs)
    compared = [
        price
        for price in (ours.keys() | expected.keys()) - left_out
        if worst is None or then.sign * price >= then.sign * Decimal(worst)
    ]
    differences, unknown = [], []
    for price in sorted(compared):
        text, quantity = expected.get(price, (str(price), None))
        own = ours.get(price)
        if own is None or quantity is None or not same_number(own, quantity):
            if own is None and quantity is not None and not then.trusts(text):
                unknown.append((text, quantity))
            else:
                differences.append(Difference("bid" if then.sign > 0 else "ask", text, own, quantity))
    return _Found(differences, [level for level in unknown if Decimal(level[0]) not in changed], len(compared))


def _wider(book: OrderBook, snapshot: DepthSnapshot) -> TrustedRange:
    """Return on each side the wider of the book's trusted range and the snapshot's."""
    bid, ask = edge(snapshot.bids), edge(snapshot.asks)
    return TrustedRange(
        bid if bid is None or not book.bids.trusts(bid) else book.bids.edge,
        ask if ask is None or not book.asks.trusts(ask) else book.asks.edge,
    )
