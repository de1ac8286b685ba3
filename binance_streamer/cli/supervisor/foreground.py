"""supervisord in the foreground, for `up` and `demo`: it starts, restarts and stops every process; we ask it to.

In: a configuration. Out: a supervisord that ends with us, and a screen that shows what is recorded meanwhile.
"""

import contextlib
import math
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Self

from binance_streamer.cli import page
from binance_streamer.cli.commands.logs import last_error
from binance_streamer.cli.commands.tap import printable
from binance_streamer.cli.errors import CommandError, Exit
from binance_streamer.cli.hints import HINTS
from binance_streamer.cli.status.live import LiveStatus, RunTotals
from binance_streamer.cli.status.problems import lasting_failures
from binance_streamer.cli.status.screen import Screen
from binance_streamer.cli.supervisor import files
from binance_streamer.cli.supervisor.control import Supervisor
from binance_streamer.cli.supervisor.die_with_parent import DIE_WITH_PARENT
from binance_streamer.client.tap import Tap
from binance_streamer.config.schema import Config
from binance_streamer.config.symbols import decode_name
from binance_streamer.deploy.interpreter import FLAGS, module_command
from binance_streamer.deploy.supervisord import control_socket, state_directory

_START_S = 20.0
_FIRST_MESSAGE_S = 30.0
"""From the beginning of a command: starts take a few seconds, on a machine under load some twenty."""
_FORGOTTEN_S = 60.0
"""A trouble that was gone for so long is printed again."""
_SHUTDOWN_S = 75.0
"""Of supervisord: the writer's stopwaitsecs, that of the bus after it, and the producers' before."""


class Interruption:
    """While it is entered, Ctrl-C, SIGTERM and a closed terminal are requests, not ends.

    An exception in the middle of a step would skip the orderly stop, in which the writer makes durable what it has.
    """

    def __init__(self) -> None:
        self.requested = False
        self._before: dict[int, Any] = {}

    def _note(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self.requested = True

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)


class Foreground:
    """A supervisord that lives as long as the `with` block, and no longer than this process."""

    def __init__(self, config: Config, config_path: Path) -> None:
        self.config = config
        self._config_path = config_path
        self._state = state_directory(config)
        self.supervisor = Supervisor(control_socket(self._state))
        self._process: subprocess.Popen[bytes] | None = None
        self._troubled: dict[str, str] = {}
        self.faults: list[str] = []
        """A line about each program that did not end well, once `shutdown` has stopped them."""

    def __enter__(self) -> Self:
        self.supervisor.refuse_a_second()
        if self.supervisor.is_answering():
            raise CommandError(
                f"a supervisord (pid {self.supervisor.pid()}) runs for this configuration already: "
                "see `binance-streamer status`, end it with `binance-streamer stop`"
            )
        site = files.prepare_start(self.config, self._config_path)
        output = site.state / "supervisord.out"
        command = module_command("supervisor.supervisord", "-n", "-s", "-c", str(site.main))
        with output.open("wb") as file:
            # in a session of its own: Ctrl-C is for us alone, who then stop everything in order
            self._process = subprocess.Popen(  # noqa: S603 (our own command line)
                [sys.executable, *FLAGS, str(DIE_WITH_PARENT), *command],
                env=files.environment(),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,
            )
        try:
            self._wait_until_it_answers(output)
        except BaseException:
            self._end()
            raise
        return self

    def check(self) -> None:
        """Raise `CommandError` where supervisord has ended by itself."""
        if self._process is None or self._process.poll() is not None:
            raise CommandError(f"supervisord ended; see {self._state / 'supervisord.log'}", Exit.INCOMPLETE)

    def troubles(self) -> list[str]:
        """Return a line about each program that should run and does not."""
        processes = self.supervisor.processes()
        for one in processes:
            if one.trouble:
                self._troubled[one.name] = one.trouble
            elif one.state != "STARTING":  # that may be one try of many
                self._troubled.pop(one.name, None)
        return [one.trouble for one in processes if one.trouble]

    def reasons(self) -> list[str]:
        """Return a line about each program that has not run since it was in trouble, with the last error in its log."""
        self.troubles()
        return [self._with_error(name, trouble) for name, trouble in self._troubled.items()]

    def shutdown(self, report: Callable[[str], None]) -> None:
        """Stop everything, producers first, and supervisord; `report` takes a line for each step."""
        self.supervisor.stop_all(report)
        self.faults = [
            self._with_error(one.name, f"{one.name} ended with exit code {one.exit_code}")
            for one in self.supervisor.processes()
            if one.exit_code > 0
        ]
        self.supervisor.shutdown()
        assert self._process is not None
        try:
            self._process.wait(_SHUTDOWN_S)
        except subprocess.TimeoutExpired:
            raise CommandError(f"supervisord does not end; see {self._state}", Exit.INCOMPLETE) from None

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._end()

    def _with_error(self, name: str, trouble: str) -> str:
        error = last_error(self.config, decode_name(name))
        return f"{trouble}; its log says: {error}" if error else trouble

    def _wait_until_it_answers(self, output: Path) -> None:
        """Wait until supervisord answers; `CommandError` with its words where it ends or is too slow."""
        deadline_s = time.monotonic() + _START_S
        while not self.supervisor.is_answering():
            if self._process is None or self._process.poll() is not None or time.monotonic() > deadline_s:
                text = output.read_text(encoding="utf-8", errors="replace").strip()
                raise CommandError(f"supervisord does not start: {text or 'no answer'}", Exit.INCOMPLETE)
            time.sleep(0.05)

    def _end(self) -> None:
        """End a supervisord that still runs after an exception: in order if it can be asked, else by signal.

        After `shutdown` there is nothing left to do.
        """
        if self._process is None or self._process.poll() is not None:
            return
        with contextlib.suppress(CommandError):
            self.supervisor.stop_all()
        self._process.terminate()  # supervisord's orderly shutdown
        try:
            self._process.wait(_SHUTDOWN_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def watch(  # the one loop of `up` and `demo`
    foreground: Foreground, tap: Tap, screen: Screen, live: LiveStatus, *, is_over: Callable[[], bool]
) -> None:
    """Take in status messages, and show them every second, until it is over.

    A trouble is printed when it begins, and again only after it was gone for a minute: a process that ends at each
    start is in trouble every other second. Raises `CommandError` where supervisord has ended by itself. `is_over` is
    asked about ten times a second.
    """
    next_s = time.monotonic() + 1
    seen_s: dict[str, float] = {}
    monitor = ""
    while not is_over():
        take_next(tap, live.take, 0.1)
        if time.monotonic() < next_s:
            continue
        next_s = time.monotonic() + 1
        foreground.check()
        snapshot = live.snapshot()
        for trouble in foreground.troubles() + lasting_failures(snapshot):
            if next_s - seen_s.get(trouble, -math.inf) > _FORGOTTEN_S:
                screen.say(HINTS.in_text(printable(trouble)))
            seen_s[trouble] = next_s
        for line in live.take_news():
            screen.say(printable(line))
        before, monitor = monitor, next((one.state for one in snapshot.processes if one.name == "monitor"), "")
        if monitor != before and (line := page.line_of(foreground.config, monitor)):
            screen.pin(printable(line))
        screen.show(snapshot, live.totals)
    screen.show(live.snapshot(), live.totals)


def take_next(tap: Tap, take: Callable[[dict[str, Any]], object], timeout_s: float) -> bool:
    """Wait so long for a message, and give it to `take` if it is a status; return False where none came."""
    message = tap.receive(timeout_s)
    if message is not None and message.stream_type == "status" and not message.topic.variant:
        take(message.data)
    return message is not None


def take_pending(tap: Tap, take: Callable[[dict[str, Any]], object]) -> None:
    """Take in the status messages that have come, without waiting for more: the last words of ended processes."""
    while take_next(tap, take, 0):
        pass


class Timer:
    """A duration that begins with the first recorded message, at the latest `_FIRST_MESSAGE_S` after this was made.

    Without that limit a recording that never begins would never end either. A duration of 0 never passes.
    """

    def __init__(self, duration_s: float, totals: RunTotals) -> None:
        self._duration_s = duration_s
        self._totals = totals
        self._begins_s = time.monotonic() + _FIRST_MESSAGE_S

    def tick(self) -> bool:
        """Begin at the first message that is seen, and return True once the duration is over. To be called often."""
        now_s = time.monotonic()
        if self._totals.has_begun:
            self._begins_s = min(self._begins_s, now_s)
        return bool(self._duration_s) and now_s - self._begins_s >= self._duration_s
