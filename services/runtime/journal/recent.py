"""The journal's newest frames, kept in memory: the writer usually follows so closely that they need not be read back.

Reading a record back and checking it costs three times as much as writing it.
"""

from collections.abc import Sequence
from typing import NamedTuple

from binance_streamer.wire.frames import MAX_BATCH_BYTES, Position
from services.runtime.journal.records import HEADER_BYTES

MAX_BYTES = 1024 * 1024


class Group(NamedTuple):
    """The frames of one append, and where their records end."""

    first: Position
    frames: bytes
    frame_count: int
    end: int


class RecentRecords:
    """Groups of frames by the place where their records begin; the oldest go first."""

    def __init__(self) -> None:
        self._groups: dict[tuple[int, int], Group] = {}
        self._bytes = 0

    def add(self, segment: int, places: tuple[int, int], first: Position, frames: Sequence[bytes]) -> None:
        """Remember frames that were appended.

        `places`: where a reader stands before them, and where their first record begins; behind a segment's head the
        two are not the same.
        """
        start, offset = places
        content = b"".join(frames)
        if len(content) > MAX_BATCH_BYTES:  # it fits into no batch: the disk has it in parts
            return
        end = offset + len(content) + HEADER_BYTES * len(frames)
        self._groups[segment, start] = Group(first, content, len(frames), end)
        self._bytes += len(content)
        while self._bytes > MAX_BYTES:
            oldest = next(iter(self._groups))
            self._bytes -= len(self._groups.pop(oldest).frames)

    def following(self, segment: int, offset: int, *, max_bytes: int, max_frames: int) -> list[Group]:
        """The groups that begin at this place, as many as fit."""
        found: list[Group] = []
        while (group := self._groups.get((segment, offset))) is not None:
            max_bytes -= len(group.frames)
            max_frames -= group.frame_count
            if max_bytes < 0 or max_frames < 0:
                break
            found.append(group)
            offset = group.end
        return found

    def next_start(self, segment: int, offset: int) -> int | None:
        """Where the first group behind this place begins, if it is in the same segment."""
        return next((start for number, start in self._groups if number == segment and start > offset), None)
