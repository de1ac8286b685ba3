"""A producer's way out: into the journal, then live to the bus; the outbox pushes the journal to the writer.

In this order, since what has been seen live is then also kept: a process that is killed between the two has told nobody
of what its journal holds, and its successor pushes it.
"""

import contextlib
import itertools
import logging
from collections.abc import Collection, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import zmq

from binance_streamer.transport.sockets import bus_pub
from binance_streamer.wire.status_parts import RECORDING, JournalStatus
from services.runtime.clock import monotonic_s, wall_ns
from services.runtime.delivery.encoder import DraftEncoder
from services.runtime.delivery.events import MAX_ENVELOPE_BYTES, EventRun
from services.runtime.delivery.outbox import Outbox, SocketPoller
from services.runtime.delivery.recorded_events import RecordedEvents, recorded_events
from services.runtime.files import free_and_total_bytes
from services.runtime.gaps.drafts import Draft
from services.runtime.gaps.last_rows import LastRow, LastRows
from services.runtime.gaps.stream_states import StreamStates, fold
from services.runtime.journal.journal import Journal, JournalFullError
from services.runtime.journal.syncing import JournalSyncing
from services.runtime.lock import FileLock, wait_for_lock
from services.runtime.process import Shell

__all__ = ["Draft", "LastRow", "Producer", "producing"]

_log = logging.getLogger(__name__)

_STALL_S = 1.0
"""A write that takes longer is told by a row: the messages behind it waited as long."""
_TOPIC_FLAGS, _FRAME_FLAGS = int(zmq.SNDMORE | zmq.DONTWAIT), int(zmq.DONTWAIT)


@dataclass(slots=True)
class _Append:
    """The frames that one call of `append` journals and publishes, and where the streams stand behind them."""

    rows: LastRows
    frames: list[bytes] = field(default_factory=list)
    live: list[tuple[bytes, Sequence[bytes]]] = field(default_factory=list)

    def add(self, draft: Draft | EventRun, topic: bytes, encoded: Sequence[bytes]) -> None:
        self.live.append((topic, encoded))
        self.frames += encoded
        fold(self.rows, draft)


class Producer:
    """Journals and publishes the messages of one process; used by its main thread alone.

    Raises `StopRequestedError` if the process is asked to end before the journal is free, and OSError from
    `append` and `serve` if the disk fails: the next start begins from what is on it.
    """

    def __init__(self, shell: Shell, name: str, pub: "zmq.Socket[bytes]", lock: FileLock | None = None) -> None:
        """`lock` is that of the journal, where it is ours already."""
        directory = shell.config.journal_of(name)
        self._lock = lock or wait_for_lock(shell, lock_path(shell, name), what=f"the journal {directory}")
        self.name = name
        self._stop = shell.stop
        self._directory = directory
        # without the wrapper of pyzmq, whose options are not used here: it takes longer than the sending
        self._send_live = super(zmq.Socket, pub).send
        self._max_frame_bytes = shell.config.performance.max_frame_bytes
        self._journal = Journal(directory, name, shell.epoch, max_bytes=shell.config.performance.journal_max_bytes)
        self._journal.fsync = shell.config.storage.fsync
        if self._journal.torn_bytes:
            _log.warning("cut a torn tail bytes=%d journal=%s", self._journal.torn_bytes, directory)
        self.last_rows: LastRows = dict(self._journal.last_rows)
        """Where each stream stood when the process started."""
        self._states = StreamStates(shell.epoch, self.last_rows)
        self.own_gaps: list[Draft] = []
        """Gaps of messages that the journal had not taken, which the last append has listed."""
        self._encoder = DraftEncoder(name, shell.epoch)
        self._full_since_s: float | None = None
        self._counts = {"appended": 0, "refused_frames": 0, "not_journalled": 0}
        self._longest_write_s = 0.0
        self._stalled: list[Draft] = []
        self._outbox = Outbox(shell, name, self._journal)
        self._syncing = JournalSyncing(self._journal)

    @property
    def rows(self) -> Mapping[str, LastRow]:
        """Where each stream stands in the journal, what it did not take counted as a gap."""
        return self._states.rows

    @property
    def next_position(self) -> int:
        """The position in this epoch behind all that the journal has."""
        return self._journal.next_position

    @property
    def is_full(self) -> bool:
        """True where the journal did not take the last append."""
        return self._full_since_s is not None

    def append(self, drafts: Sequence[Draft | EventRun]) -> bool:
        """Journal the drafts with one write, then publish them; a journal that is full costs no live message.

        False where the journal does not hold all of them: `rows` say what it has, and what it lists as missing.
        """
        self._syncing.raise_error()
        encode = self._encoder.encode
        own = self._states.gaps_before(drafts, wall_ns())
        stalled, self._stalled = self._stalled, []
        taken = _Append(dict(self._states.kept))
        refused: list[Draft] = []
        for draft in itertools.chain(own, stalled, *map(self._parts, drafts)):
            topic, encoded = encode(draft)
            if isinstance(draft, EventRun) or len(encoded[0]) <= self._max_frame_bytes:
                taken.add(draft, topic, encoded)
                continue
            taken.live.append((topic, encoded))
            for gap in self._states.refuse(draft, taken.rows, wall_ns()):
                refused.append(gap)
                taken.add(gap, *encode(gap))
            self._counts["refused_frames"] += 1
        is_kept = not taken.frames or self._journalled(taken.frames, drafts)
        if is_kept:
            self._states.keep(taken.rows, own)
        else:
            self._states.lose(drafts, taken.rows)
        self.own_gaps = [*own, *refused] if is_kept else []
        self._publish(taken.live)
        return is_kept and not refused

    def recorded_events(self, names: Collection[str], since_ns: int) -> RecordedEvents:
        """Return what the journal holds of these streams, received since then; at least their last messages.

        To be called before the first append.
        """
        return recorded_events(self._journal.frames_backwards(), self.last_rows, names, since_ns)

    def adopt(self, symbols: Container[str], rows: LastRows) -> None:
        """Go on with these symbols from where another journal ends, whatever this one has of them.

        The journal says so, durably, when this returns; `JournalFullError` where it has no room for that.
        """
        self._syncing.raise_error()
        kept = self._states.with_symbols(symbols, rows)
        self._journal.begin_segment(kept)
        self._states.adopt(symbols, kept)

    def publish_live(self, draft: Draft) -> None:
        """Publish only: a request or a status is not recorded."""
        self._publish([self._encoder.encode(draft)])

    def serve(self, now_s: float) -> None:
        """Push what the writer does not have, and trim what it has made durable; to be called in each round."""
        self._syncing.raise_error()
        self._outbox.serve(now_s)

    def drain(self, timeout_s: float, *, until_durable: bool = False) -> bool:
        """Push until the writer has received everything, or made it durable; False when the time is over before."""
        return self._outbox.drain(timeout_s, until_durable=until_durable)

    def register(self, poller: SocketPoller) -> None:
        """Have the poller wake for the writer."""
        self._outbox.register(poller)

    def poll_timeout_s(self, now_s: float) -> float:
        """Return how long a poll may sleep before `serve` is due again."""
        return self._outbox.poll_timeout_s(now_s)

    def status(self) -> JournalStatus:
        """Return the journal's part of the status message (docs/operations.md)."""
        free_bytes, total_bytes = free_and_total_bytes(self._directory)
        status = JournalStatus(
            state="journal full" if self.is_full else RECORDING,
            appended=self._counts["appended"],
            not_journalled=self._counts["not_journalled"],
            refused_frames=self._counts["refused_frames"],
            journal_bytes=self._journal.size_bytes,
            damaged_bytes=self._journal.damaged_bytes,
            torn_bytes=self._journal.torn_bytes,
            next_position=self._journal.next_position,
            longest_write_s=self._longest_write_s,
            disk_free_bytes=free_bytes,
            disk_total_bytes=total_bytes,
        )
        return self._syncing.describe(self._outbox.describe(status))

    def forget(self) -> None:
        """Delete the journal, all of which is durable; only `close` may follow."""
        self._outbox.delete_journal()

    def close(self) -> None:
        """Make the journal durable and let its next owner in; what it did not take by now nothing tells of any more."""
        if streams := self._states.unlisted:
            self._stop.loss = f"the journal had no room for the last messages of {', '.join(streams)}"
        self._syncing.close()
        self._journal.close()
        self._outbox.close()
        self._lock.release()

    def _parts(self, draft: Draft | EventRun) -> Iterable[Draft | EventRun]:
        """Return a run as it is, or its messages one by one where one of them may be too large."""
        if isinstance(draft, EventRun) and max(map(len, draft.events)) + MAX_ENVELOPE_BYTES > self._max_frame_bytes:
            return draft.drafts()
        return (draft,)

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
        self._outbox.note_appended(sum(map(len, frames)), started_s)
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


def lock_path(shell: Shell, name: str) -> Path:
    """Return the path of the lock of a producer's journal."""
    return shell.config.journal_of(name) / "lock"


@contextlib.contextmanager
def producing(
    shell: Shell, lock: FileLock | None = None, pub: "zmq.Socket[bytes] | None" = None
) -> "Iterator[tuple[Producer, zmq.Socket[bytes]]]":
    """Open the journal of this process and its way to the bus, and close the journal at the end, whatever ends it.

    `lock` and `pub` are those of a process that has waited for its journal: it has them already.
    """
    pub = pub or bus_pub(shell.context, shell.config.endpoints.bus_publish)
    producer = Producer(shell, shell.name, pub, lock)
    try:
        yield producer, pub
    finally:
        producer.close()
