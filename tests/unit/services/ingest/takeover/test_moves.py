"""Symbols that a worker waits for, records and hands on; tests/property/test_moves.py has the rest."""

import shutil
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from binance_streamer.config.schema import SymbolConfig
from binance_streamer.exchange.streams import Stream
from services.ingest.symbols import NO_CHANGES, SymbolChanges
from services.ingest.takeover.claims import SymbolClaims
from services.ingest.takeover.moves import SymbolMoves
from services.ingest.takeover.waiting import WorkerStreams
from services.runtime.lock import FileLock

BTC = SymbolConfig(symbol="BTCUSDT", streams=("aggTrade",))


class Scene:
    """A worker without connections and without a journal; `told` is what it listens to on the bus."""

    def __init__(self, place: Path) -> None:
        config: Any = SimpleNamespace(storage=SimpleNamespace(journal_directory=str(place), fsync=False))
        self.told: set[bytes] = set()
        self.pushed = 0
        self.changes = NO_CHANGES
        self.symbols: Any = SimpleNamespace(look=lambda _: self.changes, leaving=frozenset(), forget=self._forget)
        self.streams = WorkerStreams("a-0", (), last_rows={}, new_gap_id=str)
        self.claims = SymbolClaims(config, "ingest-a-0")
        self.other = SymbolClaims(config, "ingest-a-1")
        coordinator: Any = SimpleNamespace(
            add=self._add,
            let_go=self._let_go,
            heard=SimpleNamespace(comes=lambda *_, **__: True),
            network=SimpleNamespace(open_on=lambda _: [1]),
        )
        producer: Any = SimpleNamespace(rows={}, is_full=False, drain=self._drain)
        self.moves = SymbolMoves(
            SimpleNamespace(config=config),  # type: ignore[arg-type]
            self.claims,
            producer,
            intake=SimpleNamespace(symbols=self.symbols, coordinator=coordinator),  # type: ignore[arg-type]
            streams=self.streams,
        )

    def follow(self, now_s: float, *, begun: Iterable[SymbolConfig] = (), leaving: Iterable[str] = ()) -> set[str]:
        self.changes = SymbolChanges(tuple(begun), ())
        self.symbols.leaving = frozenset(leaving)
        sub: Any = SimpleNamespace(subscribe=self.told.add, unsubscribe=self.told.discard)
        return self.moves.follow(sub, now_s, lambda: None, is_expected={"BTCUSDT"}.__contains__)

    def is_next_shown(self) -> bool:
        lock = FileLock(self.claims.next_path("BTCUSDT"))
        is_shown = not lock.try_acquire()
        lock.release()
        return is_shown

    def _add(self, streams: Iterable[Stream], now_s: float) -> None:
        for stream in streams:
            self.streams.add(stream)
            self.streams.recorders[stream.name].subscribed_s = now_s

    def _let_go(self, symbol: str, now_s: float) -> None:
        for one in [one for one in self.streams.recorders.values() if one.stream.symbol == symbol]:
            self.streams.let_go(one.stream, now_s)

    def _drain(self, _: float) -> bool:
        self.pushed += 1
        return True

    def _forget(self, symbol: str) -> None:
        self.symbols.leaving -= {symbol}


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def test_a_symbol_that_nobody_has_is_recorded_at_once(scene: Scene) -> None:
    assert scene.follow(1.0, begun=[BTC]) == {"BTCUSDT"}
    assert (scene.claims.held, scene.streams.waiting, scene.moves.waiting) == ({"BTCUSDT"}, frozenset(), {})
    assert b"repair.BTCUSDT." in scene.told


def test_one_that_another_worker_has_waits_and_shows_when_it_could_go_on(scene: Scene) -> None:
    scene.other.take_own(["BTCUSDT"])
    scene.follow(1.0, begun=[BTC])
    assert scene.moves.waiting == {"BTCUSDT": ""}
    assert not scene.is_next_shown()
    scene.follow(3.5)
    assert scene.is_next_shown()


def test_one_that_leaves_is_let_go_when_the_next_worker_shows_itself_and_not_before(scene: Scene) -> None:
    scene.follow(1.0, begun=[BTC])
    scene.follow(2.0, leaving=["BTCUSDT"])
    assert not scene.other.try_take("BTCUSDT")
    shown = FileLock(scene.other.next_path("BTCUSDT"))
    assert shown.try_acquire()
    assert scene.follow(3.0, leaving=["BTCUSDT"]) == {"BTCUSDT"}
    assert scene.pushed == 1
    assert scene.other.try_take("BTCUSDT")
    assert scene.other.take_unlisted("BTCUSDT") == frozenset()
    assert (scene.told, scene.symbols.leaving, list(scene.streams.recorders)) == (set(), frozenset(), [])


def test_a_claim_that_nobody_is_said_to_own_is_not_taken_at_once(scene: Scene) -> None:
    scene.other.take_own(["BTCUSDT"])
    scene.follow(1.0, begun=[BTC])
    shutil.rmtree(scene.claims.next_path("BTCUSDT").parent)
    scene.follow(2.0)
    scene.other.renew()
    scene.follow(6.0)
    assert (scene.claims.held, scene.moves.waiting) == (set(), {"BTCUSDT": ""})


def test_one_that_leaves_while_it_waits_is_waited_for_no_more(scene: Scene) -> None:
    scene.other.take_own(["BTCUSDT"])
    scene.follow(1.0, begun=[BTC])
    scene.follow(3.5)
    scene.follow(4.0, leaving=["BTCUSDT"])
    assert (scene.moves.waiting, scene.streams.waiting, scene.is_next_shown()) == ({}, frozenset(), False)
    scene.other.release("BTCUSDT")
    scene.follow(5.0)
    assert scene.claims.held == set()
