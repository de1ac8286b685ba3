"""Symbols that come from other workers, and go to them, while this one records.

| a symbol | here | next |
|---|---|---|
| waits | received, remembered; `next` is shown once every stream of it comes | its claim is free: recorded |
| is recorded | its claim is ours | the configuration gives it to another worker: leaves |
| leaves | recorded as before | the other one shows `next`: it is let go, and its claim with it |

So nothing is missed as long as one of the two runs, and nothing is there twice whatever is killed.
"""

import logging
import math
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

import zmq

from binance_streamer.config.schema import SymbolConfig, streams_of
from services.ingest.intake import Intake
from services.ingest.symbols import NO_CHANGES, topics_of
from services.ingest.takeover.claims import SymbolClaims
from services.ingest.takeover.noted_outages import NotedOutages, noted_outages_path
from services.ingest.takeover.owners_journals import OwnersJournals, newest_producer, of_symbol
from services.ingest.takeover.partner import WARM_S, WarmSign, is_relieved
from services.ingest.takeover.release import JournalEnd
from services.ingest.takeover.waiting import WorkerStreams
from services.runtime.clock import monotonic_s, wall_ns
from services.runtime.delivery.producer import Producer
from services.runtime.gaps.last_rows import newest_ns
from services.runtime.journal.journal import JournalFullError
from services.runtime.process import Shell

_log = logging.getLogger(__name__)

_PUSH_S = 2.0
"""For the writer to receive the last rows of a symbol before those of the next worker; later ones stand behind them.
The next one remembers ten seconds."""

_RENEWED_S = 3.0
"""Whoever has a claim whose files were deleted makes them anew within a second or two."""


@dataclass(slots=True)
class _Waiting:
    """A symbol that another worker records; `seen_s` is when that one was last seen to have its claim."""

    next_sign: WarmSign
    seen_s: float = -math.inf
    unowned_s: float = math.inf
    """When its claim was first free while nobody is said to own it."""


class SymbolMoves:
    """Waits for the claims of symbols that others record, and goes on behind their journals; lets others go on."""

    def __init__(
        self,
        shell: Shell,
        claims: SymbolClaims,
        producer: Producer,
        *,
        intake: Intake,
        streams: WorkerStreams,
    ) -> None:
        self._shell = shell
        self._config = shell.config
        self._symbols = intake.symbols
        self._claims = claims
        self._producer = producer
        self.streams = streams
        self._coordinator = intake.coordinator
        self._waiting: dict[str, _Waiting] = {}
        self._fault = ""
        self._wait_for(streams.waiting)

    def follow(
        self,
        sub: "zmq.Socket[bytes]",
        now_s: float,
        append: Callable[[], None],
        *,
        is_expected: Callable[[str], bool],
    ) -> set[str]:
        """Record the symbols that the worker has now, and let those go that have ended, or that another one has.

        `sub` listens to what the bus has of them. Return the symbols that have come, gone, or gone on.
        """
        changes = self._symbols.look(now_s) or NO_CHANGES
        gone = [symbol for symbol in self._symbols.leaving if symbol in self._waiting or self.is_next_ready(symbol)]
        for symbol in self._waiting.keys() & set(gone):  # it has never come as far as to be recorded here
            self.end(symbol, now_s)
        self.hand_on([symbol for symbol in gone if symbol in self._claims.held], now_s, append)
        for symbol in gone:
            self._symbols.forget(symbol)
        for one in changes.ended:
            _log.info("ends symbol=%s", one.symbol)
            self.end(one.symbol, now_s)
        begun = [one.symbol for one in changes.begun]
        for one in changes.begun:
            _log.info("begins symbol=%s streams=%d", one.symbol, len(one.streams))
        gone += [one.symbol for one in changes.ended]
        for act, symbols in ((sub.unsubscribe, gone), (sub.subscribe, begun)):
            for topic in [topic for symbol in symbols for topic in topics_of(symbol)]:
                act(topic)
        self.begin(changes.begun, now_s)
        append()
        return {*gone, *begun, *self.tick(now_s, is_expected=is_expected)}

    def begin(self, symbols: Iterable[SymbolConfig], now_s: float) -> None:
        """Record these symbols too: at once where nobody else has them, else as soon as they are let go."""
        wanted = {one.symbol: one for one in symbols}
        if not wanted:
            return
        own = self._claims.take_own(wanted)
        others = wanted.keys() - set(own)
        if others:
            self.streams.wait_for(others)
            self._wait_for(others)
        self.streams.last_rows = self._producer.rows  # it may have been recorded before, in this run too
        self._coordinator.add([stream for one in wanted.values() for stream in streams_of(one)], now_s)

    def end(self, symbol: str, now_s: float) -> None:
        """Record a symbol no more that has ended; its claim is free once its last rows are journalled (`tick`)."""
        self._coordinator.let_go(symbol, now_s)
        if symbol in self._waiting:
            self._waiting.pop(symbol).next_sign.show(is_warm=False)
            self.streams.wait_no_more(symbol)

    @property
    def waiting(self) -> dict[str, str]:
        """The symbols that wait; with the reason where no other worker has them, empty where one has."""
        return {symbol: self._claims.refused.get(symbol, "") or self._fault for symbol in self._waiting}

    def is_next_ready(self, symbol: str) -> bool:
        """Return True where a worker could go on with a symbol that leaves, and our journal has all of it."""
        return not self._producer.is_full and is_relieved(self._claims.next_path(symbol))

    def hand_on(self, symbols: Collection[str], now_s: float, append: Callable[[], None]) -> None:
        """Have the next workers go on with symbols: `append` journals what is left of them.

        All together, for meanwhile nothing is read here: however long the writer is away, that takes two seconds.
        """
        if not symbols:
            return
        unlisted = self._unlisted_of(symbols)
        self.streams.leaving |= set(symbols)
        for symbol in symbols:
            self._coordinator.let_go(symbol, now_s)
        self.streams.leaving -= set(symbols)
        append()
        self._producer.drain(_PUSH_S)
        self._claims.release_noted(unlisted)
        _log.info("hands on symbols=%s", ",".join(symbols))

    def release_all(self) -> None:
        """Let others have all symbols, at the end of this worker.

        Where another one waits, the writer is to have all rows first, though they are journalled.
        """
        if any(is_relieved(self._claims.next_path(symbol)) for symbol in self._claims.held):
            self._producer.drain(_PUSH_S)
        self._claims.release_noted(self._unlisted_of(self._claims.held - self.streams.waiting))

    def tick(self, now_s: float, *, is_expected: Callable[[str], bool]) -> list[str]:
        """Go on with the symbols whose claims are free by now, and return them; let go of claims without a symbol.

        All that is known of the latter is journalled by then: each turn does that before.
        """
        self._claims.renew()
        recorded = {recorder.stream.symbol for recorder in self.streams.recorders.values()}
        for symbol in self._claims.held - recorded:
            self._claims.release(symbol)
        taken = []
        for symbol, one in self._waiting.items():
            if self._claims.try_take(symbol):
                if self._is_free(symbol, one, now_s):
                    taken.append(symbol)
                else:
                    self._claims.release(symbol)
            else:
                one.unowned_s = math.inf
                one.seen_s = now_s
                one.next_sign.show(is_warm=self._is_warm(symbol, now_s, is_expected=is_expected))
        return self._take_over(taken) if taken else []

    def _is_free(self, symbol: str, one: _Waiting, now_s: float) -> bool:
        """Return False for a moment where nobody is said to own it: its files were deleted, and are made anew."""
        if self._claims.owner(symbol) is not None:
            return True
        one.unowned_s = min(one.unowned_s, now_s)
        return now_s - one.unowned_s >= _RENEWED_S

    def _wait_for(self, symbols: Iterable[str]) -> None:
        for symbol in symbols:
            self._waiting[symbol] = _Waiting(WarmSign(self._claims.next_path(symbol)))

    def _is_warm(self, symbol: str, now_s: float, *, is_expected: Callable[[str], bool]) -> bool:
        """Return True where every stream of a symbol comes, or is one that may be silent and has a connection."""
        heard, network = self._coordinator.heard, self._coordinator.network
        return all(
            network.open_on(one.route)
            and now_s - one.subscribed_s >= WARM_S
            and heard.comes(name, is_expected=is_expected)
            for name, one in self.streams.recorders.items()
            if one.stream.symbol == symbol
        )

    def _unlisted_of(self, symbols: Iterable[str]) -> dict[str, frozenset[str]]:
        unlisted = {name: self.streams.recorders[name].stream.symbol for name in self.streams.unlisted}
        return {symbol: frozenset(name for name in unlisted if unlisted[name] == symbol) for symbol in symbols}

    def _take_over(self, symbols: Collection[str]) -> list[str]:
        """Go on with symbols whose claims are ours: first durably, then in memory."""
        try:
            owners = {symbol: self._owner(symbol) for symbol in symbols}
            ends = self._ends(owners)
            self._fault = ""
        except (OSError, JournalFullError) as error:
            if not self._fault:
                _log.error("symbols that move wait: %s", error)
            self._fault = f"it cannot be taken over: {error}"
            for symbol in symbols:
                self._claims.release(symbol)
            return []
        for symbol in symbols:
            one = self._waiting.pop(symbol)
            one.next_sign.show(is_warm=False)
            now = wall_ns(), monotonic_s()
            lost_journal = self._coordinator.network.lost_journal
            self.streams.begin(symbol, ends[symbol], now, lost_journal=lost_journal, seen_s=one.seen_s)
            self._go_on_with_outages(symbol, owners[symbol], is_covered=one.seen_s > -math.inf)
            _log.info("goes on with symbol=%s", symbol)
        return list(symbols)

    def _owner(self, symbol: str) -> str:
        return self._claims.owner(symbol) or newest_producer(self._config, symbol) or self._claims.producer

    def _go_on_with_outages(self, symbol: str, owner: str, *, is_covered: bool) -> None:
        """List what streams without a row have missed, by the note of the one before (`Outages`)."""
        outages = self._coordinator.outages
        own = {name: one for name, one in self.streams.recorders.items() if one.stream.symbol == symbol}
        noted = NotedOutages(noted_outages_path(self._shell, owner)).read()
        ended_ns = newest_ns(of_symbol(self._producer.rows, symbol).values())
        outages.go_on(own, {name: noted[name] for name in own if name in noted}, 0 if is_covered else ended_ns)
        for route in {one.route for one in own.values() if self._coordinator.network.open_on(one.route)}:
            waited_s = monotonic_s() - max(one.subscribed_s for one in own.values())
            subscribed_ns = wall_ns() - round(waited_s * 1e9) if waited_s < math.inf else 0
            until_ns = max(subscribed_ns, outages.open_since_ns.get(route, 0))
            self.streams.list_gaps(outages.end(route, until_ns))

    def _ends(self, owners: Mapping[str, str]) -> Mapping[str, JournalEnd]:
        """Return where the symbols stand, once our own journal says so, too, and that it is the one that does."""
        names = [name for name in self.streams.recorders if not self.streams.recorders[name].has_sequence_ids]
        journals = OwnersJournals(self._config, self._claims)
        found = journals.ends(owners, names)
        others = [symbol for symbol, owner in owners.items() if owner != self._claims.producer]
        if others:
            if self._config.storage.fsync:
                journals.sync({owners[symbol] for symbol in others})
            rows = {name: row for symbol in others for name, row in found[symbol].last_rows.items()}
            self._producer.adopt(others, rows)
            self._claims.own(others)
        return found
