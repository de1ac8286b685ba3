"""Recorded days that are played again: on a bus of their own, or as the exchange itself. Needs the extra `days`."""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from typing import NamedTuple

import typer
import zmq
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from binance_streamer.cli.demo.simulator import ServedMarket, Simulator
from binance_streamer.cli.errors import CommandError, Exit
from binance_streamer.cli.recordings.choosing import chosen_days
from binance_streamer.cli.recordings.words import places_of, readable_buckets
from binance_streamer.config.schema import Config
from binance_streamer.days.recorded.captures import capture_lines
from binance_streamer.days.recorded.places import ReadableDay
from binance_streamer.days.recorded.received import Recorded, numbered, received, wants
from binance_streamer.days.rows import NotSealable, Span
from binance_streamer.health.sizes import amount
from binance_streamer.stores.scratch import ScratchFolder
from binance_streamer.transport.curve import Context, keys_of
from binance_streamer.transport.sockets import bus_pub, replay_xpub
from binance_streamer.wire.frames import WireError, encode_frame, encode_topic

PRODUCER = "replay"
_LOOK_S = 0.2
"""Between two looks at who subscribes, and at Ctrl-C, where there is nothing to send."""
_LINGER_MS = 30_000
"""For what is still unsent at the end; a subscriber that is alive takes seconds."""
_QUIET_S = 2.5
"""Without a new subscription, until it begins: who has waited for this bus for long tries again every 2 s."""
_JOIN_S = 0.5
"""Until a bus that is running knows of a new publisher."""
_SHOWN_EVERY = 256


class Choice(NamedTuple):
    """The wish of a user: days and places, symbols and streams (all where there is none), and receive stamps."""

    words: tuple[str, ...]
    symbols: tuple[str, ...]
    streams: tuple[str, ...]
    span: Span


def replay_on_bus(config: Config, choice: Choice, *, speed: float, endpoint: str, is_running: bool) -> Exit:
    """Publish the messages; `is_running`: to the bus that runs at this endpoint, else on one that is bound there."""
    days = _chosen(config, choice)
    with _Messages(days, choice) as messages, closing(_Bus(config, endpoint, is_running=is_running)) as bus:
        typer.echo(f"{'publishing to' if is_running else 'bus at'} {endpoint}", err=True)
        bus.wait()
        count = _play(messages, bus, speed)
        bus.finish()
    typer.echo(f"replayed {amount(count, 'message')}", err=True)
    return Exit.OK


def replay_as_exchange(config: Config, choice: Choice, *, speed: str, port: int) -> Exit:
    """Serve the messages by the exchange's protocol, until Ctrl-C; `speed` as on the command line."""
    days = _chosen(config, choice)
    with ScratchFolder("binance-streamer-exchange-") as place:
        capture = place / "capture.txt"
        with _Messages(days, choice) as messages, capture.open("wb") as file:
            count = sum(file.write(line) > 0 for line in capture_lines(messages))
        with Simulator(ServedMarket(capture, speed, port), None, place) as simulator:
            served = simulator.port()
            typer.echo(f"websocket ws://127.0.0.1:{served}, REST http://127.0.0.1:{served}: {count} messages", err=True)
            typer.echo("it begins when every recorded stream has a subscriber; Ctrl-C ends it", err=True)
            _until_interrupted(simulator)
    return Exit.OK


def _until_interrupted(simulator: Simulator) -> None:
    """Say when all has been played, and wait for Ctrl-C; `CommandError` where the simulator ends by itself."""
    is_over = False
    while True:
        simulator.check()
        if not is_over and simulator.stats()["replay"] == "finished":
            is_over = True
            typer.echo("all messages have been played; REST goes on", err=True)
        time.sleep(_LOOK_S)


def _chosen(config: Config, choice: Choice) -> list[ReadableDay]:
    return chosen_days(choice.words, places_of(config), Exit.INCOMPLETE, symbols=choice.symbols)


class _Messages:
    """The messages of some days in their order; a context, because they lie in a folder of their own for a while."""

    def __init__(self, days: Sequence[ReadableDay], choice: Choice) -> None:
        self._days = days
        self._choice = choice
        self._folder = ScratchFolder("binance-streamer-replay-")

    def __enter__(self) -> Iterator[Recorded]:
        total = sum(files.size_bytes for files in self._days)
        try:
            with readable_buckets(Exit.INCOMPLETE), _progress("sorting by receipt", total) as advance:
                wanted = wants(self._choice.streams)
                return received(self._days, self._choice.span, self._folder.path, wanted=wanted, progressed=advance)
        except NotSealable as error:
            self._folder.close()
            raise CommandError(f"{error}", Exit.INCOMPLETE) from error
        except BaseException:
            self._folder.close()
            raise

    def __exit__(self, *_: object) -> None:
        self._folder.close()


class _progress:  # noqa: N801 (used like the function it stands for)
    """A bar on a terminal, and nothing elsewhere."""

    def __init__(self, what: str, total: float | None) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
        self._bar = Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty())
        self._task = self._bar.add_task(what, total=total)

    def __enter__(self) -> Callable[[float], None]:
        self._bar.start()
        return partial(self._bar.advance, self._task)

    def __exit__(self, *_: object) -> None:
        self._bar.stop()


class _Bus:
    """The socket that messages leave by."""

    def __init__(self, config: Config, endpoint: str, *, is_running: bool) -> None:
        endpoints = config.endpoints
        self._is_running = is_running
        self._linger_ms = 0
        self._context = Context(keys_of(endpoints.curve_directory))
        make = bus_pub if is_running else replay_xpub
        self._socket = make(self._context, endpoint)

    def wait(self) -> None:
        """Wait for the first subscriber, and until no further one comes; of a running bus, until it knows of us."""
        if self._is_running:
            time.sleep(_JOIN_S)
            return
        while not self._socket.poll(int(_LOOK_S * 1000)):
            pass
        while self._socket.poll(int(_QUIET_S * 1000)):
            self._socket.recv_multipart()

    def take_subscriptions(self) -> None:
        """Read what subscribers ask for; libzmq itself has noted it."""
        while not self._is_running and self._socket.poll(0):
            self._socket.recv_multipart()

    def send(self, topic: bytes, frame: bytes) -> None:
        """Send a message; on a bus of our own that waits for subscribers that are slow."""
        while True:
            try:
                self._socket.send_multipart([topic, frame], zmq.DONTWAIT)
            except zmq.Again:
                self.take_subscriptions()
                self._socket.poll(int(_LOOK_S * 1000), zmq.POLLOUT)
            else:
                return

    def finish(self) -> None:
        """Have `close` wait until what was sent has left."""
        self._linger_ms = _LINGER_MS

    def close(self) -> None:
        """Close; what has not left is lost, unless `finish` has been called."""
        self._context.destroy(linger=self._linger_ms)


def _play(messages: Iterator[Recorded], bus: _Bus, speed: float) -> int:
    """Send all messages, each at its time; return how many."""
    count = 0
    clock: _Clock | None = None
    with _Clock.shown() as show:
        for message, data in numbered(messages, PRODUCER, time.time_ns()):
            clock = clock or _Clock(message.recv_ns, speed)
            if clock.is_early(message.recv_ns) or not count % _SHOWN_EVERY:
                show(message.recv_ns)
                bus.take_subscriptions()
                clock.wait(message.recv_ns)
            stream_type, symbol, variant = message.topic
            try:
                bus.send(encode_topic(stream_type, symbol, variant), encode_frame(stream_type, data))
            except WireError as error:
                raise CommandError(f"a recorded message cannot be sent: {error}", Exit.INCOMPLETE) from error
            count += 1
    return count


class _Clock:
    """The time of a replay: recorded stamps, `speed` times as fast; 0: without any wait."""

    def __init__(self, first_ns: int, speed: float) -> None:
        self._first_ns = first_ns
        self._speed = speed
        self._start_s = time.monotonic()

    def is_early(self, recv_ns: int) -> bool:
        """Return True if the time of this stamp has not come."""
        return bool(self._speed) and self._due_s(recv_ns) > time.monotonic()

    def wait(self, recv_ns: int) -> None:
        """Wait until the time of this stamp has come."""
        if self._speed:
            time.sleep(max(0.0, self._due_s(recv_ns) - time.monotonic()))

    def _due_s(self, recv_ns: int) -> float:
        return self._start_s + (recv_ns - self._first_ns) / 1e9 / self._speed

    @staticmethod
    def shown() -> "_Shown":
        """Return a context whose function shows a recorded time on the terminal."""
        return _Shown()


class _Shown:
    """The recorded time that has been reached, on a terminal; nothing elsewhere."""

    def __init__(self) -> None:
        self._bar = Progress(
            TextColumn("{task.description}"),
            console=Console(stderr=True),
            transient=True,
            disable=not sys.stderr.isatty(),
        )
        self._task = self._bar.add_task("")

    def __enter__(self) -> Callable[[int], None]:
        self._bar.start()
        return self._show

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def _show(self, recv_ns: int) -> None:
        at = datetime.fromtimestamp(recv_ns / 1e9, UTC)
        self._bar.update(self._task, description=f"at {at:%Y-%m-%d %H:%M:%S} UTC")
