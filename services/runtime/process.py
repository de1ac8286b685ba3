"""The life of a service's process: configuration, signals, parent, priority, memory, logs, and a clean end."""

import argparse
import contextlib
import ctypes
import gc
import logging
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import zmq

from binance_streamer.config import schema as configuration
from binance_streamer.deploy.digest import SETTINGS_VARIABLE
from binance_streamer.transport import curve
from services.runtime import logs
from services.runtime.clock import new_epoch
from services.runtime.given_config import given_config

EXIT_IO_ERROR = 74
"""EX_IOERR: the disk refused what it had taken; the next start begins from what is on it."""
EXIT_BUG = 70
"""EX_SOFTWARE: a broken invariant; the traceback is in the log."""

STOP_S = 60
"""From the wish to end, or from the death of a thread. Supervisors kill earlier, where there is one."""
ENDING_S = 10
"""From the end of a service's body, however it ended. Then the kernel ends the process (SIGALRM): its timer needs no
memory, no thread and no lock of ours, all of which may be what is broken (decision 0022)."""

_SHORTAGE = "ended by a shortage of memory or threads: what bounds this process (ulimit -v, -u, a container) is too low"
_GARBAGE_THRESHOLD = 50_000
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of mallopt(3)
_LARGEST_FROM_HEAP_BYTES = 1024 * 1024
"""A batch, a buffer of rows, a read: what comes and goes a hundred times a second."""
_KEPT_BYTES = 2 * 1024 * 1024

_PR_SET_PDEATHSIG = 1
_UMASK = 0o027


class Stop:
    """The request to end, as a flag and as a descriptor that a poller can wait for.

    Set once, by a signal or by a test; never cleared.
    """

    def __init__(self) -> None:
        self._requested = False
        self.fault = ""
        """Why the process has to end though nobody asked for it."""
        self.loss = ""
        """Says which messages the process has neither kept nor listed at its end; the last status may reach nobody."""
        self._event = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    @property
    def requested(self) -> bool:
        """True once the process has been asked to end."""
        return self._requested

    def request(self) -> None:
        """Ask the process to end; safe in a signal handler."""
        self._requested = True
        os.eventfd_write(self._event, 1)

    def fail(self, fault: str) -> None:
        """Ask the process to end because of a fault; the first fault is kept."""
        self.fault = self.fault or fault
        self.request()

    def fileno(self) -> int:
        """Readable from the moment of the request on."""
        return self._event

    def wait(self, timeout_s: float) -> bool:
        """Sleep, but no longer than until the request; returns `requested`."""
        if not self._requested:
            poller = select.poll()
            poller.register(self._event, select.POLLIN)
            poller.poll(timeout_s * 1000)
        return self._requested

    def close(self) -> None:
        """Close the descriptor; nothing may wait for it any more."""
        os.close(self._event)


class StopRequestedError(Exception):
    """The process was asked to end while it waited for what it cannot begin without; `run_service` then ends it."""


@dataclass(frozen=True, slots=True)
class Shell:
    """The name, configuration, stop flag, sockets and log that every service is given."""

    name: str
    config: configuration.Config
    config_path: Path
    stop: Stop
    context: "zmq.Context[zmq.Socket[bytes]]"
    epoch: int = field(default_factory=new_epoch)
    log: logging.Logger = field(default_factory=lambda: logging.getLogger("service"))


def arguments_of(program: str, description: str, example: str) -> argparse.ArgumentParser:
    """An argument parser with what all services have: `-c FILE`, and an example."""
    parser = argparse.ArgumentParser(
        prog=f"python -m {program}",
        description=description,
        epilog=f"example: {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "-c",
        "--config",
        metavar="FILE",
        type=Path,
        default=configuration.default_path(),
        help="configuration (default: %(default)s)",
    )
    return parser


def run_service(name: str, config_path: Path, body: Callable[[Shell], None]) -> int:
    """Run a service's body until it returns; the exit code says how it ended.

    0: asked to end, and did. 70: a bug. 74: an I/O error of the disk, or no room on it for the last messages. 78: the
    configuration is not valid. SIGALRM: it did not come to its end in time.
    """
    try:
        config = _config(name, config_path)
        keys = curve.keys_of(config.endpoints.curve_directory)
    except configuration.ConfigError as error:
        print(f"{name}: {error}", file=sys.stderr)  # noqa: T201 (there is no log yet)
        return configuration.EXIT_CODE
    os.umask(_UMASK)
    with contextlib.suppress(OSError):  # whoever needs it will say so
        for directory in _private_directories(config.endpoints):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    stop = Stop()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: _request(stop))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    threading.excepthook = lambda died: _thread_died(stop, died)
    supervised = "SUPERVISOR_ENABLED" in os.environ
    if supervised and not _tied_to_parent():
        return 0
    log_thread = logs.start(config, name, to_stderr=not supervised)
    context = curve.Context(keys, allows_plain=config.endpoints.insecure)
    try:
        return _run(Shell(name, config, config_path, stop, context), body)
    finally:
        log_thread.stop()
        context.destroy(linger=0)


def _config(name: str, config_path: Path) -> configuration.Config:
    kept = os.environ.get(SETTINGS_VARIABLE)
    return given_config(name, config_path, Path(kept)) if kept else configuration.load(config_path)


def _run(shell: Shell, body: Callable[[Shell], None]) -> int:
    _set_priority(shell)
    shell.log.info("started pid=%d epoch=%d", os.getpid(), shell.epoch)
    try:
        _run_body(shell, body)
    except configuration.ConfigError as error:
        shell.log.error("cannot run: %s", error)
        return configuration.EXIT_CODE
    except OSError:
        shell.log.exception("ended by an I/O error")
        return EXIT_IO_ERROR
    except Exception as error:
        shell.log.exception(_SHORTAGE if _is_shortage(error) else "ended by a bug")
        return EXIT_BUG
    if shell.stop.fault:
        shell.log.error("ended by a bug: %s", shell.stop.fault)
        return EXIT_BUG
    if shell.stop.loss:
        shell.log.error("ended with a loss: %s", shell.stop.loss)
        return EXIT_IO_ERROR
    shell.log.info("stopped")
    return 0


def _is_shortage(error: Exception) -> bool:
    """Return True if the system refused memory or a thread; Python tells of the second by its text alone."""
    return isinstance(error, MemoryError) or "can't start new thread" in str(error)


def _run_body(shell: Shell, body: Callable[[Shell], None]) -> None:
    try:
        with contextlib.suppress(StopRequestedError):
            body(shell)
    finally:
        signal.alarm(ENDING_S)


def _request(stop: Stop) -> None:
    signal.alarm(STOP_S)
    stop.request()


def _thread_died(stop: Stop, died: threading.ExceptHookArgs) -> None:
    """End the process when one of its threads ends by an error: nobody else would miss what the thread did."""
    signal.alarm(STOP_S)
    name = died.thread.name if died.thread else "unknown"
    stop.fail(f"thread {name}: {died.exc_type.__name__}: {died.exc_value!s:.200}")
    threading.__excepthook__(died)


def _private_directories(endpoints: configuration.EndpointsConfig) -> set[Path]:
    """Of sockets and their locks: whoever comes first would make them as its other files need them."""
    paths = [getattr(endpoints, key) for key in configuration.BOUND_ENDPOINTS]
    ipc = {Path(path.removeprefix("ipc://")).parent for path in paths if path.startswith("ipc://")}
    return {Path(endpoints.run_directory), *ipc}


def _tied_to_parent() -> bool:
    """End with the supervisor: orphans would stand in the way of the copies that its successor starts.

    Returns False where it is gone already. Under a supervisor that is process 1 itself, being its child is right.
    """
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != 1:
        return True
    return b"supervisord" in Path("/proc/1/cmdline").read_bytes()


def _set_priority(shell: Shell) -> None:
    priority = shell.config.performance.process_priority
    if priority == os.getpriority(os.PRIO_PROCESS, 0):
        return
    try:
        os.setpriority(os.PRIO_PROCESS, 0, priority)
    except PermissionError:
        shell.log.warning("priority not set nice=%d: not permitted; grant CAP_SYS_NICE or set it to 0", priority)


def cpu_s() -> float:
    """CPU time of this process so far, user and system, all threads."""
    return time.process_time()


def rss_bytes() -> int:
    """Resident memory of this process."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def settle() -> None:
    """Keep what is loaded out of garbage collections, and collect seldom; called once, after the start.

    Messages make no cycles: looking for some after every 700 objects cost a tenth of the writer's time.
    """
    gc.freeze()
    gc.set_threshold(_GARBAGE_THRESHOLD)


def keep_freed() -> None:
    """Keep freed memory for the next batch; for a process through which bytes pass, and that holds little.

    glibc would give batches of 256 KB back to the kernel, and fetch the next ones from it again page by page.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _LARGEST_FROM_HEAP_BYTES)
        mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
