"""What the writer has of every producer: the protocol of the durable path, without sockets, disk or clock.

A position is taken once: by the next position of its epoch. Epochs are compared for equality only. See docs/wire.md.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from binance_streamer.wire.frames import Ack, Batch, Position
from binance_streamer.wire.status_parts import WrittenStatus


class BatchVerdict(Enum):
    """What becomes of a batch."""

    TAKE = "take"
    KNOWN = "known"
    MISFIT = "misfit"
    REFUSED = "refused"


class Loss(Enum):
    """What the journal no longer had in front of a batch that is taken."""

    NONE = "none"
    JUMP = "jump"
    """Positions of this epoch; sequence numbers tell whose rows they were."""
    WIPED = "wiped"
    """The journal begins with a new epoch and knows nothing of the old one: any stream may miss rows."""


class Offer(NamedTuple):
    """The decision: of a batch that is taken, the first `skip` frames are known already."""

    verdict: BatchVerdict
    skip: int = 0
    loss: Loss = Loss.NONE


class Moved(NamedTuple):
    """What a commit makes durable: next positions by producer and epoch, in the order in which epochs were met."""

    positions: tuple[tuple[str, int, int], ...]


@dataclass(slots=True)
class _Producer:
    """Next positions by epoch; the last epoch in the dict is the current one."""

    received: dict[int, int] = field(default_factory=dict)
    durable: dict[int, int] = field(default_factory=dict)
    moved: dict[int, None] = field(default_factory=dict)
    refused: int = 0

    @property
    def current(self) -> int | None:
        return next(reversed(self.received), None)

    def has(self, position: Position) -> bool:
        return self.received.get(position.epoch, 0) > position.number


class Positions:
    """Decides about batches, and words the acknowledgements."""

    def __init__(self, writer_id: str, durable: Iterable[tuple[str, int, int]] = ()) -> None:
        """`durable`: (producer, epoch, next position) in the order in which the epochs were met."""
        self.writer_id = writer_id
        self._producers: dict[str, _Producer] = {}
        for name, epoch, number in durable:
            producer = self._producers.setdefault(name, _Producer())
            producer.received[epoch] = producer.durable[epoch] = number

    def offer(self, batch: Batch, count: int) -> Offer:
        """Decide about `count` frames of a batch; what is taken counts as received from now on."""
        producer = self._producers.get(batch.producer) or _Producer()
        decision = _decide(producer, batch, count)
        if decision.verdict is BatchVerdict.TAKE:
            self._producers[batch.producer] = producer
            producer.received[batch.epoch] = batch.first + count
            producer.moved[batch.epoch] = None
        elif decision.verdict is BatchVerdict.REFUSED:
            producer.refused += 1
        return decision

    def word(self, name: str, reason: str) -> Ack:
        """What there is to say to a producer now."""
        producer = self._producers.get(name)
        if producer is None:
            return Ack(self.writer_id, None, None, reason)
        return Ack(self.writer_id, _durable(producer), _last(producer.received), reason)

    def moved(self) -> Moved:
        """What has been received and is not durable yet."""
        return Moved(
            tuple(
                (name, epoch, producer.received[epoch])
                for name, producer in self._producers.items()
                for epoch in producer.moved
            )
        )

    def committed(self, moved: Moved) -> list[str]:
        """These positions are durable now; returns the producers to tell."""
        for name, epoch, number in moved.positions:
            producer = self._producers[name]
            producer.durable[epoch] = number
            if producer.received[epoch] == number:
                producer.moved.pop(epoch, None)
        return list(dict.fromkeys(name for name, _, _ in moved.positions))

    def names(self) -> list[str]:
        """The known producers."""
        return list(self._producers)

    def status(self) -> dict[str, WrittenStatus]:
        """Per producer, for the status message."""
        return {
            name: WrittenStatus(
                epoch=producer.current,
                next_received=producer.received.get(producer.current or 0, 0),
                next_durable=producer.durable.get(producer.current or 0, 0),
                refused=producer.refused,
            )
            for name, producer in self._producers.items()
        }


def _decide(producer: _Producer, batch: Batch, count: int) -> Offer:
    expected = producer.received.get(batch.epoch, 0)
    if batch.first + count <= expected:
        return Offer(BatchVerdict.KNOWN)
    is_known_epoch = batch.epoch in producer.received
    if is_known_epoch and batch.epoch != producer.current:
        return Offer(BatchVerdict.REFUSED)
    if is_known_epoch and batch.first <= expected:
        return Offer(BatchVerdict.TAKE, expected - batch.first)
    if batch.after is not None and not producer.has(batch.after):
        return Offer(BatchVerdict.MISFIT)
    return Offer(BatchVerdict.TAKE, loss=_loss(producer, batch, expected))


def _loss(producer: _Producer, batch: Batch, expected: int) -> Loss:
    if not producer.received:
        return Loss.NONE  # nothing was expected: the recording begins where the journal does
    if batch.after is None and batch.epoch not in producer.received:
        return Loss.WIPED
    return Loss.JUMP if batch.first > expected else Loss.NONE


def _durable(producer: _Producer) -> Position | None:
    """The newest position before which everything is durable: a new epoch counts once the old ones are complete."""
    found = None
    for epoch, number in producer.received.items():
        durable = producer.durable.get(epoch)
        if durable is not None:
            found = Position(epoch, durable)
        if durable != number:
            break
    return found


def _last(numbers: dict[int, int]) -> Position | None:
    epoch = next(reversed(numbers), None)
    return None if epoch is None else Position(epoch, numbers[epoch])
