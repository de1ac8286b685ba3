"""The recorded messages of some topics in the order of their receipt, sealed and open days, while the writer goes on.

In: where the recording lies, prefixes of topics, and the receive stamp to begin at. Out: a `FilePosition` for each
file, that with the oldest next message first. Each `look` finds what has been written since. Memory does not grow with
the files: a piece of each one is read at a time; sealed days are sorted by receipt on the disk first, as for a replay.
"""

import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from binance_streamer.days.lake import Lake
from binance_streamer.days.reading.instants import DAY_NS, FOREVER_NS, day_of_ns
from binance_streamer.days.reading.location import Location
from binance_streamer.days.reading.parts import CLOCK_SLACK_NS, RowFiles
from binance_streamer.days.recorded.growing import GrowingFile, Numbers
from binance_streamer.days.recorded.received import OF_PROCESSES, Recorded, sealed_messages, topic_of_stem
from binance_streamer.days.rows import Span
from binance_streamer.days.sources import EXCHANGE, Source, sources, sources_of_symbol
from binance_streamer.wire.frames import Topic

_PIECES_BYTES = 64 * 2**20
_PIECE_BYTES = (64 * 2**10, 4 * 2**20)
"""Text of all files that is in memory at once, and the least and the most of one file. As messages it takes some times
as much."""


class FilePosition(Protocol):
    """A position in one file: its next message, and what is known of that."""

    head: Recorded | None
    is_held: bool

    @property
    def is_settled(self) -> bool:
        """True if all that was recorded before the head can be read by now."""


class _SealedFile:
    """A sealed day of one stream: settled, since days are sealed long after their last row."""

    is_settled = True
    is_held = False

    def __init__(self, messages: Iterator[Recorded]) -> None:
        self._messages = messages
        self.head = next(messages, None)

    def advance(self) -> None:
        """Take the head as done, and make the next message the head."""
        self.head = next(self._messages, None)


class RecordedTopics:
    """All messages of some topics that are recorded, and those that are going to be."""

    def __init__(
        self, location: Location, prefixes: Sequence[str], from_ns: int, spill: Path, *, last: Numbers
    ) -> None:
        """`prefixes` are those of topics; `spill` is an empty folder for the rows of sealed days.

        `last` says what has gone out.
        """
        self.topics: set[Topic] = set()
        """All topics of which something is recorded, whenever that was."""
        self._location = location
        self._prefixes = tuple(prefixes)
        self._from_ns = from_ns
        self._spill = spill
        self._lake = Lake(location.lake, spill) if location.lake else None
        self._last = last
        self._growing: dict[Path, GrowingFile] = {}
        self._sealed: dict[str, _SealedFile] = {}
        self._certified: dict[Path, int] = {}
        self._heap: list[tuple[int, int, GrowingFile | _SealedFile]] = []
        self._removed: list[Source] = []
        """Daily files that were not read to their end when they were removed: the lake has them by then."""
        for symbol, stem in sorted({(symbol, stem) for symbol, stem, _ in RowFiles(location).names()}):
            if self._is_wanted(stem, symbol):
                self._find_sealed(symbol, stem)

    def look(self, durable_ns: int | None, *, is_needed: Callable[[Topic], bool]) -> None:
        """Find what has been written since; all places that have a next message come up again.

        `durable_ns` is that of the writer's newest status. Files of topics that are not needed are passed over.
        Raises `NotSealable` where a file does not hold rows of this version.
        """
        found = list(self._sources())
        for path in self._growing.keys() - {source.path for source in found}:
            self._forget(self._growing[path])
        while self._removed:
            removed = self._removed.pop()
            self._find_sealed(removed.symbol, removed.stem, removed.day)
        piece = min(max(_PIECES_BYTES // max(len(found), 1), _PIECE_BYTES[0]), _PIECE_BYTES[1])
        needed = []
        for source in found:
            file = self._growing.setdefault(
                source.path, GrowingFile(source, self._from_ns, self._last, piece_bytes=piece)
            )
            if file.is_shared or file.topic is None or is_needed(Topic(*file.topic)):
                needed.append(file)
            else:
                file.park()
        present = [file for file in needed if self._is_there(file, lambda file: file.look(durable_ns))]
        filled = [file for file in present if self._is_there(file, GrowingFile.fill)]
        self._heap = []
        places: list[GrowingFile | _SealedFile] = [*filled, *self._sealed.values()]
        for place in places:
            place.is_held = False
            self._push(place)

    def skipped(self) -> Iterator[tuple[Topic, int, int]]:
        """Yield topic, epoch and the last `seq` of all that lies in front of the beginning, as far as it was read."""
        for file in self._growing.values():
            if file.topic is not None:
                yield from ((Topic(*file.topic), epoch, seq) for epoch, seq in file.skipped.items())

    def pop(self) -> FilePosition | None:
        """Return the place with the oldest message that has not been taken or held since the last look."""
        return heapq.heappop(self._heap)[2] if self._heap else None

    def advance(self, place: FilePosition) -> None:
        """Take the place's message as done."""
        if isinstance(place, _SealedFile):
            place.advance()
            self._push(place)
        elif isinstance(place, GrowingFile) and self._is_there(place, GrowingFile.advance):
            self._push(place)

    def hold(self, place: FilePosition) -> None:
        """Leave the place's message for the next look."""
        place.is_held = True

    def is_first(self, place: FilePosition) -> bool:
        """Return True if no other place has an older message of the same topic, by its number or because it is held."""
        assert place.head is not None
        others: list[GrowingFile | _SealedFile] = [*self._growing.values(), *self._sealed.values()]
        for other in others:
            head = other.head
            if other is place or head is None or head.topic != place.head.topic:
                continue
            if head.seq < place.head.seq if head.epoch == place.head.epoch else other.is_held:
                return False
        return True

    def _push(self, place: GrowingFile | _SealedFile) -> None:
        if place.head is not None:
            heapq.heappush(self._heap, (place.head.recv_ns, id(place), place))

    def _is_there(self, file: GrowingFile, read: Callable[[GrowingFile], None]) -> bool:
        """Call a function that reads a file; False where the file has been sealed and removed meanwhile."""
        try:
            read(file)
        except FileNotFoundError:
            self._forget(file)
            return False
        return True

    def _forget(self, file: GrowingFile) -> None:
        """Take a file that is not there any more out of account; where it was not read to its end, look for its day."""
        self._growing.pop(file.path, None)
        if file.has_more:
            self._removed.append(file.source)

    def _is_wanted(self, stem: str, symbol: str) -> bool:
        """Return True if a daily file may have messages of these topics."""
        if stem in OF_PROCESSES:
            return False
        _, topic_symbol, _ = topic = topic_of_stem(stem, symbol)
        if stem == "raw":
            parts = [prefix.split(".", 2)[1:] for prefix in self._prefixes]
            return any(not rest or topic_symbol.startswith(rest[0]) for rest in parts)
        return ".".join(topic).startswith(self._prefixes)

    def _sources(self) -> Iterator[Source]:
        """Yield the daily files that may have messages of the interval, and are not sealed as they are."""
        data = self._location.data
        if data is None:
            return
        first_day, first_ns = day_of_ns(self._from_ns - 2 * DAY_NS), self._from_ns - CLOCK_SLACK_NS
        for source in self._all_sources(data):
            if not self._is_wanted(source.stem, source.symbol):
                continue
            if source.stem != "raw":
                self.topics.add(Topic(*topic_of_stem(source.stem, source.symbol)))
            try:
                stat = source.path.stat()
            except FileNotFoundError:
                continue
            is_old = source.day < first_day and stat.st_mtime_ns < first_ns
            if not is_old and self._certified.get(source.path) != stat.st_size:
                yield source

    def _all_sources(self, data: Path) -> Iterable[Source]:
        """Return the daily files of the symbols that are named, or of all."""
        parts = [prefix.split(".", 2) for prefix in self._prefixes]
        if any(len(part) < 3 for part in parts):
            return sources(data)
        symbols = {EXCHANGE if part[1] == "EXCHANGE" else part[1] for part in parts}
        return (source for symbol in sorted(symbols) for source in sources_of_symbol(data, symbol))

    def _find_sealed(self, symbol: str, stem: str, day: str = "") -> None:
        """Find the sealed days of a stream, or one; daily files that are sealed as they are need not be read."""
        if stem != "raw":
            self.topics.add(Topic(*topic_of_stem(stem, symbol)))
        span = Span(self._from_ns, FOREVER_NS)
        found = {one.day: one for one in RowFiles(self._location).of(stem, symbol, span) if one.sealed}
        for one in found.values():
            if self._lake is not None and one.sealed not in self._sealed and day in ("", one.day):
                spill = self._spill / str(len(self._sealed))
                local = self._lake.local(one.sealed.removeprefix(f"{self._location.lake}/"))
                self._sealed[one.sealed] = _SealedFile(sealed_messages(local, stem, symbol, span, spill))
        for source in sources_of_symbol(self._location.data, symbol) if self._location.data else ():
            if source.stem == stem and source.day in found and source.path not in found[source.day].files:
                self._certified[source.path] = source.path.stat().st_size


def producer_of(message: Recorded, worker: str) -> str:
    """Return the process that sent a recorded message, which its row does not say: each kind has one.

    `worker` is the one that records its symbol. Only a gap that `orderbook` lists because its own journal was full
    cannot be told from one of that worker.
    """
    stream_type = message.topic[0]
    if stream_type == "gap" and str(message.data["gap_id"]).startswith("writer-"):
        return "writer"
    if stream_type in ("orderbook", "audit"):
        return "orderbook"
    return "rest" if str(message.data["stream"]).startswith("/") else f"ingest-{worker}"
