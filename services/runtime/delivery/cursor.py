"""The place in a journal from which the next batch is pushed, moved by pushes and by acknowledgements.

Without sockets, so that tests can play thousands of deaths (tests/property/test_delivery_model.py). The table of states
is in `outbox`.
"""

import logging

from binance_streamer.wire.frames import Ack, Position, WireError, decode_frame
from services.runtime.journal.journal import Journal
from services.runtime.journal.reader import Chunk, Cursor

_log = logging.getLogger(__name__)

FIRST_QUESTION_S = 2.0
LAST_QUESTION_S = 30.0
_SAME_ACK_S = 1.0
"""Every batch in flight behind a lost one is refused with the same acknowledgement; the first one alone winds back."""


class Delivery:
    """The cursor of one producer, and the time of its next question to the writer."""

    def __init__(self, journal: Journal, now_s: float) -> None:
        self.durable: Cursor | None = None
        """Everything before this place is in the files."""
        self.last_ack: Ack | None = None
        self.unexpected_acks = 0
        """Of another writer than before, or for positions that this run has not used."""
        self._journal = journal
        self._cursor = journal.oldest()
        self._received: Cursor | None = None
        self._question_s = FIRST_QUESTION_S
        self._asked_at: Cursor | None = None
        self._last_moved_s = now_s
        self._last_wind: tuple[Cursor, float] | None = None

    def next_chunk(self, *, max_frames: int = 1 << 30) -> Chunk | None:
        """Return what to push next, None at the end; it counts as pushed once `note_pushed` has been called."""
        return self._journal.read(self._cursor, max_frames=max_frames)

    def note_pushed(self, chunk: Chunk, now_s: float) -> None:
        """Move the cursor behind a chunk that the socket took."""
        self._cursor = chunk.behind
        self._last_moved_s = now_s

    def question_due_s(self, now_s: float) -> float | None:
        """Return the seconds until the writer should be asked what it has; None where nothing is unanswered."""
        if not self._is_unanswered():
            return None
        return max(0.0, self._last_moved_s + self._question_s - now_s)

    def question(self) -> Chunk | None:
        """Return the first record that is not durable, alone: sent again, it makes the writer answer."""
        return self._journal.read(self.durable or self._journal.oldest(), max_frames=1)

    def oldest_open_ns(self) -> int | None:
        """Return `recv_ns` of the first record that the writer has not acknowledged as durable; None where all is."""
        chunk = self.question()
        if chunk is None:
            return None
        try:
            _, data = decode_frame(chunk.batch.frames)
        except WireError:  # of a version that wrote its frames otherwise
            return None
        recv_ns: int = data["recv_ns"]
        return recv_ns

    def note_asked(self, now_s: float) -> None:
        """Put off the next question, each time for twice as long, 30 s at most."""
        self._asked_at = self._cursor
        self._last_moved_s = now_s
        self._question_s = min(self._question_s * 2, LAST_QUESTION_S)

    def take_ack(self, ack: Ack, now_s: float) -> None:
        """Let the journal trim what is durable, and move the cursor where the acknowledgement calls for it."""
        self._report_change(ack)
        self.last_ack = ack
        self._last_moved_s = now_s
        self._question_s = FIRST_QUESTION_S
        received = self._cursor_at(ack.received, ack)
        durable = self._cursor_at(ack.durable, ack)
        if durable is not None and ack.durable is not None:
            self.durable = durable
            self._journal.acknowledge(ack.durable, now_s)
        if received is None:
            self._journal.forget_end()
        fell_back = received is None or _is_before(received, self._received)
        self._received = received
        target = received or self._journal.oldest()
        if _is_before(self._cursor, target):
            self._cursor = target
        elif fell_back or self._winds_back(ack, target):
            self._wind_back(target, now_s)
        self._asked_at = None

    def is_received(self) -> bool:
        """Return True if the writer is known to have received everything that was appended."""
        return self._journal.read(self._received or self._journal.oldest(), max_frames=1) is None

    def is_durable(self) -> bool:
        """Return True if everything that was appended is known to be durable."""
        return self._journal.read(self.durable or self._journal.oldest(), max_frames=1) is None

    def _is_unanswered(self) -> bool:
        """Return True if something was pushed beyond what the writer has made durable."""
        return self._journal.oldest()[:2] < self._cursor[:2] and _is_before(self.durable, self._cursor)

    def _cursor_at(self, position: Position | None, ack: Ack) -> Cursor | None:
        if position is None:
            return None
        if position.epoch == self._journal.epoch and position.number > self._journal.next_position:
            self._report("beyond our own end", ack)
            return None
        return self._journal.behind(position)

    def _winds_back(self, ack: Ack, target: Cursor) -> bool:
        if (
            ack.reason == "known"
        ):  # sockets keep the order: what was pushed before the question has arrived, or never will
            return _is_before(target, self._asked_at)
        return ack.reason in ("hello", "misfit")

    def _wind_back(self, target: Cursor, now_s: float) -> None:
        if self._last_wind is not None and self._last_wind[0] == target and now_s - self._last_wind[1] < _SAME_ACK_S:
            return
        self._last_wind = target, now_s
        self._cursor = target

    def _report_change(self, ack: Ack) -> None:
        if self.last_ack is not None and self.last_ack.writer_id != ack.writer_id:
            self._report("another writer", ack)

    def _report(self, what: str, ack: Ack) -> None:
        self.unexpected_acks += 1
        _log.warning("unexpected ack what=%s writer=%s received=%s", what, ack.writer_id, ack.received)


def _is_before(one: Cursor | None, other: Cursor | None) -> bool:
    """Return True if `one` stands before `other`; None stands before everything."""
    if other is None:
        return False
    return one is None or one[:2] < other[:2]
