"""Whether a book is what a later snapshot says.

A snapshot has an id L of its own, which is seldom the end of an update. So it is compared with the book after the last
update with `u <= L`, and the levels of the update that spans L are left out: some of its changes are in the snapshot.
"""

from bisect import bisect_right
from decimal import Decimal
from enum import StrEnum
from operator import attrgetter
from typing import NamedTuple

from binance_streamer.exchange.depth import DepthSnapshot, DepthUpdate, Level
from services.orderbook.book.book import OrderBook, TrustedRange, edge
from services.orderbook.book.quotes import same_number
from services.orderbook.book.side import Side

_final_update_id = attrgetter("final_update_id")
MOST_BYTES = 5_000_000
MOST_MS = 30_000
"""What a trail keeps: a snapshot that comes later than this cannot be compared. BTCUSDT makes 30 KB a second, and
many times that when the market moves; few snapshots are awaited at a time."""
_UPDATE_BYTES = 200
"""Of an update, beside its levels."""


class Trail:
    """A copy of a book, and the updates since: what the book was after each of them.

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
        """Whether no snapshot was there in time."""
        updates = self._updates
        is_old = bool(updates) and updates[-1].event_time_ms > updates[0].event_time_ms + MOST_MS
        return is_old or self._bytes > MOST_BYTES

    def record(self, update: DepthUpdate) -> None:
        """Remember an update that was applied to the book."""
        self._updates.append(update)
        self._bytes += _UPDATE_BYTES + sum(len(memoryview(side)) for side in (update.bids_json, update.asks_json))

    def book_at(self, update_id: int) -> OrderBook:
        """The book after the last update that is not behind an id from `begins_at` on."""
        book = self._start.copy()
        for update in self._updates[: self._known(update_id)]:
            book.apply(update)
        return book

    def behind(self, update_id: int) -> list[DepthUpdate]:
        """The updates behind that."""
        return self._updates[self._known(update_id) :]

    def _known(self, update_id: int) -> int:
        return bisect_right(self._updates, update_id, key=_final_update_id)


class Outcome(StrEnum):
    """What an audit found."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_COMPARABLE = "not comparable"


class Difference(NamedTuple):
    """A level that is not the same here and in the snapshot; None where there is none."""

    side: str
    price: str
    ours: str | None
    theirs: str | None


class Audit(NamedTuple):
    """The result of a comparison of so many levels of both sides."""

    outcome: Outcome
    last_update_id: int
    reason: str = ""
    differences: tuple[Difference, ...] = ()
    compared: int = 0
    learnt: int = 0
    """Levels of the snapshot beyond what the book could know, which it has taken over."""


class _Found(NamedTuple):
    differences: list[Difference]
    unknown: list[Level]
    compared: int


def audit(book: OrderBook, trail: Trail, snapshot: DepthSnapshot) -> Audit | None:
    """Compare, and where nothing differs widen the book's trusted range by the snapshot's.

    None where the book has not come to the snapshot yet: compare again after its next update.
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
    bid, ask = edge(snapshot.bids), edge(snapshot.asks)
    return TrustedRange(
        bid if bid is None or not book.bids.trusts(bid) else book.bids.edge,
        ask if ask is None or not book.asks.trusts(ask) else book.asks.edge,
    )
