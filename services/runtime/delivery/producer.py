"""A producer's way out: journal first, then live to the bus, then pushed to the writer until it says `durable`."""

import itertools
import logging
import threading
from collections.abc import Iterable, Mapping, Sequence

import msgpack
import zmq

from binance_streamer.transport import sockets
from binance_streamer.wire.frames import MAX_BATCH_BYTES, WireError, decode_ack, encode_batch, encode_topic
from binance_streamer.wire.status_parts import RECORDING, JournalStatus
from services.runtime.clock import monotonic_s, wall_ns
from services.runtime.delivery.cursor import Delivery
from services.runtime.delivery.events import MAX_ENVELOPE_BYTES, EventFrames, EventRun
from services.runtime.files import free_and_total_bytes
from services.runtime.gaps.drafts import Draft
from services.runtime.gaps.last_rows import LastRow, LastRows
from services.runtime.gaps.stream_states import StreamStates, fold
from services.runtime.journal.journal import Journal, JournalFullError
from services.runtime.lock import FileLock, wait_for_lock
from services.runtime.process import EXIT_IO_ERROR, Shell

__all__ = ["Draft", "LastRow", "Producer", "StoppedWhileWaitingError"]

_log = logging.getLogger(__name__)

_SYNC_INTERVAL_S = 1.0
_PUSH_INTERVAL_S = 0.25
"""Frames are collected so long before they are pushed: rows are readable after `flush_interval` anyway, and a message
costs the writer as much as ten frames do. A whole batch does not wait, nor does the live path."""
_TRIM_INTERVAL_S = 5.0
_DRAIN_QUESTION_S = 0.2
_STALL_S = 1.0
_CLOSE_S = 10.0
_MOST_REMEMBERED = 256
"""Streams times connections; numbers of connections are never used twice, and a process runs for months."""
_TOPIC_FLAGS, _FRAME_FLAGS = int(zmq.SNDMORE | zmq.DONTWAIT), int(zmq.DONTWAIT)


class StoppedWhileWaitingError(Exception):
    """Asked to end before the journal's lock was free."""


class _Topic:
    """One topic of this producer: its encoded name, and the last sequence number."""

    __slots__ = ("encoded", "seq")

    def __init__(self, encoded: bytes) -> None:
        self.encoded = encoded
        self.seq = 0


class Producer:
    """Journal, PUB, PUSH and acknowledgements of one process; used by its main thread alone."""

    def __init__(self, shell: Shell, name: str, pub: "zmq.Socket[bytes]") -> None:
        directory = shell.config.journal_of(name)
        lock = wait_for_lock(shell, directory / "lock", what=f"the journal {directory}")
        if lock is None:
            raise StoppedWhileWaitingError(name)
        self.name = name
        self._directory = directory
        self._lock: FileLock = lock
        # without the wrapper of pyzmq, whose options are not used here: it takes longer than the sending
        self._send_live = super(zmq.Socket, pub).send
        self._max_frame_bytes = shell.config.performance.max_frame_bytes
        self._retention_s = shell.config.storage.journal_retention
        self._journal = Journal(directory, name, shell.epoch, max_bytes=shell.config.performance.journal_max_bytes)
        self._journal.fsync = shell.config.storage.fsync
        if self._journal.torn_bytes:
            _log.warning("cut a torn tail bytes=%d journal=%s", self._journal.torn_bytes, directory)
        self.last_rows: LastRows = dict(self._journal.last_rows)
        """Where each stream stood when the process started."""
        self._states = StreamStates(shell.epoch, self.last_rows)
        self.own_gaps: list[Draft] = []
        """Gaps of messages that the journal had not taken, which the last append has listed."""
        self._topics: dict[tuple[str, str, str], _Topic] = {}
        self._frames: dict[tuple[str, int], EventFrames] = {}  # by stream and connection
        self._pack = msgpack.Packer(autoreset=True).pack
        self._full_since_s: float | None = None
        self._counts = {"appended": 0, "pushed_frames": 0, "refused_frames": 0, "not_journalled": 0}
        self._longest_write_s = 0.0
        self._stalled: list[Draft] = []
        self._longest_sync_s = 0.0
        self._syncs = 0
        self._sync_s = 0.0
        now_s = monotonic_s()
        self._delivery = Delivery(self._journal, now_s)
        endpoints = shell.config.endpoints
        self._push = sockets.intake_push(shell.context, endpoints.writer_intake)
        self._acks = sockets.acks_sub(shell.context, endpoints.writer_acks, name)
        self._next_push_s = now_s
        self._next_trim_s = now_s
        self._has_more = True
        self._is_blocked = False  # the writer has not taken all that waits
        self._poller: zmq.Poller | None = None
        self._waiting_bytes = 0  # appended since the last push
        self._sync_error: OSError | None = None
        self._closing = threading.Event()
        self._syncing = threading.Thread(target=self._sync_loop, name="journal-sync", daemon=True)
        if self._journal.fsync:
            self._syncing.start()

    @property
    def rows(self) -> Mapping[str, LastRow]:
        """Where each stream stands in the journal, what it did not take counted as a gap."""
        return self._states.rows

    @property
    def is_full(self) -> bool:
        """Whether the journal took nothing the last time."""
        return self._full_since_s is not None

    def append(self, drafts: Sequence[Draft | EventRun]) -> bool:
        """Journal the drafts with one write, then publish them; a journal that is full costs no live message.

        False where the journal does not hold all of them: `rows` say what it has, and what it lists as missing.
        """
        self._raise_sync_error()
        own = self._states.gaps_before(drafts, wall_ns())
        stalled, self._stalled = self._stalled, []
        rows = dict(self._states.kept)
        frames: list[bytes] = []
        live: list[tuple[bytes, Sequence[bytes]]] = []
        refused: list[Draft] = []
        for draft in itertools.chain(own, stalled, *map(self._parts, drafts)):
            topic, encoded = self._encoded(draft)
            live.append((topic, encoded))
            if isinstance(draft, Draft) and len(encoded[0]) > self._max_frame_bytes:
                refused += self._refused(draft, rows, frames, live)
                continue
            frames += encoded
            fold(rows, draft)
        is_kept = not frames or self._journalled(frames, drafts)
        if is_kept:
            self._states.keep(rows, own)
        else:
            self._states.lose(drafts, rows)
        self.own_gaps = [*own, *refused] if is_kept else []
        self._publish(live)
        return is_kept and not refused

    def publish_live(self, draft: Draft) -> None:
        """Publish only: a request or a status is not recorded."""
        self._publish([self._encoded(draft)])

    def register(self, poller: zmq.Poller) -> None:
        """Have the poller wake for acknowledgements, and for the writer's readiness while something waits for it."""
        poller.register(self._acks, zmq.POLLIN)
        self._poller = poller

    def poll_timeout_s(self, now_s: float) -> float:
        """How long a poll may sleep before `serve` is due again."""
        due = [self._next_trim_s - now_s]
        if self._has_more:
            due.append(self._next_push_s - now_s)
        question_s = self._delivery.question_due_s(now_s)
        if question_s is not None:
            due.append(question_s)
        return max(0.0, min(due))

    def serve(self, now_s: float) -> None:
        """Hear the writer, push what it does not have, ask what it leaves open, and trim."""
        self._raise_sync_error()
        self._hear(now_s)
        if now_s >= self._next_push_s or (self._is_blocked and sockets.is_writable(self._push)):
            self._push_pending(now_s)
        question_s = self._delivery.question_due_s(now_s)
        if question_s is not None and question_s <= 0:
            self._ask(now_s)
        if now_s >= self._next_trim_s:
            self._next_trim_s = now_s + _TRIM_INTERVAL_S
            self._journal.trim(now_s, self._retention_s)

    def drain(self, timeout_s: float, *, until_durable: bool = False) -> bool:
        """Push until the writer has received everything, or made it durable; False when the time is over before."""
        is_done = self._delivery.is_durable if until_durable else self._delivery.is_received
        deadline_s = monotonic_s() + timeout_s
        next_question_s = monotonic_s()
        while (now_s := monotonic_s()) < deadline_s:
            self._hear(now_s)
            self._push_pending(now_s)
            if is_done():
                return True
            if now_s >= next_question_s:
                self._ask(now_s)
                next_question_s = now_s + _DRAIN_QUESTION_S
            self._acks.poll(20)
        return False

    def status(self) -> JournalStatus:
        """Return the journal's part of the status message."""
        ack = self._delivery.last_ack
        oldest_ns = self._delivery.oldest_open_ns()
        free_bytes, total_bytes = free_and_total_bytes(self._directory)
        return JournalStatus(
            state=RECORDING if self._full_since_s is None else "journal full",
            appended=self._counts["appended"],
            pushed_frames=self._counts["pushed_frames"],
            not_journalled=self._counts["not_journalled"],
            refused_frames=self._counts["refused_frames"],
            journal_bytes=self._journal.size_bytes,
            unacknowledged_bytes=self._journal.unacknowledged_bytes(self._delivery.durable),
            unacknowledged_s=max(0, wall_ns() - oldest_ns) / 1e9 if oldest_ns is not None else 0.0,
            damaged_bytes=self._journal.damaged_bytes,
            torn_bytes=self._journal.torn_bytes,
            next_position=self._journal.next_position,
            writer_id=ack.writer_id if ack else None,
            durable=ack.durable if ack else None,
            received=ack.received if ack else None,
            unexpected_acks=self._delivery.reports,
            syncs=self._syncs,
            sync_s=self._sync_s,
            longest_write_s=self._longest_write_s,
            longest_sync_s=self._longest_sync_s,
            disk_free_bytes=free_bytes,
            disk_total_bytes=total_bytes,
        )

    def forget(self) -> None:
        """Delete the journal, all of which is durable; only `close` may follow."""
        ack = self._delivery.last_ack
        self._journal.delete(ack.durable if ack else None)

    def close(self) -> None:
        """Make the journal durable and let its next owner in."""
        self._closing.set()
        if self._syncing.is_alive():
            self._syncing.join(_CLOSE_S)
        self._journal.close()
        self._push.close()
        self._acks.close()
        self._lock.release()

    def _parts(self, draft: Draft | EventRun) -> Iterable[Draft | EventRun]:
        """A run as it is, or its messages one by one where one of them may be too large."""
        if isinstance(draft, EventRun) and max(map(len, draft.events)) + MAX_ENVELOPE_BYTES > self._max_frame_bytes:
            return draft.drafts()
        return (draft,)

    def _refused(
        self, draft: Draft, rows: LastRows, frames: list[bytes], live: list[tuple[bytes, Sequence[bytes]]]
    ) -> list[Draft]:
        """Take the gap of a draft that is too large in its place; returns it."""
        self._counts["refused_frames"] += 1
        gaps = self._states.refuse(draft, rows, wall_ns())
        for gap in gaps:
            topic, encoded = self._encoded(gap)
            live.append((topic, encoded))
            frames += encoded
            fold(rows, gap)
        return gaps

    def _encoded(self, draft: Draft | EventRun) -> tuple[bytes, Sequence[bytes]]:
        if isinstance(draft, EventRun):
            return self._encoded_run(draft)
        topic = self._topic(draft[:3])
        topic.seq += 1
        data = draft.data
        if data["source"] == "ws" and draft.stream_type != "raw":
            events = self._frames_of((draft.stream_type, draft.symbol, data["stream"]), data["connection"])
            return topic.encoded, events.encode(topic.seq, (data["recv_ns"],), (data["event"],))
        data["producer"] = self.name
        data["epoch"] = self._journal.epoch
        data["seq"] = topic.seq
        return topic.encoded, [self._pack((draft.stream_type, data))]

    def _encoded_run(self, run: EventRun) -> tuple[bytes, Sequence[bytes]]:
        name, symbol, stream_type, variant, _ = run.stream
        topic = self._topic((stream_type, symbol, variant))
        frames = self._frames_of((stream_type, symbol, name), run.connection)
        encoded = frames.encode(topic.seq + 1, run.stamps_ns, run.events)
        topic.seq += len(encoded)
        return topic.encoded, encoded

    def _frames_of(self, topic: tuple[str, str, str], connection: int) -> EventFrames:
        frames = self._frames.get((topic[2], connection))
        if frames is None:
            if len(self._frames) >= _MOST_REMEMBERED:
                self._frames.clear()
            frames = EventFrames(topic, connection, producer=self.name, epoch=self._journal.epoch)
            self._frames[topic[2], connection] = frames
        return frames

    def _topic(self, key: tuple[str, str, str]) -> _Topic:
        topic = self._topics.get(key)
        if topic is None:
            topic = self._topics[key] = _Topic(encode_topic(*key))
        return topic

    def _journalled(self, frames: list[bytes], drafts: Sequence[Draft | EventRun]) -> bool:
        started_s = monotonic_s()
        try:
            self._journal.append(frames, self._states.kept)
        except JournalFullError as error:
            self._counts["not_journalled"] += len(frames)
            if self._full_since_s is None:
                self._full_since_s = started_s
                _log.error("journal full: %s; live messages go on, what is not kept becomes a gap", error)
            return False
        finally:
            self._note_write(drafts[0].symbol, monotonic_s() - started_s)
        if self._full_since_s is not None:
            _log.warning("journal has room again after_s=%.1f", monotonic_s() - self._full_since_s)
            self._full_since_s = None
        self._counts["appended"] += len(frames)
        self._has_more = True
        self._waiting_bytes += sum(map(len, frames))
        if self._waiting_bytes >= MAX_BATCH_BYTES:
            self._next_push_s = started_s
        return True

    def _note_write(self, symbol: str, taken_s: float) -> None:
        """A write that stood still is told by a row, since what was received meanwhile waited for it."""
        self._longest_write_s = max(self._longest_write_s, taken_s)
        if taken_s < _STALL_S:
            return
        to_ns = wall_ns()
        from_ns = to_ns - int(taken_s * 1e9)
        _log.warning("journal stalled seconds=%.1f", taken_s)
        data = {
            "symbol": symbol,
            "stream": "status",
            "recv_ns": to_ns,
            "source": "local",
            "reason": "journal stalled",
            "from_ns": from_ns,
            "to_ns": to_ns,
        }
        self._stalled = [Draft("status", symbol, "stall", data)]

    def _publish(self, live: Sequence[tuple[bytes, Sequence[bytes]]]) -> None:
        send = self._send_live
        for topic, frames in live:
            for frame in frames:
                send(topic, _TOPIC_FLAGS)
                send(frame, _FRAME_FLAGS)

    def _hear(self, now_s: float) -> None:
        while sockets.is_readable(self._acks):
            topic, *parts = self._acks.recv_multipart(zmq.DONTWAIT)
            if topic.decode(errors="replace") != self.name or len(parts) != 1:
                continue  # of a producer whose name begins like ours
            try:
                ack = decode_ack(parts[0])
            except WireError as error:
                _log.warning("ack refused: %s", error)
                continue
            self._delivery.heard(ack, now_s)
            self._has_more = True
            self._next_push_s = min(self._next_push_s, now_s)

    def _push_pending(self, now_s: float) -> None:
        self._next_push_s = now_s + _PUSH_INTERVAL_S
        self._waiting_bytes = 0
        while True:
            if not sockets.is_writable(self._push):  # a chunk would be read for nothing
                self._set_blocked(is_blocked=True)
                return
            chunk = self._delivery.next_chunk()
            if chunk is None:
                break
            try:
                self._push.send_multipart(encode_batch(chunk.batch), zmq.DONTWAIT)
            except zmq.Again:
                self._set_blocked(is_blocked=True)
                return
            self._delivery.pushed(chunk, now_s)
            self._counts["pushed_frames"] += chunk.frame_count
        self._has_more = False
        self._set_blocked(is_blocked=False)

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
        self._delivery.asked(now_s)
        if chunk is None:
            return  # the disk has lost what is open; what was pushed of it may still become durable
        try:
            self._push.send_multipart(encode_batch(chunk.batch), zmq.DONTWAIT)
        except zmq.Again:
            pass  # the writer is away or behind: asking later is soon enough
        else:
            self._counts["pushed_frames"] += chunk.frame_count

    def _sync_loop(self) -> None:
        while not self._closing.wait(_SYNC_INTERVAL_S):
            started_s = monotonic_s()
            try:
                self._journal.sync()
            except OSError as error:
                self._sync_error = error
                return
            taken_s = monotonic_s() - started_s
            self._longest_sync_s = max(self._longest_sync_s, taken_s)
            self._syncs += 1
            self._sync_s += taken_s

    def _raise_sync_error(self) -> None:
        if self._sync_error is not None:
            raise OSError(EXIT_IO_ERROR, f"journal could not be made durable: {self._sync_error}")
