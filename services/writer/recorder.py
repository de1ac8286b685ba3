"""Batches in, rows and positions on the disk: buffers, flushes and commits. No sockets, no clock, no thread."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from binance_streamer.config.schema import Config
from binance_streamer.config.symbols import symbol_fault
from binance_streamer.wire.frames import (
    Ack,
    Batch,
    BrokenBatchError,
    Topic,
    WireError,
    decode_batch,
    encode_frame,
    encode_topic,
    split_frames,
)
from binance_streamer.wire.statuses import WriterStatus
from services.runtime.delivery.events import MessageColumns
from services.writer.positions import BatchVerdict, Loss, Moved, Positions
from services.writer.rows.daily_files import DailyFile
from services.writer.rows.own_rows import MAX_NUMBER
from services.writer.rows.row_batches import row_batches
from services.writer.rows.rows import RawCounts, Row, RowMaker, RowRoute, Run
from services.writer.store.files import DataFile, DataFiles, SyncWork
from services.writer.store.ledger import FileRecord, LedgerEntry
from services.writer.store.losses import Hole, LossTracker
from services.writer.store.recovery import adopt, open_ledger, repair

NAME = "writer"
_MAX_BUFFER_BYTES = 512 * 1024
_MAX_NAME_BYTES = 128


class Commit(NamedTuple):
    """What becomes durable together: `work` by the disk, then `entry` by the ledger."""

    work: SyncWork
    entry: LedgerEntry
    moved: Moved
    gaps: list[tuple[bytes, bytes]]


class OutgoingAck(NamedTuple):
    """An acknowledgement, and the producer it goes to."""

    producer: str
    ack: Ack


@dataclass(slots=True)
class _Buffer:
    target: DailyFile
    first_ns: int
    lines: list[bytes] = field(default_factory=list)
    size_bytes: int = 0


class Recorder:
    """Everything between the intake and the disk. After any exception but OSError: `close`, and a new one."""

    def __init__(
        self,
        config: Config,
        epoch: int,
        now_ns: int,
        *,
        suspects: frozenset[str] = frozenset(),
        counts: "Counts | None" = None,
    ) -> None:
        """Recover what is on the disk.

        `suspects` are files that were found damaged, `counts` the totals of the recorder before this one.
        """
        self._batch_rows = config.performance.batch_size
        self._run = Run(NAME, epoch)
        self.counts = Counts() if counts is None else counts
        self._maker = RowMaker(self.counts.raw)
        self._buffers: dict[str, _Buffer] = {}
        self._gaps: list[tuple[bytes, bytes]] = []
        self._files = DataFiles(Path(config.storage.output_directory))
        self._ledger = open_ledger(self._files, now_ns)
        try:
            self._load(suspects)
        except BaseException:
            self.close()
            raise

    def take(self, parts: Sequence[bytes], now_ns: int) -> OutgoingAck | None:
        """Take a message of the intake as far as it is new; returns what its producer has to be told at once."""
        try:
            batch = decode_batch(parts)
        except WireError:
            self._refuse("not a batch")
            return None
        if not batch.producer.isprintable() or len(batch.producer.encode()) > _MAX_NAME_BYTES:
            self._refuse("no name of a producer")
            return None
        if batch.producer == NAME or max(batch.epoch, batch.first + len(batch.frames)) > MAX_NUMBER:
            self._refuse("no position")
            return None
        run = Run(batch.producer, batch.epoch)
        messages = None if self._rebuilt.has_epoch(run.epoch) else self._maker.messages(run, batch.frames)
        if messages is not None:
            return self._take_messages(run, batch, messages, now_ns)
        try:
            return self._take_frames(batch, split_frames(batch.frames), now_ns, fault=None)
        except BrokenBatchError as error:
            return self._take_frames(batch, error.good, now_ns, fault=error)

    def word(self, producer: str, reason: str) -> OutgoingAck:
        """What there is to say to a producer."""
        return OutgoingAck(producer, self._positions.word(producer, reason))

    def words(self, reason: str) -> list[OutgoingAck]:
        """The same to all that are known."""
        return [self.word(name, reason) for name in self._positions.names()]

    def flush(self, now_ns: int) -> None:
        """Make all rows readable."""
        if self._buffers:
            self._write(list(self._buffers.values()), now_ns)

    def begin_commit(self, now_ns: int) -> Commit | None:
        """Flush, and say what is to become durable; None where nothing is new. One commit at a time."""
        self.flush(now_ns)
        work = self._files.begin_sync()
        moved = self._positions.moved()
        if not work.files and not moved.positions:
            return None
        files = [FileRecord(file.path, file.length, file.first_ns, now_ns) for file in work.files]
        entry = LedgerEntry(moved.positions, files, self._streams.changed(), self._streams.damages())
        gaps, self._gaps = self._gaps, []
        return Commit(work, entry, moved, gaps)

    def finish_commit(self, commit: Commit) -> list[OutgoingAck]:
        """The files are durable: now the positions. Returns whom to tell."""
        self._ledger.commit(commit.entry)
        self._files.end_sync(commit.work)
        return [self.word(name, "commit") for name in self._positions.committed(commit.moved)]

    def probe(self) -> None:
        """Raise `BlockedError` unless the ledger can be written."""
        self._ledger.probe()

    def status(self) -> WriterStatus:
        """Return the part of the status message that the recorder knows."""
        return WriterStatus(
            producers=self._positions.status(),
            new_keys={series: tuple(keys) for series, keys in self._maker.new_keys.items()},
            writer_id=self._positions.writer_id,
        )

    def close(self) -> None:
        """Close files and database; what was not committed will be cut away."""
        self._files.close()
        self._ledger.close()

    def _load(self, suspects: frozenset[str]) -> None:
        repaired = repair(self._files, self._ledger, suspects)
        damages = {damage.series: damage for damage in repaired.damages}
        damages |= {damage.series: damage for damage in self._ledger.damages()}
        if repaired.files:
            self._ledger.commit(LedgerEntry((), repaired.files, (), list(damages.values())))
        self._positions = Positions(self._ledger.writer_id, self._ledger.positions())
        self._streams = LossTracker(self._ledger.streams(), damages.values())
        self._rebuilt = self._ledger.rebuilt()

    def _refuse(self, reason: str) -> None:
        self.counts.refused[reason] = self.counts.refused.get(reason, 0) + 1

    def _take_messages(
        self, run: Run, batch: Batch, messages: list[MessageColumns[RowRoute]], now_ns: int
    ) -> OutgoingAck | None:
        """A batch of nothing but the exchange's messages: the same as `_take_frames`, by the bunch."""
        skip = self._skipped(run, batch, sum([len(some.events) for some in messages]))
        if isinstance(skip, OutgoingAck):
            return skip
        if skip:
            rows = self._maker.rows(run, batch.first + skip, split_frames(batch.frames)[skip:], now_ns=now_ns)
            self._record(run.producer, rows, now_ns)
            return None
        found = row_batches(self._maker, run, messages)
        noted = [row for bunch in found for row in ((bunch,) if isinstance(bunch, Row) else (bunch.first, bunch.last))]
        for hole in self._streams.note(run.producer, noted):
            self._record_gap(hole, now_ns)
        for bunch in found:
            lines = [bunch.line] if isinstance(bunch, Row) else bunch.lines
            first = bunch if isinstance(bunch, Row) else bunch.first
            self._buffer(bunch.target, lines, first.recv_ns, now_ns)
        return None

    def _take_frames(
        self, batch: Batch, frames: list[bytes], now_ns: int, *, fault: BrokenBatchError | None
    ) -> OutgoingAck | None:
        """A batch that breaks off is taken up to there; where nothing precedes, the rest is one unreadable frame."""
        run = Run(batch.producer, batch.epoch)
        skip = self._skipped(run, batch, len(frames) or 1)
        if isinstance(skip, OutgoingAck):
            return skip
        if frames:
            rows = self._maker.rows(run, batch.first + skip, frames[skip:], now_ns=now_ns)
        else:
            rows = [self._maker.unreadable(run, batch.first, batch.frames, reason=str(fault), now_ns=now_ns)]
        self._record(run.producer, rows, now_ns)
        return self.word(batch.producer, "misfit") if fault else None

    def _skipped(self, run: Run, batch: Batch, count: int) -> int | OutgoingAck:
        """How many of a batch's frames are known already, or what its producer has to be told where it is not taken."""
        offer = self._positions.offer(batch, count)
        if offer.verdict is not BatchVerdict.TAKE:
            return self.word(batch.producer, "misfit" if offer.verdict is BatchVerdict.MISFIT else "known")
        if offer.loss is not Loss.NONE:
            self._streams.lost_positions(run, any_stream=offer.loss is Loss.WIPED)
        return offer.skip

    def _record(self, producer: str, rows: list[Row], now_ns: int) -> None:
        if self._rebuilt:
            rows = [row for row in rows if not self._rebuilt.has(row.identity, row.epoch, row.seq)]
        for hole in self._streams.note(producer, rows):
            self._record_gap(hole, now_ns)
        for row in rows:
            self._buffer(row.target, [row.line], row.recv_ns, now_ns)

    def _buffer(self, target: DailyFile, lines: list[bytes], first_ns: int, now_ns: int) -> None:
        buffer = self._buffers.get(target.path)
        if buffer is None:
            buffer = self._buffers[target.path] = _Buffer(target, first_ns)
        buffer.lines += lines
        buffer.size_bytes += sum(map(len, lines))
        if buffer.size_bytes > _MAX_BUFFER_BYTES or len(buffer.lines) >= self._batch_rows:
            self._write([buffer], now_ns)

    def _record_gap(self, hole: Hole, now_ns: int) -> None:
        symbol = hole.symbol if symbol_fault(hole.symbol) is None else "_unknown"
        seq = self._streams.last_seq(self._run, Topic("gap", symbol, "")) + 1
        data = {
            **hole._asdict(),
            "symbol": symbol,
            "gap_id": f"{NAME}-{self._run.epoch}-{symbol}-{seq}",
            "state": hole.state,
            "repaired_by": None,
            "recv_ns": now_ns,
            "producer": NAME,
            "epoch": self._run.epoch,
            "seq": seq,
            "source": "local",
        }
        frame = encode_frame("gap", data)
        self._gaps.append((encode_topic("gap", symbol), frame))
        self._record(NAME, self._maker.rows(self._run, 0, [frame], now_ns=now_ns), now_ns)
        self.counts.gaps += 1

    def _write(self, buffers: list[_Buffer], now_ns: int) -> None:
        for buffer, file in zip(buffers, self._files_of(buffers, now_ns), strict=True):
            header = [buffer.target.header] if file.length == 0 else []
            self._files.append(file, header + buffer.lines)
            self.counts.wrote(buffer.target.series, len(buffer.lines), buffer.size_bytes)
            del self._buffers[buffer.target.path]

    def _files_of(self, buffers: list[_Buffer], now_ns: int) -> list[DataFile]:
        announced = []
        for buffer in buffers:
            path = buffer.target.path
            if self._files.get(path) is None:
                record = self._ledger.file(path)
                if record is None:
                    record = adopt(self._files, path, buffer.target.header, buffer.first_ns)
                    announced.append(record)
                self._files.know(record)
        if announced:
            self._ledger.announce(announced)
        return [file for buffer in buffers if (file := self._files.get(buffer.target.path))]


@dataclass(slots=True)
class Counts:
    """Totals for the status message."""

    rows: int = 0
    bytes: int = 0
    gaps: int = 0
    streams: dict[str, int] = field(default_factory=dict)
    refused: dict[str, int] = field(default_factory=dict)
    raw: RawCounts = field(default_factory=dict)

    def wrote(self, series: str, rows: int, size_bytes: int) -> None:
        """Some rows are in a file now."""
        self.rows += rows
        self.bytes += size_bytes
        self.streams[series] = self.streams.get(series, 0) + rows
