"""A storm: any fault of processes and connections at any moment, for as long as wanted, from a seed."""

import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import NamedTuple

from tests.chaos.pipeline import Down, Pipeline, running
from tests.chaos.recording import Judged, judged
from tests.chaos.runs import sleep, wrongs
from tests.chaos.samples import WARM_UP_S, Reason, Samples, slope
from tests.chaos.table import Fault, Table
from tests.support.recorded import recorded_rows
from tests.support.summaries import level_counts, levels_at, recorded_tops, wrong_numbers, wrong_tops

STREAMS = ("aggTrade", "depth@0ms", "kline_1m")
_SAMPLE_S = 5.0
_LAG_GROWTH_MS = 200.0
"""Of all symbols together from the beginning to the end of a run; a queue that is not emptied grows by seconds."""
_ATTEMPTS_A_SYMBOL = 300
"""A storm cuts all connections every few minutes; what the budget then holds back is the subject of test_budget."""
_LEVELS = 5
_BYTES_A_LEVEL = 300
"""Of an order book: the market's books grow, from 500 to 1,800 levels in an hour at 20 messages a second."""
_AUDIT_S_A_SYMBOL = 3.0
"""REST serves a snapshot every 2 s at most (docs/architecture.md); one of three is left for others."""
_SHORTEST_AUDIT_S = 60.0
_SYMBOLS_WITH_TRUE_BOOKS = 3
"""Each needs the whole tape once more."""
_OVER_MESSAGES = (
    "close fin {}",
    "close rst {}",
    "close 1001 {}",
    "drop 20 {}@aggTrade",
    "drop 20 {}@depth@0ms",
    "double 20 {}@aggTrade",
    "double 20 {}@depth@0ms",
    "garbage {}@aggTrade",
    "truncated {}@depth@0ms",
    "huge {}@aggTrade",
    "unknown-event {}@aggTrade",
    "wrong-symbol {}@depth@0ms",
)


class Plan(NamedTuple):
    """The length of a storm, its strength, and its seed."""

    seconds: float
    seed: int
    symbols: int
    rate: float
    every_s: float
    """Seconds between two faults, on average."""


class Outcome(NamedTuple):
    """The table of faults, what was wrong (empty if nothing), and the most memory by kind of process."""

    table: Table
    wrong: list[str]
    highest_bytes: dict[str, int]


def run(place: Path, plan: Plan, tell: Callable[[str], None]) -> Outcome:
    """Record in a storm, and compare the files with the tape; `tell` is called with a line for each fault."""
    symbols = [f"SYM{number:03}USDT" for number in range(plan.symbols)]
    samples = Samples()
    network = {"connect_attempts": _ATTEMPTS_A_SYMBOL * plan.symbols}
    with running(
        place,
        "--seed",
        str(plan.seed),
        rate=plan.rate,
        symbols=symbols,
        streams=STREAMS,
        network=network,
        with_books=True,
        orderbook={"levels": _LEVELS, "output_interval": 1, "audit_interval": _audit_interval_s(plan)},
    ) as pipeline:
        storm = _Storm(pipeline, Random(plan.seed), samples, tell)
        storm.blow(plan)
        pipeline.end()
        table = Table(storm.faults)
        reason, wrong = _books(pipeline, _audit_interval_s(plan))
        wrong += samples.grown({"orderbook": reason})
        lags: list[tuple[float, float]] = []
        for stream in judged(pipeline.simulator.tape, pipeline.data):
            table.add(stream)
            wrong += [f"{stream.stream.name}: {text}" for text in wrongs(stream, storm.downs)]
            lags += _lags(stream)
        growth_ms = slope(lags) * (max(at for at, _ in lags) - min(at for at, _ in lags))
        if growth_ms > _LAG_GROWTH_MS:
            wrong.append(f"the lag grew by {growth_ms:.0f} ms")
    return Outcome(table, wrong, samples.highest())


class _Storm:
    def __init__(self, pipeline: Pipeline, random: Random, samples: Samples, tell: Callable[[str], None]) -> None:
        self.faults: list[Fault] = []
        self.downs: list[Down] = []
        self._pipeline = pipeline
        self._random = random
        self._samples = samples
        self._tell = tell

    def blow(self, plan: Plan) -> None:
        """Make faults until the time is over."""
        end_s = time.monotonic() + plan.seconds
        kinds: tuple[Callable[[], None], ...] = (
            self._kill,
            self._kill_two,
            self._terminate,
            self._stand_still,
            self._over_messages,
            self._over_messages,
            self._refuse,
        )
        while time.monotonic() < end_s:
            self._wait(min(self._random.expovariate(1 / plan.every_s), 3 * plan.every_s))
            self._random.choice(kinds)()
            self._pipeline.alive()

    def _wait(self, seconds: float) -> None:
        end_s = time.monotonic() + seconds
        while (left_s := end_s - time.monotonic()) > 0:
            sleep(min(_SAMPLE_S, left_s))
            self._samples.take(self._pipeline.pids().items())

    def _kill(self) -> None:
        self._end_some([self._random.choice(self._pipeline.names)], "SIGKILL")

    def _kill_two(self) -> None:
        self._end_some(self._random.sample(self._pipeline.names, 2), "SIGKILL of two")

    def _terminate(self) -> None:
        name = self._random.choice(self._pipeline.names)
        self._end_some([name], "SIGTERM", number=signal.SIGTERM)

    def _stand_still(self) -> None:
        name = self._random.choice(self._pipeline.names)
        self._note(f"SIGSTOP {_kind(name)}", _symbol(name))
        self._pipeline.programs[name].send(signal.SIGSTOP)
        sleep(self._random.uniform(0.5, 5))
        self._pipeline.programs[name].send(signal.SIGCONT)

    def _end_some(self, names: list[str], what: str, *, number: int = signal.SIGKILL) -> None:
        pipeline = self._pipeline
        others = pipeline.pids(*names)
        kind = f"{what} {_kind(names[0])}" if len(names) == 1 else what
        self._note(kind, _symbol(names[0]) if len(names) == 1 else None)
        from_ns = time.time_ns()
        for name in names:
            if number == signal.SIGTERM:
                pipeline.ask_to_end(name)
            else:
                pipeline.programs[name].send(number)
            pipeline.programs[name].wait(60)
        sleep(self._random.uniform(0, 2))
        pipeline.start(*names)
        for symbol in filter(None, map(_symbol, names)):
            pipeline.wait_connected(symbol)
            self.downs.append(Down(symbol, from_ns, time.time_ns()))
        assert pipeline.pids(*names) == others

    def _over_messages(self) -> None:
        template = self._random.choice(_OVER_MESSAGES)
        symbol = self._random.choice(self._pipeline.symbols)
        pattern = f"{symbol.lower()}@*" if template.startswith("close") else symbol.lower()
        self._command(template.format(pattern), symbol, " ".join(template.split()[:2]).partition(" {")[0])

    def _refuse(self) -> None:
        self._pipeline.simulator.command("refuse 1.5")
        self._command("close rst *", None, "all cut off, then refused")

    def _command(self, line: str, symbol: str | None, kind: str) -> None:
        from_ns = time.time_ns()
        self._note(kind, symbol)
        self._pipeline.simulator.command(line)
        sleep(2)  # until a broken connection is seen as such
        self._pipeline.wait_connected(*([symbol] if symbol else []))
        self.downs.append(Down(symbol, from_ns, time.time_ns()))

    def _note(self, kind: str, symbol: str | None) -> None:
        self.faults.append(Fault(kind, time.time_ns(), symbol))
        self._tell(f"{len(self.faults)} {kind} {symbol or ''}")


def _audit_interval_s(plan: Plan) -> float:
    return max(_SHORTEST_AUDIT_S, _AUDIT_S_A_SYMBOL * plan.symbols)


def _books(pipeline: Pipeline, audit_interval_s: float) -> tuple[Reason, list[str]]:
    """Return why the books' memory may grow, and what is wrong with their summary rows: twice or missing; of some
    symbols, not the true book.

    A book grows with its levels alone only after its second audit. For the first one it is copied, and what that learns
    comes at once: a step, not a slope, after which freed memory is used again. Within one interval every book has an
    audit, so that two are enough.
    """
    counts, wrong = [], []
    for number, symbol in enumerate(pipeline.symbols):
        rows = recorded_rows(pipeline.data, symbol, "orderbook")
        counts.append(level_counts(rows))
        wrong += wrong_numbers(symbol, rows)
        if number < _SYMBOLS_WITH_TRUE_BOOKS:
            tops = recorded_tops(rows)
            wrong += wrong_tops(pipeline.simulator.tape, symbol, tops, _LEVELS)
            wrong += [] if tops else [f"{symbol}: no book"]

    def bytes_between(from_ns: int, to_ns: int) -> float:
        return _BYTES_A_LEVEL * sum(levels_at(one, to_ns) - levels_at(one, from_ns) for one in counts)

    return Reason(max(WARM_UP_S, 2 * audit_interval_s), bytes_between), wrong


def _lags(stream: Judged) -> Iterator[tuple[float, float]]:
    """Yield (time of sending in s, ms from sending to receiving) of every hundredth row."""
    for index in list(stream.recv_ns)[::100]:
        sent_ns = stream.tape[index].sent_ns
        yield sent_ns / 1e9, (stream.recv_ns[index] - sent_ns) / 1e6


def _kind(name: str) -> str:
    return name.partition("-")[0]


def _symbol(name: str) -> str | None:
    return name.removeprefix("ingest-") if name.startswith("ingest-") else None
