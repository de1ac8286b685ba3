"""The monitor: hears the bus, looks once a second at what it has heard, and serves it.

In: the configuration, and messages of the bus. Out: a snapshot a second, to the HTTP server, the alerts and
the webhooks, and a status message of its own. All of this module runs in the main thread, which never waits
for a disk, a client or a webhook.

A look is in this order: gap files, snapshot, board, alerts, memory, log, webhooks. The memory is saved
before anything is sent: a kill between the two loses one alert, the other order would send it twice after
the restart.
"""

import math
import socket
from collections.abc import Sequence
from pathlib import Path

import zmq

from binance_streamer.config.endpoints import host_and_port, is_local
from binance_streamer.config.schema import Config
from binance_streamer.transport.sockets import bus_pub, bus_sub
from binance_streamer.wire.status_parts import WebhookStatus
from binance_streamer.wire.statuses import MonitorStatus
from services.monitor.alerts.alerts import Alerts
from services.monitor.alerts.memory import FILE, Memory
from services.monitor.alerts.webhooks import Webhook
from services.monitor.http.api import RecordingApi
from services.monitor.http.hosts import AllowedHosts
from services.monitor.http.reader_process import ReaderProcess
from services.monitor.http.server import Server, listening_socket
from services.monitor.http.tokens import token_of
from services.monitor.http.web import Board, application
from services.monitor.snapshots.collector import Collector
from services.monitor.snapshots.gap_reader import GapReader
from services.runtime.clock import monotonic_s, wall_ns
from services.runtime.process import Shell, arguments_of, run_service
from services.runtime.status import StatusPublisher

NAME = "monitor"

_COLLECT_S = 0.05
"""Messages that follow closely are taken together: waking for each would cost more than counting it."""
_MOST_A_LOOK = 20_000
"""Messages taken before the timers have their turn: at one turn each 50 ms, 400,000 a second can be taken at most."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the monitor until SIGTERM; returns the exit code."""
    parser = arguments_of(
        "services.monitor",
        "Serves metrics, health and a page of what the recorder does, and posts alerts.",
        "python -m services.monitor -c config/streamer.yaml",
    )
    return run_service(NAME, parser.parse_args(arguments).config, watch)


def watch(shell: Shell) -> None:
    """Run the monitor until the process is asked to stop, then close its sockets and threads."""
    monitor = _Monitor(shell)
    try:
        monitor.run()
    finally:
        monitor.close()


class _Monitor:
    """Owns everything that the monitor consists of, and the loop that drives it.

    `_state` goes into the status message: `starting`, `serving`, or why it cannot listen.
    """

    def __init__(self, shell: Shell) -> None:
        """Subscribe, and restore the alerts of the run before; nothing is served before the first turn of the loop.

        Raises what the sockets raise where the configuration names an unusable endpoint.
        """
        config = shell.config
        self._shell = shell
        self._collector = Collector(config, wall_ns())
        self._board = Board(monotonic_s)
        self._pub = bus_pub(shell.context, config.endpoints.bus_publish)
        self._sub = bus_sub(shell.context, config.endpoints.bus_subscribe, *self._collector.topics)
        self._status = StatusPublisher(shell, self._pub)
        self._gap_reader = GapReader(Path(config.storage.output_directory), self._collector.symbols, monotonic_s())
        self._alerts = Alerts(config.alerts)
        self._memory = Memory(
            Path(config.endpoints.run_directory) / FILE, self._alerts, monotonic_s(), wall_ns() // 1_000_000
        )
        self._webhooks = [
            Webhook(webhook, socket.gethostname(), lambda: wall_ns() // 1_000_000) for webhook in config.alerts.webhooks
        ]
        self._api = _api(config)
        self._server: Server | None = None
        self._state = "starting"
        self._next_second_s = monotonic_s()

    def run(self) -> None:
        """Run until asked to stop: take messages as they come, make a snapshot and a status every second.

        After a long hold-up one look follows at once, and the seconds that passed are not made up for: several
        snapshots of one moment would say nothing new. An address in use is tried again every second while the bus
        goes on being heard, so that counters miss nothing meanwhile.
        """
        poller = zmq.Poller()
        poller.register(self._shell.stop, zmq.POLLIN)
        poller.register(self._sub, zmq.POLLIN)
        now_s = -math.inf
        while not self._shell.stop.requested:
            poller.poll(math.ceil(max(0.0, self._next_second_s - monotonic_s()) * 1000))
            took_s, now_s = now_s, monotonic_s()
            self._receive(now_s)
            if now_s >= self._next_second_s:
                self._next_second_s = max(self._next_second_s + 1, now_s)
                self._look(now_s)
                if self._server is None:
                    self._serve()
                self._status.publish(self._status_now())
            if now_s - took_s < 2 * _COLLECT_S:
                self._shell.stop.wait(_COLLECT_S)

    def close(self) -> None:
        """End webhooks and server, and close the sockets.

        A post under way is not waited for; open answers of the server have a few seconds to end.
        """
        for webhook in self._webhooks:
            webhook.close()
        if self._server is not None:
            self._server.close()
        self._sub.close()
        self._pub.close(linger=0)

    def _status_now(self) -> MonitorStatus:
        """Return the monitor's own status: its state, refused messages, and the counts of each webhook in order."""
        return MonitorStatus(
            state=self._state,
            refused=self._collector.observer.refused,
            alerts=tuple(
                WebhookStatus(posted=one.posted, failed=one.failed, dropped=one.dropped) for one in self._webhooks
            ),
        )

    def _receive(self, now_s: float) -> None:
        """Give the messages that have come to the collector, up to `_MOST_A_LOOK`; never waits.

        A message of the bus has two parts, topic and frame; anything else is not ours and is dropped.
        """
        receive, take = self._sub.recv_multipart, self._collector.take
        for _ in range(_MOST_A_LOOK):
            try:
                parts = receive(zmq.DONTWAIT)
            except zmq.Again:
                return
            if len(parts) == 2:
                take(parts[0], parts[1], now_s)

    def _look(self, now_s: float) -> None:
        """Make the snapshot of this second, and give it to those who serve, alert and remember.

        Raises `RuntimeError` where the HTTP thread has ended: the process ends, and the supervisor starts it again.
        Without that it would go on looking healthy to the bus, while nobody could read it.
        """
        self._take_gap_files(now_s)
        snapshot = self._collector.end_second(now_s, wall_ns() // 1_000_000)
        self._board.put(snapshot)
        notices = self._alerts.look(snapshot, now_s)
        self._memory.keep(now_s, snapshot.page.time_ms)
        for notice in notices:
            self._shell.log.warning("%s %s: %s", notice.happening, notice.problem.what, notice.problem.why)
        for webhook in self._webhooks:
            webhook.tell(notices)
        if self._server is not None and not self._server.is_alive:
            raise RuntimeError("the HTTP server has ended")

    def _take_gap_files(self, now_s: float) -> None:
        """Take in the gap files that were read since the last look, where they are of the present day.

        A read that began before midnight may come after it: its rows are of a day that has been forgotten already.
        """
        gaps = self._collector.gaps
        self._gap_reader.symbols = tuple(self._collector.symbols)
        self._gap_reader.read_if_due(gaps.day, now_s)
        read = self._gap_reader.take()
        if read is None or read.day != gaps.day:
            return
        for row in read.found.rows:
            gaps.take(row)
        gaps.mark_files_read()

    def _serve(self) -> None:
        """Try once to listen on `monitor.address`, and start the server; log a failure once per reason, not per try."""
        address = self._shell.config.monitor.address
        try:
            listener: socket.socket = listening_socket(*host_and_port(address))
        except OSError as error:
            state = f"cannot listen on {address}: {error.strerror or error}"
            if state != self._state:
                self._shell.log.error("%s; trying again every second, or set monitor.address", state)
            self._state = state
            return
        self._server = Server(application(self._board, AllowedHosts(self._shell.config.monitor), self._api), listener)
        self._state = "serving"
        self._shell.log.info("serving http://%s/", address)


def _api(config: Config) -> RecordingApi:
    """Return what answers for recorded days; `ConfigError` where the token's file cannot be used."""
    is_open = not is_local(f"tcp://{config.monitor.address}")
    reader = ReaderProcess([config.storage.output_directory, config.storage.lake])
    return RecordingApi(reader, token=token_of(config.monitor), is_open=is_open)
