"""Whether a book is what a later snapshot says.

A snapshot has an id L of its own, which is seldom the end of an update. So the book is taken back to the last update
with `u <= L`, and the levels of the update that spans L are left out: some of its changes are in the snapshot.
"""

from collections import deque
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

from binance_streamer.depth import DepthSnapshot, DepthUpdate, Level
from services.orderbook.book import Book, TrustedRange, Undo, edge
from services.orderbook.quotes import same_number
from services.orderbook.side import Side

MOST_LEVELS = 3_000
MOST_MS = 10_000
"""What a trail keeps: a snapshot that was longer on its way cannot be compared. 3,000 levels are 0.2 MB, and 2.3 s of
BTCUSDT at 19 messages a second."""


class Step(NamedTuple):
    """An applied update, and what it replaced."""

    update: DepthUpdate
    undo: Undo


class Trail:
    """The last updates of a book, from the state after `begins_at` on."""

    def __init__(self) -> None:
        self.begins_at = -1
        self._steps: deque[Step] = deque()
        self._levels = 0

    def begin(self, update_id: int) -> None:
        """Forget everything; the book is at this id."""
        self.begins_at = update_id
        self._steps.clear()
        self._levels = 0

    def record(self, update: DepthUpdate, undo: Undo) -> None:
        """Remember an update that was applied."""
        steps = self._steps
        steps.append(Step(update, undo))
        self._levels += len(undo.bids) + len(undo.asks)
        since_ms = update.event_time_ms - MOST_MS
        while steps and (self._levels > MOST_LEVELS or steps[0].update.event_time_ms < since_ms):
            first = steps.popleft()
            self._levels -= len(first.undo.bids) + len(first.undo.asks)
            self.begins_at = first.update.final_update_id

    def after(self, update_id: int) -> tuple[int, list[Step]]:
        """The last end of an update that is not behind an id, and the updates from there on, the newest first."""
        newest_first: list[Step] = []
        for step in reversed(self._steps):
            if step.update.final_update_id <= update_id:
                return step.update.final_update_id, newest_first
            newest_first.append(step)
        return self.begins_at, newest_first


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


def audit(book: Book, trail: Trail, snapshot: DepthSnapshot) -> Audit | None:
    """Compare, and where nothing differs widen the book's trusted range by the snapshot's.

    None where the book has not come to the snapshot yet: compare again after its next update.
    """
    last_update_id = snapshot.last_update_id
    if last_update_id > book.update_id:
        return None
    if last_update_id < trail.begins_at:
        return Audit(Outcome.NOT_COMPARABLE, last_update_id, "older than the updates that are kept")
    boundary, steps = trail.after(last_update_id)
    is_spanned = boundary < last_update_id and bool(steps)
    bid_changes = [_Changes(step.update.levels()[0], step.undo.bids) for step in steps]
    ask_changes = [_Changes(step.update.levels()[1], step.undo.asks) for step in steps]
    bids = _compare(book.bids, snapshot.bids, bid_changes, is_spanned=is_spanned)
    asks = _compare(book.asks, snapshot.asks, ask_changes, is_spanned=is_spanned)
    differences = (*bids.differences, *asks.differences)
    if differences:
        return Audit(Outcome.FAILED, last_update_id, "levels differ", differences, bids.compared + asks.compared)
    wider = _wider(book, snapshot)
    if bids.unknown or asks.unknown or wider != book.trusted_range:
        book.learn(bids.unknown, asks.unknown, wider)
        trail.begin(book.update_id)  # what the book did not know before, an older snapshot may have
    return Audit(
        Outcome.PASSED,
        last_update_id,
        compared=bids.compared + asks.compared,
        learnt=len(bids.unknown) + len(asks.unknown),
    )


class _Changes(NamedTuple):
    levels: list[Level]
    before: list[str | None]


def _compare(side: Side, theirs: list[Level], newest_first: list[_Changes], *, is_spanned: bool) -> _Found:
    ours = {Decimal(price): quantity for price, quantity in side.levels()}
    changed = set()
    for changes in newest_first:
        for (text, _), before in zip(reversed(changes.levels), reversed(changes.before), strict=True):
            price = Decimal(text)
            changed.add(price)
            if before is None:
                ours.pop(price, None)
            else:
                ours[price] = before
    left_out = {Decimal(text) for text, _ in newest_first[-1].levels} if is_spanned else set()
    expected = {Decimal(text): (text, quantity) for text, quantity in theirs}
    worst = edge(theirs)
    compared = [
        price
        for price in (ours.keys() | expected.keys()) - left_out
        if worst is None or side.sign * price >= side.sign * Decimal(worst)
    ]
    differences, unknown = [], []
    for price in sorted(compared):
        text, quantity = expected.get(price, (str(price), None))
        own = ours.get(price)
        if own is None or quantity is None or not same_number(own, quantity):
            if own is None and quantity is not None and not side.trusts(text):
                unknown.append((text, quantity))
            else:
                differences.append(Difference("bid" if side.sign > 0 else "ask", text, own, quantity))
    return _Found(differences, [level for level in unknown if Decimal(level[0]) not in changed], len(compared))


def _wider(book: Book, snapshot: DepthSnapshot) -> TrustedRange:
    bid, ask = edge(snapshot.bids), edge(snapshot.asks)
    return TrustedRange(
        bid if bid is None or not book.bids.trusts(bid) else book.bids.edge,
        ask if ask is None or not book.asks.trusts(ask) else book.asks.edge,
    )
