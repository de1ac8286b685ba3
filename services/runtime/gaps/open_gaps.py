"""The gaps of one stream that may still be filled, as its journal tells of them.

They stand in the head of each segment; gap rows and late rows behind it bring them up to date, so that a killed process
knows exactly which ids it has and which not.
"""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec


class OpenGap(msgspec.Struct, frozen=True, array_like=True):
    """Ids in (from_id, to_id] are missing, between the rows received at `from_ns` and `to_ns`; none where the two are
    the same: it is filled, and nobody has been told.
    """

    gap_id: str
    from_id: int
    to_id: int
    from_ns: int
    to_ns: int
    reason: str
    first_from_id: int | None = None
    first_to_id: int | None = None
    """The ids with which the gap was listed; None where they are still those above."""

    def narrowed(self, *, from_id: int, to_id: int) -> "OpenGap":
        """Return the gap with the ids that are still missing."""
        first = self.first_ids or (self.from_id, self.to_id)
        return msgspec.structs.replace(self, from_id=from_id, to_id=to_id, first_from_id=first[0], first_to_id=first[1])

    @property
    def first_ids(self) -> tuple[int, int] | None:
        """The ids with which the gap was listed, where it has become smaller since."""
        if self.first_from_id is None or self.first_to_id is None:
            return None
        return self.first_from_id, self.first_to_id


OpenGaps = tuple[OpenGap, ...]
"""In the order of their ids; they do not overlap."""


def with_gap(gaps: OpenGaps, fields: Mapping[str, Any]) -> OpenGaps:
    """The gaps behind a gap message: it opens one, gives it other bounds, or closes it. Others give way to it."""
    gap_id, from_id, to_id = fields.get("gap_id"), fields.get("from_id"), fields.get("to_id")
    others = [gap for gap in gaps if gap.gap_id != gap_id]
    is_open = fields.get("state") == "open" and type(from_id) is int and type(to_id) is int and from_id < to_id
    if not is_open:
        return tuple(others)
    assert type(from_id) is int
    assert type(to_id) is int
    from_ns, to_ns = fields.get("from_ns"), fields.get("to_ns")
    if type(gap_id) is not str or type(from_ns) is not int:
        return tuple(others)
    others = [part for gap in others for part in outside(gap, from_id, to_id)]
    opened = OpenGap(
        gap_id, from_id, to_id, from_ns, to_ns if type(to_ns) is int else from_ns, str(fields.get("reason", ""))
    )
    first = fields.get("first_from_id"), fields.get("first_to_id")
    if first != (from_id, to_id) and type(first[0]) is int and type(first[1]) is int:
        opened = msgspec.structs.replace(opened, first_from_id=first[0], first_to_id=first[1])
    return tuple(sorted([*others, opened], key=lambda gap: gap.from_id))


def with_row(gaps: OpenGaps, previous_id: int, last_id: int) -> OpenGaps:
    """The gaps behind a row that covers (previous_id, last_id].

    Needed where a kill or a power cut came between the row and the gap rows that go with it. A gap of which nothing is
    left stays, without ids, until a gap row has told of it.
    """
    if not gaps or previous_id >= gaps[-1].to_id:
        return gaps
    found: list[OpenGap] = []
    for gap in gaps:
        found += outside(gap, previous_id, last_id) or [gap.narrowed(from_id=gap.to_id, to_id=gap.to_id)]
    return tuple(found)


def outside(gap: OpenGap, from_id: int, to_id: int, *, new_gap_id: Callable[[], str] | None = None) -> list[OpenGap]:
    """Return what is left of a gap without the ids in (from_id, to_id], at most two parts, both with the gap's times.

    The second of two parts gets a name from `new_gap_id`, or the gap's own with `~` and the place of the cut.
    """
    if to_id <= gap.from_id or gap.to_id <= from_id:
        return [gap]
    found = []
    if gap.from_id < from_id:
        found.append(gap.narrowed(from_id=gap.from_id, to_id=from_id))
    if to_id < gap.to_id:
        rest = gap.narrowed(from_id=to_id, to_id=gap.to_id)
        if found:
            gap_id = new_gap_id() if new_gap_id else f"{gap.gap_id}~{to_id}"
            rest = msgspec.structs.replace(rest, gap_id=gap_id, first_from_id=None, first_to_id=None)
        found.append(rest)
    return found
