"""The open gaps that the writer has listed, until a worker takes them over.

Only the worker of a symbol asks REST, because it alone knows which rows it has recorded. So the writer offers it each
gap that REST may fill, again and again, until a gap row of the worker with the same `gap_id` arrives.

| a gap | leaves when |
|---|---|
| offered: listed, durable | a gap row of its worker has the same name |
| ended | its symbol is not recorded any more, REST has nothing so old, or more rows lie in it than an offer can name |
| taken over | the worker says `repaired` or `unrepairable`, like of a gap of its own |

The worker must not fetch a row that is there already. Rows that come late (of REST, or of a slow connection) may lie in
an offered gap, if the worker had listed a part of it itself. So an offer names the ids that came, and the position up
to which the writer has read the worker's journal; a worker that has recorded late rows behind it waits for the next.
"""

from collections.abc import Callable, Container, Iterable, Sequence
from typing import NamedTuple

from binance_streamer.config.groups import MembersFile
from binance_streamer.config.schema import Config
from binance_streamer.exchange.rest import KEPT_MS
from binance_streamer.wire.frames import Position, encode_frame, encode_topic
from services.runtime.gaps.drafts import Gap, gap_draft
from services.writer.rows.cells import text_cell
from services.writer.rows.row_ids import ids_of, late_id_of
from services.writer.rows.rows import Row, Run

_MOST_PRESENT = 10_000
"""Ids of one gap that came late; a gap with more is not offered any more, so that no row can come twice."""
NOT_RECORDED = "the symbol is not recorded any more"
_TOO_OLD = "no worker took it over while the exchange had it"
_TOO_MANY = "more rows came late than can be told from those that are missing"


class OfferedGap(NamedTuple):
    """A gap, the worker that is to take it over, and the ids that are there although they lie in it."""

    worker: str
    gap: Gap
    present: tuple[int, ...] = ()


class DurableOffer(NamedTuple):
    """An offered gap as of a commit: the worker's journal was read up to `read`."""

    offered: OfferedGap
    read: Position

    def message(self, run: Run, seq: int, now_ns: int) -> tuple[bytes, bytes]:
        """Return (topic, frame) of the offer; `seq` counts the times that offers were published in this run."""
        (worker, gap, present), read = self
        fields = {"worker": worker, "worker_epoch": read.epoch, "worker_next": read.number, "present": present}
        data = {**gap_draft(gap, now_ns).data, **fields, "producer": run.producer, "epoch": run.epoch, "seq": seq}
        return encode_topic("offered_gap", gap.symbol), encode_frame("offered_gap", data)


class OfferedGaps:
    """The offered gaps by name."""

    def __init__(self, offered: Iterable[OfferedGap] = ()) -> None:
        self._offered = {one.gap.gap_id: one for one in offered}
        self._overfull: list[Gap] = []

    def add(self, worker: str, gap: Gap, late_ids: Iterable[int]) -> None:
        """Offer a gap; `late_ids` came before it could be listed."""
        self._offered[gap.gap_id] = OfferedGap(worker, gap, tuple(late_ids))

    def remove(self, gap_id: str) -> None:
        """Offer this gap no more."""
        del self._offered[gap_id]

    def has_any_of(self, worker: str) -> bool:
        """Return True where each row of the worker has to be looked at, because it may lie in an offered gap."""
        return any(one.worker == worker for one in self._offered.values())

    def list(self) -> list[OfferedGap]:
        """Return all offered gaps, in the order in which they were listed."""
        return list(self._offered.values())

    def durable(self, read_of: Callable[[str], Position | None]) -> Sequence[DurableOffer]:
        """Return all offers as of now; `read_of` gives the position up to which a worker's journal was read."""
        reads = [(one, read_of(one.worker)) for one in self._offered.values()]
        return [DurableOffer(one, read) for one, read in reads if read is not None]

    def take_ended(self, recorded: Container[str], now_ns: int) -> Sequence[Gap]:
        """Return the gaps that nobody will take over, as `unrepairable`, and offer them no more.

        `recorded` are the symbols that have a worker as far as the writer was told; for `apply` it is not restarted.
        """
        ended = [gap._replace(why=_TOO_MANY) for gap in self._overfull]
        self._overfull.clear()
        for one in self.list():
            is_recorded = one.gap.symbol in recorded
            is_kept = one.gap.to_ns is None or now_ns - one.gap.to_ns < KEPT_MS * 1_000_000
            if not (is_recorded and is_kept):
                self.remove(one.gap.gap_id)
                ended.append(one.gap._replace(why=_TOO_OLD if is_recorded else NOT_RECORDED))
        return [gap._replace(state="unrepairable") for gap in ended]

    def note(self, worker: str, rows: Sequence[Row]) -> None:
        """Take note of rows of a worker: gap rows that take gaps over, and rows that lie in offered gaps."""
        for one in [one for one in self._offered.values() if one.worker == worker]:
            name = text_cell(one.gap.gap_id, "gap_id") + b","
            if any(_is_gap(row) and row.line.startswith(name) for row in rows):
                self.remove(one.gap.gap_id)
                continue
            found = [
                last
                for row in rows
                if row.stream == one.gap.stream and not _is_gap(row) and (last := _id_of(row)) is not None
            ]
            low, high = one.gap.from_id or 0, one.gap.to_id or 0
            present = [*one.present, *(last for last in found if low < last <= high)]
            if len(present) > _MOST_PRESENT:
                self.remove(one.gap.gap_id)
                self._overfull.append(one.gap)
            elif len(present) > len(one.present):
                self._offered[one.gap.gap_id] = one._replace(present=tuple(present))


def _is_gap(row: Row) -> bool:
    return row.topic is not None and row.topic.stream_type == "gap"


def _id_of(row: Row) -> int | None:
    return late_id_of(row) if row.event is None else ids_of(row)[1]


class RecordedSymbols:
    """Tells of a symbol whether it is recorded; while the members of a group are not known, each one may be."""

    def __init__(self, config: Config) -> None:
        self._members = MembersFile(config)
        self._names = self._names_now()

    def __contains__(self, symbol: object) -> bool:
        """Return True where the symbol is recorded now, or may be."""
        if self._members.refresh():
            self._names = self._names_now()
        return symbol in self._names or not self._members.is_known

    def _names_now(self) -> frozenset[str]:
        return frozenset(symbol.symbol for symbol in self._members.config.symbols)
