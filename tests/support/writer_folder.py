"""The writer's recorder on a real directory, fed without processes and sockets: it dies and starts as the test says."""

import time
from pathlib import Path
from typing import Any

from binance_streamer.config import schema as configuration
from binance_streamer.wire.frames import Ack
from services.writer.recorder import Recorder
from services.writer.store.buffers import Counts
from services.writer.store.errors import FileDamagedError
from services.writer.store.files import check_root, make_durable
from tests.support.configs import write_config
from tests.support.recorded import recorded_rows
from tests.support.writer_peer import PeerJournal

DAY = "20260927"
"""Of the events of `writer_peer`."""
_BEGUN_NS = time.monotonic_ns()


def now_ns() -> int:
    """Return the time as the recorders here are given it: the events of `writer_peer` have just come."""
    return 1_790_526_600_000_000_000 + time.monotonic_ns() - _BEGUN_NS


class FolderPeer(PeerJournal):
    """A producer whose batches go straight to a recorder."""

    def __init__(self, folder: "WriterFolder", name: str, epoch: int) -> None:
        super().__init__(name, epoch)
        self._folder = folder
        self.acks: list[Ack] = []

    def push(self) -> None:
        """Hand over everything from the cursor on; nothing is durable by that."""
        while self.cursor < len(self.journal):
            end = self._batch_end()
            parts = self._batch(self.cursor, end)
            self.cursor = end
            self._folder.take(parts)

    def deliver(self) -> None:
        """Push and commit, until everything is durable."""
        for _ in range(20):
            self.push()
            self._folder.commit()
            durable = self.acks[-1].durable if self.acks else None
            if self._index(list(durable) if durable else None) == len(self.journal):
                return
        raise AssertionError(f"not durable: {self.acks[-3:]}")

    def on_ack(self, ack: Ack) -> None:
        """Go on where the writer says."""
        self.acks.append(ack)
        if ack.reason in ("hello", "misfit"):
            self.cursor = self._index(list(ack.received) if ack.received else None)


class WriterFolder:
    """A data directory, the recorder that writes into it, and its producers."""

    def __init__(self, place: Path, *, file_format: str = "csv", **performance: int) -> None:
        self.place = place
        self._performance = performance
        self.use(file_format)
        self.data = Path(self.config.storage.output_directory)
        self.peers: list[FolderPeer] = []
        self.starts = 0
        self.recorder: Recorder | None = None
        self.counts = Counts()

    def use(self, file_format: str) -> None:
        """Write files of this format from the next start on."""
        storage = {"output_directory": "data", "journal_directory": "journal", "file_format": file_format}
        self.config = configuration.load(
            write_config(self.place, {"BTCUSDT": ["aggTrade"]}, {}, storage=storage, performance=self._performance)
        )

    def start(self, suspects: frozenset[str] = frozenset()) -> Recorder:
        """Recover what is on the disk, and greet the producers."""
        check_root(self.data)
        self.starts += 1
        self.recorder = Recorder(self.config, self.starts, now_ns(), suspects=suspects, counts=self.counts)
        for peer in self.peers:
            self._greet(peer)
        return self.recorder

    def kill(self) -> None:
        """End without a commit; what was flushed is in the files."""
        if self.recorder is not None:
            self.recorder.flush()
            self.recorder.close()
        self.recorder = None

    def crash(self) -> None:
        """End without a flush: what still is in buffers is in no file."""
        if self.recorder is not None:
            self.recorder.close()
        self.recorder = None

    def stop(self) -> None:
        """Commit, and end."""
        self.commit()
        self.kill()

    def peer(self, name: str = "ingest-BTCUSDT", epoch: int = 1_790_000_000_000_000_001) -> FolderPeer:
        """A new producer, greeted where there is a recorder."""
        peer = FolderPeer(self, name, epoch)
        self.peers.append(peer)
        if self.recorder is not None:
            self._greet(peer)
        return peer

    def recording(self, count: int) -> FolderPeer:
        """A producer whose first trades and depth updates are durable: so many of each."""
        self.start()
        peer = self.peer()
        peer.emit_both(range(1, count + 1))
        peer.deliver()
        return peer

    def take(self, parts: list[bytes]) -> None:
        """Give a message of the intake to the recorder."""
        assert self.recorder is not None
        try:
            found = self.recorder.take(parts, now_ns())
        except FileDamagedError as error:
            self._recover(error)
            return
        if found is not None:
            self._tell(found.producer, found.ack)

    def commit(self) -> None:
        """Make durable what was taken, and tell its producers; a damaged file leads back to the last commit."""
        assert self.recorder is not None
        try:
            commit = self.recorder.begin_commit(now_ns())
        except FileDamagedError as error:
            self._recover(error)
            return
        if commit is not None:
            make_durable(self.data, commit.work)
            for found in self.recorder.finish_commit(commit):
                self._tell(found.producer, found.ack)

    def rows(self, stem: str, symbol: str = "BTCUSDT") -> list[dict[str, str]]:
        """The recorded rows, as a stranger reads them."""
        return recorded_rows(self.data, symbol, stem)

    def ids(self, stem: str = "aggtrade", column: str = "agg_trade_id") -> list[int]:
        """One column of them as numbers."""
        return [int(row[column]) for row in self.rows(stem)]

    def file(self, stem: str = "aggtrade", symbol: str = "BTCUSDT") -> Path:
        """The file of the day of all events."""
        return self.data / symbol / f"{stem}_{symbol}_{DAY}.{self.config.storage.file_format}"

    def lose_ledger(self) -> None:
        """Delete the database and all that belongs to it."""
        for path in self.data.glob(".writer.sqlite*"):
            path.unlink()

    def _recover(self, error: FileDamagedError) -> None:
        assert self.recorder is not None
        self.recorder.close()
        self.start(frozenset({error.path}))

    def _greet(self, peer: FolderPeer) -> None:
        assert self.recorder is not None
        peer.on_ack(self.recorder.ack(peer.name, "hello").ack)

    def _tell(self, producer: str, ack: Ack) -> None:
        for peer in self.peers:
            if peer.name == producer:
                peer.on_ack(ack)


def snapshot_fields(number: int) -> dict[str, Any]:
    """Return the fields that the frame of a depth snapshot has beside its event."""
    return {"source": "rest", "connection": 0, "requested_ns": 1_790_526_539_000_000_000 + number}
