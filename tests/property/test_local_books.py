"""Whatever the stream and REST do, a book that calls itself valid is the exchange's, level by level."""

from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from random import Random
from unittest.mock import patch

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from binance_streamer.exchange.depth import DepthUpdate
from services.orderbook.book import book as book_module
from services.orderbook.book import side as side_module
from services.orderbook.book.audit import Audit, Outcome
from services.orderbook.book.book import TrustedRange, edge
from services.orderbook.book.quotes import TopComparison
from services.orderbook.book.sequence import BEYOND, BookSequence, SyncState
from services.orderbook.book.snapshot_pacing import SnapshotNeed
from tests.support.examples import examples
from tests.support.market import Market, Taken, is_within, wrong_levels

STEPS = 120
SNAPSHOT_LEVELS = 4


@contextmanager
def small() -> Iterator[None]:
    """Bounds of the size of these books, so that all of them are met."""
    with (
        patch.multiple(book_module, SNAPSHOT_LEVELS=SNAPSHOT_LEVELS),
        patch.multiple(side_module, _MOST_NEAR=6, _LEAST_REFILL=3, _LEAST_GONE=2),
    ):
        yield


seeds = st.integers(0, 2**32)


class Run:
    """One market, its stream and REST with faults, and the book that follows them. `cases` says what happened."""

    def __init__(
        self, seed: int, *, faults: float, changes_tick: bool = False, snapshot_levels: int = SNAPSHOT_LEVELS
    ) -> None:
        self.rng = Random(seed)
        self.faults = faults
        self.market = Market(self.rng, snapshot_levels, changes_tick=changes_tick)
        self.sequence = BookSequence(retry_s=1.0, rng=self.rng)
        self.tops = TopComparison()
        self.cases: Counter[str] = Counter()
        self.recent: deque[DepthUpdate] = deque(maxlen=8)
        self.delayed: list[tuple[int, DepthUpdate]] = []
        self.taken: deque[Taken] = deque(maxlen=30)
        self.answers: list[tuple[int, Taken]] = []
        self.audits: list[Audit] = []
        self.reasons: set[str] = set()
        self.step = 0

    @property
    def now_s(self) -> float:
        return self.step / 4

    def happens(self, chance: float) -> bool:
        return self.rng.random() < chance * self.faults

    def go(self) -> "Run":
        for self.step in range(STEPS):
            self.move()
            self.stream()
            self.rest()
            self.take(self.sequence.tick(self.now_s))
            if self.rng.random() < 0.5:
                self.sequence.expect_snapshot()
        return self

    def move(self) -> None:
        if self.happens(0.01):
            self.cases["re-base"] += 1
            self.market.rebase()
            self.taken.clear()
        if self.rng.random() < 0.03:
            self.market.empty(self.rng.choice((0, 1)))
            self.cases["empty side"] += 1
        if self.rng.random() < 0.3:
            self.market.change()
        self.quote()
        self.taken.append(self.market.snapshot())

    def quote(self) -> None:
        quote = self.market.quote()
        if quote is not None:
            assert self.tops.take_quote(quote) is None

    def stream(self) -> None:
        sent = self.market.update()
        self.recent.append(sent)
        if sent.prev_final_update_id + 1 < sent.final_update_id:
            self.cases["sparse ids"] += 1
        if self.happens(0.04):
            self.cases["gap"] += 1
        elif self.happens(0.04):
            self.cases["straggler"] += 1
            self.delayed.append((self.step + self.rng.randint(1, 4), sent))
        else:
            self.deliver(sent)
        while self.happens(0.1):
            self.cases["duplicate"] += 1
            self.deliver(self.rng.choice(self.recent))
        for late in [late for late in self.delayed if late[0] <= self.step]:
            self.delayed.remove(late)
            self.deliver(late[1])
        if self.rng.random() < 0.5:
            self.quote()

    def deliver(self, sent: DepthUpdate) -> None:
        self.take(self.sequence.take_update(sent, self.now_s))
        if self.sequence.is_valid:
            assert self.tops.take_book(self.sequence.book) is None
        self.check()

    def rest(self) -> None:
        for due in [due for due in self.answers if due[0] <= self.step]:
            self.answers.remove(due)
            self.answer(due[1])
        if self.rng.random() < 0.1:
            self.answer(self.rng.choice(self.taken))  # one that nobody here asked for
        if self.rng.random() < 0.1:
            self.market.change()  # the snapshot has more than the last update
            self.answer(self.market.snapshot())

    def answer(self, taken: Taken) -> None:
        last_update_id = taken.snapshot.last_update_id
        if self.sequence.state is SyncState.VALID:
            self.audit(taken)
            return
        before = self.sequence.updates
        self.take(self.sequence.take_snapshot(taken.snapshot, self.now_s))
        if "older than the stream" in self.sequence.reason:
            self.cases["stale snapshot"] += 1
        elif not self.sequence.is_valid:
            self.cases["snapshot ahead of the stream"] += 1
        elif last_update_id in self.market.truth:
            self.cases["boundary" if self.sequence.updates > before else "anchor"] += 1
        self.check()

    def audit(self, taken: Taken) -> None:
        found = self.sequence.audit(taken.snapshot, self.now_s)
        if found is not None:
            self.audits.append(found)
            self.cases[f"audit {found.outcome}"] += 1
            self.cases["learnt"] += found.learnt > 0
        self.check()

    def take(self, request: SnapshotNeed | None) -> None:
        if request is None:
            return
        self.cases["request"] += 1
        self.sequence.expect_snapshot()
        if self.happens(0.2):
            self.cases["request unanswered"] += 1
        elif self.happens(0.3) and self.taken:
            self.answers.append((self.step + 1, self.taken[0]))
        else:
            self.answers.append((self.step + self.rng.randint(0, 4), self.market.snapshot()))

    def check(self) -> None:
        self.sequence.book.check()
        self.reasons.add(self.sequence.reason or "starting")
        self.cases["beyond the snapshot"] += self.sequence.reason == BEYOND
        self.cases["flagged"] += self.cases["valid"] > 0 and not self.sequence.is_valid
        if self.sequence.is_valid:
            self.cases["valid"] += 1
            assert not self.sequence.book.is_crossed
            assert self.wrong() == []

    def wrong(self) -> list[tuple[int, Decimal]]:
        book = self.sequence.book
        edges = book.trusted_range
        return wrong_levels(
            book.levels(),
            self.market.truth[book.update_id],
            lambda side, price: is_within(side, price, edges[side]),
        )


@given(seeds, st.booleans())
@settings(max_examples=examples(100), deadline=None)
def test_a_book_is_right_or_says_that_it_is_not(seed: int, changes_tick: bool) -> None:
    with small():
        Run(seed, faults=1.0, changes_tick=changes_tick).go()


@given(seeds, st.booleans())
@settings(max_examples=examples(50), deadline=None)
def test_without_a_fault_a_book_is_never_flagged(seed: int, changes_tick: bool) -> None:
    run = Run(seed, faults=0.0, changes_tick=changes_tick, snapshot_levels=book_module.SNAPSHOT_LEVELS).go()
    assert run.cases["valid"] > STEPS // 2
    assert (run.cases["flagged"], run.sequence.resyncs, run.sequence.repeats) == (0, 0, 0)
    assert run.audits
    assert {audit.outcome for audit in run.audits} <= {Outcome.PASSED, Outcome.NOT_COMPARABLE}


@given(seeds)
@settings(max_examples=examples(50), deadline=None)
def test_without_a_fault_only_a_price_that_left_the_snapshot_is_flagged(seed: int) -> None:
    with small():
        run = Run(seed, faults=0.0).go()
    assert run.reasons <= {"starting", BEYOND, "snapshot older than the stream"}
    assert {audit.outcome for audit in run.audits} <= {Outcome.PASSED, Outcome.NOT_COMPARABLE}


class Hiding(Run):
    """Hides updates so that the chain still fits; audits with snapshots from behind them have to find it."""

    hidden_from = hidden_id = -1

    def deliver(self, sent: DepthUpdate) -> None:
        if self.sequence.state is SyncState.VALID and self.rng.random() < 0.05:
            self.cases["hidden"] += 1
            self.hidden_from = self.sequence.book.update_id
            self.hidden_id = sent.final_update_id
            return
        if sent.prev_final_update_id == self.hidden_id:
            sent = msgspec.structs.replace(sent, prev_final_update_id=self.hidden_from)
        self.take(self.sequence.take_update(sent, self.now_s))

    def quote(self) -> None:
        pass

    def check(self) -> None:
        self.sequence.book.check()

    def audit(self, taken: Taken) -> None:
        edges = TrustedRange(edge(taken.snapshot.bids), edge(taken.snapshot.asks))
        before = self.wrong_within(edges)
        found = self.sequence.audit(taken.snapshot, self.now_s)
        if found is None or found.outcome is Outcome.NOT_COMPARABLE:
            return
        if taken.snapshot.last_update_id >= self.hidden_id:
            self.cases[f"audit {found.outcome}"] += 1
            assert found.outcome is (Outcome.FAILED if before else found.outcome), before
            assert self.wrong_within(edges) == []
        if not self.cases["hidden"]:
            assert found.outcome is Outcome.PASSED

    def wrong_within(self, edges: TrustedRange) -> list[tuple[int, Decimal]]:
        """Return the differences that an audit with a snapshot of this range has to find."""
        book = self.sequence.book
        known = book.trusted_range
        wrong = wrong_levels(
            book.levels(),
            self.market.truth[book.update_id],
            lambda side, price: is_within(side, price, known[side]),
        )
        return [(side, price) for side, price in wrong if is_within(side, price, edges[side])]


@given(seeds)
@settings(max_examples=examples(50), deadline=None)
def test_an_audit_finds_what_the_chain_hides(seed: int) -> None:
    with small():
        Hiding(seed, faults=0.0).go()


def test_audits_fail_and_pass() -> None:
    cases: Counter[str] = Counter()
    with small():
        for seed in range(10):
            cases += Hiding(seed, faults=0.0).go().cases
    assert min(cases["hidden"], cases["audit failed"], cases["audit passed"]) > 5


def test_every_documented_case_happens() -> None:
    cases: Counter[str] = Counter()
    compared = 0
    with small():
        for seed in range(25):
            run = Run(seed, faults=1.0).go()
            cases += run.cases
            compared += run.tops.compared
    expected = {
        "re-base", "empty side", "sparse ids", "gap", "straggler", "duplicate", "request unanswered", "stale snapshot",
        "snapshot ahead of the stream", "beyond the snapshot", "boundary", "anchor", "learnt", "audit passed",
    }  # fmt: skip
    assert {case for case in expected if cases[case] < 5} == set()
    assert cases["audit failed"] == 0
    assert compared > 100
