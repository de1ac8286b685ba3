"""The archiver: looks for days that are over, and seals them; nobody waits for it, and it never slows the recording.

In: the data folder, and the certificates in the lake. Out: the lake, a message under `day.<symbol>.` for each day that
was sealed, and a status message a second, also while a large file is being sealed. Everything runs in one thread; it
may be killed and started again at any time.

| state | |
|---|---|
| `waiting` | nothing is due |
| `sealing` | a day is being sealed: `sealing`, `done_bytes` of `sealing_bytes` |
| `blocked: why` | the extra `days` is missing, the lake cannot be written, or another archiver holds it |
"""

import os
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import msgspec
import zmq

from binance_streamer.config.schema import StorageConfig
from binance_streamer.days import INSTALL
from binance_streamer.days.sources import certificate_path
from binance_streamer.health.gap_files import DAY_S, day_text
from binance_streamer.transport.sockets import bus_pub
from binance_streamer.wire.frames import encode_frame, encode_topic
from binance_streamer.wire.statuses import ArchiverStatus
from services.runtime.clock import monotonic_s, wall_ns
from services.runtime.lock import Blockage, wait_for_lock
from services.runtime.process import Shell, StopRequestedError, arguments_of, run_service
from services.runtime.status import StatusPublisher

if TYPE_CHECKING:
    from binance_streamer.days.certificate import Certificate
    from binance_streamer.days.lake import Lake
    from services.archiver.due import RecordedDay, Times

_T = TypeVar("_T")

NAME = "archiver"

_NICE = 10
"""A process of nice 0 on the same core gets nine times as much (man 7 sched: a factor of 1.25 a step), and runs at once
when it wakes. With 15 it was 28 times: on a loaded machine days were sealed hours late, which served nobody."""
_RETRY_S = 5.0
"""Between two tries to begin."""
_WHOLE_LOOK_S = 6 * 3600.0
"""Between two looks at all days. The ones between see the last `_RECENT_DAYS`, to which nearly all late rows belong:
REST has what was missed for 48 hours."""
_RECENT_DAYS = 4
_RETENTION_S = 600.0
"""Between two looks at all that is stored: it lists every file."""
_QUIET_COMMITS = 3
"""A file is quiet when it has not grown for so many commits of the writer; all that is in it is durable then."""
_MOST_PENDING = 50
_LOCK = ".archiver.lock"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the archiver until SIGTERM; return the exit code."""
    parser = arguments_of(
        "services.archiver",
        "Seals the recorded files of days that are over into storage.lake.",
        "python -m services.archiver -c config/streamer.yaml",
    )
    return run_service(NAME, parser.parse_args(arguments).config, archive)


def archive(shell: Shell) -> None:
    """Seal days until the process is asked to stop; what is half sealed then is begun anew after the next start."""
    try:
        lake = _tried(shell, partial(_opened_lake, shell.config.storage))
        _be_modest(shell)
        lock = wait_for_lock(shell, lake.workplace().with_name(_LOCK), what=f"the lake {lake.uri}")
        _tried(shell, lake.begin)
    except StopRequestedError:
        return
    with bus_pub(shell.context, shell.config.endpoints.bus_publish) as pub:
        try:
            _Archiver(shell, lake, pub).run()
        except StopRequestedError:
            shell.log.info("stopped between two days, or within one: it is sealed after the next start")
        finally:
            lock.release()


def _opened_lake(storage: StorageConfig) -> "Lake":
    """Return the lake; files for one in a bucket are written in the data folder first."""
    from binance_streamer.days.lake import Lake  # noqa: PLC0415 (an extra that may be missing)
    from binance_streamer.stores.store import WORKPLACE  # noqa: PLC0415 (needs the extra)

    lake = Lake(storage.lake, None if storage.lake_folder else Path(storage.output_directory) / WORKPLACE)
    lake.workplace().parent.mkdir(parents=True, exist_ok=True)
    return lake


def _tried(shell: Shell, begin: Callable[[], _T]) -> _T:
    """Return what `begin` gives once it can be done; say on the bus why it cannot. Raises `StopRequestedError`."""
    with Blockage(shell) as blockage:
        while not shell.stop.requested:
            try:
                return begin()
            except ImportError as error:
                blockage.tell(f"{error.name} is missing: {INSTALL}")
            except OSError as error:
                why = error.strerror or f"{error!s:.300}"
                blockage.tell(f"the lake cannot be written: {why}: {shell.config.storage.lake}")
            shell.stop.wait(min(_RETRY_S, 1.0))
    raise StopRequestedError


def _be_modest(shell: Shell) -> None:
    """Take one thread and what the recording leaves of the processors, and keep no freed memory."""
    import pyarrow as pa  # noqa: PLC0415 (an extra that may be missing)

    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    nice = min(19, max(_NICE, shell.config.performance.process_priority))
    os.setpriority(os.PRIO_PROCESS, 0, nice)


class _Archiver:
    """The loop: looks, seals one day after another, and says how far it is."""

    def __init__(self, shell: Shell, lake: "Lake", pub: "zmq.Socket[bytes]") -> None:
        from services.archiver.day import DaySealer  # noqa: PLC0415 (needs the extra)

        config = shell.config
        self._shell = shell
        self._lake = lake
        self._pub = pub
        self._publisher = StatusPublisher(shell, pub)
        self._status = ArchiverStatus(state="waiting")
        self._data = Path(config.storage.output_directory)
        self._sealer = DaySealer(self._data, lake)
        self._quiet_ns = int(_QUIET_COMMITS * config.storage.durable_interval_s * 1e9)
        self._next_look_s = self._next_whole_look_s = self._next_retention_s = monotonic_s()
        self._events = 0
        self._has_failed = False

    def run(self) -> None:
        """Run until the process is asked to stop; raises `StopRequestedError` within a day."""
        while not self._shell.stop.requested:
            if monotonic_s() >= self._next_look_s:
                self._look()
                self._next_look_s = monotonic_s() + self._shell.config.archiver.interval
            self._advance()
            self._shell.stop.wait(self._publisher.wait_s(monotonic_s()))

    def _look(self) -> None:
        """Seal all days that are due, the oldest first. A day that fails does not keep others from being sealed."""
        from services.archiver.day import LAKE_FAULTS  # noqa: PLC0415 (needs the extra)
        from services.archiver.due import days_of  # noqa: PLC0415 (needs the extra)
        from services.archiver.removal import finish_removal  # noqa: PLC0415 (needs the extra)

        self._has_failed = False
        try:
            finish_removal(self._lake)  # before anything is sealed: a late row must not go with its day
            days = days_of(self._data, self._lake, self._times(), from_day=self._from_day(), progressed=self._advance)
        except LAKE_FAULTS as error:
            self._fail(error)
            return
        self._note(due=len(days.due))
        for number, due in enumerate(days.due):
            self._note(due=len(days.due) - number)
            self._seal(due)
        self._retain()
        fault = self._status.fault if self._has_failed else ""
        self._note(state="waiting", due=0, sealing="", sealing_bytes=0, done_bytes=0, fault=fault)

    def _from_day(self) -> str:
        """Return the first day of this look; empty where it is to be at all days."""
        now_s = monotonic_s()
        if now_s >= self._next_whole_look_s:
            self._next_whole_look_s = now_s + _WHOLE_LOOK_S
            return ""
        return day_text(wall_ns() / 1e9 - _RECENT_DAYS * DAY_S)

    def _seal(self, due: "RecordedDay") -> None:
        from services.archiver.day import LAKE_FAULTS, Progress  # noqa: PLC0415 (needs the extra)
        from services.archiver.due import certificate_of  # noqa: PLC0415 (needs the extra)

        what = f"{due.symbol} {due.day}"
        self._note(state="sealing", sealing=what, sealing_bytes=due.size, done_bytes=0)
        progress = Progress(lambda stem: self._note(sealing=f"{what} {stem}"), self._advance, self._done)
        is_new = certificate_of(self._lake, due.symbol, due.day) is None
        try:
            certificate = self._sealer.seal(due, progress, now=datetime.fromtimestamp(wall_ns() / 1e9, UTC))
        except LAKE_FAULTS as error:
            self._fail(error)
            return
        rows = sum(stream.facts.rows for stream in certificate.streams.values())
        self._shell.log.info("sealed day=%s condition=%s rows=%d", what, certificate.condition, rows)
        self._note(
            sealed=self._status.sealed + 1, rows=self._status.rows + rows, pending=self._pending(what, certificate)
        )
        self._publish(due, certificate, rows, is_new=is_new)
        self._next_retention_s = monotonic_s()

    def _retain(self) -> None:
        """Remove what retention says, and measure what is stored; at the next look after a seal, else now and then."""
        from services.archiver.day import LAKE_FAULTS  # noqa: PLC0415 (needs the extra)
        from services.archiver.keeping import Retention  # noqa: PLC0415 (needs the extra)

        if monotonic_s() < self._next_retention_s:
            return
        retention = Retention(self._shell.config.storage, self._lake, self._times(), self._advance)
        try:
            result = retention.keep()
        except LAKE_FAULTS as error:
            if not self._has_failed:  # a seal names the day and the table
                self._note(sealing="")
                self._fail(error)
            return
        self._next_retention_s = monotonic_s() + (0.0 if result.refused else _RETENTION_S)
        self._note(
            removed=self._status.removed + result.daily_files,
            removed_sealed=self._status.removed_sealed + result.sealed_files,
            unproven=result.unproven,
            stored=result.stored,
        )

    def _pending(self, what: str, certificate: "Certificate") -> dict[str, str]:
        """Return all that could not be sealed, with the streams of this day as they are now."""
        others = {name: why for name, why in self._status.pending.items() if not name.startswith(f"{what} ")}
        own = {f"{what} {stem}": stream.why for stem, stream in certificate.streams.items() if stream.why}
        for name, why in own.items():
            if name not in self._status.pending:
                self._shell.log.warning("not sealed stream=%s: %s", name, why)
        return dict(list((others | own).items())[:_MOST_PENDING])

    def _publish(self, due: "RecordedDay", certificate: "Certificate", rows: int, *, is_new: bool) -> None:
        """Tell the bus of a day that was sealed, or opened again and sealed anew."""
        from services.archiver.day import digest_of_day  # noqa: PLC0415 (needs the extra)

        self._events += 1
        data = {
            "symbol": due.symbol,
            "stream": "day",
            "recv_ns": wall_ns(),
            "producer": self._shell.name,
            "epoch": self._shell.epoch,
            "seq": self._events,
            "source": "local",
            "day": certificate.day,
            "condition": certificate.condition,
            "rows": rows,
            "digest": digest_of_day(certificate),
            "path": f"{self._lake.uri}/{certificate_path(due.symbol, due.day)}",
            "reopened": not is_new,
        }
        self._pub.send_multipart([encode_topic("day", due.symbol), encode_frame("day", data)], zmq.DONTWAIT)

    def _times(self) -> "Times":
        from services.archiver.due import Times  # noqa: PLC0415 (needs the extra)

        grace_ns = int(self._shell.config.archiver.grace * 1e9)
        return Times(now_ns=wall_ns(), grace_ns=grace_ns, quiet_ns=self._quiet_ns)

    def _done(self, count: int) -> None:
        self._note(done_bytes=self._status.done_bytes + count)

    def _advance(self) -> None:
        """Publish a status if one is due; raise `StopRequestedError` if the process is asked to stop."""
        if self._publisher.due(monotonic_s()):
            self._publisher.publish(self._status)
        if self._shell.stop.requested:
            raise StopRequestedError

    def _fail(self, error: Exception) -> None:
        """Remember why the disk or the lake refused; the next look tries again."""
        why = f"{self._status.sealing}: {type(error).__name__}: {error!s:.300}".removeprefix(": ")
        self._has_failed = True
        self._next_whole_look_s = monotonic_s()  # an old day that failed is not to wait for hours
        if why != self._status.fault:
            self._shell.log.error("not sealed: %s", why)
        self._note(fault=why)

    def _note(self, **changes: object) -> None:
        self._status = msgspec.structs.replace(self._status, **changes)
        self._advance()
