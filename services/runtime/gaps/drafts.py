"""Gaps as data: what is missing from a stream, between which rows, and why."""

from typing import Any, NamedTuple

from binance_streamer.exchange.messages import Reading
from binance_streamer.exchange.stream_types import is_repairable
from binance_streamer.exchange.streams import missing_messages


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

    @property
    def span_ns(self) -> tuple[int, int]:
        """The receive stamps of its first and its last message: twice the same."""
        recv_ns: int = self.data["recv_ns"]
        return recv_ns, recv_ns


class Gap(NamedTuple):
    """A hole in one exchange stream, recorded as a row.

    Ids are missing in the half-open (from_id, to_id], None where the stream has none. `from_ns` and `to_ns` are the
    `recv_ns` of the rows before and behind the hole. `state` is open, repaired or
    unrepairable; a change is another row with the same `gap_id`. `why` says why REST cannot fill it. `first_from_id`
    and `first_to_id` are the ids with which it was listed, None where they are still the same.
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
    first_from_id: int | None = None
    first_to_id: int | None = None

    @property
    def missing(self) -> int | None:
        """The number of messages that are still missing; None where ids do not count them, or went back."""
        if self.state == "repaired":
            return 0
        return missing_messages(self.stream, self.from_id, self.to_id)


class GapChange(Gap):
    """The rest that rows leave of a gap that is listed already.

    It is told behind the rows, so that no kill can separate a row from what makes it needless to fetch.
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
    has_ids = bounds.from_id is not None and bounds.to_id is not None and bounds.from_id < bounds.to_id
    return "open" if has_ids and is_repairable(stream_type) else "unrepairable"


def gap_draft(gap: Gap, recv_ns: int) -> Draft:
    """The message that tells of a gap; its stamps in order, also where the clock was set back between them."""
    data = {**gap._asdict(), "missing": gap.missing, "recv_ns": recv_ns, "source": "local"}
    if gap.first_from_id is None:
        data["first_from_id"], data["first_to_id"] = gap.from_id, gap.to_id
    if gap.to_ns is not None:
        data["from_ns"], data["to_ns"] = sorted((gap.from_ns, gap.to_ns))
    if gap.why is None:
        del data["why"]
    return Draft("gap", gap.symbol, "", data)
