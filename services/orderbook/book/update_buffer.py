"""The updates of one depth stream that cannot be applied yet, in the order of their ids.

They wait for a snapshot, or for an update that is missing before them. The buffer also remembers the newest update of
the stream, applied or waiting: from it follows whether the exchange has begun a new count, and which snapshot helps.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from operator import attrgetter

from binance_streamer.exchange.depth import DepthUpdate

REBASED = 1_000_000
"""Update ids that fall by more than this begin a new count, whatever the time of the update (docs/exchange.md §5)."""
MOST_BUFFERED = 1_000
"""Updates: at 20 a second, which is what `depth@0ms` sends at most, those of 50 s."""
MOST_BUFFERED_MS = 20_000
"""Older updates than this go. REST answers within seconds, so that a snapshot on its way covers them already."""
_final_update_id = attrgetter("final_update_id")


class UpdateBuffer:
    """Waiting updates, each id once. Neighbours need not join: ids may be missing between them."""

    def __init__(self) -> None:
        self.newest_id = -1
        """`final_update_id` of the newest update of the stream, which may be applied already; -1: none has come."""
        self._newest_transact_ms = 0
        self._updates: list[DepthUpdate] = []

    def __len__(self) -> int:
        return len(self._updates)

    @property
    def first(self) -> DepthUpdate | None:
        """The waiting update with the lowest id; None where nothing waits."""
        return self._updates[0] if self._updates else None

    def note_newest(self, update: DepthUpdate) -> None:
        """Remember an update that is applied at once, so that nothing of it has to wait."""
        self.newest_id, self._newest_transact_ms = update.final_update_id, update.transact_time_ms

    def add(self, update: DepthUpdate) -> bool:
        """Put an update in its place; return False where one with its id waits already. Too many: the oldest go."""
        updates, final = self._updates, update.final_update_id
        if final > self.newest_id:
            self.note_newest(update)
            updates.append(update)
        else:
            place = bisect_left(updates, final, key=_final_update_id)
            if place < len(updates) and updates[place].final_update_id == final:
                return False
            updates.insert(place, update)
        since_ms = self._newest_transact_ms - MOST_BUFFERED_MS
        while updates and (len(updates) > MOST_BUFFERED or updates[0].transact_time_ms < since_ms):
            del updates[0]
        return True

    def pop_first(self) -> DepthUpdate:
        """Take out the update with the lowest id; `IndexError` where nothing waits."""
        return self._updates.pop(0)

    def drop_through(self, update_id: int) -> None:
        """Drop the updates that a book with this id has already."""
        del self._updates[: self._count_through(update_id)]

    def replace(self, updates: Iterable[DepthUpdate]) -> None:
        """Let these wait, in the order of their ids, instead of what waits."""
        self._updates = list(updates)

    def restart(self) -> None:
        """Forget everything: the ids of the exchange begin anew."""
        self._updates.clear()
        self.newest_id, self._newest_transact_ms = -1, 0

    def is_new_count(self, update: DepthUpdate) -> bool:
        """Return True if the exchange counts anew from this update on.

        Copies and stragglers have a lower id than the newest update too, but none of them a later transaction time.
        """
        final = update.final_update_id
        is_later = update.transact_time_ms > self._newest_transact_ms
        return final < self.newest_id - REBASED or (final <= self.newest_id and is_later)

    def has_known(self, update_id: int) -> bool:
        """Return True if an update waits that a book with this id has already."""
        return self._count_through(update_id) > 0

    def has_end_at(self, update_id: int) -> bool:
        """Return True if an update, waiting or the newest, ends at exactly this id."""
        if update_id == self.newest_id:
            return update_id >= 0
        known = self._count_through(update_id)
        return known > 0 and self._updates[known - 1].final_update_id == update_id

    def least_helpful_id(self) -> int:
        """The least id of a snapshot that the newest unbroken run of updates joins; -1 before the first update."""
        updates = self._updates
        if not updates:
            return self.newest_id
        first = len(updates) - 1
        while first and updates[first].prev_final_update_id == updates[first - 1].final_update_id:
            first -= 1
        return updates[first].prev_final_update_id

    def _count_through(self, update_id: int) -> int:
        return bisect_right(self._updates, update_id, key=_final_update_id)
