"""A symbol moves between two workers, which are stopped and killed at any moment: each message is one row, or in a gap.

Streams, claims, journals and what waits are the real ones. The exchange and connections are those of `test_takeover`.
"""

import contextlib
import itertools
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any, NamedTuple, cast
from unittest.mock import patch

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from binance_streamer.config.schema import SymbolConfig
from binance_streamer.exchange.streams import Stream
from services.ingest.connections.events import JOURNAL, Lost
from services.ingest.takeover import moves as module
from services.ingest.takeover.claims import SymbolClaims, rows_to_judge
from services.ingest.takeover.moves import SymbolMoves
from services.ingest.takeover.waiting import WorkerStreams
from services.runtime.delivery.encoder import DraftEncoder
from services.runtime.delivery.events import EventRun
from services.runtime.gaps.drafts import Draft
from services.runtime.gaps.last_rows import LastRow, LastRows
from services.runtime.gaps.stream_states import StreamStates, fold
from services.runtime.journal.foreign import ForeignJournal
from services.runtime.journal.journal import Journal
from tests.property.test_takeover import (
    BEGIN_S,
    END_S,
    LAGS,
    ROUTE,
    SEEDS,
    SEGMENTS,
    STREAMS,
    Played,
    Sent,
    delivered,
    is_listed,
    market,
    ns,
)
from tests.support.drafts import singles
from tests.support.examples import examples

SYMBOL = "BTCUSDT"
NAMES = ("ingest-a-0", "ingest-a-1")
TICK_S = 0.2
CONNECT_S = 0.05
STARTED_S = 2.0
LARGEST_LAG_NS = 1_400_000_000
SMALL_LAGS = st.sampled_from((0.0, 0.01, 0.3))
"""Of two workers that overlap for two seconds; a price comes once a second."""


def messages(seed: int) -> list[Sent]:
    """Return what the exchange sends; no two liquidations are the same: such near ones are not always told apart."""
    return [
        one._replace(event=one.event.replace(b'"q":"', b'"q":"%d' % number))
        for number, one in enumerate(market(Random(seed)))
    ]


class Clock:
    now_s = 0.0


class ModelProducer:
    """A producer without sockets: the journal and where its streams stand."""

    is_full = False

    def __init__(self, config: Any, name: str, epoch: int, segment_bytes: int, drafts: list[Draft]) -> None:
        self.name = name
        self._drafts = drafts
        self._journal = Journal(config.journal_of(name), name, epoch, max_bytes=1 << 30, segment_bytes=segment_bytes)
        self.last_rows: LastRows = dict(self._journal.last_rows)
        self._states = StreamStates(epoch, self.last_rows)
        self._encode = DraftEncoder(name, epoch).encode

    @property
    def rows(self) -> Mapping[str, LastRow]:
        return self._states.rows

    def adopt(self, symbols: Sequence[str], rows: LastRows) -> None:
        kept = self._states.with_symbols(symbols, rows)
        self._journal.begin_segment(kept)
        self._states.adopt(symbols, kept)

    def append(self, drafts: Iterable[Draft | EventRun]) -> None:
        one_by_one = list(singles(drafts))
        if one_by_one:
            self._journal.append([frame for one in one_by_one for frame in self._encode(one)[1]], self._states.kept)
            rows = dict(self._states.kept)
            for one in one_by_one:
                fold(rows, one)
            self._states.keep(rows, [])
            self._drafts += one_by_one

    def drain(self, _: float) -> bool:
        return True

    def close(self) -> None:
        self._journal.close()


class ModelCoordinator:
    """Connections of one route: open from a moment after the start of the process to its end."""

    def __init__(self, streams: WorkerStreams, lines: Mapping[int, float]) -> None:
        self._streams = streams
        self._open = dict(lines)
        self.subscribed: dict[str, float] = {}
        self.network = SimpleNamespace(
            lost_journal=lambda route: Lost(JOURNAL, route, "restart", self.open), open_on=lambda _: [*self.open]
        )
        self.heard = SimpleNamespace(
            comes=lambda name, **_: streams.recorders[name].heard.row_s > 0 or "forceOrder" in name
        )
        self.outages = SimpleNamespace(go_on=lambda *_: None, end=lambda *_: [], open_since_ns={})

    @property
    def open(self) -> dict[int, float]:
        return {number: at_s for number, at_s in self._open.items() if at_s <= Clock.now_s}

    def add(self, streams: Iterable[Stream], now_s: float) -> None:
        for stream in streams:
            self._streams.add(stream._replace(route=ROUTE))
            self._streams.recorders[stream.name].subscribed_s = now_s
            self.subscribed[stream.name] = now_s

    def let_go(self, symbol: str, now_s: float) -> None:
        for recorder in [one for one in self._streams.recorders.values() if one.stream.symbol == symbol]:
            self._streams.let_go(recorder.stream, now_s)
            del self.subscribed[recorder.stream.name]


@dataclass
class World:
    """The folder, the configuration as far as it matters, and all that was journalled, in that order."""

    folder: Path
    segment_bytes: int
    drafts: list[Draft] = field(default_factory=list)
    epochs: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    @property
    def config(self) -> Any:
        storage = SimpleNamespace(journal_directory=str(self.folder), fsync=False)
        return SimpleNamespace(storage=storage, journal_of=lambda name: self.folder / name, named=(), groups=())


class Worker:
    """One run of a worker; `lags` are those of its connections."""

    def __init__(self, world: World, name: str, lags: Sequence[float], now_s: float) -> None:
        epoch = next(world.epochs)
        self.name = name
        self.lags = dict(enumerate(lags, 1))
        self.claims = SymbolClaims(world.config, name)
        self.producer = ModelProducer(world.config, name, epoch, world.segment_bytes, world.drafts)
        numbers = itertools.count(1)
        symbols: Any = SimpleNamespace(by_name={}, moved=frozenset)
        rows = rows_to_judge(symbols, self.claims, (), self.producer.last_rows)
        self.streams = WorkerStreams(name, (), last_rows=rows, new_gap_id=lambda: f"{name} {epoch}-{next(numbers)}")
        opened = {number: now_s + CONNECT_S * number for number in self.lags}
        self.coordinator = ModelCoordinator(self.streams, opened)
        shell = SimpleNamespace(config=world.config)
        self.moves = SymbolMoves(
            cast("Any", shell),
            self.claims,
            cast("Any", self.producer),
            intake=cast("Any", SimpleNamespace(symbols=symbols, coordinator=self.coordinator)),
            streams=self.streams,
        )
        self.is_recording_wanted = False

    def want(self, now_s: float) -> None:
        """Have the symbol from now on, as far as the configuration goes."""
        if not self.is_recording_wanted:
            suffixes = tuple(stream.name.partition("@")[2] for stream in STREAMS)
            self.moves.begin([SymbolConfig(symbol=SYMBOL, streams=suffixes)], now_s)
            self.is_recording_wanted = True
            self.append(now_s)

    def leave_if_ready(self, now_s: float) -> bool:
        """Hand the symbol on where the other worker is ready, or nothing is recorded here."""
        if not self.is_recording_wanted:
            return True
        if SYMBOL in self.streams.waiting:
            self.moves.end(SYMBOL, now_s)
        elif self.moves.is_next_ready(SYMBOL):
            self.moves.hand_on([SYMBOL], now_s, lambda: self.append(now_s))
        else:
            return False
        self.is_recording_wanted = False
        return True

    def deliver(self, at_s: float, number: int, sent: Sent) -> None:
        subscribed_s = self.coordinator.subscribed.get(sent.stream)
        opened_s = self.coordinator.open.get(number)
        if subscribed_s is not None and opened_s is not None and sent.at_s >= max(opened_s, subscribed_s):
            self.streams.deliver(delivered(at_s, number, sent), at_s)
            self.streams.expire(at_s)
            self.append(at_s)

    def tick(self, now_s: float) -> None:
        self.streams.expire(now_s)
        self.append(now_s)
        self.moves.tick(now_s, is_expected=lambda _: True)
        self.append(now_s)

    def append(self, now_s: float) -> None:
        self.producer.append(self.streams.collect(ns(now_s)))
        self.streams.anchors.clear()

    def stop(self, now_s: float) -> None:
        """End in order, as `IngestWorker.run`."""
        self.streams.expire(float("inf"))
        self.append(now_s)
        self.moves.release_all()
        self.kill()

    def kill(self) -> None:
        for symbol in list(self.claims.held):
            self.claims.release(symbol)
        for one in self.moves._waiting.values():
            one.next_sign.show(is_warm=False)
        self.producer.close()


class Action(NamedTuple):
    at_s: float
    kind: str
    worker: int
    later_s: float = 0.0


@contextlib.contextmanager
def virtual_clock() -> Iterator[None]:
    with (
        patch.object(module, "monotonic_s", lambda: Clock.now_s),
        patch.object(module, "wall_ns", lambda: ns(Clock.now_s)),
    ):
        yield


class Stage:
    """Both workers, and which of them is to have the symbol."""

    def __init__(self, world: World, lags: Sequence[Sequence[float]]) -> None:
        self._world = world
        self._lags = lags
        self.running = {at: Worker(world, NAMES[at], lags[at], BEGIN_S) for at in range(2)}
        self._wanted = 0
        self.running[0].want(BEGIN_S)

    def act(self, action: Action) -> None:
        at = action.worker
        if action.kind == "move":
            self._wanted = at
        elif action.kind == "start" and at not in self.running:
            self.running[at] = Worker(self._world, NAMES[at], self._lags[at], action.at_s)
        elif action.kind in ("kill", "stop") and at in self.running:
            ended = self.running.pop(at)
            ended.kill() if action.kind == "kill" else ended.stop(action.at_s)

    def tick(self, at_s: float) -> None:
        for at, worker in self.running.items():
            worker.want(at_s) if at == self._wanted else worker.leave_if_ready(at_s)
            worker.tick(at_s)

    def deliver(self, at_s: float, arrival: tuple[int, int, Sent]) -> None:
        at, number, sent = arrival
        if at in self.running:
            self.running[at].deliver(at_s, number, sent)


def steps(sent: Sequence[Sent], lags: Sequence[Sequence[float]], actions: Sequence[Action]) -> list[tuple[Any, ...]]:
    """Return all that happens, in its order: time, method of the stage, what it takes."""
    arrivals = (
        (one.at_s + lag_s, "deliver", (worker, number, one))
        for worker, some in enumerate(lags)
        for number, lag_s in enumerate(some, 1)
        for one in sent
    )
    starts = (Action(one.at_s + one.later_s, "start", one.worker) for one in actions if one.kind != "move")
    ticks = ((at * TICK_S, "tick", None) for at in range(1, round(END_S / TICK_S)))
    acts = ((one.at_s, "act", one) for one in [*actions, *starts])
    return sorted([*arrivals, *acts, *ticks], key=lambda one: one[0])


def play(seed: int, lags: Sequence[Sequence[float]], actions: Sequence[Action], *, segment_bytes: int) -> Played:
    """Let both workers run; `actions` move the symbol, and stop or kill workers, which start again `later_s` after."""
    with tempfile.TemporaryDirectory() as folder, virtual_clock():
        Clock.now_s = BEGIN_S
        world = World(Path(folder), segment_bytes)
        stage = Stage(world, lags)
        for at_s, method, what in steps(messages(seed), lags, actions):
            Clock.now_s = at_s
            match method:
                case "act":
                    stage.act(what)
                case "tick":
                    stage.tick(at_s)
                case _:
                    stage.deliver(at_s, what)
        for worker in stage.running.values():
            worker.stop(END_S)
        check_open_gaps(world)
    check_no_rows_in_gaps(world.drafts)
    rows = [(one.stream_name, one.data["event"]) for one in world.drafts if "event" in one.data]
    return Played(rows, [one.data for one in world.drafts if one.stream_type == "gap"], END_S)


def check_open_gaps(world: World) -> None:
    """Check that whoever has the last rows knows of all gaps that are open still: nobody else would ask for them."""
    owner = SymbolClaims(world.config, "nobody").owner(SYMBOL)
    assert owner is not None
    rows = ForeignJournal(world.config.journal_of(owner)).last_rows.values()
    gaps = {one.data["gap_id"]: one.data for one in world.drafts if one.stream_type == "gap"}
    is_open = {gap_id for gap_id, gap in gaps.items() if gap["state"] == "open"}
    assert {gap.gap_id for row in rows for gap in row.open_gaps} == is_open


def check_no_rows_in_gaps(drafts: Sequence[Draft]) -> None:
    """Check that no row lies in a gap, in its newest state; by ids where there are some, else by time.

    Stamps are those of the connections, of which one may lag: rows near the bounds are left out.
    """
    gaps = {one.data["gap_id"]: one.data for one in drafts if one.stream_type == "gap"}
    for gap in gaps.values():
        if gap["state"] == "repaired":
            continue
        for row in drafts:
            if "event" not in row.data or row.stream_name != gap["stream"]:
                continue
            if gap["from_id"] is None:
                inside = gap["from_ns"] + LARGEST_LAG_NS, gap["to_ns"] - LARGEST_LAG_NS
                assert not inside[0] < row.data["recv_ns"] < inside[1], (gap, row)
            elif row.reading is not None and row.reading.last_id is not None:
                assert not gap["from_id"] < row.reading.last_id <= gap["to_id"], (gap, row)


def check_recorded(seed: int, outcome: Played) -> None:
    """Check that each row was sent and is there once, and that what is missing, or behind younger rows, is in a gap.

    But for the first two seconds, in which a slower connection may still bring what came before the first row.
    """
    for stream in STREAMS:
        sent = [one for one in messages(seed) if one.stream == stream.name]
        rows = numbered(sent, [event for name, event in outcome.rows if name == stream.name])
        gaps = [gap for gap in outcome.gaps if gap["stream"] == stream.name]
        missing = set(range(min(rows, default=0), max(rows, default=-1) + 1)) - set(rows)
        late = {row for row, newest in zip(rows, itertools.accumulate(rows, max), strict=True) if row < newest}
        for number in missing | {one for one in late if sent[one].at_s > STARTED_S}:
            one = sent[number]
            assert any(is_listed(gap, one.event, one.at_s) for gap in gaps), (stream.name, one, number in late, gaps)


def numbered(sent: Sequence[Sent], events: Iterable[bytes]) -> list[int]:
    """Return the places of these events among what was sent; of equal ones the first, then the next."""
    numbers: dict[bytes, list[int]] = {}
    for number, one in reversed(list(enumerate(sent))):
        numbers.setdefault(one.event, []).append(number)
    found = []
    for event in events:
        assert numbers[event], ("twice", event)
        found.append(numbers[event].pop())
    return found


BOTH_LAGS = st.tuples(st.lists(LAGS, min_size=1, max_size=2), st.lists(LAGS, min_size=1, max_size=2))

BOTH_SMALL = st.tuples(*[st.lists(SMALL_LAGS, min_size=1, max_size=2)] * 2)


@settings(max_examples=examples(6), deadline=None, suppress_health_check=list(HealthCheck))
@given(SEEDS, BOTH_SMALL, st.lists(st.floats(5, 15), min_size=1, max_size=4), SEGMENTS)
def test_a_symbol_that_is_handed_on_misses_nothing(
    seed: int, lags: tuple[list[float], list[float]], after_s: list[float], segment_bytes: int
) -> None:
    """But for a quiet stream: nothing proves that no message was under way to the other one alone.

    A move is not taken back at the moment at which nobody has the symbol: that is a gap, and listed.
    """
    times_s = itertools.accumulate(after_s)
    actions = [Action(at_s, "move", number % 2) for number, at_s in enumerate(times_s, 1) if at_s < END_S - 4]
    outcome = play(seed, lags, actions, segment_bytes=segment_bytes)
    assert {gap["stream"] for gap in outcome.gaps} <= {"btcusdt@forceOrder"}
    check_recorded(seed, outcome)
    for stream in STREAMS:
        rows = [event for name, event in outcome.rows if name == stream.name]
        sent = [one for one in messages(seed) if one.stream == stream.name]
        expected = Counter(one.event for one in sent if STARTED_S <= one.at_s < END_S - STARTED_S)
        assert expected <= Counter(rows), stream.name


STEPS = st.lists(
    st.tuples(
        st.sampled_from((0.07, 0.3, 1.1, 3.0, 7.0)),
        st.sampled_from(("move", "move", "kill", "kill", "stop")),
        st.integers(0, 1),
        st.sampled_from((0.0, 0.05, 0.3, 2.0, 9.0)),
    ),
    min_size=1,
    max_size=10,
)
"""Each so many seconds after the one before: what becomes of which worker, and when it starts again."""


@settings(max_examples=examples(8), deadline=None, suppress_health_check=list(HealthCheck))
@given(SEEDS, BOTH_LAGS, st.floats(3, 20), STEPS, SEGMENTS)
@example(7, ([0.0], [0.0]), 5.0, [(5.0, "kill", 0, 0.3), (5.0, "move", 1, 0.0)], 20_000)  # an open gap moves along
@example(7, ([0.0], [0.0]), 5.0, [(3.0, "move", 1, 0.0), (7.0, "kill", 1, 0.3)], 20_000)  # a quiet stream, too
@example(0, ([0.0], [0.0]), 5.0, [(3.3, "kill", 0, 3.0), (3.0, "move", 1, 0.0)], 20_000)  # so does an unlisted loss
@example(
    86214,
    ([1.4, 0.01], [1.4]),
    16.11757249882973,
    [
        (3.0, "stop", 1, 0.05),
        (0.3, "kill", 1, 0.3),
        (7.0, "move", 1, 9.0),
        (3.0, "move", 0, 2.0),
        (3.0, "stop", 0, 0.05),
        (3.0, "move", 1, 0.3),
        (0.3, "move", 0, 9.0),
        (3.0, "stop", 1, 0.0),
        (3.0, "move", 0, 0.3),
    ],
    5_000,
)  # three moves in ten seconds
def test_whoever_is_killed_meanwhile_each_message_is_a_row_or_in_a_gap(
    seed: int,
    lags: tuple[list[float], list[float]],
    begin_s: float,
    what: list[tuple[float, str, int, float]],
    segment_bytes: int,
) -> None:
    times_s = itertools.accumulate((after_s for after_s, *_ in what), initial=begin_s)
    actions = [Action(at_s, *one[1:]) for at_s, one in zip(times_s, what, strict=False) if at_s < END_S - 1]
    check_recorded(seed, play(seed, lags, actions, segment_bytes=segment_bytes))


def test_a_gap_that_is_open_stays_open_when_its_symbol_moves() -> None:
    """A worker that was killed lists at its next start what it has missed, and then hands the symbol on."""
    outcome = play(7, ([0.0], [0.0]), [Action(5.0, "kill", 0, 0.3), Action(10.0, "move", 1)], segment_bytes=20_000)
    states = {gap["gap_id"]: gap["state"] for gap in outcome.gaps if gap["stream"] == "btcusdt@aggTrade"}
    assert list(states.values()) == ["open"]
