"""Recorded and live messages, joined in every interleaving: each message once, in order, none left out.

The oracle is the order in which the producer numbered them. What a reader sees of the files is a model: rows of a topic
lie in two files (two days, or a day and its raw rows), which the writer writes at different moments; a writer that is
killed takes back what it had not made durable, and writes it again.
"""

from dataclasses import dataclass, field
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from binance_streamer.client.splice import Numbered, Splice
from binance_streamer.wire.frames import Topic
from tests.support.examples import examples

TOPIC = Topic("aggtrade", "BTCUSDT", "")
Name = tuple[int, int]


@dataclass
class World:
    """A producer, a bus that loses messages, and a writer with two files that dies; and the reader of all of it."""

    dice: Random
    max_bytes: int = 10**9
    sent: list[Name] = field(default_factory=list)
    bus: list[Name] = field(default_factory=list)
    place: dict[Name, int] = field(default_factory=dict)
    taken: int = 0
    written: list[int] = field(default_factory=lambda: [0, 0])
    durable: int = 0
    noted: int = 0
    known_durable: int = 0
    settled: int = 0
    seen: list[int] = field(default_factory=lambda: [0, 0])
    epoch: int = 1000
    seq: int = 0
    shown: list[Name] = field(default_factory=list)
    healed: int = 0

    def __post_init__(self) -> None:
        self.splice: Splice[Name] = Splice(self.max_bytes)

    def send(self) -> None:
        """A message: journalled, and live unless the bus or the subscriber is away."""
        self.seq += 1
        name = self.epoch, self.seq
        self.place[name] = int(self.dice.random() < 0.3)
        self.sent.append(name)
        if self.dice.random() < 0.8:
            self.bus.append(name)

    def restart_producer(self) -> None:
        """Its names are compared for equality only: the next one may be lower."""
        self.epoch, self.seq = self.epoch + self.dice.choice([-7, 5]), 0

    def take(self) -> None:
        """The writer takes some messages, and writes one of its files."""
        self.taken = self.dice.randint(self.taken, len(self.sent))
        if self.dice.random() < 0.7:
            self.written[self.dice.randrange(2)] = self.taken

    def commit(self) -> None:
        """Write both files, and make them durable."""
        self.written = [self.taken, self.taken]
        self.durable = self.taken

    def kill_writer(self) -> None:
        """The next one cuts the files to what was durable, and gets the rest again."""
        self.taken = self.durable
        self.written = [min(one, self.durable) for one in self.written]

    def hear(self) -> None:
        """Some live messages arrive."""
        for _ in range(self.dice.randint(0, 5)):
            if self.bus:
                self._show(self.splice.live(self._numbered(self.bus.pop(0))))

    def look(self) -> None:
        """Read both files, one a little after the other; settled is what was there before the last commit began."""
        self.settled = max(self.settled, min(self.noted, self.known_durable))
        self.known_durable = self.durable
        self.noted = min(self.written)
        first = self.dice.randrange(2)
        self.seen[first] = self.written[first]
        if self.dice.random() < 0.3:
            self.take()
        self.seen[1 - first] = self.written[1 - first]
        self._offer()

    def _offer(self) -> None:
        last = self.splice.last(TOPIC)
        is_held = False
        for number, name in enumerate(self.sent):
            epoch, seq = name
            if number >= self.seen[self.place[name]] or seq <= last.get(epoch, 0):
                continue
            row = self._numbered(name)
            out = self.splice.recorded(row)
            if out is None and number < self.settled and not is_held:
                out = self.splice.settled(row)
            is_held = is_held or out is None
            self._show(out or [])
            if self.splice.is_live(TOPIC):
                return

    def _numbered(self, name: Name) -> Numbered[Name]:
        return Numbered(TOPIC, *name, name, 100)

    def _show(self, out: list[Numbered[Name]]) -> None:
        self.healed += len(out) > 1
        self.shown += [one.message for one in out]

    def run(self, steps: int) -> None:
        """Everything at random, and at last a quiet time in which all is written and read.

        A live message that is lost and has none behind it shows nowhere: the doubt stands for a missed status.
        """
        actions = [self.send] * 6 + [self.take] * 2 + [self.hear] * 4 + [self.look] * 2 + [self.commit]
        for _ in range(steps):
            self.dice.choice(
                [*actions, self.kill_writer, self.restart_producer] if self.dice.random() < 0.3 else actions
            )()
        for _ in range(4):
            while self.bus:
                self.hear()
            self.splice.doubt()
            self.taken = len(self.sent)
            self.commit()
            self.look()


@settings(max_examples=examples(400), deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 120))
def test_each_message_comes_once_and_in_order(seed: int, steps: int) -> None:
    world = World(Random(seed))
    world.run(steps)
    assert world.shown == world.sent


@settings(max_examples=examples(200), deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 150))
def test_live_messages_beyond_memory_come_from_the_files(seed: int, steps: int) -> None:
    world = World(Random(seed), max_bytes=350)
    world.run(steps)
    assert world.shown == world.sent


def test_the_worlds_have_every_case() -> None:
    worlds = [World(Random(seed), max_bytes=350 if seed % 2 else 10**9) for seed in range(60)]
    for world in worlds:
        world.run(120)
    assert sum(world.healed for world in worlds) > 100
    assert sum(world.splice.overflows for world in worlds) > 30
    assert sum(len({epoch for epoch, _ in world.sent}) > 1 for world in worlds) > 30
