"""Order books of a recording at any instant, exactly: a snapshot, and all updates from it on.

The nearest snapshot before the instant begins the book (the recorder takes one an hour, and after each hole). The last
quantity of each price, of the snapshot and the updates behind it, is the book: no update is applied alone.

| read | proves |
|---|---|
| updates from the snapshot to a minute behind the instant (`near_rows`) | a book: they hang together by their ids |
| updates around the gap that the recorder listed last | that a book is not known, if the hole is this gap |
| the ids of all updates of two days on either side | either |

The next one is asked only where one proves nothing. So what is elsewhere in a daily file, since it came late, is never
taken for lost.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

import polars as pl
import pyarrow as pa

from binance_streamer.days.reading.book_levels import fault_of_sides, side_of
from binance_streamer.days.reading.book_times import (
    ID_COLUMNS,
    MISSING,
    NO_SNAPSHOT,
    NOT_RECORDED,
    BookTime,
    book_times,
    chained,
)
from binance_streamer.days.reading.gap_frames import gap_frame, missing_of
from binance_streamer.days.reading.instants import DAY_NS, day_of_ns
from binance_streamer.days.reading.near_rows import near_frames
from binance_streamer.days.reading.parts import RowFiles
from binance_streamer.days.reading.rows_of_days import lazy_rows
from binance_streamer.days.rows import Span
from binance_streamer.exchange.rows import SNAPSHOT_STEM

_SIDE_NAMES = ("bids", "asks")
_CHUNK_ROWS = 4096
_LEVEL_COLUMNS = ("price", "quantity")
_AROUND_NS = 60 * 10**9
"""An update behind the instant, and one before the snapshot's receipt, are looked for so far away at first."""
_BACK_NS = 2 * DAY_NS
"""Snapshots are looked for so far back, and the bounds of a time without a book in both directions."""
_SNAPSHOT_IDS = ("last_update_id", "recv_ns")
_GAP = "gap"


@dataclass(frozen=True, slots=True)
class RecordedBook:
    """The book of a symbol at an instant, as the exchange had sent it until then.

    `bids` and `asks` have columns `price` and `quantity` (Decimal), best first, and are empty where the book is not
    known; then `why` says why, and `unknown_from_ns` and `unknown_to_ns` bound the time in which it is not; None: no
    book is known within the two days that are looked at. `update_id` and `recv_ns` are of the last update in it. Beyond
    the prices `bids_known_to` and `asks_known_to` levels may be missing; None: all are there.
    """

    symbol: str
    ns: int
    why: str
    bids: pl.DataFrame
    asks: pl.DataFrame
    update_id: int | None = None
    recv_ns: int | None = None
    bids_known_to: Decimal | None = None
    asks_known_to: Decimal | None = None
    unknown_from_ns: int | None = None
    unknown_to_ns: int | None = None

    @property
    def is_known(self) -> bool:
        """Return True if this is the exchange's book."""
        return not self.why


class BookReader:
    """Reads books of one symbol and one stream of depth updates."""

    def __init__(self, files: RowFiles, symbol: str, stem: str) -> None:
        self._files = files
        self._symbol = symbol
        self._stem = stem

    def at(self, ns: int) -> RecordedBook:
        """Return the book at an instant; one that is not known says so."""
        try:
            near = self._by_near_rows(ns) or self._by_listed_gap(ns)
        except pa.ArrowInvalid:  # a cell that is no number; who reads all of it says where
            near = None
        return near or self._by_all_ids(ns)

    def times(self, span: Span) -> list[BookTime]:
        """Return the times of a span in which the book is known and in which it is not, without a hole."""
        return book_times(self.chain(span), span)

    def chain(self, span: Span) -> pl.DataFrame:
        """Return the updates around a span, as `chained` makes them."""
        wide = wider(span)
        updates = self._rows(self._stem, wide).select(ID_COLUMNS).collect()
        snapshots = self._rows(SNAPSHOT_STEM, wide).select("last_update_id").collect()
        return chained(updates, snapshots)

    def snapshots_by_id(self, ids: pl.Series, span: Span) -> pl.DataFrame:
        """Return `last_update_id`, `bids` and `asks` of snapshots received within a span, each id once."""
        found = self._rows(SNAPSHOT_STEM, span).filter(pl.col("last_update_id").is_in(ids.implode()))
        return found.select("last_update_id", *_SIDE_NAMES).collect().unique("last_update_id")

    def changes(self, first_id: int, last_id: int, span: Span) -> Iterator[pl.DataFrame]:
        """Yield `final_update_id`, `bids` and `asks` of updates received within a span, some thousand at a time."""
        wanted = self._rows(self._stem, span).filter(pl.col("final_update_id").is_between(first_id, last_id))
        return wanted.select("final_update_id", *_SIDE_NAMES).collect_batches(
            maintain_order=True, chunk_size=_CHUNK_ROWS
        )

    def _rows(self, stem: str, span: Span) -> pl.LazyFrame:
        return lazy_rows(self._files.of(stem, self._symbol, span), stem, span)

    def _near(self, stem: str, span: Span, names: Sequence[str]) -> list[pl.LazyFrame]:
        return near_frames(self._files.of(stem, self._symbol, span), stem, span, names)

    def _near_ids(self, stem: str, span: Span, names: Sequence[str]) -> pl.DataFrame:
        """Return columns of integers of the rows near a span."""
        return _integers(self._near(stem, span, names), names)

    def _by_near_rows(self, ns: int) -> RecordedBook | None:
        """Return the book of the nearest snapshot before the last update until an instant; None where it has none.

        If that snapshot does not lead to the book, an earlier one does not either: the hole is between, or behind.
        """
        last_id = _most(self._near_ids(self._stem, Span(ns - _AROUND_NS, ns + 1), ID_COLUMNS), "final_update_id")
        snapshots = self._near_ids(SNAPSHOT_STEM, Span(ns - _BACK_NS, ns + _AROUND_NS), _SNAPSHOT_IDS).sort(
            "last_update_id"
        )
        found = snapshots.filter(pl.col("last_update_id") <= last_id).tail(1) if last_id is not None else None
        if found is None or not len(found):
            return None
        snapshot_id, recv_ns = found.row(0)
        near = Span(min(recv_ns, ns) - _AROUND_NS, ns + _AROUND_NS)
        behind = self._near(self._stem, near, (*ID_COLUMNS, *_SIDE_NAMES))
        behind = [frame.filter(pl.col("final_update_id") >= snapshot_id) for frame in behind]
        rows = chained(_integers(behind, ID_COLUMNS), found.select("last_update_id"))
        last = rows.filter(pl.col("at_ns") <= ns).tail(1)
        is_known = len(last) and not book_times(rows, Span(ns, ns + 1))[0].why and last["base_id"].item() == snapshot_id
        return self._built(last, behind, ns) if is_known else None

    def _by_listed_gap(self, ns: int) -> RecordedBook | None:
        """Return a book that is not known because of the last gap before an instant, or of the end of the recording.

        None where neither is proven by the rows near it.
        """
        behind = self._near_ids(self._stem, Span(ns + 1, ns + _AROUND_NS), ID_COLUMNS)
        if not len(behind) and not len(self._near_ids(self._stem, Span(ns + 1), ID_COLUMNS)):
            last_ns = _most(self._near_ids(self._stem, Span(ns - _BACK_NS, ns + 1), ID_COLUMNS), "recv_ns")
            return None if last_ns is None else self._unknown(ns, BookTime(last_ns + 1, ns + _BACK_NS, NOT_RECORDED))
        gap = self._last_gap(ns)
        if gap is None:
            return None
        snapshots = self._near_ids(SNAPSHOT_STEM, Span(gap["from_ns"], ns + _BACK_NS), _SNAPSHOT_IDS)
        joined_ns = snapshots.filter(pl.col("recv_ns") > ns).sort("recv_ns")["recv_ns"].to_list()[:1]
        window = Span(gap["from_ns"] - _AROUND_NS, max(gap["to_ns"] or ns, ns, *joined_ns) + _AROUND_NS)
        rows = chained(self._near_ids(self._stem, window, ID_COLUMNS), snapshots)
        now = next(time for time in book_times(rows, window) if time.from_ns <= ns < time.to_ns)
        is_bounded = window.start_ns < now.from_ns and now.to_ns < window.end_ns
        hole_ns = {MISSING: now.to_ns, NO_SNAPSHOT: now.from_ns}.get(now.why)
        hole = rows.with_columns(pl.col("final_update_id").shift(1).alias("before_id"))
        hole = hole.filter(~pl.col("is_hung"), pl.col("at_ns") == hole_ns, pl.col("before_id") >= gap["from_id"])
        is_listed = len(hole.filter(pl.col("prev_final_update_id") <= gap["to_id"])) > 0
        return self._unknown(ns, now) if is_bounded and is_listed else None

    def _last_gap(self, ns: int) -> dict[str, int] | None:
        """Return the newest gap that began until an instant, and whose ids say what is missing of this stream."""
        first, last = day_of_ns(ns - _BACK_NS), day_of_ns(ns)
        days = [day for day in self._files.of(_GAP, self._symbol) if first <= day.day <= last]
        gaps = missing_of(gap_frame(self._symbol, lazy_rows(days, _GAP), Span(ns - _BACK_NS, ns + 1)), self._stem)
        found = gaps.filter(pl.col("to_id").is_not_null()).tail(1).to_dicts()
        return found[0] if found else None

    def _by_all_ids(self, ns: int) -> RecordedBook:
        """Return the book of an instant of which near rows do not show that it is known: mostly it is not."""
        rows = self.chain(Span(ns, ns + 1))
        times = book_times(rows, Span(ns - _BACK_NS, ns + _BACK_NS))
        now = next((time for time in times if time.from_ns <= ns < time.to_ns), BookTime(ns, ns + 1, NOT_RECORDED))
        if now.why:
            return self._unknown(ns, now)
        wide = Span(ns - 2 * _BACK_NS, ns + _BACK_NS)
        return self._built(rows.filter(pl.col("at_ns") <= ns).tail(1), [self._rows(self._stem, wide)], ns)

    def _built(self, last: pl.DataFrame, updates: Sequence[pl.LazyFrame], ns: int) -> RecordedBook:
        """Return the book behind the update `last`, a row as `chained` makes it."""
        last_id, snapshot_id = last["final_update_id"].item(), last["base_id"].item()
        names = ("last_update_id", "recv_ns", *_SIDE_NAMES)
        snapshots = self._near(SNAPSHOT_STEM, Span(ns - 2 * _BACK_NS, ns + _BACK_NS), names)
        wanted = [frame.filter(pl.col("last_update_id") == snapshot_id).collect() for frame in snapshots]
        base = next(frame for frame in wanted if len(frame)).head(1)
        is_new = pl.col("final_update_id").is_between(snapshot_id + 1, last_id)
        changes = [frame.filter(is_new).select("final_update_id", *_SIDE_NAMES).collect() for frame in updates]
        bids, asks = (side_of(base, changes, name) for name in _SIDE_NAMES)
        why = fault_of_sides(bids, asks)
        if why:
            return self._unknown(ns, BookTime(ns, ns + 1, why))
        return RecordedBook(
            symbol=self._symbol,
            ns=ns,
            why="",
            bids=bids.levels,
            asks=asks.levels,
            update_id=last_id,
            recv_ns=(last if last_id > snapshot_id else base)["recv_ns"].item(),
            bids_known_to=bids.known_to,
            asks_known_to=asks.known_to,
        )

    def _unknown(self, ns: int, time: BookTime) -> RecordedBook:
        empty = pl.DataFrame(schema=dict.fromkeys(_LEVEL_COLUMNS, pl.Decimal(38, 8)))
        return RecordedBook(
            self._symbol,
            ns,
            time.why,
            empty,
            empty,
            unknown_from_ns=time.from_ns if time.from_ns > ns - _BACK_NS else None,
            unknown_to_ns=time.to_ns if time.to_ns < ns + _BACK_NS else None,
        )


def _integers(frames: Sequence[pl.LazyFrame], names: Sequence[str]) -> pl.DataFrame:
    """Return columns of integers of some frames, one behind the other."""
    empty = pl.DataFrame(schema=dict.fromkeys(names, pl.Int64))
    return pl.concat([empty, *(frame.select(names).collect() for frame in frames)])


def _most(rows: pl.DataFrame, name: str) -> int | None:
    """Return the greatest integer of a column; None where there are no rows."""
    found: int | None = rows.select(pl.col(name).max()).item()
    return found


def wider(span: Span) -> Span:
    """Return a span with two days on either side, in which lies all that a book of the span is made of."""
    return Span(max(span.start_ns, 0) - _BACK_NS, min(span.end_ns, 2**62) + _BACK_NS)
