"""Joins recorded messages and live ones, so that each comes once, in order, and none is left out. Pure.

A message is named by topic, epoch and `seq`, which counts 1, 2, 3, … in each epoch of a topic: one more than the last
is the next one, whoever brings it. It goes out; what is not above the last one has gone out already, and is dropped.

| a topic is | a live message that is not the next one | a recorded one that is not the next one |
|---|---|---|
| from the files, at first | waits | stays where it is, until it is settled that nothing before it is to come |
| live, since one came that was the next | waits, and the topic is from the files again | cannot be |

What waits goes out behind the recorded message that it follows on, and the topic is live. So a hand-over and the
healing of a live hole are the same, and so is the start of a producer, whose predecessor may have recorded more than
was seen live.

What waits is bounded in bytes: when there is more, all of it is dropped, because the files have it, and what comes then
waits in its place.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar

from binance_streamer.wire.frames import Topic

T = TypeVar("T")


class Numbered(NamedTuple, Generic[T]):
    """A message and its name; the size in bytes is that of what it takes in memory."""

    topic: Topic
    epoch: int
    seq: int
    message: T
    size_bytes: int = 0


@dataclass(slots=True)
class _EpochState(Generic[T]):
    """One epoch of a topic: the last `seq` that went out, 0 before the first, and live messages that wait."""

    last: int = 0
    waiting: deque[Numbered[T]] = field(default_factory=deque)


@dataclass(slots=True)
class _TopicState(Generic[T]):
    epochs: dict[int, _EpochState[T]] = field(default_factory=dict)
    is_live: bool = False
    has_begun: bool = False

    @property
    def is_waiting(self) -> bool:
        return any(epoch.waiting for epoch in self.epochs.values())


class Splice(Generic[T]):
    """The state of all topics. What a method returns goes out in that order, at once."""

    def __init__(self, max_bytes: int) -> None:
        """`max_bytes` bounds the live messages that wait, of all topics together."""
        self.overflows = 0
        self._max_bytes = max_bytes
        self._waiting_bytes = 0
        self._topics: dict[Topic, _TopicState[T]] = {}

    def skip(self, topic: Topic, epoch: int, seq: int) -> None:
        """Take all up to this number as gone: it lies before the beginning. Does nothing once the topic has begun."""
        found = self._epoch(topic, epoch)
        if not self._topics[topic].has_begun:
            found.last = max(found.last, seq)
            while found.waiting and found.waiting[0].seq <= found.last:
                self._pop(found)

    def live(self, new: Numbered[T]) -> list[Numbered[T]]:
        """Return the message where it is the next one; otherwise it waits, or has gone out already."""
        epoch = self._epoch(new.topic, new.epoch)
        topic = self._topics[new.topic]
        if new.seq > epoch.last and (epoch.waiting or not epoch.last or new.seq != epoch.last + 1):
            topic.is_live = False
            epoch.waiting.append(new)
            self._waiting_bytes += new.size_bytes
            if self._waiting_bytes > self._max_bytes:
                self._drop_waiting()
            return []
        is_next = new.seq > epoch.last
        # one that was skipped because it lies before the beginning says nothing of the files
        topic.is_live = not topic.is_waiting and (is_next or topic.has_begun)
        if not is_next:
            return []
        topic.has_begun = True
        epoch.last = new.seq
        return [new]

    def recorded(self, row: Numbered[T]) -> list[Numbered[T]] | None:
        """Return what goes out with a recorded message; None where it is not the next one: offer it again."""
        epoch = self._epoch(row.topic, row.epoch)
        if row.seq <= epoch.last:
            return []
        if not epoch.last or row.seq != epoch.last + 1:
            return None
        return self._gone(row, epoch)

    def settled(self, row: Numbered[T]) -> list[Numbered[T]]:
        """Return what goes out with a recorded message of which it is settled that the files have nothing before it.

        What is missing in front of it is not recorded, but for live messages that wait: those go out, too.
        """
        epoch = self._epoch(row.topic, row.epoch)
        out = []
        while epoch.waiting and epoch.waiting[0].seq < row.seq:
            out.append(self._pop(epoch))
        epoch.last = max(epoch.last, row.seq - 1)
        return [*out, *(self._gone(row, epoch) if row.seq > epoch.last else [])]

    def last(self, topic: Topic) -> dict[int, int]:
        """Return the last `seq` that went out, by epoch."""
        found = self._topics.get(topic)
        return {number: epoch.last for number, epoch in found.epochs.items()} if found else {}

    def is_live(self, topic: Topic) -> bool:
        """Return True if nothing of this topic has to come from the files."""
        found = self._topics.get(topic)
        return found is not None and found.is_live

    @property
    def is_waiting(self) -> bool:
        """True if live messages wait for recorded ones."""
        return any(topic.is_waiting for topic in self._topics.values())

    def doubt(self) -> None:
        """Take all topics from the files until their next live message: some may have been lost that nothing shows."""
        for topic in self._topics.values():
            topic.is_live = False

    def _epoch(self, topic: Topic, epoch: int) -> _EpochState[T]:
        return self._topics.setdefault(topic, _TopicState()).epochs.setdefault(epoch, _EpochState())

    def _gone(self, row: Numbered[T], epoch: _EpochState[T]) -> list[Numbered[T]]:
        """Return a recorded message that goes out, and the live ones that follow on it."""
        out = [row]
        epoch.last = row.seq
        has_met = False
        while epoch.waiting and epoch.waiting[0].seq <= epoch.last + 1:
            found = self._pop(epoch)
            has_met = True
            if found.seq > epoch.last:
                epoch.last = found.seq
                out.append(found)
        topic = self._topics[row.topic]
        topic.has_begun = True
        topic.is_live = topic.is_live or (has_met and not topic.is_waiting)
        return out

    def _pop(self, epoch: _EpochState[T]) -> Numbered[T]:
        found = epoch.waiting.popleft()
        self._waiting_bytes -= found.size_bytes
        return found

    def _drop_waiting(self) -> None:
        self.overflows += 1
        self._waiting_bytes = 0
        for topic in self._topics.values():
            for epoch in topic.epochs.values():
                epoch.waiting.clear()
