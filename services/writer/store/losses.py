"""Keeps the last row of every topic, and finds from it the bounds of what a journal or a file lost.

The writer lists only losses on our side of the receive stamp: positions that a journal does not have any more, and rows
that are gone from a file. (What the exchange or the network lost, ingest lists.) Nothing is listed when a loss is
noticed, because its end is not known yet; the streams concerned become suspect, and the next row of each decides:

| a suspect topic's next row | its hole |
|---|---|
| numbered next in the epoch of the loss | none: what was lost was of other topics |
| its ids join the ids of the last row | none: ids prove that nothing lies between |
| neither | from the last row to this one, in ids where both have some, else in time |
| of REST, late, in the numbering | none yet: it fills an old hole, and the topic stays suspect where numbers do not
follow |
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from binance_streamer.exchange.messages import ExchangeError
from binance_streamer.exchange.stream_types import event_name, is_repairable
from binance_streamer.exchange.streams import stream_from_name
from binance_streamer.wire.frames import Topic
from services.runtime.gaps.drafts import Bounds, bounds_of, state_of_new
from services.writer.rows.daily_files import series_of
from services.writer.rows.row_ids import closed_bar_of, has_bars, ids_of, is_late, late_id_of
from services.writer.rows.rows import Row, Run

ANY_EPOCH = -1
LOST = "lost in the journal"
DAMAGED = "file damaged"

_MARKER = Topic("", "", "")
"""Stands for the topics of a producer that have had no row before its journal lost some."""


class StreamRecord(NamedTuple):
    """The last row of one topic of one producer, as the ledger keeps it.

    `last_id`: of klines the opening time of the last closed bar, which proves nothing of what lies between.
    `suspect_epoch` is the epoch of which rows may be missing behind it (ANY_EPOCH where sequence numbers cannot tell),
    None where all is well.
    """

    producer: str
    topic: Topic
    epoch: int
    seq: int
    recv_ns: int
    last_id: int | None
    suspect_epoch: int | None


class DamagedFile(NamedTuple):
    """A file that lost rows: all behind its last row that is left.

    They end before the first row of the series' next file (`to_id`, `to_ns`), where there is one; else with the last
    row of the stream that was durable, before the next one that comes.
    """

    path: str
    symbol: str
    from_id: int | None
    from_ns: int
    to_id: int | None = None
    to_ns: int | None = None

    @property
    def series(self) -> str:
        """The series of the file; ledgers of an older version have it in place of the path."""
        return series_of(self.path) if "." in self.path else self.path


class Hole(NamedTuple):
    """Rows that are missing from a stream: their ids are in (from_id, to_id], their stamps between from_ns and to_ns.

    Both ids or none, growing; stamps in order.
    """

    symbol: str
    stream: str
    from_id: int | None
    to_id: int | None
    from_ns: int
    to_ns: int
    reason: str
    late_ids: tuple[int, ...] = ()
    """Ids in it that came after the loss and before the hole was known: they are there."""

    @property
    def state(self) -> str:
        """Return `open` if REST can be asked for what is missing, else `unrepairable`."""
        try:
            stream_type = stream_from_name(self.stream).stream_type
        except ExchangeError:  # of our own messages
            stream_type = ""
        return state_of_new(stream_type, Bounds(*self[2:6]))


@dataclass(slots=True)
class _State:
    record: StreamRecord
    row: Row | None = None
    suspect_epoch: int | None = None
    is_dirty: bool = False
    late_ids: list[int] = field(default_factory=list)
    """Of rows that came late since the stream is suspect."""
    bar_ms: int | None = None
    """The opening time of the last closed bar, of klines."""


class LossTracker:
    """Looks at the rows of all topics in their order, and returns the holes in front of them."""

    def __init__(self, records: Iterable[StreamRecord] = (), damages: Iterable[DamagedFile] = ()) -> None:
        self._states: dict[str, dict[Topic, _State]] = {}
        self._damages: dict[str, list[DamagedFile]] = {}
        for damage in damages:
            self._damages.setdefault(damage.series, []).append(damage)
        for record in records:
            states = self._states.setdefault(record.producer, {})
            bar_ms = record.last_id if has_bars(record.topic) else None
            states[record.topic] = _State(record, suspect_epoch=record.suspect_epoch, bar_ms=bar_ms)

    def lost_positions(self, run: Run, *, any_stream: bool) -> None:
        """Make topics suspect: positions of a run are missing in front of what comes now.

        `any_stream`: nothing tells whose rows they were, so that every topic of the producer is suspect until its ids
        join; otherwise the sequence numbers of this epoch tell.
        """
        states = self._states.setdefault(run.producer, {})
        newest_ns = max((_recv_ns(state) for state in states.values()), default=0)
        for state in states.values():
            is_exact = not any_stream and state.suspect_epoch in (None, run.epoch)
            state.suspect_epoch = run.epoch if is_exact else ANY_EPOCH
            state.is_dirty = True
        marker = StreamRecord(run.producer, _MARKER, run.epoch, 0, newest_ns, None, None)
        states[_MARKER] = _State(marker, is_dirty=True)

    def note(self, producer: str, rows: Sequence[Row]) -> list[Hole]:
        """Take note of rows in their order; returns the holes that end in front of them.

        Of rows that follow each other in one batch, the first and the last one are enough, and those that may be
        closed bars (`may_be_closed_bar`).
        """
        states = self._states.setdefault(producer, {})
        holes = []
        for row in rows:
            late = is_late(row)
            if self._damages and row.target.series in self._damages and not late:
                holes += self._holes_of_damage(states.get(row.topic) if row.topic else None, row)
            topic = row.topic
            if topic is None:
                continue
            state = states.get(topic)
            if state is None:
                state = states[topic] = _State(_record_of(producer, topic, row))
                hole = _hole_before_first(states.get(_MARKER), row)
                holes += [hole] if hole else []
            elif state.suspect_epoch is not None:
                suspect_epoch = _suspect_behind(state, row) if late else None
                hole = None if late else _hole_between(state, row)
                holes += [hole._replace(late_ids=tuple(state.late_ids))] if hole else []
                state.suspect_epoch = suspect_epoch
                state.late_ids = [*state.late_ids, late_id_of(row)] if late else []
            if late:
                state.record = _numbered_like(state, row)
                state.row = None
            else:
                state.row = row
            bar_ms = closed_bar_of(row)
            if bar_ms is not None:
                state.bar_ms = max(bar_ms, state.bar_ms or 0)
            state.is_dirty = True
        return holes

    def may_list_open(self, producer: str) -> bool:
        """Return True where the next rows of this producer may end a hole that REST can fill."""
        if any(is_repairable(series.rpartition("/")[2].partition("_")[0]) for series in self._damages):
            return True
        states = self._states.get(producer, {}).items()
        return any(state.suspect_epoch is not None and is_repairable(topic.stream_type) for topic, state in states)

    def take_changed(self) -> list[StreamRecord]:
        """Return the records that differ from what the ledger has, and count them as written there."""
        found = []
        for producer, states in self._states.items():
            for topic, state in states.items():
                if state.is_dirty:
                    state.is_dirty = False
                    if state.row is not None:
                        state.record = _record_of(producer, topic, state.row)
                        state.row = None
                    if state.bar_ms is not None:
                        state.record = state.record._replace(last_id=state.bar_ms)
                    found.append(state.record._replace(suspect_epoch=state.suspect_epoch))
        return found

    def last_seq(self, run: Run, topic: Topic) -> int:
        """Return the last sequence number of a topic in this run, 0 where it has none."""
        state = self._states.get(run.producer, {}).get(topic)
        if state is None:
            return 0
        last = state.row or state.record
        return last.seq if last.epoch == run.epoch else 0

    def last_ids(self, producer: str) -> dict[Topic, int]:
        """Return the last id of each topic of a producer that has ids, and the last closed bar of its klines."""
        states = self._states.get(producer, {}).items()
        found = {topic: state.bar_ms if has_bars(topic) else _last_id(state) for topic, state in states}
        return {topic: last_id for topic, last_id in found.items() if last_id is not None}

    def damages(self) -> list[DamagedFile]:
        """Return the damaged files that no row of their series has followed yet."""
        return [damage for damages in self._damages.values() for damage in damages]

    def _holes_of_damage(self, state: _State | None, row: Row) -> list[Hole]:
        series = row.target.series
        stream = _label(row.topic, row.stream) if row.topic else series
        durable_id = _last_id(state) if state else None
        end_id = ids_of(row)[0] if durable_id is None else durable_id
        holes = []
        for damage in self._damages.pop(series):
            is_ended = damage.to_ns is not None
            ids = damage.from_id, damage.to_id if is_ended else end_id
            times_ns = damage.from_ns, row.recv_ns if damage.to_ns is None else damage.to_ns
            holes.append(Hole(damage.symbol, stream, *bounds_of(ids, times_ns), DAMAGED))
        return holes


def _follows(state: _State, row: Row) -> bool:
    last = state.row or state.record
    return row.seq == (last.seq + 1 if last.epoch == row.epoch else 1)


def _suspect_behind(state: _State, row: Row) -> int | None:
    """Return the suspicion that stays behind a late row: none if its number follows, else until the next ids."""
    return None if state.suspect_epoch == row.epoch and _follows(state, row) else ANY_EPOCH


def _hole_between(state: _State, row: Row) -> Hole | None:
    assert row.topic is not None
    last = state.row or state.record
    is_proven = state.suspect_epoch == row.epoch  # by sequence numbers
    if is_proven and _follows(state, row):
        return None
    previous_id, _ = ids_of(row)
    from_id = _last_id(state)
    if not is_proven and from_id is not None and from_id == previous_id:
        return None  # ids that follow each other: nothing was there
    bounds = bounds_of((from_id, previous_id), (last.recv_ns, row.recv_ns))
    return Hole(row.topic.symbol, _label(row.topic, row.stream), *bounds, LOST)


def _hole_before_first(marker: _State | None, row: Row) -> Hole | None:
    assert row.topic is not None
    if marker is None or marker.record.epoch != row.epoch or row.seq == 1:
        return None
    from_ns = min(marker.record.recv_ns or row.recv_ns, row.recv_ns)
    return Hole(row.topic.symbol, _label(row.topic, row.stream), *bounds_of((None, None), (from_ns, row.recv_ns)), LOST)


def _record_of(producer: str, topic: Topic, row: Row) -> StreamRecord:
    return StreamRecord(producer, topic, row.epoch, row.seq, row.recv_ns, ids_of(row)[1], None)


def _numbered_like(state: _State, row: Row) -> StreamRecord:
    """Return the record behind a row that fills an old hole: the stream's ids stay, its numbering goes on."""
    return state.record._replace(epoch=row.epoch, seq=row.seq, recv_ns=row.recv_ns, last_id=_last_id(state))


def _last_id(state: _State) -> int | None:
    if state.row:
        return ids_of(state.row)[1]
    return None if has_bars(state.record.topic) else state.record.last_id


def _recv_ns(state: _State) -> int:
    return (state.row or state.record).recv_ns


def _label(topic: Topic, stream: str) -> str:
    """Return the exchange's name of a stream, or the topic of our own messages, which carry another stream's name."""
    return stream if event_name(topic.stream_type) else ".".join(topic)
