"""The writer's process: sockets, timers, the thread that waits for the disk, and what happens when a disk is full.

| state | meaning | leaves it when |
|---|---|---|
| `starting` | recovers what is on the disk | recovery ends: `recording` |
| `recording` | takes batches, flushes and commits | a file or the disk fails: one of the others |
| `disk full`, `cannot write: …`, `ledger: …` | takes nothing | a try, once a second, succeeds |
| `file damaged: …` | a file is not as it was left | at once, by recovery from the last commit |

Every way into `recording` begins at the last commit: what was taken since is in the journals, and is pushed again.
"""

import contextlib
import math
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import msgspec
import zmq

from binance_streamer.deploy.lock_files import ended_text
from binance_streamer.transport import sockets
from binance_streamer.wire.frames import encode_ack
from binance_streamer.wire.statuses import WriterStatus
from services.runtime.bound_paths import BoundPaths
from services.runtime.clock import monotonic_s, wall_ns
from services.runtime.files import free_and_total_bytes
from services.runtime.network.subscriptions import Subscriptions
from services.runtime.process import Shell, arguments_of, keep_freed, run_service, settle
from services.runtime.status import StatusPublisher
from services.writer.locks import locked
from services.writer.positions import OutgoingAck
from services.writer.recorder import NAME, Commit, Recorder
from services.writer.store.buffers import Counts
from services.writer.store.errors import BlockedError, FileDamagedError
from services.writer.store.files import check_root, make_durable, probe

_MAX_TAKEN = 64
"""Batches that are taken between two looks at the timers: at 256 KiB each, 16 MiB, some 0.1 s of work."""
_RETRY_S = 1.0
"""Between two tries to go on after a full disk."""
_QUIET_MS = 200
"""At the end: as long as no batch comes for so long, producers that have ended have sent all that they had."""
_DRAIN_S = 5.0
"""The longest that the end waits for such a silence; supervisord waits longer than this for the process."""
_COARSE_NS = 10**9
"""Subtracted from the time of a commit before others compare it with a file's: that is of a clock some ms behind."""
_ROOM_BYTES = 8 * 2**20
"""Free space with which recording resumes: more than one buffer and the ledger's log."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the writer until SIGTERM; returns the exit code of the process."""
    parser = arguments_of(
        "services.writer",
        "Records what ingest, rest and orderbook push, in daily files per symbol, each row exactly once.",
        "python -m services.writer -c config/streamer.yaml",
    )
    return run_service(NAME, parser.parse_args(arguments).config, _body)


def _body(shell: Shell) -> None:
    with locked(shell) as lock, _open_sockets(shell) as (pull, xpub, pub):
        writer = Writer(shell, pull, xpub, pub)
        writer.run()
        if writer.is_complete:
            lock.tell(ended_text(wall_ns()))


@contextlib.contextmanager
def _open_sockets(shell: Shell) -> "Iterator[tuple[zmq.Socket[bytes], zmq.Socket[bytes], zmq.Socket[bytes]]]":
    endpoints = shell.config.endpoints
    with contextlib.ExitStack() as stack:
        pull = stack.enter_context(sockets.intake_pull(shell.context, endpoints.writer_intake))
        xpub = sockets.acks_xpub(shell.context, endpoints.writer_acks)
        stack.callback(lambda: xpub.close(linger=500))  # the last acknowledgements are on their way
        pub = stack.enter_context(sockets.bus_pub(shell.context, endpoints.bus_publish))
        yield pull, xpub, pub


class Writer:
    """Drives the recorder: gives it batches, flushes and commits on time, and replaces it after a failure.

    One thread does all of that. A second one only waits in `fdatasync`: a disk may need seconds for it, in which
    batches are still taken into memory. It writes to an eventfd when it is done, which ends the poll of the first one.
    """

    def __init__(
        self, shell: Shell, pull: "zmq.Socket[bytes]", xpub: "zmq.Socket[bytes]", pub: "zmq.Socket[bytes]"
    ) -> None:
        self._shell = shell
        self._config = shell.config
        self._root = Path(shell.config.storage.output_directory)
        self._pull = pull
        self._xpub = xpub
        self._subscriptions = Subscriptions(xpub)
        self._pub = pub
        self._status = StatusPublisher(shell, pub)
        endpoints = shell.config.endpoints
        self._bound = BoundPaths(shell, (endpoints.writer_intake, endpoints.writer_acks))
        self._recorder: Recorder | None = None
        self._counts = Counts()
        self._state = "starting"
        self._suspects: frozenset[str] = frozenset()
        self._syncing: tuple[Commit, Future[None], float] | None = None
        self._sync_thread = ThreadPoolExecutor(1, thread_name_prefix="sync")
        self._synced = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._longest_commit_s = 0.0
        self._commits = 0
        self._commit_s = 0.0
        self._durable_ns: int | None = None
        self.is_complete = False
        """Set at the end, when all that was taken is durable: readers need not wait for the next writer."""
        now_s = monotonic_s()
        self._next_flush_s = now_s + self._config.storage.flush_interval
        self._next_commit_s = now_s + self._config.storage.durable_interval_s
        self._next_retry_s = now_s

    def run(self) -> None:
        """Record until the process is asked to end, then commit what has arrived."""
        settle()
        keep_freed()
        try:
            while not self._shell.stop.requested:
                self._wait()
                with self._guarded():
                    self._serve()
            with self._guarded():
                self._end()
        finally:
            self._sync_thread.shutdown(wait=False)
            self._subscriptions.close()
            if self._recorder:
                self._recorder.close()
            os.close(self._synced)

    def _wait(self) -> None:
        now_s = monotonic_s()
        poller = zmq.Poller()
        poller.register(self._shell.stop.fileno(), zmq.POLLIN)
        poller.register(self._synced, zmq.POLLIN)
        due_s = [now_s + self._status.wait_s(now_s)]
        if self._recorder is None:
            due_s.append(self._next_retry_s)
        else:
            poller.register(self._pull, zmq.POLLIN)
            poller.register(self._xpub, zmq.POLLIN)
            due_s.append(self._next_flush_s)
        poller.poll(math.ceil(max(0.0, min(due_s) - now_s) * 1000))

    def _serve(self) -> None:
        now_s = monotonic_s()
        if self._status.due(now_s):
            self._publish_status()
            self._publish_offers()
            self._bound.end_if_lost()
        if self._recorder is None:
            if now_s >= self._next_retry_s:
                self._resume()
            return
        self._answer_subscriptions(self._recorder)
        self._finish_commit(self._recorder)
        self._take(self._recorder)
        if now_s >= self._next_flush_s:
            self._next_flush_s = now_s + self._config.storage.flush_interval
            self._recorder.flush()
        if now_s >= self._next_commit_s and self._syncing is None:
            self._next_commit_s = now_s + self._config.storage.durable_interval_s
            self._begin_commit(self._recorder)

    def _answer_subscriptions(self, recorder: Recorder) -> None:
        """Send an acknowledgement for each subscription: a producer that has just connected learns where to go on."""
        for producer in self._subscriptions.take():
            with contextlib.suppress(UnicodeDecodeError):
                self._send_ack(recorder.ack(producer.decode(), "hello"))

    def _take(self, recorder: Recorder) -> int:
        now_ns = wall_ns()
        for taken in range(_MAX_TAKEN):
            try:
                parts = self._pull.recv_multipart(zmq.DONTWAIT)
            except zmq.Again:
                return taken
            ack = recorder.take(parts, now_ns)
            if ack is not None:
                self._send_ack(ack)
        return _MAX_TAKEN

    def _begin_commit(self, recorder: Recorder) -> None:
        now_ns = wall_ns()
        commit = recorder.begin_commit(now_ns)
        if commit is None:
            self._durable_ns = now_ns - _COARSE_NS
            return
        work = commit.work if self._config.storage.fsync else commit.work._replace(files=(), directories=())
        future = self._sync_thread.submit(make_durable, self._root, work)
        future.add_done_callback(lambda _: os.eventfd_write(self._synced, 1))
        self._syncing = commit, future, monotonic_s()

    def _finish_commit(self, recorder: Recorder) -> None:
        if self._syncing is None or not self._syncing[1].done():
            return
        commit, future, started_s = self._syncing
        self._forget_sync()
        future.result()
        for ack in recorder.finish_commit(commit):
            self._send_ack(ack)
        self._durable_ns = commit.begun_ns - _COARSE_NS
        for topic, frame in commit.gaps:
            self._pub.send_multipart([topic, frame], zmq.DONTWAIT)
        taken_s = monotonic_s() - started_s
        self._longest_commit_s = max(self._longest_commit_s, taken_s)
        self._commits += 1
        self._commit_s += taken_s

    def _forget_sync(self) -> None:
        self._syncing = None
        with contextlib.suppress(BlockingIOError):  # done, but its callback has not been called yet
            os.eventfd_read(self._synced)

    def _end(self) -> None:
        """Take what has arrived, commit it, and acknowledge it.

        Up to three commits: the one under way, one of what was taken meanwhile, and one of the gaps that it listed.
        """
        recorder = self._recorder
        if recorder is None:
            return
        deadline_s = monotonic_s() + _DRAIN_S
        while self._pull.poll(_QUIET_MS) and monotonic_s() < deadline_s:
            self._take(recorder)
        self._answer_subscriptions(recorder)
        for _ in range(2):  # the commit under way, and one of the rest
            if self._syncing:
                self._syncing[1].exception()
                self._finish_commit(recorder)
            self._begin_commit(recorder)
        if self._syncing:
            self._syncing[1].exception()
            self._finish_commit(recorder)
        self.is_complete = True
        self._publish_status()

    @contextlib.contextmanager
    def _guarded(self) -> Iterator[None]:
        """Go back to the last commit after a damaged file or a full disk.

        Other errors of the disk (EIO) end the process: what the kernel still holds of the files cannot be trusted.
        """
        try:
            yield
        except FileDamagedError as error:
            self._suspects |= {error.path}
            self._pause(f"file damaged: {error.path}", retry_s=0.0)
        except BlockedError as error:
            self._pause(str(error), retry_s=_RETRY_S)

    def _pause(self, state: str, *, retry_s: float) -> None:
        if self._state != state:
            self._shell.log.error("recording paused reason=%s; journals keep what arrives", state)
        self._state = state
        self._next_retry_s = monotonic_s() + retry_s
        if self._syncing:
            self._syncing[1].exception()  # its files are about to be closed
            self._forget_sync()
        if self._recorder is not None:
            self._recorder.close()
            self._recorder = None

    def _resume(self) -> None:
        check_root(self._root)
        probe(self._root, _ROOM_BYTES)
        recorder = Recorder(self._config, self._shell.epoch, wall_ns(), suspects=self._suspects, counts=self._counts)
        self._recorder = recorder
        self._suspects = frozenset()
        self._shell.log.info("recording directory=%s after=%s", self._root, self._state)
        self._state = "recording"
        for ack in recorder.acks("misfit"):
            self._send_ack(ack)

    def _send_ack(self, ack: OutgoingAck) -> None:
        self._xpub.send_multipart([ack.producer.encode(), encode_ack(ack.ack)], zmq.DONTWAIT)

    def _publish_offers(self) -> None:
        """Offer open gaps until they are taken over: the bus forgets, and a worker may be away."""
        for topic, frame in self._recorder.offers(wall_ns()) if self._recorder else ():
            self._pub.send_multipart([topic, frame], zmq.DONTWAIT)

    def _publish_status(self) -> None:
        free_bytes, total_bytes = free_and_total_bytes(self._root)
        status = WriterStatus() if self._recorder is None else self._recorder.status()
        self._status.publish(
            msgspec.structs.replace(
                status,
                state=self._state,
                **asdict(self._counts),
                **self._subscriptions.status(),
                commits=self._commits,
                commit_s=self._commit_s,
                longest_commit_s=self._longest_commit_s,
                durable_ns=self._durable_ns,
                disk_free_bytes=free_bytes,
                disk_total_bytes=total_bytes,
            )
        )
