"""Goes on behind a journal that somebody else has written, with what our own connections have brought meanwhile.

To the streams the journal is a connection that has ended: it has delivered what it holds, and all of that is recorded.
What our connections brought is handed to them behind it, in the order in which it came, and judged as always: ids join
or show a hole, copies are dropped, and a stream without ids goes on without a gap where the overlap is proven
(docs/decisions/0009, 0067).

So that it takes milliseconds, and nothing is told by a memory that does not reach so far, each connection begins where
the journal ends:

| stream | its first message that is handed over |
|---|---|
| with ids | the one behind the newest id of the journal; else the first with a higher id |
| without ids | the first one that the journal has too, as far as it was read back; else the first received later |
| without a row so far | the first received in the last seconds before the newest row of all, or later |
| none: not readable | the first received later than all that the journal has |
"""

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from binance_streamer.exchange.messages import EventIds, ExchangeError
from services.ingest.connections.events import JOURNAL, Delivered
from services.ingest.streams import demux
from services.ingest.streams.arrivals import NO_READING, Arrival
from services.ingest.streams.stream import StreamRecorder
from services.ingest.streams.stream_set import StreamSet
from services.ingest.takeover.recent import Arrived
from services.runtime.delivery.recorded_events import RecordedEvents
from services.runtime.gaps.last_rows import LastRow, newest_ns

_OVERLAP_S = 2.0
"""Of streams without ids what was received so long before the newest row of the journal is recorded, or given up. Only
the last message before that is looked at too: of a quiet stream it may be where the journal ends."""
LOOK_BACK_S = 8.0
"""The journal is read back so far: what a connection brings six seconds after another one is still told as a copy."""


class JournalEnd(NamedTuple):
    """The end of a journal that somebody else has written: where its streams stand, and the last seconds before.

    `unlisted` are streams with a loss that no gap lists yet; None where they are not known.
    """

    last_rows: Mapping[str, LastRow]
    recorded: RecordedEvents
    unlisted: Collection[str] | None


def since_ns(last_rows: Mapping[str, LastRow]) -> int:
    """Return the receive stamp from which on a journal is read back."""
    return newest_ns(last_rows.values()) - round(LOOK_BACK_S * 1e9)


def go_on(
    streams: StreamSet, waited: StreamSet, end: JournalEnd, arrived: Iterable[Arrived], now: tuple[int, float]
) -> None:
    """Have streams go on behind a journal with what has arrived at those that have waited; `now` by both clocks."""
    now_ns, now_s = now
    streams.take_over(waited)
    for name, recorder in streams.recorders.items():
        recorder.is_anchored = recorder.is_anchored or name in end.last_rows
    recall(streams, end.recorded, now_ns, now_s)
    doubt(streams, end.unlisted)
    release(streams, arrived, end.last_rows)


def recall(streams: StreamSet, recorded: RecordedEvents, now_ns: int, now_s: float) -> None:
    """Have the streams know what the journal holds, as the messages of a connection; nothing of it is recorded."""
    for name, messages in recorded.items():
        recorder = streams.recorders[name]
        arrivals = []
        for recv_ns, event in messages:
            arrival = _arrival(recorder, recv_ns, event)
            if arrival is not None:
                arrivals.append((arrival, now_s - max(0, now_ns - recv_ns) / 1e9))
        if arrivals:
            recorder.tracker.recall(arrivals)
            recorder.heard.by_connection[JOURNAL] = arrivals[-1][1]


def doubt(streams: StreamSet, unlisted: Collection[str] | None) -> None:
    """Have a quiet stream not go on behind the journal without a proof, where something of it may be unlisted.

    `unlisted`: those streams; None where they are not known. Ids show by themselves what is missing.
    """
    for name, recorder in streams.recorders.items():
        if recorder.tracker.copies is not None and (unlisted is None or name in unlisted):
            recorder.heard.by_connection[JOURNAL] = math.inf


def release(streams: StreamSet, arrived: Iterable[Arrived], last_rows: Mapping[str, LastRow]) -> None:
    """Hand what has arrived to the streams, connection by connection from where the journal ends.

    They know what the journal holds, by `recall`, and nothing else yet.
    """
    items = list(arrived)
    messages = _Remembered(streams.recorders, last_rows)
    for item in items:
        if isinstance(item.what, Delivered):
            messages.add(item.what)
    wanted = messages.wanted()
    for at_s, what in items:
        if not isinstance(what, Delivered):
            what(streams)
            continue
        for part in _parts(what, [next(wanted) for _ in what.messages]):
            streams.deliver(part, at_s)


class _Message(NamedTuple):
    key: tuple[str, int]
    """Stream and connection; the name of the stream is empty where the message is not readable."""
    recv_ns: int
    event: bytes


class _Remembered:
    """All messages that have arrived, in order, and the first one of each connection that is handed over.

    Ids are read from the newest message back, up to the one that the journal has: of ten seconds these are a few.
    """

    def __init__(self, recorders: Mapping[str, StreamRecorder], last_rows: Mapping[str, LastRow]) -> None:
        self._recorders = {name.encode(): recorder for name, recorder in recorders.items()}
        self._last_rows = last_rows
        self._newest_ns = newest_ns(last_rows.values())
        self._since_ns = self._newest_ns - round(_OVERLAP_S * 1e9)
        self._before: dict[tuple[str, int], tuple[int, int, bytes]] = {}  # the last message before that: number, …
        self._found: list[_Message] = []
        self._ids: dict[int, EventIds] = {}  # by number of a message, as far as they were read
        self._begins: dict[tuple[str, int], int] = {}  # by stream and connection: the number of a message
        self._has_ids = {name: one.has_sequence_ids for name, one in recorders.items()}

    def add(self, delivered: Delivered) -> None:
        """Look at messages, and whether one of a stream without ids shows where its connection begins."""
        found, connection = self._found, delivered.connection
        for recv_ns, message in zip(delivered.stamps_ns, delivered.messages, strict=True):
            name, event = demux.split(message)
            recorder = self._recorders.get(name)
            key = recorder.stream.name if recorder else "", connection
            if not self._has_ids.get(key[0], True) and key not in self._begins and key[0] in self._last_rows:
                self._compare(key, len(found), recv_ns, event)
            found.append(_Message(key, recv_ns, event))

    def _read_ids(self) -> None:
        """Find where the connections of streams with ids begin: behind the message that the journal has as its last."""
        for number in range(len(self._found) - 1, -1, -1):
            key, _, event = self._found[number]
            row = self._last_rows.get(key[0])
            if row is None or key in self._begins or not self._has_ids.get(key[0]):
                continue
            ids = self._recorders[key[0].encode()].ids_of(event)
            if ids is None:
                continue
            self._ids[number] = ids
            if ids.last_id == row.last_id:
                self._begins[key] = number + 1

    def _compare(self, key: tuple[str, int], number: int, recv_ns: int, event: bytes) -> None:
        before = self._before.pop(key, None)
        if recv_ns < self._since_ns:
            self._before[key] = number, recv_ns, event
            return
        for at, at_ns, one in (before, (number, recv_ns, event)) if before else ((number, recv_ns, event),):
            if self._is_recorded(key[0], at_ns, one):
                self._begins[key] = at
                return

    def wanted(self) -> Iterator[bool]:
        """Yield for each message, in order, whether it is handed over."""
        for key, (number, recv_ns, event) in self._before.items():
            if self._is_recorded(key[0], recv_ns, event):
                self._begins[key] = number
        self._read_ids()
        for number, message in enumerate(self._found):
            begin = self._begins.get(message.key)
            yield self._is_behind(number, message) if begin is None else number >= begin

    def _is_behind(self, number: int, message: _Message) -> bool:
        stream, _ = message.key
        row = self._last_rows.get(stream)
        if row is None:
            return message.recv_ns > (self._since_ns if stream else self._newest_ns)
        ids = self._ids.get(number)
        if ids is not None and ids.last_id is not None and row.last_id is not None:
            return ids.last_id > row.last_id
        return message.recv_ns > row.recv_ns

    def _is_recorded(self, stream: str, recv_ns: int, event: bytes) -> bool:
        """Return True where the journal has the event, as far as it was recalled; of a stream with ids it never is."""
        recorder = self._recorders[stream.encode()]
        copies = recorder.tracker.copies
        arrival = _arrival(recorder, recv_ns, event) if copies is not None else None
        return copies is not None and arrival is not None and copies.knows(event, arrival.reading.event_time_ms)


def _arrival(recorder: StreamRecorder, recv_ns: int, event: bytes) -> Arrival | None:
    """Return a message of the journal, or one like it, as it is judged; None where it is not readable."""
    try:
        arrival = Arrival(JOURNAL, recv_ns, event, NO_READING)
        return arrival._replace(reading=recorder.reading_of(arrival))
    except ExchangeError:
        return None


def _parts(delivered: Delivered, wanted: Sequence[bool]) -> Iterator[Delivered]:
    """Yield the wanted messages, those that stand together in one piece, with their own stamps."""
    begin = 0
    for end in range(1, len(wanted) + 1):
        if end < len(wanted) and wanted[end] == wanted[begin]:
            continue
        if wanted[begin]:
            connection, stamps_ns, messages, _ = delivered
            yield Delivered(connection, stamps_ns[begin:end], messages[begin:end], 0)
        begin = end
