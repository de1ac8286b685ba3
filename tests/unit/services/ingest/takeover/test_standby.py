"""A worker waits for its journal, connected, and goes on behind it.

The exchange and the reader are stubs; the journal, the locks and the sockets are real.
"""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import zmq

from binance_streamer.config import schema as configuration
from services.ingest.connections import network
from services.ingest.connections.events import Delivered, Opened, ReaderEvent
from services.ingest.streams.outages import Noted, Outage
from services.ingest.streams.stream_set import StreamSet
from services.ingest.symbols import WorkerSymbols
from services.ingest.takeover import standby as module
from services.ingest.takeover.claims import claiming
from services.ingest.takeover.noted_outages import NotedOutages, noted_outages_path
from services.ingest.takeover.partner import is_relieved, warm_lock_path
from services.ingest.takeover.standby import Standby
from services.ingest.takeover.unlisted import UnlistedLosses, unlisted_path
from services.runtime.delivery.producer import lock_path, producing
from services.runtime.lock import FileLock
from services.runtime.process import Shell, Stop
from tests.support.configs import write_config
from tests.support.drafts import singles
from tests.support.running_network import Line, frame

RECORDER = "ingest-BTCUSDT"
BEGIN_NS = 1_790_000_000_000_000_000


def price(number: int) -> bytes:
    at_ms = BEGIN_NS // 1_000_000 + 1000 * number
    return frame("markPrice@1s", f'{{"e":"markPriceUpdate","E":{at_ms},"s":"BTCUSDT","p":"{number}"}}')


def event(number: int) -> bytes:
    return price(number).partition(b'"data":')[2][:-1]


def delivered(connection: int, *numbers: int) -> Delivered:
    messages = [price(number) for number in numbers]
    stamps_ns = [BEGIN_NS + number * 10**9 for number in numbers]
    return Delivered(connection, stamps_ns, messages, sum(map(len, messages)))


class Scripted:
    """The reader of a worker that waits: each connection that is dialled is open at once, and brings what is given."""

    queued_bytes = 0
    is_exhausted = False

    def __init__(self, line: Line, numbers: tuple[int, ...]) -> None:
        self._line = line
        self._numbers = numbers
        self._answered = 0
        self.then: Callable[[], None] = lambda: None
        self.is_stopped = False

    def start(self) -> None:
        pass

    def stop(self) -> None:
        self.is_stopped = True

    def close(self, *_: object) -> None:
        pass

    def take(self, _: int) -> list[ReaderEvent]:
        asked = self._line.asked[self._answered :]
        self._answered += len(asked)
        if not asked and self._answered:
            self.then()
        return [one for number, _, _ in asked for one in (Opened(number, BEGIN_NS), delivered(number, *self._numbers))]


@pytest.fixture
def shell(place: Path) -> Iterator[Shell]:
    with made_shell(place, "markPrice@1s") as made:
        yield made


@contextlib.contextmanager
def made_shell(place: Path, *streams: str) -> Iterator[Shell]:
    """Give the shell of a worker that waits for the journal of these streams."""
    path = write_config(place, {"BTCUSDT": list(streams)}, {"connections": 1})
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    (place / "run").mkdir(mode=0o700)
    made = Shell("standby-BTCUSDT", configuration.load(path), path, Stop(), context)
    yield made
    made.stop.close()
    context.destroy(linger=0)


@pytest.fixture
def line(monkeypatch: pytest.MonkeyPatch) -> Line:
    made = Line()
    monkeypatch.setattr(network, "Dialler", lambda *_, **__: made)
    return made


class Scene:
    """A recorder that holds the lock, what its journal has, and a worker that waits for it."""

    def __init__(self, shell: Shell, line: Line, monkeypatch: pytest.MonkeyPatch, *numbers: int) -> None:
        monkeypatch.setattr(module, "wall_ns", lambda: BEGIN_NS + 4 * 10**9)
        self.reader = Scripted(line, numbers)
        monkeypatch.setattr("services.ingest.intake.Reader", lambda **_: self.reader)
        self.recording = replace(shell, name=RECORDER)
        self.theirs = FileLock(lock_path(shell, RECORDER))
        assert self.theirs.try_acquire()
        self.warm_path = warm_lock_path(shell, RECORDER)
        self.ours = FileLock(lock_path(shell, RECORDER))
        self.standby = Standby(shell, "BTCUSDT", WorkerSymbols(shell.config, "BTCUSDT"), self.ours)

    def journal(self, *numbers: int) -> None:
        """Have the recorder journal these, and end."""
        symbol = self.recording.config.symbol("BTCUSDT")
        streams = StreamSet("BTCUSDT", configuration.streams_of(symbol), last_rows={}, new_gap_id=str)
        streams.deliver(delivered(1, *numbers), 1.0)
        with producing(self.recording, self.theirs) as (producer, pub):
            assert producer.append(streams.collect(0))
        pub.close(linger=0)

    @contextlib.contextmanager
    def taken_over(self) -> Iterator[tuple[list[bytes], list[str]]]:
        """Yield the rows, and the reasons of gaps, that are to be journalled behind the takeover."""
        recording = replace(self.recording, epoch=self.recording.epoch + 1)
        with producing(recording, self.ours, self.standby.pub) as (producer, pub):
            with claiming(recording.config, recording.name) as claims:
                intake, _ = self.standby.take_over(recording, producer, claims)
            assert intake.took_over_ms is not None
            drafts = list(singles(intake.streams.collect(0)))
            rows = [draft.data["event"] for draft in drafts if "event" in draft.data]
            assert [draft.variant for draft in drafts if draft.stream_type == "status"] == ["takeover"]
            yield rows, [draft.data["reason"] for draft in drafts if draft.stream_type == "gap"]
        pub.close(linger=0)


def test_it_goes_on_behind_what_the_other_one_has_journalled(
    shell: Shell, line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = Scene(shell, line, monkeypatch, 1, 2, 3)
    scene.reader.then = lambda: scene.journal(1, 2) if scene.theirs.is_ours else None
    assert scene.standby.wait()
    with scene.taken_over() as (rows, reasons):
        assert (rows, reasons) == ([event(3)], [])


def test_what_the_other_one_had_not_listed_is_taken_over(
    shell: Shell, line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = Scene(shell, line, monkeypatch, 3)
    UnlistedLosses(unlisted_path(shell, RECORDER)).note({"btcusdt@markPrice@1s"})
    scene.reader.then = lambda: scene.journal(1) if scene.theirs.is_ours else None
    assert scene.standby.wait()
    with scene.taken_over() as (rows, reasons):
        assert (rows, reasons) == ([event(3)], ["restart"])
    assert UnlistedLosses(unlisted_path(shell, RECORDER)).take_over() is None, "who records notes anew"


@pytest.mark.parametrize(
    ("noted", "gaps"),
    [
        ({}, []),
        ({"btcusdt@forceOrder": None}, []),
        ({"btcusdt@forceOrder": Outage(BEGIN_NS - 5 * 10**9, "disconnected")}, ["disconnected"]),
        ({"btcusdt@forceOrder": Outage(BEGIN_NS + 10**9, "disconnected")}, []),
    ],
    ids=["nothing is known", "the other one was connected", "it was not, before we were", "it was not, when we were"],
)
def test_outages_of_a_stream_that_never_had_a_row_are_taken_over(
    place: Path, line: Line, monkeypatch: pytest.MonkeyPatch, noted: Noted, gaps: list[str]
) -> None:
    with made_shell(place, "markPrice@1s", "forceOrder") as shell:
        scene = Scene(shell, line, monkeypatch, 1, 2, 3)
        NotedOutages(noted_outages_path(shell, RECORDER)).note(noted)
        scene.reader.then = lambda: scene.journal(1, 2) if scene.theirs.is_ours else None
        assert scene.standby.wait()
        with scene.taken_over() as (rows, reasons):
            assert (rows, reasons) == ([event(3)], gaps)


def test_it_shows_that_it_is_warm_until_the_journal_is_its_own(
    shell: Shell, line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WARM_S", 0.0)
    scene = Scene(shell, line, monkeypatch, 1)
    assert not is_relieved(scene.warm_path)

    def let_in_once_warm() -> None:
        if scene.theirs.is_ours and is_relieved(scene.warm_path):
            scene.theirs.release()

    scene.reader.then = let_in_once_warm
    assert scene.standby.wait()
    assert not is_relieved(scene.warm_path)
    scene.standby.pub.close(linger=0)


def test_it_is_not_warm_while_a_stream_has_not_come(shell: Shell, line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WARM_S", 0.0)
    scene = Scene(shell, line, monkeypatch)
    told: list[bool] = []

    def note() -> None:
        told.append(is_relieved(scene.warm_path))
        if len(told) > 15:  # its status, by which it becomes warm, goes out once a second
            shell.stop.request()

    scene.reader.then = note
    assert not scene.standby.wait()
    assert not any(told)
    assert scene.reader.is_stopped


def test_who_is_asked_to_end_lets_the_lock_be(shell: Shell, line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(shell, line, monkeypatch, 1)
    scene.reader.then = shell.stop.request
    assert not scene.standby.wait()
    assert scene.theirs.is_ours
    assert scene.reader.is_stopped
