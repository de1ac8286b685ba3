"""History and live messages over the writer's own files, without a process: it dies, commits and writes at random.

Trades around midnight lie in two days, broken ones among the raw rows, and gap rows are of two producers. The oracle is
what each producer numbered.
"""

import shutil
import tempfile
import time
from collections import deque
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any

import pytest

from binance_streamer.client import history
from binance_streamer.client.history import History
from binance_streamer.deploy.lock_files import WRITER_LOCK, ended_text
from binance_streamer.wire.frames import Topic, decode_frame
from tests.support.examples import examples
from tests.support.writer_folder import WriterFolder
from tests.support.writer_peer import depth

MIDNIGHT_MS = 1_790_553_600_000
FIRST_NS = MIDNIGHT_MS * 10**6
STREAMS = {"aggtrade": "btcusdt@aggTrade", "depth": "btcusdt@depth@0ms", "gap": "btcusdt@aggTrade"}
TOPICS = {name: Topic(name, "BTCUSDT", "0ms" if name == "depth" else "") for name in STREAMS}
_COARSE_S = 0.012
"""Between a write and a commit whose beginning is to be behind it: file systems stamp in steps of some ms."""


def trade(number: int, dice: Random) -> bytes:
    """A trade of the one day or the other; one in eight has a price that is none, and becomes a raw row."""
    price = "none" if dice.random() < 0.12 else f"84551.{number % 100:02d}"
    time_ms = MIDNIGHT_MS + dice.choice([-1000, 1000])
    return (
        f'{{"e":"aggTrade","E":{time_ms},"a":{number},"s":"BTCUSDT","p":"{price}","q":"0.030","f":{number},"l":{number},'
        f'"T":{time_ms},"m":true}}'
    ).encode()


class Bench:
    """A writer on a folder, two producers, a bus that loses messages, and a history of all topics."""

    def __init__(self, place: Path, seed: int) -> None:
        self.dice = Random(seed)
        self.folder = WriterFolder(place, file_format=self.dice.choice(["csv", "csv.zst"]))
        self.lock = self.folder.data / WRITER_LOCK
        self.start_writer()
        self.peers = [self.folder.peer("ingest-BTCUSDT", 900), self.folder.peer("rest", 800)]
        self.sent: list[dict[str, Any]] = []
        self.live: deque[tuple[tuple[Topic, str, dict[str, Any]], int]] = deque()
        self.shown: list[tuple[Topic, dict[str, Any]]] = []
        self.statuses = 0
        self.history: History | None = None

    def emit(self) -> None:
        """Some messages; each is journalled, and most are published."""
        for _ in range(self.dice.randint(1, 8)):
            number = len(self.sent) + 1
            stream_type = self.dice.choice(["aggtrade", "aggtrade", "depth", "gap"])
            peer = self.peers[self.dice.random() < 0.5 if stream_type == "gap" else 0]
            fields: dict[str, Any] = {"recv_ns": FIRST_NS + number}
            event: bytes | None = trade(number, self.dice) if stream_type == "aggtrade" else depth(number)
            if stream_type == "gap":
                event = None
                fields |= {"source": "local", "gap_id": f"{peer.epoch}-{number}", "state": "open", "from_id": 1,
                           "to_id": 2, "from_ns": FIRST_NS, "to_ns": FIRST_NS + 1, "reason": "sequence"}  # fmt: skip
            peer.emit(stream_type, "BTCUSDT", STREAMS[stream_type], event, **fields)
            found, data = decode_frame(peer.journal[-1][2])
            self.sent.append({**data, "type": found})
            if self.dice.random() < 0.85:
                self.live.append(((TOPICS[found], found, data), 300))

    def restart_producer(self) -> None:
        """Names of epochs are compared for equality only."""
        self.peers[0].epoch += self.dice.choice([-1, 1]) * self.dice.randint(1, 50)

    def push(self) -> None:
        for peer in self.peers:
            if self.folder.recorder is not None and self.dice.random() < 0.8:
                peer.push()

    def flush(self) -> None:
        if self.folder.recorder is not None:
            self.folder.recorder.flush()

    def commit(self) -> None:
        """A commit, of which the next status tells."""
        if self.folder.recorder is not None:
            time.sleep(_COARSE_S)
            durable_ns = time.time_ns() - 4_000_000
            self.folder.commit()
            self.statuses += 1
            status = {"producer": "writer", "epoch": 1, "seq": self.statuses, "durable_ns": durable_ns}
            self.live.append(((Topic("status", "writer", ""), "status", status), 100))

    def kill_writer(self) -> None:
        if self.folder.recorder is None:
            self.start_writer()
        else:
            self.dice.choice([self.folder.kill, self.folder.crash, self.end_writer])()

    def start_writer(self) -> None:
        self.folder.data.mkdir(mode=0o750, exist_ok=True)
        self.lock.write_text("pid 1\n")
        self.folder.start()

    def end_writer(self) -> None:
        """It commits all that it took, and says so."""
        self.folder.stop()
        time.sleep(_COARSE_S)
        self.lock.write_text(ended_text(time.time_ns()))
        self.read()

    def read(self) -> None:
        """Look at the files now, and take what comes."""
        if self.history is not None:
            self.history._looked_s = 0.0
            while (message := self.history.receive(0)) is not None:
                topic, _, data = message
                self.shown.append((topic, data))

    def take_live(self, _: float) -> tuple[tuple[Topic, str, dict[str, Any]], int] | None:
        return self.live.popleft() if self.live and self.dice.random() < 0.9 else None

    def run(self, steps: int) -> None:
        actions = [self.emit] * 5 + [self.push] * 5 + [self.flush] * 3 + [self.commit] * 2 + [self.read] * 4
        begin = self.dice.randrange(steps)
        for step in range(steps):
            if step >= begin and self.history is None and self.has_all():
                self.begin()
            changes = [self.kill_writer] * (8 if self.folder.recorder is None else 3)
            rare = [*changes, self.restart_producer] if self.dice.random() < 0.3 else []
            self.dice.choice([*actions, *rare])()
        if self.folder.recorder is None:
            self.start_writer()
        for peer in self.peers:
            peer.deliver()
        for _ in range(4):
            self.commit()
            if self.history is not None:
                while self.live:
                    self.read()
                self.history._splice.doubt()
                self.read()

    def has_all(self) -> bool:
        """Return True if something of each topic is recorded; without that there is no history."""
        return all(list(self.folder.data.glob(f"BTCUSDT/{name}_*")) for name in STREAMS)

    def begin(self) -> None:
        """From the very beginning, or from any message."""
        self.from_ns = FIRST_NS + self.dice.choice([0, self.dice.randrange(len(self.sent))])
        topics = [f"{name}.BTCUSDT." for name in STREAMS]
        self.history = History(topics, self.from_ns, self.folder.data, self.take_live)

    def check(self) -> None:
        """Each producer's messages of a topic, in order: none is missing, none is there twice, fields as sent."""
        for name, topic in TOPICS.items():
            for producer in ("ingest-BTCUSDT", "rest"):
                expected = [data for data in self.sent if (data["type"], data["producer"]) == (name, producer)]
                wanted = [data for data in expected if data["recv_ns"] >= self.from_ns]
                found = [data for one, data in self.shown if one == topic and data["epoch"] in _epochs(expected)]
                assert [_name(data) for data in found] == [_name(data) for data in wanted], (name, producer)
                for data, sent in zip(found, wanted, strict=True):
                    assert data["producer"] == producer or name == "gap"
                    fields = {
                        key: value for key, value in sent.items() if key not in {"type", "connection", "producer"}
                    }
                    assert {key: data.get(key) for key in fields} == fields


def _epochs(messages: list[dict[str, Any]]) -> set[int]:
    return {data["epoch"] for data in messages}


def _name(data: dict[str, Any]) -> tuple[int, int]:
    return data["epoch"], data["seq"]


def test_each_message_comes_once_and_in_order_from_files_and_bus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "_LOOK_S", 0.002)
    begun = 0
    for seed in range(examples(8)):
        place = Path(tempfile.mkdtemp(prefix="bs-", dir="/tmp"))
        bench = Bench(place, seed)
        try:
            bench.run(70)
            if bench.history is not None:
                with closing(bench.history):
                    bench.check()
                begun += 1
        except BaseException:
            print(f"seed {seed} in {place}")
            raise
        bench.folder.stop()
        shutil.rmtree(place)
    assert begun > examples(8) // 2
