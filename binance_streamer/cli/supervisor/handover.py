"""Restarts a worker so that the symbol is recorded all the while: another copy goes on in its place.

| step | records | waits for the journal | goes on when |
|---|---|---|---|
| 1 | the old worker | | a bridge, started here, is warm: every stream comes |
| 2 | the bridge | | the old worker has been stopped, and the new one started |
| 3 | the bridge | the new worker | the new worker is warm |
| 4 | the new worker | | the bridge has been ended; both have said what they missed |

Of a symbol that has two workers all the time (`standby: true`), the other one is the bridge, and goes on recording.
Where the bridge does not come up, nothing is stopped. It takes some ten seconds, and a connection more for each route.
Workers say on the bus what they do: `ingest-<symbol>` is whoever records, `standby-<symbol>` whoever waits.
"""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

from binance_streamer.cli.errors import CommandError, Exit
from binance_streamer.cli.supervisor.control import Process, Supervisor
from binance_streamer.cli.supervisor.die_with_parent import DIE_WITH_PARENT
from binance_streamer.cli.supervisor.moves import kept_settings
from binance_streamer.client.tap import Tap, is_listening
from binance_streamer.config.schema import Config
from binance_streamer.deploy.interpreter import FLAGS, module_command
from binance_streamer.deploy.supervisord import partner_name
from binance_streamer.wire.frames import WireError
from binance_streamer.wire.statuses import IngestStatus, read_status

_HEARD_S = 10.0
"""Ten status messages of a worker: one that says nothing for so long records nothing that a restart could cost."""
_WARM_S = 120.0
"""For a start, connections within the budget of attempts, and the first message of each stream."""
_OVER_S = 30.0
"""For the end of one worker, which pushes for up to 5 s, and the beginning of the next."""
_SETTLED_S = 1.5
"""Behind its beginning a worker waits for up to half a second for what is missing before it lists a gap."""


class Handover:
    """Restarts one worker without a gap, as far as that can be; what it found stands in `missed`."""

    def __init__(self, config: Config, config_path: Path, supervisor: Supervisor, symbol: str) -> None:
        self.missed: set[str] = set()
        """Streams of which somebody has listed a gap meanwhile."""
        self._config = config
        self._config_path = config_path
        self._supervisor = supervisor
        self._symbol = symbol
        self._recorder = f"ingest-{symbol}"
        """The name that whoever records has on the bus."""
        self._bridge: subprocess.Popen[bytes] | None = None
        self._begun_ns = time.time_ns()
        endpoints = config.endpoints
        topics = [f"status.{role}-{symbol}." for role in ("ingest", "standby")]
        self._tap = Tap(endpoints.bus_subscribe, topics, curve_directory=endpoints.curve_directory)

    def restart(self, program: str, act: Callable[[], None]) -> str:
        """Restart a worker's program by `act`, between two handovers; return what came of it, in a few words.

        `CommandError` where nothing was stopped, because nobody could have gone on, or nobody went on.
        """
        before = self._supervisor.process(program)
        recording = self._recording() if before.is_alive else None
        partner = self._partner(program)
        if recording is None or (partner and recording.pid != before.pid):
            act()
            return "restarted; it did not record before"
        bridge_pid = partner.pid if partner else self._begin_bridge(before.pid)
        if not self._is_warm(bridge_pid):
            raise CommandError(
                f"{program} is not restarted, and nothing was stopped: a second worker that was to go on in its place "
                f"did not receive every stream within {_WARM_S:.0f} s; `binance-streamer status` says what is amiss. "
                f"With a gap: `binance-streamer stop {program}`, then `binance-streamer start {program}`",
                Exit.INCOMPLETE,
            )
        act()
        self._expect_recording(bridge_pid, program)
        own_pid = self._supervisor.process(program).pid
        is_warm = self._is_warm(own_pid)
        if partner is None:
            self.end_bridge()
            self._expect_recording(own_pid, program)
        if not is_warm:
            return "restarted, and not warm in time: see its gaps"
        missed = ", ".join(sorted(self.missed))
        return f"handed over; gaps in {missed}" if missed else "handed over, nothing missed"

    def end_bridge(self) -> None:
        """End the bridge, where there is one: it journals what it has received, and lets the next one in."""
        if self._bridge is not None and self._bridge.poll() is None:
            self._bridge.send_signal(signal.SIGTERM)
            self._bridge.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end_bridge()
        self._tap.close()

    def _partner(self, program: str) -> Process | None:
        """Return the other worker of the symbol, where one runs beside this one all the time (`standby: true`)."""
        name = partner_name(program)
        return next((one for one in self._supervisor.processes() if one.name == name and one.is_alive), None)

    def _recording(self) -> IngestStatus | None:
        """Return the status of the worker that records, None where none does; `CommandError` where nobody can tell."""
        if not is_listening(self._config.endpoints.bus_subscribe):
            raise CommandError(
                "the bus does not run, so that nobody can say who records: nothing was stopped; "
                "`binance-streamer start bus`, then try again",
                Exit.INCOMPLETE,
            )
        return self._await(lambda status: status.producer == self._recorder, _HEARD_S)

    def _begin_bridge(self, pid: int) -> int:
        """Start a second worker with the configuration that the first one was started for; it ends with us."""
        command = module_command(
            "services.ingest", "--symbol", self._symbol, "--standby", "-c", str(self._config_path.resolve())
        )
        self._bridge = subprocess.Popen(  # noqa: S603 (our own command line)
            [command[0], *FLAGS, str(DIE_WITH_PARENT), *command],
            env={**os.environ, **kept_settings(pid)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        return self._bridge.pid

    def _is_warm(self, pid: int) -> bool:
        """Wait until this process waits for the journal and receives every stream; False where it does not."""
        return self._await(lambda status: status.pid == pid and status.is_warm, _WARM_S) is not None

    def _expect_recording(self, pid: int, program: str) -> None:
        """Wait until this process records, and has said what it missed; `CommandError` where it does not."""

        def is_settled(status: IngestStatus) -> bool:
            return status.producer == self._recorder and status.pid == pid and status.up_s >= _SETTLED_S

        if self._await(is_settled, _OVER_S) is None:
            raise CommandError(
                f"{program}: the worker that was to go on (pid {pid}) does not say that it records; "
                "see `binance-streamer status`",
                Exit.INCOMPLETE,
            )

    def _await(self, is_wanted: Callable[[IngestStatus], bool], within_s: float) -> IngestStatus | None:
        """Return the first status that is wanted, None after `within_s` seconds or when the bridge has ended by itself.

        Of workers that have taken over since this began it notes the gaps.
        """
        end_s = time.monotonic() + within_s
        while (left_s := end_s - time.monotonic()) > 0:
            if self._bridge is not None and self._bridge.poll() not in (None, 0):
                return None
            message = self._tap.receive(min(left_s, 1.0))
            if message is None or message.topic.variant:
                continue
            try:
                status = read_status(message.data)
            except WireError:
                continue
            if not isinstance(status, IngestStatus):
                continue
            if status.took_over_ms is not None and status.started_ns > self._begun_ns:
                self.missed.update(name for name, stream in status.streams.items() if stream.gaps)
            if is_wanted(status):
                return status
        return None
