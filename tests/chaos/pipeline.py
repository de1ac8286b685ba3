"""The whole system as processes of a test: each may be signalled, killed and started again at any moment."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import msgpack
import yaml
import zmq

from binance_streamer.config import schema as configuration
from binance_streamer.config.groups import symbols_of
from binance_streamer.config.schema import with_members
from binance_streamer.config.symbols import encode_name
from binance_streamer.exchange.stream_types import file_stem
from binance_streamer.exchange.streams import OF_ALL, stream_of
from binance_streamer.transport import sockets
from tests.chaos.oracle import STRICT, Rules
from tests.chaos.recording import Judged, judged
from tests.support.configs import write_config
from tests.support.data import REPOSITORY
from tests.support.processes import Program, Simulator
from tests.support.recorded import readable_text, recorded_files
from tests.support.waiting import eventually

STREAMS = ("aggTrade", "depth@0ms", "kline_1m", "bookTicker", "markPrice@1s")
SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "BNBUSDT", "XRPUSDT")
PATIENCE_S = 90.0


class Down(NamedTuple):
    """An interval of the wall clock in which a symbol's worker was not connected; `None` stands for all of them."""

    symbol: str | None
    from_ns: int
    to_ns: int


class Pipeline:
    """Simulator, bus, writer, rest, one ingest per symbol and, if wanted, order books, below one directory."""

    def __init__(
        self,
        place: Path,
        *simulator_arguments: str | Path,
        rate: float = 1500,
        symbols: Sequence[str] = SYMBOLS[:3],
        streams: Sequence[str] = STREAMS,
        environment: Mapping[str, str] | None = None,
        with_books: bool = False,
        group_workers: int = 0,
        group_settings: Mapping[str, Any] | None = None,
        **sections: Mapping[str, Any],
    ) -> None:
        """`group_workers`: of a group of all that the exchange lists; 0: each symbol has a worker of its own.

        `group_settings` are further keys of that group.
        """
        self.place = place
        self.symbols = tuple(symbols)
        self.streams = tuple(streams)
        self.environment = dict(environment or {})
        self._beside = ("orderbook",) if with_books else ()
        self.downs: list[Down] = []
        self.programs: dict[str, Program] = {}
        self.enter: Sequence[str] = ()
        """A command in front of ours: into another namespace."""
        mix = (
            ["--mix", ",".join(OF_ALL.get(one, one) for one in streams)]
            if "--capture" not in simulator_arguments
            else []
        )
        self.simulator = Simulator(
            place, "--symbols", ",".join(symbols), "--rate", str(rate), *mix, *simulator_arguments
        )
        # every gap is to stay what it is where the accounting of gaps is looked at; tests of repair switch it on
        network = {**self.simulator.urls, "repair": False, **sections.pop("network", {})}
        if group_workers:
            group = {"name": "all", "match": {"symbol": "*"}, "workers": group_workers, "streams": list(streams)}
            sections["modes"] = {"development": {"groups": [{**group, **(group_settings or {})}]}}
        self.config_path = write_config(place, dict.fromkeys(symbols, streams), network, **sections)
        self.config = configuration.load(self.config_path)
        self.data = Path(self.config.storage.output_directory)
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._taps: dict[str, zmq.Socket[bytes]] = {}

    @property
    def ingests(self) -> list[str]:
        """The workers' names."""
        return [f"ingest-{worker}" for worker in self.config.workers]

    def symbols_of(self, worker: str) -> list[str]:
        """The symbols of a worker: its own, or those of its group that it serves."""
        config = with_members(self.config, {"all": self.symbols})
        return [symbol.symbol for symbol in symbols_of(config, worker)]

    @property
    def names(self) -> list[str]:
        """All processes of ours, in the order of their start."""
        return ["bus", "writer", "rest", *self._beside, *self.ingests]

    def reach_exchange_at(self, address: str, *, encrypted: bool = False) -> None:
        """From the next start on: `host:port` instead of the simulator's own."""
        letter = "s" if encrypted else ""
        values = yaml.safe_load(self.config_path.read_text(encoding="utf-8"))
        values["network"] |= {"websocket_url": f"ws{letter}://{address}", "rest_url": f"http{letter}://{address}"}
        self.config_path.write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")

    def start(self, *names: str) -> None:
        """Start these, or all."""
        for name in names or self.names:
            self.programs[name] = self._started(name)

    def _started(self, name: str) -> Program:
        kind, _, symbol = name.partition("-")
        arguments = ("--symbol", symbol) if symbol else ()
        if kind == "standby":
            kind, arguments = "ingest", (*arguments, "--standby")
        output = self.place / f"{encode_name(name)}.out"
        command = [*self.enter, sys.executable, "-m", f"services.{kind}", "-c", self.config_path, *arguments]
        return Program(command, output, self.environment)

    def kill(self, name: str) -> int:
        """Kill a process by SIGKILL; return when, in ns of the wall clock."""
        now_ns = time.time_ns()
        self.programs[name].kill()
        return now_ns

    def restart(self, name: str, down_from_ns: int) -> None:
        """Start again, and wait until a worker is connected; the time without it is noted."""
        self.start(name)
        if name.startswith("ingest-"):
            symbols = self.symbols_of(name.removeprefix("ingest-"))
            self.wait_connected(*symbols)
            self.downs += [Down(symbol, down_from_ns, time.time_ns()) for symbol in symbols]

    def wait_warm(self, symbol: str) -> None:
        """Wait until the worker that waits for the symbol's journal says that it could go on in place of the other."""
        self.until(f"standby-{symbol}", lambda status: status["is_warm"], "is warm")

    def wait_connected(self, *symbols: str) -> None:
        """Wait until the simulator has every stream of these symbols subscribed."""
        for symbol in symbols or self.symbols:
            for suffix in self.streams:
                name = stream_of(symbol, suffix).subscribed
                found = partial(self._has_subscriber, name)
                eventually(found, PATIENCE_S, what=f"{name} is subscribed", every_s=0.1)

    def _has_subscriber(self, stream: str) -> bool:
        ended = [name for name, program in self.programs.items() if program.exit_code not in (None, -signal.SIGKILL)]
        assert not ended, f"{ended[0]} ended:\n{self.programs[ended[0]].text()[-3000:]}"
        return self.subscribers(stream) > 0

    def subscribers(self, stream: str) -> int:
        """Return the number of connections of a stream."""
        return int(self.simulator.command(f"subscribers {stream}"))

    def wait_recording(self) -> None:
        """Wait until every stream has a row in its file."""
        self.wait_connected()
        for symbol in self.symbols:
            for suffix in self.streams:
                eventually(
                    lambda s=symbol, x=suffix: self.files_of(s, x),  # type: ignore[misc]
                    PATIENCE_S,
                    what=f"{symbol} {suffix} is recorded",
                    every_s=0.1,
                )

    def files_of(self, symbol: str, suffix: str) -> list[Path]:
        """The files of a stream."""
        stream = stream_of(symbol, suffix)
        return recorded_files(self.data, symbol, file_stem(stream.stream_type, stream.variant))

    def alive(self, *but: str) -> None:
        """Fail unless all processes, but these, run."""
        for name, program in self.programs.items():
            if name not in but:
                assert program.exit_code is None, f"{name} ended with {program.exit_code}:\n{program.text()[-3000:]}"

    def pids(self, *but: str) -> dict[str, int]:
        """Of all processes but these."""
        return {name: program.pid for name, program in self.programs.items() if name not in but}

    def status(self, name: str, deadline_s: float = PATIENCE_S) -> dict[str, Any]:
        """The newest status message of a process; waits for one that was sent after the call."""
        status = self.newest_status(name, within_s=deadline_s)
        assert status is not None, f"{name} says nothing"
        return status

    def newest_status(self, name: str, *, within_s: float) -> dict[str, Any] | None:
        """The first status message of a process that is sent after the call; None where none comes in time."""
        asked_ns = time.time_ns()
        tap = self._taps.get(name)
        if tap is None:
            topic = f"status.{name}.".encode()
            tap = self._taps[name] = sockets.bus_sub(self._context, self.config.endpoints.bus_subscribe, topic)
        end_s = time.monotonic() + within_s
        while time.monotonic() < end_s:
            if tap.poll(200):
                data: dict[str, Any] = msgpack.unpackb(tap.recv_multipart()[1])[1]
                if data["recv_ns"] >= asked_ns:
                    return data
        return None

    def until(self, name: str, found: Callable[[dict[str, Any]], object], what: str) -> dict[str, Any]:
        """Its first status message that is as wanted."""

        def wanted() -> dict[str, Any] | None:
            data = self.status(name)
            return data if found(data) else None

        return eventually(wanted, PATIENCE_S, what=f"{name}: {what}")

    def settle(self) -> None:
        """Let every stream go on, have the market stand still, and wait until what was sent last is in the files."""
        self.wait_connected()
        self.wait_growing()
        self.simulator.command("pause")
        self.wait_tape_quiet()
        last = self._sent_last()
        eventually(lambda: self._have_ended_with(last), PATIENCE_S, what="what was sent last is recorded", every_s=0.3)

    def wait_growing(self) -> None:
        """Wait until every stream has rows that it does not have now."""
        marks = self._sizes()

        def still() -> list[str]:
            sizes = self._sizes()
            return [str(stream) for stream, mark in marks.items() if sizes[stream] <= mark]

        try:
            eventually(lambda: not still(), PATIENCE_S, what="every stream goes on")
        except AssertionError as error:
            raise AssertionError(f"{error}; these do not: {', '.join(still())}") from error

    def wait_tape_quiet(self) -> None:
        """Wait until nothing has been added to the tape for a while."""
        path = self.simulator.tape / "tape.txt"
        sizes = [-1, -2, -3]

        def quiet() -> bool:
            sizes.append(path.stat().st_size)
            return sizes[-1] == sizes[-2] == sizes[-3] == sizes[-4]

        eventually(quiet, PATIENCE_S, what="the market stands still", every_s=0.15)

    def finish(self, rules: Rules = STRICT) -> list[Judged]:
        """End everything as supervisord would, and compare the files with the tape."""
        self.end()
        return self.compare(rules)

    def end(self) -> None:
        """Settle, and end everything as supervisord would; nothing that was journalled may be left over."""
        self.settle()
        self.stop()
        self.check_nothing_is_left()

    def check_nothing_is_left(self) -> None:
        """Nothing that was journalled may be missing from the files, once everything has ended."""
        command = [*self.enter, sys.executable, "-m", "services.writer.audit", "-c", str(self.config_path)]
        environment = {**os.environ, **self.environment}
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=REPOSITORY, env=environment)
        assert done.returncode == 0, done.stdout + done.stderr

    def compare(self, rules: Rules = STRICT) -> list[Judged]:
        """Every stream that was sent."""
        return list(judged(self.simulator.tape, self.data, rules))

    def stop(self) -> None:
        """Producers first, the writer after them, the bus at last; each must end by itself with 0."""
        standbys = [name for name in self.programs if name.startswith("standby-")]
        for names in (["rest", *self._beside, *standbys, *self.ingests], ["writer"], ["bus"]):
            running = [name for name in names if name in self.programs]
            for name in running:
                self.ask_to_end(name)
            for name in running:
                code = self.programs[name].wait(PATIENCE_S)
                assert code == 0, f"{name} ended with {code}:\n{self.programs[name].text()[-3000:]}"

    def ask_to_end(self, name: str) -> None:
        """SIGTERM, once the process can take it: one that still starts would be killed by it."""
        program = self.programs[name]
        started = f"started pid={program.pid} "
        eventually(
            lambda: program.exit_code is not None or started in self.log(name), PATIENCE_S, what=f"{name} starts"
        )
        if program.exit_code is None:
            program.send(signal.SIGTERM)

    def log(self, name: str) -> str:
        """Return the log of a process so far."""
        path = self.config.log_file(name)
        return path.read_text(encoding="utf-8") if path.exists() else ""

    def _sizes(self) -> dict[tuple[str, str], int]:
        return {
            (symbol, suffix): sum(path.stat().st_size for path in self.files_of(symbol, suffix))
            for symbol in self.symbols
            for suffix in self.streams
        }

    def _sent_last(self) -> dict[tuple[str, str], bytes]:
        """The last line of each stream that somebody was handed."""
        names = {stream_of(symbol, suffix).name: (symbol, suffix) for symbol in self.symbols for suffix in self.streams}
        last: dict[str, bytes] = {}
        with (self.simulator.tape / "tape.txt").open("rb") as file:
            for line in file:
                name = line[line.index(b':"') + 2 : line.index(b'","data"')].decode()
                if b" 0 {" not in line[:24]:
                    last[name] = line
        return {names[name]: line for name, line in last.items() if name in names}

    def _have_ended_with(self, last: Mapping[tuple[str, str], bytes]) -> bool:
        return all(
            any(_event_time(line) in _last_line(path) for path in self.files_of(*stream))
            for stream, line in last.items()
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        for tap in self._taps.values():
            tap.close(linger=0)
        self._context.destroy(linger=0)
        for program in [*self.programs.values(), self.simulator]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(program.pid, signal.SIGCONT)
            program.__exit__()


@contextlib.contextmanager
def running(place: Path, *simulator_arguments: str | Path, **options: Any) -> Iterator[Pipeline]:
    """A pipeline that records, all of it started."""
    with Pipeline(place, *simulator_arguments, **options) as pipeline:
        pipeline.start()
        pipeline.wait_recording()
        yield pipeline


def _event_time(line: bytes) -> bytes:
    start = line.index(b'"E":') + 4
    end = start
    while line[end : end + 1].isdigit():
        end += 1
    return line[start:end]


def _last_line(path: Path) -> bytes:
    """Of what a connection brought."""
    lines = readable_text(path)[-4 * 2**20 :].rstrip(b"\n").split(b"\n")
    return next((line for line in reversed(lines) if b",rest," not in line), b"")
