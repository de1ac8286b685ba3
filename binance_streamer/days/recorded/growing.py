"""A daily file that the writer may be appending to, read piece by piece from where the last reading ended.

In: the file's size at each look, and how far the writer says that files are durable. Out: messages, and whether a
message is settled. The writer writes rows of several files at different moments, and a writer that starts cuts what its
predecessor had not made durable. So a row is settled when all that was recorded before it can be read: once a commit
began behind the moment at which the row was there.
"""

from collections.abc import Callable, Iterator
from itertools import islice

import pyarrow as pa
import pyarrow.compute as pc

from binance_streamer.compression import frame_ends, zstd
from binance_streamer.days.recorded.received import Recorded, messages_of, topic_of_stem, with_stamps
from binance_streamer.days.rows import NotSealable, behind_header, text_table
from binance_streamer.days.sources import Source
from binance_streamer.wire.frames import Topic

_FRAME_TEXT_BYTES = 128 * 1024
"""The most text of a compressed frame, but for one longer row."""
_MARK_BYTES = 64
"""In front of an offset, by which it is known again: the end of a row with its numbers, or of a frame with its
checksum."""


Numbers = Callable[[Topic], dict[int, int]]
"""Gives the last `seq` of a topic that has gone out, by epoch."""
SHARED = frozenset({"gap", "raw"})
"""Stream types of which several processes send messages of one topic: each has epochs of its own."""


class GrowingFile:
    """The position in one daily file, and its next message as `head`; nothing is open between two calls."""

    def __init__(self, source: Source, from_ns: int, last: Numbers, *, piece_bytes: int) -> None:
        """Messages received before `from_ns` are left out, and those that have gone out by `last`.

        A piece of `piece_bytes` of text is in memory at once.
        """
        self.source = source
        self.path = source.path
        self.topic = None if source.stem == "raw" else topic_of_stem(source.stem, source.symbol)
        self.is_shared = self.topic is None or self.topic[0] in SHARED
        self.head: Recorded | None = None
        self.is_held = False
        self.skipped: dict[int, int] = {}
        """The last `seq` of each epoch in front of the first message that is not left out."""
        self._last = last
        self._piece_bytes = piece_bytes
        self._from_ns = from_ns
        self._has_begun = False
        self._rows: Iterator[Recorded] = iter(())
        self._offset = self._next_offset = 0
        self._mark = self._next_mark = b""
        self._size = self._settled_bytes = 0
        self._noted: tuple[int, int] | None = None

    @property
    def is_settled(self) -> bool:
        """True if all that was recorded before the head can be read by now."""
        return self._next_offset <= self._settled_bytes

    @property
    def has_more(self) -> bool:
        """True if there is a head, or something behind it that was not read."""
        return self.head is not None or self._next_offset < self._size

    def look(self, durable_ns: int | None) -> None:
        """Note how large the file is; `durable_ns` is the newest that was known before any file was looked at.

        Raises `FileNotFoundError` where the file has been sealed and removed, or taken away.
        """
        stat = self.path.stat()
        self._size = stat.st_size
        if self._size < self._settled_bytes:  # another file of this name: the one before was renamed
            self._settled_bytes, self._noted = 0, None
        for _ in range(2):
            if self._noted and durable_ns is not None and durable_ns > self._noted[1]:
                self._settled_bytes = max(self._settled_bytes, self._noted[0])
                self._noted = None
            self._noted = self._noted or (stat.st_size, stat.st_mtime_ns)

    def park(self) -> None:
        """Forget the head and the piece that is being read; `fill` reads it again."""
        self._rows, self.head, self.is_held = iter(()), None, False
        self._next_offset, self._next_mark = self._offset, self._mark
        self._size = 0

    def fill(self) -> None:
        """Make the next message the head, if it has none and there is one.

        Raises `NotSealable` where the file cannot be read, `FileNotFoundError` as `look`.
        """
        self.is_held = False
        while self.head is None:
            self.head = next(self._rows, None)
            if self.head is None and not self._read_piece():
                return

    def advance(self) -> None:
        """Take the head as done, and make the next message the head."""
        self.head = None
        self.fill()

    def _read_piece(self) -> bool:
        """Read the next piece; False where there is none yet."""
        self._offset, self._mark = self._next_offset, self._next_mark
        with self.path.open("rb") as file:
            file.seek(max(0, self._offset - _MARK_BYTES))
            if file.read(self._offset and min(self._offset, _MARK_BYTES)) != self._mark:
                self._offset, self._mark = 0, b""  # cut by a writer that started, and written anew
            limit = self._settled_bytes if self._offset < self._settled_bytes else self._size
            *_, last_part, end = self._ends_of_parts(limit)
            file.seek(self._offset)
            content = file.read(end - self._offset)
        if len(content) != end - self._offset or not content:
            return False
        self._next_offset, self._next_mark = end, (self._mark + content)[-_MARK_BYTES:]
        has_gone = self._has_begun and self._have_gone(content[last_part - self._offset :])
        self._rows = iter(()) if has_gone else self._messages(content)
        return True

    def _ends_of_parts(self, limit: int) -> list[int]:
        """Return the offset, and where whole rows (plain) or frames (compressed) of the next piece end: two at least.

        Of plain text, the last part is the last row. Both are the offset where there is nothing whole.
        """
        offset = self._offset
        if self.path.suffix == ".zst":
            most = max(1, self._piece_bytes // _FRAME_TEXT_BYTES)
            ends = [end for end in islice(frame_ends(self.path, offset), most) if end <= limit]
            return [offset, *(ends or [offset])]
        with self.path.open("rb") as file:
            size = self._piece_bytes
            while limit > offset:
                file.seek(offset)
                text = file.read(min(size, limit - offset))
                end = text.rfind(b"\n") + 1
                if end or size >= limit - offset:
                    return [offset, offset + text.rfind(b"\n", 0, max(0, end - 1)) + 1, offset + end]
                size *= 2
        return [offset, offset]

    def _have_gone(self, part: bytes) -> bool:
        """Return True if the last row of a part has gone out: then all rows of the file in front of it have, too."""
        if self.is_shared:
            return False
        text = self._text(part)
        rows = with_stamps(text_table(self.path, text[text.rfind(b"\n", 0, -1) + 1 :], self.source.stem))
        return not len(_behind(rows, self._last_numbers()))

    def _last_numbers(self) -> dict[int, int]:
        return {} if self.topic is None else self._last(Topic(*self.topic))

    def _text(self, content: bytes) -> bytes:
        try:
            return zstd.decompress(content) if self.path.suffix == ".zst" else content
        except zstd.ZstdError as error:
            raise NotSealable(self.path, 0, "", str(error)) from error

    def _messages(self, content: bytes) -> Iterator[Recorded]:
        """Yield the messages of whole rows, or frames, that are wanted."""
        stem = self.source.stem
        text = self._text(content)
        if not self._offset and ".jsonl" not in self.path.suffixes:
            text = behind_header(self.path, text, stem)
        if text:
            rows = self._from_begin(with_stamps(text_table(self.path, text, stem)))
            yield from messages_of(_behind(rows, self._last_numbers()), stem, self.source.symbol)

    def _from_begin(self, rows: pa.Table) -> pa.Table:
        """Return the rows from the first one of the interval on, whatever stamps follow: a clock may be set back.

        Where several producers or topics meet, rows are in no order, and their stamps decide. The last numbers in front
        of the beginning are noted, because what follows on them is no hole.
        """
        is_within = pc.greater_equal(rows.column("recv_ns"), self._from_ns)
        if self.is_shared:
            return rows.filter(is_within)
        if self._has_begun:
            return rows
        first = pc.index(is_within, pa.scalar(value=True)).as_py()
        self._has_begun = first >= 0
        begin = first if first >= 0 else len(rows)
        skipped = rows.slice(0, begin).group_by("epoch").aggregate([("seq", "max")])
        for epoch, seq in zip(skipped["epoch"].to_pylist(), skipped["seq_max"].to_pylist(), strict=True):
            self.skipped[epoch] = max(seq, self.skipped.get(epoch, 0))
        return rows.slice(begin)


def _behind(rows: pa.Table, last: dict[int, int]) -> pa.Table:
    """Return the rows without those that have gone out."""
    for epoch in pc.unique(rows.column("epoch")).to_pylist():
        if epoch in last:
            is_other = pc.not_equal(rows.column("epoch"), epoch)
            rows = rows.filter(pc.or_(is_other, pc.greater(rows.column("seq"), last[epoch])))
    return rows
