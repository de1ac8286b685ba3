"""Random schedules of kills, power cuts, damage, wiped and trimmed journals: nothing lost silently, doubled or stuck.

The journal, the delivery and the writer's positions are the real ones; the network between them and the files behind
them are modelled, so that thousands of deaths fit into seconds.
"""

import errno
import os
import random
import shutil
from collections import deque
from collections.abc import Mapping
from pathlib import Path

import pytest

from binance_streamer.wire.frames import Ack, Batch
from services.runtime.delivery.cursor import Delivery
from services.runtime.journal.journal import Journal, JournalFullError
from services.writer.positions import BatchVerdict, Loss, NextPositions, Positions
from tests.support.examples import examples

SEGMENT_BYTES = 400
FRAME_BYTES = 8


class Writer:
    """The writer's positions in front of a list of rows, where the writer has files."""

    def __init__(self) -> None:
        self.rows: list[bytes] = []
        self.losses: list[Loss] = []
        self.refused = 0
        self._committed: dict[tuple[str, int], int] = {}
        self._committed_rows = 0
        self._under_way: tuple[NextPositions, int] | None = None
        self._positions = Positions("w")

    def die(self) -> None:
        durable = [(producer, epoch, number) for (producer, epoch), number in self._committed.items()]
        self._positions = Positions("w", durable)
        self._under_way = None
        del self.rows[self._committed_rows :]

    def begin_commit(self) -> None:
        """Intake goes on while what was there at this moment becomes durable."""
        if self._under_way is None:
            self._under_way = self._positions.moved(), len(self.rows)

    def end_commit(self) -> Ack | None:
        if self._under_way is None:
            return None
        (moved, self._committed_rows), self._under_way = self._under_way, None
        self._committed.update({(producer, epoch): number for producer, epoch, number in moved})
        return self.word("commit") if self._positions.commit(moved) else None

    def word(self, reason: str) -> Ack:
        return self._positions.ack("p", reason)

    def take(self, batch: Batch) -> Ack | None:
        frames = [batch.frames[i : i + FRAME_BYTES] for i in range(0, len(batch.frames), FRAME_BYTES)]
        offer = self._positions.try_take(batch, len(frames))
        if offer.verdict is BatchVerdict.REFUSED:
            self.refused += 1
        if offer.verdict is not BatchVerdict.TAKE:
            return self.word("misfit" if offer.verdict is BatchVerdict.MISFIT else "known")
        self.rows += frames[offer.skip :]
        if offer.loss is not Loss.NONE:
            self.losses.append(offer.loss)
        return None


class Disk:
    """Room for the journal, in bytes."""

    def __init__(self) -> None:
        self.room_bytes = 1 << 30

    def write(self, descriptor: int, content: bytes | memoryview) -> int:
        """As os.write on a disk of this size, where every journal file counts."""
        directory = Path(f"/proc/self/fd/{descriptor}").readlink().parent
        left = self.room_bytes - sum(path.stat().st_size for path in directory.glob("*.journal"))
        if left <= 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return _write(descriptor, bytes(content)[:left])


_write = os.write


class World:
    """One producer, one writer, and everything that can go wrong between them."""

    def __init__(self, seed: int, directory: Path) -> None:
        self.random = random.Random(seed)
        self.directory = directory
        self.now_s = 0.0
        self.epoch = self.random.getrandbits(40)
        self.count = 0
        self.accepted: list[bytes] = []
        self.excused: set[bytes] = set()
        self.writer = Writer()
        self.disk = Disk()
        self.intake: deque[Batch] = deque()
        self.acks: deque[Ack] = deque()
        self.is_writer_up = True
        self.synced: dict[str, int] = {}
        self.start_producer()

    def start_producer(self) -> None:
        self.epoch = self.random.choice([self.epoch + 1, self.random.getrandbits(40)])  # clocks step back
        self.journal = Journal(self.directory, "p", self.epoch, max_bytes=1 << 30, segment_bytes=SEGMENT_BYTES)
        self.delivery = Delivery(self.journal, self.now_s)
        self.acks.clear()
        self.say_hello()

    def say_hello(self) -> None:
        if self.is_writer_up:
            self.acks.append(self.writer.word("hello"))

    def journalled(self) -> set[bytes]:
        found: set[bytes] = set()
        cursor = self.journal.oldest()
        while (chunk := self.journal.read(cursor)) is not None:
            frames = chunk.batch.frames
            found.update(frames[i : i + FRAME_BYTES] for i in range(0, len(frames), FRAME_BYTES))
            cursor = chunk.behind
        return found

    def append(self) -> None:
        frames = []
        for _ in range(self.random.randint(1, 6)):
            self.count += 1
            frames.append(f"{self.count:08d}".encode())
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, "write", self.disk.write)
            try:
                self.journal.append(frames, {})
            except JournalFullError:
                assert self.is_full_of_unacknowledged(), "there was something that nobody needs"
                return
        self.accepted += frames

    def is_full_of_unacknowledged(self) -> bool:
        """Nothing is left that is acknowledged but the newest segment."""
        durable = self.delivery.last_ack.durable if self.delivery.last_ack else None
        first = self.journal.read(self.journal.oldest(), max_frames=1)
        behind = self.journal.behind(durable) if durable else None
        is_newest = len(list(self.directory.glob("*.journal"))) <= 1
        return is_newest or behind is None or first is None or behind.segment <= first.behind.segment

    def fill_disk(self) -> None:
        """From now on there is room for little more, or nothing."""
        self.disk.room_bytes = self.journal.size_bytes + self.random.randint(0, 2 * SEGMENT_BYTES)

    def free_disk(self) -> None:
        self.disk.room_bytes = 1 << 30

    def sync(self) -> None:
        self.journal.sync()
        self.synced = {path.name: path.stat().st_size for path in self.directory.glob("*.journal")}

    def push(self) -> None:
        question_s = self.delivery.question_due_s(self.now_s)
        if question_s is not None and question_s <= 0:
            question = self.delivery.question()
            if question is not None and self.is_writer_up and len(self.intake) < 4:
                self.intake.append(question.batch)
            self.delivery.note_asked(self.now_s)
        for _ in range(self.random.randint(1, 4)):
            chunk = self.delivery.next_chunk(max_frames=self.random.randint(1, 9))
            if chunk is None or not self.is_writer_up or len(self.intake) >= 4:
                return
            self.intake.append(chunk.batch)
            self.delivery.note_pushed(chunk, self.now_s)

    def take(self) -> None:
        if self.is_writer_up and self.intake:
            ack = self.writer.take(self.intake.popleft())
            if ack is not None:
                self.acks.append(ack)

    def begin_commit(self) -> None:
        if self.is_writer_up:
            self.writer.begin_commit()

    def end_commit(self) -> None:
        ack = self.writer.end_commit() if self.is_writer_up else None
        if ack is not None:
            self.acks.append(ack)

    def hear(self) -> None:
        while self.acks:
            self.delivery.take_ack(self.acks.popleft(), self.now_s)

    def pass_time(self) -> None:
        self.now_s += self.random.choice([0.1, 1.0, 3.0, 20.0])
        self.journal.trim(self.now_s, self.random.choice([0.0, 5.0]))

    def kill_producer(self) -> None:
        self.lose_some(self.intake)
        self.journal.close()
        self.start_producer()

    def kill_writer(self) -> None:
        self.intake.clear()
        self.acks.clear()
        self.writer.die()
        self.is_writer_up = False

    def start_writer(self) -> None:
        if not self.is_writer_up:
            self.is_writer_up = True
            self.say_hello()

    def cut_connection(self) -> None:
        """A TCP reset: what is in flight is gone, both sides live; the acks' socket may or may not notice."""
        self.lose_some(self.intake)
        self.lose_some(self.acks)
        if self.random.random() < 0.5:
            self.say_hello()

    def cut_power(self) -> None:
        """Everything that was not made durable is gone, up to a random point behind it."""
        before = self.journalled()
        self.journal.close()
        for path in sorted(self.directory.glob("*.journal")):
            size = path.stat().st_size
            keep = self.random.randint(min(self.synced.get(path.name, 0), size), size)
            path.write_bytes(path.read_bytes()[:keep])
        self.kill_writer()
        self.start_writer()
        self.start_producer()
        self.excused |= before - self.journalled()

    def damage(self) -> None:
        before = self.journalled()
        paths = [path for path in self.directory.glob("*.journal") if path.stat().st_size]
        if not paths:
            return
        path = self.random.choice(paths)
        content = bytearray(path.read_bytes())
        content[self.random.randrange(len(content))] ^= 1 << self.random.randrange(8)
        self.journal.close()
        path.write_bytes(content)
        self.start_producer()
        self.excused |= before - self.journalled()

    def wipe(self) -> None:
        self.excused |= self.journalled()
        self.journal.close()
        shutil.rmtree(self.directory)
        self.start_producer()

    def forget(self) -> None:
        """The symbol is removed, its journal is drained and deleted; it is added again."""
        if self.delivery.last_ack is None or not self.delivery.is_durable():
            return
        self.journal.delete(self.delivery.last_ack.durable)
        self.journal.close()
        self.start_producer()

    def lose_some(self, queue: "deque[Batch] | deque[Ack]") -> None:
        for _ in range(self.random.randint(0, len(queue))):
            queue.pop()

    def settle(self) -> None:
        """No more faults: within a bounded number of rounds the writer has everything."""
        self.start_writer()
        for _ in range(400):
            self.push()
            while self.intake:
                self.take()
            self.begin_commit()
            self.end_commit()
            self.hear()
            self.now_s += 1.0
            if self.delivery.is_received() and self.delivery.question_due_s(self.now_s) is None:
                return
        pytest.fail("stuck: the writer never got everything")


STEPS = {
    "append": 30,
    "push": 30,
    "take": 30,
    "hear": 20,
    "begin_commit": 10,
    "end_commit": 10,
    "sync": 6,
    "pass_time": 10,
    "kill_producer": 2,
    "kill_writer": 2,
    "start_writer": 4,
    "cut_connection": 2,
    "fill_disk": 2,
    "free_disk": 2,
    "forget": 2,
}
RARE = {"cut_power": 1, "damage": 1, "wipe": 0.3}


def played(seed: int, directory: Path, steps: Mapping[str, float]) -> World:
    world = World(seed, directory)
    names, weights = list(steps), list(steps.values())
    for name in world.random.choices(names, weights, k=250):
        getattr(world, name)()
    world.settle()
    world.journal.close()
    return world


@pytest.mark.parametrize("block", range(examples(8)))
def test_kills_alone_lose_and_double_nothing(tmp_path: Path, block: int) -> None:
    for seed in range(block * 25, block * 25 + 25):
        world = played(seed, tmp_path / str(seed), STEPS)
        assert world.writer.rows == world.accepted, f"seed {seed}"
        assert world.writer.losses == [], f"seed {seed}"
        assert world.writer.refused == 0, f"seed {seed}"


@pytest.mark.parametrize("block", range(examples(8)))
def test_power_cuts_damage_and_wiped_journals_lose_only_what_they_took(tmp_path: Path, block: int) -> None:
    for seed in range(block * 25, block * 25 + 25):
        world = played(seed, tmp_path / str(seed), {**STEPS, **RARE})
        rows = world.writer.rows
        assert len(rows) == len(set(rows)), f"seed {seed}: doubled"
        missing = set(world.accepted) - set(rows)
        assert missing <= world.excused, f"seed {seed}: lost {sorted(missing - world.excused)[:5]}"
        assert world.writer.refused == 0, f"seed {seed}"


def test_a_forgotten_journal_does_not_hold_up_a_writer_that_never_heard_of_it(tmp_path: Path) -> None:
    world = World(1, tmp_path)
    for _ in range(5):
        world.append()
    world.settle()
    world.forget()
    world.writer = Writer()
    world.accepted = []
    world.append()
    world.kill_writer()
    world.settle()
    assert world.writer.rows == world.accepted
    assert world.writer.losses == []
    world.journal.close()


def test_a_journal_that_is_wiped_after_its_symbol_came_back_is_a_loss(tmp_path: Path) -> None:
    world = World(1, tmp_path)
    for _ in range(2):
        world.append()
        world.settle()
        world.forget()
    world.append()
    world.settle()
    for path in tmp_path.glob("*.journal"):
        path.unlink()
    world.journal.close()
    world.start_producer()
    world.append()
    world.settle()
    assert world.writer.losses == [Loss.WIPED]
    world.journal.close()
