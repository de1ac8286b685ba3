"""Gaps as data: what is missing from a stream, between which rows, and why."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from binance_streamer.exchange.messages import Reading
from binance_streamer.exchange.stream_types import has_sequence_ids, is_repairable
from services.runtime.journal.segments import LastRow


class Draft(NamedTuple):
    """A message to journal and publish; the producer adds its name, epoch and sequence number to `data`.

    `reading` are the exchange's ids of an event, so that the journal can say where a stream ended.
    """

    stream_type: str
    symbol: str
    variant: str
    data: dict[str, Any]
    reading: Reading | None = None

    @property
    def stream_name(self) -> str:
        """The exchange's name of the stream, or our word for it."""
        name: str = self.data["stream"]
        return name


class Gap(NamedTuple):
    """A hole in one exchange stream, recorded as a row.

    Ids are missing in the half-open (from_id, to_id], None where the stream has none. `from_ns` and `to_ns` are the
    `recv_ns` of the rows before and behind the hole. `state` is open, repaired or
    unrepairable; a change is another row with the same `gap_id`. `why` says why REST cannot fill it.
    """

    gap_id: str
    symbol: str
    stream: str
    state: str
    from_id: int | None
    to_id: int | None
    from_ns: int
    to_ns: int | None
    reason: str
    repaired_by: str | None = None
    why: str | None = None


class GapChange(Gap):
    """What rows leave of a gap that is listed already: told behind them, so that no kill can separate a row from what
    makes it needless to fetch.
    """


class Bounds(NamedTuple):
    """Where a hole lies; both ids or none, and growing."""

    from_id: int | None
    to_id: int | None
    from_ns: int
    to_ns: int


def bounds_of(ids: tuple[int | None, int | None], times_ns: tuple[int, int]) -> Bounds:
    """Bounds as a gap row may have them.

    Ids that are not both known, or do not grow, say nothing of what is missing and are left out. Stamps of a clock that
    was set back between the two rows are put in order.
    """
    from_id, to_id = ids
    if from_id is None or to_id is None or from_id >= to_id:
        from_id = to_id = None
    return Bounds(from_id, to_id, min(times_ns), max(times_ns))


def state_of_new(stream_type: str, bounds: Bounds) -> str:
    """The state of a gap when it is listed: open where REST can be asked for what is missing."""
    return "open" if is_repairable(stream_type) and bounds.from_id is not None else "unrepairable"


def gap_draft(gap: Gap, recv_ns: int) -> Draft:
    """The message that tells of a gap; its stamps in order, also where the clock was set back between them."""
    data = {**gap._asdict(), "recv_ns": recv_ns, "source": "local"}
    if gap.to_ns is not None:
        data["from_ns"], data["to_ns"] = sorted((gap.from_ns, gap.to_ns))
    if gap.why is None:
        del data["why"]
    return Draft("gap", gap.symbol, "", data)


class Losses:
    """Frames of ours that the journal did not take, per stream, until the next one that it does."""

    def __init__(self, epoch: int) -> None:
        self._epoch = epoch
        self._open: dict[str, tuple[LastRow | None, str]] = {}
        self._count = 0

    def lost(self, stream: str, reason: str, last: LastRow | None) -> None:
        """A frame of the stream was not kept; `last` is the row before it."""
        self._open.setdefault(stream, (last, reason))

    def is_open(self, stream: str) -> bool:
        """Whether a loss of the stream waits for the next frame that is kept."""
        return stream in self._open

    def closed_by(self, draft: Draft) -> Draft | None:
        """The gap that ends with this draft, which the journal takes."""
        stream = draft.data["stream"]
        if stream not in self._open or draft.stream_type == "gap":
            return None
        last, reason = self._open[stream]
        if last is not None and draft.reading is None:
            return None  # a late row, which does not say where the stream goes on
        del self._open[stream]
        from_id = last.last_id if last else None
        to_id = draft.reading.previous_id if draft.reading and has_sequence_ids(draft.stream_type) else None
        if from_id is not None and from_id == to_id:
            return None  # only late rows were lost: their hole is listed still
        self._count += 1
        recv_ns = draft.data["recv_ns"]
        bounds = bounds_of((from_id, to_id), (last.recv_ns if last else recv_ns, recv_ns))
        gap = Gap(
            f"{self._epoch}-journal-{self._count}",
            draft.symbol,
            stream,
            state_of_new(draft.stream_type, bounds),
            *bounds,
            reason,
        )
        return gap_draft(gap, recv_ns)

    def closed_by_any(self, drafts: Sequence[Draft]) -> tuple[list[Draft], set[str]]:
        """The gaps that end with these drafts, and the ids of gaps among the drafts that lie in them.

        Whoever follows the stream did not know that its rows were lost; what it lists between them is listed already.
        """
        own = [gap for draft in drafts if (gap := self.closed_by(draft)) is not None]
        listed = [draft for draft in drafts if draft.stream_type == "gap" and draft.data["from_id"] is not None]
        inside = {draft.data["gap_id"] for draft in listed for gap in own if _lies_in(draft.data, gap.data)}
        return own, inside


def _lies_in(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    if one["stream"] != other["stream"] or None in (one["to_id"], other["from_id"], other["to_id"]):
        return False
    return bool(other["from_id"] <= one["from_id"] < one["to_id"] <= other["to_id"])
