"""Decides which batch of a producer is taken: the durable path's protocol, without sockets, disk or clock.

A position is taken once, and only as the next one of its epoch. Epochs are compared for equality only, because a clock
that was set back gives a later run a smaller number. docs/wire.md has the same table, from the producer's side.

| a batch of this epoch that begins … | verdict |
|---|---|
| and ends before the next position | `KNOWN`: acknowledged again |
| before or at the next position, and ends behind it | `TAKE`, without the frames that are known |
| beyond it, and names a predecessor that was taken (or none) | `TAKE`, and what lies between is a loss |
| beyond it, and names a predecessor that was not taken | `MISFIT`: the producer winds back to what the ack says |
| and is not known, of an epoch that a later one has followed | `REFUSED`: two processes have one name |
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from binance_streamer.wire.frames import Ack, Batch, Position
from binance_streamer.wire.status_parts import WrittenStatus
from services.writer.rows.own_rows import MAX_NUMBER


class BatchVerdict(Enum):
    """The fate of a batch; see the table above."""

    TAKE = "take"
    KNOWN = "known"
    MISFIT = "misfit"
    REFUSED = "refused"


class Loss(Enum):
    """A loss in front of a batch that is taken, as far as positions show it."""

    NONE = "none"
    JUMP = "jump"
    """Positions of this epoch are missing: the sequence numbers of its rows say which streams lost some."""
    BEHIND = "behind"
    """The journal has lost its end, or is an old copy: what it does not know is in the files."""
    WIPED = "wiped"
    """The journal begins with a new epoch and knows nothing of the old one: any stream may miss rows."""


class OutgoingAck(NamedTuple):
    """An acknowledgement, and the name of the producer that it goes to."""

    producer: str
    ack: Ack


class Offer(NamedTuple):
    """The decision: of a batch that is taken, the first `skip` frames are known already."""

    verdict: BatchVerdict
    skip: int = 0
    loss: Loss = Loss.NONE


_MAX_NAME_BYTES = 128
"""Of a producer: `ingest-` and a symbol of 64 bytes, with room to spare; it becomes a key of the ledger."""

NextPositions = tuple[tuple[str, int, int], ...]
"""(producer, epoch, next position), in the order in which the epochs came."""


def fault_of(batch: Batch, *, own_name: str) -> str:
    """Return why a batch is refused whatever came before it; empty where its name and its positions may be."""
    if not batch.producer.isprintable() or len(batch.producer.encode()) > _MAX_NAME_BYTES:
        return "no name of a producer"
    if batch.producer == own_name or max(batch.epoch, batch.first + len(batch.frames)) > MAX_NUMBER:
        return "no position"
    return ""


@dataclass(slots=True)
class _Producer:
    """Next positions by epoch; the last epoch in the dict is the current one.

    `moved` holds the epochs whose received position is not durable yet, as keys, in the order in which they came.
    """

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
    """Decides about batches, and knows what to acknowledge."""

    def __init__(self, writer_id: str, durable: Iterable[tuple[str, int, int]] = ()) -> None:
        """`durable`: (producer, epoch, next position) from the ledger, in the order in which the epochs came."""
        self.writer_id = writer_id
        self._producers: dict[str, _Producer] = {}
        for name, epoch, number in durable:
            producer = self._producers.setdefault(name, _Producer())
            producer.received[epoch] = producer.durable[epoch] = number

    def try_take(self, batch: Batch, count: int) -> Offer:
        """Decide about `count` frames of a batch, and count as received what is taken."""
        producer = self._producers.get(batch.producer) or _Producer()
        decision = _decide(producer, batch, count)
        if decision.verdict is BatchVerdict.TAKE:
            self._producers[batch.producer] = producer
            producer.received[batch.epoch] = batch.first + count
            producer.moved[batch.epoch] = None
        elif decision.verdict is BatchVerdict.REFUSED:
            producer.refused += 1
        return decision

    def ack(self, name: str, reason: str) -> Ack:
        """Return the acknowledgement that a producer gets now; `reason` says to what it is the answer."""
        producer = self._producers.get(name)
        if producer is None:
            return Ack(self.writer_id, None, None, reason)
        return Ack(self.writer_id, _durable(producer), _last(producer.received), reason)

    def received(self, name: str) -> Position | None:
        """Return the position behind all that this producer has sent; None where it has sent nothing."""
        return self.ack(name, "").received

    def moved(self) -> NextPositions:
        """Return what has been received and is not durable yet; changes nothing."""
        return tuple(
            (name, epoch, producer.received[epoch])
            for name, producer in self._producers.items()
            for epoch in producer.moved
        )

    def commit(self, moved: NextPositions) -> list[str]:
        """Count these positions as durable; returns the producers that are to be sent an acknowledgement."""
        for name, epoch, number in moved:
            producer = self._producers[name]
            producer.durable[epoch] = number
            if producer.received[epoch] == number:
                producer.moved.pop(epoch, None)
        return list(dict.fromkeys(name for name, _, _ in moved))

    def names(self) -> list[str]:
        """Return the names of all producers that ever had a batch taken."""
        return list(self._producers)

    def status(self) -> dict[str, WrittenStatus]:
        """Return the positions of each producer's newest epoch, for the status message."""
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
    if batch.first > expected:
        return Loss.JUMP
    is_behind = batch.after is not None and _last(producer.received) != (batch.after.epoch, batch.after.number + 1)
    return Loss.BEHIND if is_behind and batch.epoch not in producer.received else Loss.NONE


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
