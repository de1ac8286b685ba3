"""The way from the journal to the writer: batches out by PUSH, acknowledgements in, and questions about what is open.

At least once: in doubt a batch is sent again, the writer knows what it has (docs/wire.md). `cursor.Delivery` decides
and has no sockets. Three places in the journal are its state:

| place | what lies before it | moved by |
|---|---|---|
| durable | is in the files; its segments may be removed | each acknowledgement that names it |
| received | has reached the writer | each acknowledgement |
| cursor | has been pushed | a push; an acknowledgement, as below |

| acknowledgement | comes when | the cursor goes back to `received` |
|---|---|---|
| `hello` | the writer sees a subscription: a start, or a connection that was lost | always |
| `misfit` | a batch does not follow what the writer has: one was lost | once a second at most |
| `known` | a batch holds nothing new: it was a question | if `received` lies before the place of the question |
| `commit` | rows have become durable | not |
| any | the writer has less than it had before | always |

Where the writer has more than this run has pushed, the cursor goes on to `received`.

| question | state |
|---|---|
| none is due | all that was pushed is durable |
| due 2 s after the last push or acknowledgement | something is open |
| due 4, 8, … 30 s after the last question | nobody has answered; an acknowledgement sets it back to 2 s |
"""

import logging
from typing import Protocol

import zmq
from msgspec.structs import replace

from binance_streamer.transport import sockets
from binance_streamer.wire.frames import MAX_BATCH_BYTES, WireError, decode_ack, encode_batch
from binance_streamer.wire.status_parts import JournalStatus
from services.runtime.clock import monotonic_s, wall_ns
from services.runtime.delivery.cursor import Delivery
from services.runtime.journal.journal import Journal
from services.runtime.journal.reader import Chunk
from services.runtime.process import Shell

_log = logging.getLogger(__name__)

_PUSH_INTERVAL_S = 0.25
"""Frames are collected so long before they are pushed: rows are readable after `flush_interval` anyway, and a message
costs the writer as much as ten frames do. A whole batch does not wait, nor does the live path."""
_TRIM_INTERVAL_S = 5.0
_DRAIN_QUESTION_S = 0.2
_DRAIN_POLL_MS = 20


class SocketPoller(Protocol):
    """The part of `zmq.Poller` that an outbox needs: it wakes its owner when something happens at a socket."""

    def register(self, socket: "zmq.Socket[bytes]", flags: int, /) -> None: ...
    def unregister(self, socket: "zmq.Socket[bytes]", /) -> None: ...


class Outbox:
    """Pushes a journal to the writer, and trims it by what the writer has made durable."""

    def __init__(self, shell: Shell, name: str, journal: Journal) -> None:
        now_s = monotonic_s()
        endpoints = shell.config.endpoints
        self._name = name
        self._journal = journal
        self._retention_s = shell.config.storage.journal_retention
        self._delivery = Delivery(journal, now_s)
        self._push = sockets.intake_push(shell.context, endpoints.writer_intake)
        self._acks = sockets.acks_sub(shell.context, endpoints.writer_acks, name)
        self._next_push_s = now_s
        self._next_trim_s = now_s
        self._has_more = True
        self._is_blocked = False  # the writer has not taken all that waits
        self._poller: SocketPoller | None = None
        self._waiting_bytes = 0  # appended since the last push
        self._pushed_frames = 0

    def note_appended(self, frames_bytes: int, now_s: float) -> None:
        """The journal has grown by so many bytes: a whole batch is pushed by the next `serve`, less after a moment."""
        self._has_more = True
        self._waiting_bytes += frames_bytes
        if self._waiting_bytes >= MAX_BATCH_BYTES:
            self._next_push_s = now_s

    def register(self, poller: SocketPoller) -> None:
        """Have the poller wake for acknowledgements, and for the writer's readiness while something waits for it."""
        poller.register(self._acks, zmq.POLLIN)
        self._poller = poller

    def poll_timeout_s(self, now_s: float) -> float:
        """Return how long a poll may sleep before `serve` is due again."""
        due = [self._next_trim_s - now_s]
        if self._has_more:
            due.append(self._next_push_s - now_s)
        question_s = self._delivery.question_due_s(now_s)
        if question_s is not None:
            due.append(question_s)
        return max(0.0, min(due))

    def serve(self, now_s: float) -> None:
        """Take acknowledgements, push what the writer does not have, ask what it leaves open, and trim."""
        self._take_acks(now_s)
        if now_s >= self._next_push_s or (self._is_blocked and sockets.is_writable(self._push)):
            self._push_pending(now_s)
        question_s = self._delivery.question_due_s(now_s)
        if question_s is not None and question_s <= 0:
            self._ask(now_s)
        if now_s >= self._next_trim_s:
            self._next_trim_s = now_s + _TRIM_INTERVAL_S
            self._journal.trim(now_s, self._retention_s)

    def drain(self, timeout_s: float, *, until_durable: bool) -> bool:
        """Push until the writer has received everything, or made it durable; False when the time is over before."""
        is_done = self._delivery.is_durable if until_durable else self._delivery.is_received
        deadline_s = monotonic_s() + timeout_s
        next_question_s = monotonic_s()
        while (now_s := monotonic_s()) < deadline_s:
            self._take_acks(now_s)
            self._push_pending(now_s)
            if is_done():
                return True
            if now_s >= next_question_s:
                self._ask(now_s)
                next_question_s = now_s + _DRAIN_QUESTION_S
            self._acks.poll(_DRAIN_POLL_MS)
        return False

    def describe(self, status: JournalStatus) -> JournalStatus:
        """Return the status with what the writer has and has not."""
        ack = self._delivery.last_ack
        oldest_ns = self._delivery.oldest_open_ns()
        return replace(
            status,
            pushed_frames=self._pushed_frames,
            unacknowledged_bytes=self._journal.unacknowledged_bytes(self._delivery.durable),
            unacknowledged_s=max(0, wall_ns() - oldest_ns) / 1e9 if oldest_ns is not None else 0.0,
            writer_id=ack.writer_id if ack else None,
            durable=ack.durable if ack else None,
            received=ack.received if ack else None,
            unexpected_acks=self._delivery.unexpected_acks,
        )

    def delete_journal(self) -> None:
        """Delete the journal, all of which is durable; only `close` may follow."""
        ack = self._delivery.last_ack
        self._journal.delete(ack.durable if ack else None)

    def close(self) -> None:
        """Close the sockets; what the writer does not have stays in the journal."""
        self._push.close()
        self._acks.close()

    def _take_acks(self, now_s: float) -> None:
        while sockets.is_readable(self._acks):
            topic, *parts = self._acks.recv_multipart(zmq.DONTWAIT)
            if topic.decode(errors="replace") != self._name or len(parts) != 1:
                continue  # of a producer whose name begins like ours
            try:
                ack = decode_ack(parts[0])
            except WireError as error:
                _log.warning("ack refused: %s", error)
                continue
            self._delivery.take_ack(ack, now_s)
            self._has_more = True
            self._next_push_s = min(self._next_push_s, now_s)

    def _push_pending(self, now_s: float) -> None:
        self._next_push_s = now_s + _PUSH_INTERVAL_S
        self._waiting_bytes = 0
        while sockets.is_writable(self._push):  # else a chunk would be read for nothing
            chunk = self._delivery.next_chunk()
            if chunk is None:
                self._has_more = False
                self._set_blocked(is_blocked=False)
                return
            if not self._try_send(chunk):
                break
            self._delivery.note_pushed(chunk, now_s)
        self._set_blocked(is_blocked=True)

    def _set_blocked(self, *, is_blocked: bool) -> None:
        """A writer that catches up takes batch upon batch: the timer alone would let it wait for each."""
        if is_blocked != self._is_blocked and self._poller is not None:
            if is_blocked:
                self._poller.register(self._push, zmq.POLLOUT)
            else:
                self._poller.unregister(self._push)
        self._is_blocked = is_blocked

    def _ask(self, now_s: float) -> None:
        chunk = self._delivery.question()
        self._delivery.note_asked(now_s)
        if chunk is not None:  # else the disk has lost what is open; what was pushed of it may still become durable
            self._try_send(chunk)  # where the writer is away or behind, asking later is soon enough

    def _try_send(self, chunk: Chunk) -> bool:
        try:
            self._push.send_multipart(encode_batch(chunk.batch), zmq.DONTWAIT)
        except zmq.Again:
            return False
        self._pushed_frames += chunk.frame_count
        return True
