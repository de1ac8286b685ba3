"""A running supervisord, spoken to over its unix socket (XML-RPC).

In: names of programs. Out: supervisord's view of them; every failure to talk is a `CommandError` that says what to do.
"""

import http.client
import logging
import socket
import time
import xmlrpc.client
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from binance_streamer.cli.errors import CommandError, Exit
from binance_streamer.cli.hints import HINTS
from binance_streamer.deploy.supervisord import configured_socket

_log = logging.getLogger(__name__)

_TIMEOUT_S = 60
"""Of one answer; longer than any program's stopwaitsecs."""

_STOP_PRODUCERS_S = 20
"""That all producers together get for their end, before the writer is stopped nevertheless."""
_NAMED = 4
"""Programs that one line of a report names at most."""
_SINKS = ("writer", "bus")
"""In the order of their end."""

_SUPERVISORD = frozenset({"supervisord", "supervisor.supervisord"})
_NOT_RUNNING, _ALREADY_STARTED, _ALREADY_ADDED, _BAD_NAME = 70, 60, 90, 10
"""Fault codes of supervisord's XML-RPC interface (`supervisor.xmlrpc.Faults`)."""


class Process(NamedTuple):
    """supervisord's view of a program.

    `state` is supervisord's word (RUNNING, STARTING, BACKOFF, EXITED, FATAL, …); `pid` is 0 where no process lives;
    `description` is the reason of a failure, or pid and uptime as text.
    """

    name: str
    state: str
    pid: int
    description: str
    uptime_s: float = 0.0
    exit_code: int = 0
    """Of its last end; -1 where a signal ended it."""

    @property
    def is_alive(self) -> bool:
        """Return True if there may still be a process."""
        return self.state in ("RUNNING", "STARTING", "STOPPING")

    @property
    def trouble(self) -> str:
        """A line about a program that does not run; empty where it runs or is starting."""
        if self.state in ("RUNNING", "STARTING"):
            return ""
        if self.state == "EXITED":
            how = "by a signal" if self.exit_code < 0 else f"with exit code {self.exit_code}"
            return f"{self.name} ended {how}; supervisord starts it again"
        if self.state == "BACKOFF":
            return f"{self.name} ends as soon as it has started; see `binance-streamer logs {self.name}`"
        why = f": {self.description}" if self.state == "FATAL" and self.description else ""
        return f"{self.name} is {self.state.lower()}{why}"


class Changes(NamedTuple):
    """Programs that a reread of the files found new, changed or gone."""

    added: list[str]
    changed: list[str]
    removed: list[str]


class HiddenSupervisordError(CommandError):
    """A supervisord lives that its socket does not lead to: the socket was deleted, or the process stands still."""


class Supervisor:
    """The supervisord behind a control socket; every failure to talk to it is a `CommandError`."""

    def __init__(self, control: Path) -> None:
        self._control = control
        self._proxy = xmlrpc.client.ServerProxy("http://supervisord", transport=_Transport(control))

    def is_answering(self) -> bool:
        """Return True if a supervisord runs there, also one that is about to end."""
        try:
            self._call("getState")
        except CommandError as error:
            return error.code is not Exit.UNAVAILABLE
        return True

    def refuse_a_second(self) -> None:
        """Raise where a supervisord runs whose socket is gone: another one must not be started beside it."""
        if not self.is_answering() and self.hidden_pid() is not None:
            self.pid()

    def pid(self) -> int:
        """Return the pid of supervisord."""
        return int(self._call("getPID"))

    def hidden_pid(self) -> int | None:
        """Return the pid of a supervisord that runs with our file, whose socket and pid file may both be gone."""
        pids = sorted(int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal())
        return next((pid for pid in pids if self._is_ours(pid)), None)

    def _is_ours(self, pid: int) -> bool:
        try:
            words = _words(pid)
            if not any(Path(word).name in _SUPERVISORD for word in words) or not _is_program(words):
                return False
            folder = Path(f"/proc/{pid}/cwd").resolve()
        except OSError:  # it has ended meanwhile, or is somebody else's
            return False
        main = folder / words[words.index("-c") + 1] if "-c" in words[:-1] else folder / "supervisord.conf"
        control = configured_socket(main)
        return control is not None and control.resolve() == self._control.resolve()

    def processes(self) -> list[Process]:
        """Return all programs, sorted by name."""
        found = [_process(info) for info in self._call("getAllProcessInfo")]
        return sorted(found)

    def process(self, name: str) -> Process:
        """Return one program as supervisord sees it now."""
        return _process(self._call("getProcessInfo", name))

    def start(self, name: str, *, wait: bool = True) -> bool:
        """Start a program; False where it ran already."""
        return bool(self._call("startProcess", name, wait, unless=_ALREADY_STARTED))

    def stop(self, name: str, *, wait: bool = True) -> bool:
        """Stop a program; False where it did not run."""
        return bool(self._call("stopProcess", name, wait, unless=_NOT_RUNNING))

    def reread(self) -> Changes:
        """Have supervisord read its file again, and return what it found; no program is touched by that."""
        ((added, changed, removed),) = self._call("reloadConfig")
        return Changes(sorted(added), sorted(changed), sorted(removed))

    def remove(self, name: str) -> None:
        """Stop a program, and have supervisord know it no more."""
        self.stop(name)
        self._call("removeProcessGroup", name)

    def add(self, name: str) -> None:
        """Have supervisord know a program that its last reread found, and start it."""
        self._call("addProcessGroup", name, unless=_ALREADY_ADDED)
        self.start(name, wait=False)

    def await_running(self, names: Collection[str], within_s: float) -> list[str]:
        """Wait until these programs run, at most `within_s` seconds; return a line about each that does not run then.

        A program in FATAL is waited for as well, until the time is over.
        """
        deadline_s = time.monotonic() + within_s
        while True:
            found = [process for process in self.processes() if process.name in names]
            if all(process.state == "RUNNING" for process in found) or time.monotonic() > deadline_s:
                return [
                    process.trouble or f"{process.name} is still starting"
                    for process in found
                    if process.state != "RUNNING"
                ]
            time.sleep(0.1)

    def stop_all(self, report: Callable[[str], None] = lambda _: None) -> None:
        """Stop all programs: producers together, then the writer, which has what they sent, then the bus.

        `report` takes a line when a step begins, and one a second with the names of the producers that still end.
        """
        names = [process.name for process in self.processes()]
        producers = [name for name in names if name not in _SINKS]
        report(f"stopping {len(producers)} processes, then the writer, which writes what it has, then the bus")
        self._stop_together(producers, report)
        for name in _SINKS:
            if name in names:
                self.stop(name)
                report(f"{name} has stopped")

    def _stop_together(self, names: Sequence[str], report: Callable[[str], None]) -> None:
        """Ask all of these to stop, then wait for them together: one after the other would take the sum of their times.

        It returns after `_STOP_PRODUCERS_S` in any case; what is still alive then is stopped by supervisord's own end.
        """
        for name in names:
            self.stop(name, wait=False)
        begin_s = reported_s = time.monotonic()
        while (now_s := time.monotonic()) < begin_s + _STOP_PRODUCERS_S:
            alive = [process.name for process in self.processes() if process.is_alive and process.name in names]
            if not alive:
                return
            if now_s > reported_s + 1:
                reported_s = now_s
                report(f"still stopping: {', '.join(alive[:_NAMED])}{', …' if len(alive) > _NAMED else ''}")
            time.sleep(0.1)

    def shutdown(self) -> None:
        """Have supervisord end, and return at once.

        It stops one group in each turn of its loop, which takes a second, stopped or not, and every program is a group
        (4.3): with programs that run, this is for those whose order does not matter. None running, it ends at once.
        """
        self._call("shutdown")

    def _call(self, method: str, *arguments: Any, unless: int | None = None) -> Any:
        """Call a method of supervisord; False where its fault is `unless`: there was nothing to do.

        Raises `CommandError`: with INCOMPLETE where supervisord refuses, `HiddenSupervisordError` where it runs and
        its socket does not lead to it, else with UNAVAILABLE.
        """
        if not method.startswith("get"):
            _log.debug("supervisord: %s %s", method, _shown(arguments))
        try:
            return getattr(self._proxy.supervisor, method)(*arguments)
        except xmlrpc.client.Fault as fault:
            if fault.faultCode == unless:
                return False
            if fault.faultCode == _BAD_NAME:
                raise CommandError(
                    f"there is no program {arguments[0]}; `binance-streamer status` lists them"
                ) from fault
            raise CommandError(
                f"supervisord: {method} {_shown(arguments)}: {fault.faultString}", Exit.INCOMPLETE
            ) from fault
        except (OSError, http.client.HTTPException, xmlrpc.client.Error) as error:
            why = "" if isinstance(error, FileNotFoundError) else f": {getattr(error, 'strerror', None) or error}"
            hidden_pid = self.hidden_pid()
            if hidden_pid is not None:
                raise HiddenSupervisordError(
                    f"supervisord (pid {hidden_pid}) runs, but its socket does not answer: {self._control}{why}; "
                    "`binance-streamer stop` ends it and all of its programs, then `binance-streamer start`"
                ) from error
            raise CommandError(
                f"no supervisord answers at {self._control}{why}: nothing runs for {HINTS.recording()}; "
                "`binance-streamer start` starts it"
            ) from error


class _Connection(http.client.HTTPConnection):
    def __init__(self, control: Path) -> None:
        super().__init__("supervisord", timeout=_TIMEOUT_S)
        self._control = control

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(_TIMEOUT_S)
        try:
            self.sock.connect(str(self._control))
        except OSError:
            self.close()
            raise


class _Transport(xmlrpc.client.Transport):
    def __init__(self, control: Path) -> None:
        super().__init__()
        self._control = control

    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        connection = _Connection(self._control)
        self._connection = (host, connection)
        return connection

    def single_request(self, *arguments: Any, **options: Any) -> Any:
        """Make a call over a connection of its own, since each call may come minutes after the one before."""
        try:
            return super().single_request(*arguments, **options)
        finally:
            self.close()


def _is_program(words: Sequence[str]) -> bool:
    """Return True unless the words only speak of supervisord, as those of an editor of its file do."""
    return "-c" in words[:-1] or "python" in Path(words[0]).name


def _words(pid: int) -> list[str]:
    """Return the command line of a process, word by word."""
    return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")


def _process(info: dict[str, Any]) -> Process:
    uptime_s = float(info["now"] - info["start"]) if info["pid"] else 0.0
    exit_code = info.get("exitstatus", 0)
    return Process(info["name"], info["statename"], info["pid"], info["description"], uptime_s, exit_code)


def _shown(arguments: Sequence[Any]) -> str:
    return " ".join(str(argument) for argument in arguments[:1])
