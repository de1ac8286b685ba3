"""Recorded messages, then live ones: the shell around `splice`, which decides what goes out.

In: live messages, the place of the recording, and the receive stamp to begin at. Out: the messages of each topic in the
order of their numbers, each once. It needs the extra `days`, and a folder of recorded files that it can read.

Rows are read where a topic has to come from the files: at first, behind a hole in the live messages, and behind the
start of a producer. Once all topics are live no file is opened.
"""

import math
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from binance_streamer.client.splice import Numbered, Splice
from binance_streamer.client.tap import HistoryError
from binance_streamer.config.groups import MembersFile, workers_by_symbol
from binance_streamer.config.schema import load
from binance_streamer.days.reading.instants import FOREVER_NS, Instant, to_ns
from binance_streamer.days.reading.location import config_of, locate
from binance_streamer.days.recorded.following import FilePosition, RecordedTopics, producer_of
from binance_streamer.days.recorded.growing import SHARED
from binance_streamer.days.rows import NotSealable
from binance_streamer.deploy.lock_files import WRITER_LOCK, ended_ns, is_held
from binance_streamer.stores.scratch import ScratchFolder
from binance_streamer.wire.frames import Topic

WRITER_STATUS = "status.writer."
"""The topic that a history hears beside its own: it says how far files are durable."""
_WAITING_BYTES = 64 * 2**20
_MESSAGE_BYTES = 2048
"""Memory of a message beside the bytes of its frame."""
_LOOK_S, _IDLE_LOOK_S = 0.25, 2.0
"""Between two looks at the files: while live messages wait for them, and while a topic has had no live message."""
_TAKEN_AT_ONCE = 256
_DOUBT_STATUSES = 10
"""Statuses of the writer, one a second, after which the files of topics that are silent are looked at."""
_ABANDONED_S = 30.0
"""A data folder that no writer has had for so long is read as it is. One that was killed mostly comes back sooner, and
writes again what some files lack."""
_LIVE_ONLY = frozenset({"status", "request", "offered_gap", "repair", "symbol_status", "day"})

Message = tuple[Topic, str, dict[str, Any]]
"""Topic, stream type and data, as `client.tap.Tapped`."""
TakeLive = Callable[[float], tuple[Message, int] | None]
"""Gives the next live message and the bytes of its frame, None when none has come within so many seconds."""


class History:
    """The messages of some topics from an instant on."""

    def __init__(
        self, topics: Sequence[str], start: Instant, recording: str | Path | None, take_live: TakeLive
    ) -> None:
        """`topics` are prefixes, `recording` a place as for `days.Recording`; errors are those of `Tap`."""
        from_ns = to_ns(start)
        if from_ns > time.time_ns():
            raise HistoryError(f"expected a time that is over, got {start}: the history ends now")
        self._from_ns = from_ns
        self._prefixes = tuple(topics) or ("",)
        self._take_live = take_live
        self._splice: Splice[Message] = Splice(_WAITING_BYTES)
        self._out: deque[Message] = deque()
        self._durable_ns: int | None = None
        self._free_since_s: float | None = None
        self._producers: dict[int, str] = {}  # by epoch, as they are heard live
        self._last_status = (0, 0)
        self._looked_s = 0.0
        self._holds = False
        self._folder = ScratchFolder("binance-streamer-history-")
        try:
            location = locate(recording)
            self._data = location.data
            self._workers = _workers_of(recording)
            self._recorded = RecordedTopics(
                location, self._prefixes, from_ns, self._folder.path, last=self._splice.last
            )
            self._look()
        except (OSError, NotSealable) as error:
            self.close()
            raise HistoryError(f"{error}") from error
        missing = [prefix for prefix in self._prefixes if not self._has_any(prefix)]
        if missing:
            self.close()
            where = " and ".join(str(one) for one in location if one)
            what = " ".join(missing).strip() or "any topic"
            raise HistoryError(f"nothing of {what} is recorded in {where}, as far as that can be read from here")

    def _has_any(self, prefix: str) -> bool:
        return any(".".join(topic).startswith(prefix) for topic in self._recorded.topics)

    def receive(self, timeout_s: float) -> Message | None:
        """Return the next message; None when none has come within `timeout_s` seconds."""
        try:
            return self._next(time.monotonic() + timeout_s)
        except (OSError, NotSealable) as error:
            raise HistoryError(f"{error}") from error

    def _next(self, deadline_s: float) -> Message | None:
        while True:
            if not self._out:  # where nobody takes them, live messages wait in the socket, which drops some at last
                self._take(0, _TAKEN_AT_ONCE)
            if self._out:
                return self._out.popleft()
            if self._offer():
                continue
            now_s, due_s = time.monotonic(), self._next_look_s()
            if now_s >= due_s:
                self._look()
            elif now_s >= deadline_s:
                return None
            else:
                self._take(min(deadline_s, due_s) - now_s, 1)

    def close(self) -> None:
        """Remove what lies on the disk for the time being."""
        self._folder.close()

    def _take(self, wait_s: float, most: int) -> None:
        """Take live messages, at most so many."""
        for _ in range(most):
            taken = self._take_live(wait_s)
            if taken is None:
                return
            (topic, _, data), frame_bytes = message, _ = taken
            self._producers[data["epoch"]] = data["producer"]
            if topic.stream_type == "status" and topic.symbol == "writer":
                self._hear_writer(data)
            if not ".".join(topic).startswith(self._prefixes):
                continue
            if is_live_only(topic):
                self._out.append(message)
                continue
            new = Numbered(topic, data["epoch"], data["seq"], message, frame_bytes + _MESSAGE_BYTES)
            if data["recv_ns"] < self._from_ns:
                self._splice.skip(topic, new.epoch, new.seq)
            self._show(self._splice.live(new))

    def _hear_writer(self, data: dict[str, Any]) -> None:
        """Note how far files are durable; a status that was missed tells of messages that were.

        A message that was lost with none behind it shows nowhere, so that silent topics are looked up now and then.
        """
        durable_ns, number = data.get("durable_ns"), (data["epoch"], data["seq"])
        if durable_ns is not None:
            self._durable_ns = durable_ns
        epoch, seq = self._last_status
        if seq and (number != (epoch, seq + 1) or not number[1] % _DOUBT_STATUSES):
            if math.isinf(self._next_look_s()):  # topics whose next message comes until the next look need no file
                self._looked_s = time.monotonic()
            self._splice.doubt()
        self._last_status = number

    def _next_look_s(self) -> float:
        """Return when the files have to be looked at again, by the monotonic clock."""
        if self._holds or self._splice.is_waiting:
            return self._looked_s + _LOOK_S
        return math.inf if all(map(self._splice.is_live, self._recorded.topics)) else self._looked_s + _IDLE_LOOK_S

    def _readable_ns(self) -> int | None:
        """Return the time up to which all that was recorded can be read.

        A writer that runs says it on the bus. One that has ended said it when it left, so that a recording that does
        not run is read to its end; and where it could not, nothing more is to be waited for after a while.
        """
        left_ns = ended_ns(self._data) if self._data is not None else None
        if self._data is None or left_ns is not None or is_held(self._data / WRITER_LOCK) is not False:
            self._free_since_s = None
            return max(left_ns or 0, self._durable_ns or 0) or None
        now_s = time.monotonic()
        self._free_since_s = self._free_since_s or now_s
        return FOREVER_NS if now_s - self._free_since_s >= _ABANDONED_S else self._durable_ns

    def _look(self) -> None:
        is_live = self._splice.is_live
        self._holds = False
        self._recorded.look(self._readable_ns(), is_needed=lambda topic: not is_live(topic))
        for skipped in self._recorded.skipped():
            self._splice.skip(*skipped)
        self._looked_s = time.monotonic()

    def _offer(self) -> bool:
        """Offer the oldest recorded message; False where there is none."""
        place = self._recorded.pop()
        if place is None or place.head is None:
            return False
        recorded = place.head
        topic = Topic(*recorded.topic)
        if not ".".join(topic).startswith(self._prefixes):
            self._recorded.advance(place)
            return True
        worker = self._workers.get(topic.symbol, topic.symbol)
        producer = self._producers.get(recorded.epoch) or producer_of(recorded, worker)
        numbers = {"producer": producer, "epoch": recorded.epoch, "seq": recorded.seq}
        row = Numbered(topic, recorded.epoch, recorded.seq, (topic, topic.stream_type, recorded.data | numbers))
        out = self._splice.recorded(row)
        if out is None and self._is_settled(place):
            out = self._splice.settled(row)
        if out is None:
            self._recorded.hold(place)
            self._holds = True
        else:
            self._show(out)
            self._recorded.advance(place)
        return True

    def _show(self, found: Sequence[Numbered[Message]]) -> None:
        """Let messages go out; of a topic of several producers, those alone that were received from the beginning on.

        There the beginning of one says nothing of the others, as in the files (`GrowingFile`).
        """
        for one in found:
            if one.topic.stream_type not in SHARED or one.message[2]["recv_ns"] >= self._from_ns:
                self._out.append(one.message)

    def _is_settled(self, place: FilePosition) -> bool:
        return place.is_settled and self._recorded.is_first(place)


def _workers_of(recording: str | Path | None) -> Mapping[str, str]:
    """Return the worker of each symbol, as the configuration of a recording has it now.

    Rows do not name theirs. Of a member of a group that had another worker before, older epochs are named by this one.
    """
    path = config_of(recording)
    return workers_by_symbol(MembersFile(load(path)).config) if path is not None else {}


def is_live_only(topic: Topic) -> bool:
    """Return True of messages that are not recorded: they go out as they come."""
    return topic.stream_type in _LIVE_ONLY or (topic.stream_type == "orderbook" and not topic.variant)
