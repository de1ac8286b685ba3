"""A worker is killed at any moment, and one that was connected meanwhile goes on: each message is one row, in order.

Both workers are the real streams, and the journal between them is on the disk. The exchange and its connections, each
with a lag of its own, are a model.
"""

import itertools
import json
import tempfile
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from binance_streamer.exchange.stream_types import has_sequence_ids
from binance_streamer.exchange.streams import stream_of
from services.ingest.connections.events import JOURNAL, Delivered, Lost
from services.ingest.streams.stream_set import StreamSet
from services.ingest.takeover.recent import RecentArrivals, StandbyStreams
from services.ingest.takeover.release import LOOK_BACK_S, doubt, recall, release
from services.ingest.takeover.unlisted import UnlistedLosses
from services.runtime.delivery.encoder import DraftEncoder
from services.runtime.delivery.recorded_events import recorded_events
from services.runtime.gaps.drafts import Draft
from services.runtime.gaps.last_rows import LastRows
from services.runtime.gaps.stream_states import fold
from services.runtime.journal.journal import Journal
from tests.support.drafts import singles
from tests.support.examples import examples

START_NS = 1_790_000_000_000_000_000
ROUTE = "one for all"
STREAMS = [
    stream_of("BTCUSDT", suffix)._replace(route=ROUTE)
    for suffix in ("aggTrade", "depth@0ms", "bookTicker", "markPrice@1s", "forceOrder", "kline_1m")
]
BEGIN_S, END_S = 0.0, 40.0
KILLED_S = (15.0, 30.0)
NEVER_S = float("inf")


class Sent(NamedTuple):
    at_s: float
    stream: str
    event: bytes


class Line(NamedTuple):
    """A connection: it brings what was sent from `from_s` until `until_s`, each message `lag_s` later."""

    number: int
    from_s: float
    until_s: float
    lag_s: float


def ns(at_s: float) -> int:
    return START_NS + round(at_s * 1e9)


def ms(at_s: float) -> int:
    return ns(at_s) // 1_000_000


def market(rng: Random) -> list[Sent]:
    """Return what the exchange sends: busy streams, prices that repeat, liquidations in rare bursts, open bars."""
    sent: list[Sent] = []

    def add(at_s: float, suffix: str, fields: str, end: str = ',"s":"BTCUSDT"') -> None:
        stream = next(one for one in STREAMS if one.name.endswith(f"@{suffix}"))
        sent.append(Sent(at_s, stream.name, f'{{{fields},"E":{ms(at_s)}{end}}}'.encode()))

    at_s, trade, update, ticker, price = BEGIN_S, 1000, 5000, 9000, 100
    while (at_s := at_s + rng.expovariate(30)) < END_S:
        match rng.randrange(5):
            case 0:
                trade += 1
                add(at_s, "aggTrade", f'"e":"aggTrade","a":{trade},"T":{ms(at_s)}')
            case 1:
                before, update = update, update + rng.randint(1, 9)
                add(at_s, "depth@0ms", f'"e":"depthUpdate","pu":{before},"u":{update},"T":{ms(at_s)}')
            case 2:
                ticker += rng.randint(1, 3)
                add(at_s, "bookTicker", f'"e":"bookTicker","u":{ticker},"b":"1"')
            case 3:
                bar = ms(at_s) // 60_000 * 60_000
                add(at_s, "kline_1m", f'"e":"kline","k":{{"t":{bar},"x":false,"c":"{rng.randrange(10**6)}","i":"1m"}}')
            case _ if rng.random() < 0.05:
                for _ in range(rng.randint(1, 3)):
                    add(at_s, "forceOrder", f'"e":"forceOrder","o":{{"s":"BTCUSDT","q":"{rng.randrange(2)}"}}', "")
    for second in range(round(END_S)):
        price += rng.choice((0, 0, 1))
        add(second + 0.25, "markPrice@1s", f'"e":"markPriceUpdate","p":"{price}"')
    return sorted(sent, key=lambda one: one.at_s)


def in_order(sent: list[Sent], lines: list[Line]) -> list[tuple[float, int, Sent | None]]:
    """Return what arrives over connections, and their ends (None), with the time at which it does, in that order."""
    found: list[tuple[float, int, Sent | None]] = [
        (one.at_s + line.lag_s, line.number, one)
        for line in lines
        for one in sent
        if line.from_s <= one.at_s and one.at_s + line.lag_s < line.until_s
    ]
    ends: list[tuple[float, int, Sent | None]] = [(line.until_s, line.number, None) for line in lines]
    return sorted([*found, *ends], key=lambda one: one[:2])


class KilledWorker:
    """The worker that is killed: its rows, and its journal. It has been killed before where there is one already."""

    def __init__(self, directory: Path, segment_bytes: int, epoch: int = 1) -> None:
        self.drafts: list[Draft] = []
        self._encode = DraftEncoder("p", epoch).encode
        self._journal = Journal(directory, "p", epoch, max_bytes=1 << 30, segment_bytes=segment_bytes)
        self.rows: LastRows = dict(self._journal.last_rows)
        numbers = itertools.count()
        self._streams = StreamSet(
            "BTCUSDT", STREAMS, last_rows=self.rows, new_gap_id=lambda: f"recorder {epoch}-{next(numbers)}"
        )
        self._unlisted = UnlistedLosses(directory / "unlisted")
        self._unlisted.note(self._streams.unlisted)
        self._open: dict[int, float] = {}

    def deliver(self, at_s: float, number: int, sent: Sent) -> None:
        self._open.setdefault(number, at_s)
        self._streams.deliver(delivered(at_s, number, sent), at_s)
        self._streams.expire(at_s)
        self._collect(at_s)

    def lose(self, number: int, at_s: float) -> None:
        self._open.pop(number, None)
        self._streams.lose(Lost(number, ROUTE, "disconnected", dict(self._open)), at_s)
        self._collect(at_s)

    def _collect(self, at_s: float) -> None:
        self._unlisted.note(self._streams.unlisted)
        drafts = list(singles(self._streams.collect(ns(at_s))))
        if drafts:
            self._journal.append([frame for draft in drafts for frame in self._encode(draft)[1]], self.rows)
            self.rows = dict(self.rows)
            for draft in drafts:
                fold(self.rows, draft)
            self.drafts += drafts

    def kill(self) -> None:
        self._journal.close()


class WaitingWorker:
    """The worker that waits, and then records."""

    def __init__(self) -> None:
        self.drafts: list[Draft] = []
        names = [stream.name for stream in STREAMS if not has_sequence_ids(stream.stream_type)]
        self._recent = RecentArrivals(names)
        self._waiting = StandbyStreams("BTCUSDT", STREAMS, last_rows={}, new_gap_id=lambda: "unused")
        self._waiting.recent = self._recent
        self._streams: StreamSet = self._waiting
        self.open: dict[int, float] = {}

    def deliver(self, at_s: float, number: int, sent: Sent) -> None:
        arrived = delivered(at_s, number, sent)
        self.open.setdefault(number, at_s)
        if self._streams is self._waiting:
            self._recent.add(arrived, at_s)
        self._streams.deliver(arrived, at_s)
        self._streams.expire(at_s)
        self._collect(at_s)

    def lose(self, number: int, at_s: float) -> None:
        self.open.pop(number, None)
        self._streams.lose(Lost(number, ROUTE, "disconnected", dict(self.open)), at_s)
        self._collect(at_s)

    def take_over(self, directory: Path, at_s: float) -> LastRows:
        journal = Journal(directory, "p", 2, max_bytes=1 << 30)
        last_rows = journal.last_rows
        names = [stream.name for stream in STREAMS if not has_sequence_ids(stream.stream_type)]
        since_ns = max(row.recv_ns for row in last_rows.values()) - round(LOOK_BACK_S * 1e9)
        recorded = recorded_events(journal.frames_backwards(), last_rows, names, since_ns)
        numbers = iter(range(1000))
        self._streams = StreamSet("BTCUSDT", STREAMS, last_rows=last_rows, new_gap_id=lambda: str(next(numbers)))
        recall(self._streams, recorded, ns(at_s), at_s)
        doubt(self._streams, UnlistedLosses(directory / "unlisted").take_over())
        release(self._streams, self._recent.all(), last_rows)
        self._streams.lose(Lost(JOURNAL, ROUTE, "restart", dict(self.open)), at_s)
        self._collect(at_s)
        journal.close()
        return last_rows

    def end(self) -> None:
        self._streams.expire(float("inf"))
        self._collect(END_S)

    def _collect(self, at_s: float) -> None:
        drafts = list(singles(self._streams.collect(ns(at_s))))
        if self._streams is not self._waiting:
            self.drafts += drafts


def delivered(at_s: float, number: int, sent: Sent) -> Delivered:
    frame = b'{"stream":"%s","data":%s}' % (sent.stream.encode(), sent.event)
    return Delivered(number, [ns(at_s)], [frame], len(frame))


class Played(NamedTuple):
    rows: list[tuple[str, bytes]]
    gaps: list[dict[str, Any]]
    killed_s: float


def moment_of_kill(seed: int) -> float:
    rng = Random(seed)
    market(rng)
    return rng.uniform(*KILLED_S)


def play(
    seed: int,
    own_lines: list[Line],
    their_lines: list[Line],
    *,
    segment_bytes: int,
    unjournalled_s: float = 0.0,
    restarts_s: float = NEVER_S,
) -> Played:
    """Kill the recorder at a random moment; `unjournalled_s` before that it has journalled for the last time.

    At `restarts_s` it has been killed before, and started again at once.
    """
    sent = market(Random(seed))
    killed_s = moment_of_kill(seed)
    standby = WaitingWorker()
    with tempfile.TemporaryDirectory() as folder:
        recorders = [KilledWorker(Path(folder), segment_bytes)]
        for at_s, number, one in in_order(sent, their_lines):
            if at_s >= killed_s - unjournalled_s:
                break
            if len(recorders) == 1 and at_s >= restarts_s:
                recorders[0].kill()
                recorders.append(KilledWorker(Path(folder), segment_bytes, 2))
            if one is not None:
                recorders[-1].deliver(at_s, number, one)
            elif at_s < restarts_s:
                recorders[-1].lose(number, at_s)
        recorders[-1].kill()
        is_waiting = True
        for at_s, number, one in in_order(sent, own_lines):
            if is_waiting and at_s > killed_s:
                assert standby.take_over(Path(folder), killed_s) == recorders[-1].rows
                is_waiting = False
            if one is not None:
                standby.deliver(at_s, number, one)
            elif at_s < END_S:
                standby.lose(number, at_s)
        standby.end()
    drafts = [draft for drafts in (*(one.drafts for one in recorders), standby.drafts) for draft in drafts]
    rows = [(draft.stream_name, draft.data["event"]) for draft in drafts if draft.stream_type != "gap"]
    return Played(rows, [draft.data for draft in drafts if draft.stream_type == "gap"], killed_s)


PHASES = (Phase.explicit, Phase.reuse, Phase.generate)
"""Without shrinking: a seed is not made simpler by making it smaller."""
SEEDS = st.integers(0, 1 << 30)
LAGS = st.sampled_from((0.0, 0.01, 0.3, 1.4))
UNJOURNALLED = st.sampled_from((0.0, 0.05, 1.0))
SEGMENTS = st.sampled_from((5_000, 20_000, 1 << 20))


@settings(max_examples=examples(12), deadline=None, suppress_health_check=list(HealthCheck), phases=PHASES)
@given(SEEDS, LAGS, st.lists(LAGS, min_size=1, max_size=2), UNJOURNALLED, SEGMENTS)
@example(32538, 0.01, [0.01, 1.4], 0.05, 5_000)  # the same liquidation five times within 200 ms
def test_what_a_killed_worker_had_not_journalled_comes_from_the_standby(
    seed: int, other_lag_s: float, lags: list[float], unjournalled_s: float, segment_bytes: int
) -> None:
    """The killed one has journalled for the last time `unjournalled_s` before its end."""
    lines = [Line(number, BEGIN_S + number, END_S, lag_s) for number, lag_s in enumerate(lags, 1)]
    theirs = [Line(1, BEGIN_S, END_S, other_lag_s)]
    outcome = play(seed, lines, theirs, segment_bytes=segment_bytes, unjournalled_s=unjournalled_s)
    assert outcome.gaps == []
    end_s = END_S - max(lags)
    sent = market(Random(seed))
    for stream in STREAMS:
        rows = [event for name, event in outcome.rows if name == stream.name]
        expected = [one.event for one in sent if one.stream == stream.name]
        assert rows == expected[: len(rows)], stream.name
        assert len(rows) >= sum(one.at_s < end_s for one in sent if one.stream == stream.name), stream.name


@settings(max_examples=examples(8), deadline=None, suppress_health_check=list(HealthCheck), phases=PHASES)
@given(SEEDS, LAGS, LAGS, st.floats(5, 35), SEGMENTS)
@example(153102, 1.4, 0.0, 17.219886252780398, 20_000)  # a message was on its way to the killed one
@example(911, 0.0, 1.4, 33.371459739231966, 1 << 20)  # the last messages of a stream are lost, and no other one comes
def test_where_nobody_was_connected_there_is_a_gap_and_nothing_is_there_twice(
    seed: int, other_lag_s: float, lag_s: float, lost_s: float, segment_bytes: int
) -> None:
    """The only connection of the one that waits is lost, before the other one is killed or behind that.

    Behind a loss before it nothing may be listed, but of a quiet stream whose first message since was under way to the
    killed one: no overlap proves then that the one that waited has missed nothing.
    """
    lines = [Line(1, 1.0, lost_s, lag_s), Line(2, lost_s + 0.7, END_S, lag_s)]
    outcome = play(seed, lines, [Line(1, BEGIN_S, END_S, other_lag_s)], segment_bytes=segment_bytes)
    check_listed(seed, outcome)
    if lost_s + 5 < outcome.killed_s:
        under_way = {
            one.stream
            for one in market(Random(seed))
            if outcome.killed_s - other_lag_s <= one.at_s < outcome.killed_s - lag_s
        }
        listed = {gap["stream"] for gap in outcome.gaps}
        assert listed <= under_way, "the other one has recorded all the while"


@settings(max_examples=examples(8), deadline=None, suppress_health_check=list(HealthCheck), phases=PHASES)
@given(SEEDS, LAGS, LAGS, st.floats(0.8, 10), st.floats(0, 2), st.booleans(), SEGMENTS)
@example(1, 1.4, 1.4, 5.125129067435742, 0.0, False, 20_000)
@example(0, 0.3, 0.0, 1.5, 1.5668920968442857, False, 5_000)  # the one that waits has more of what is lost
@example(120123881, 0.01, 0.0, 4.779357976834466, 0.8487011017096078, False, 20_000)  # it is lost before the first row
def test_what_the_killed_one_knew_to_be_lost_and_had_not_listed_is_a_gap(
    seed: int, their_lag_s: float, lag_s: float, before_s: float, later_s: float, is_restarted: bool, segment_bytes: int
) -> None:
    """Both had lost their connections before the kill; or the killed one had been killed before, with nobody beside it.

    The one that waits is connected again `later_s` after the other one.
    """
    lost_s = moment_of_kill(seed) - before_s
    theirs = [Line(1, BEGIN_S, lost_s, their_lag_s), Line(2, lost_s + 0.7, END_S, their_lag_s)]
    again = Line(2, lost_s + 0.7 + later_s, END_S, lag_s)
    lines = [again] if is_restarted else [Line(1, 1.0, lost_s, lag_s), again]
    restarts_s = lost_s if is_restarted else NEVER_S
    check_listed(seed, play(seed, lines, theirs, segment_bytes=segment_bytes, restarts_s=restarts_s))


def check_listed(seed: int, outcome: Played) -> None:
    """Check that each row was sent and is there once, and that what is missing, or behind younger rows, is in a gap.

    What lies in a gap of the killed one may be a row behind its last one: the one that waited had it. What is lost at
    the end is listed with the row behind it, as in any run (tests/property/test_continuity.py); what was lost before
    the first row of a stream is in the table of services/ingest/streams/outages.py, which is not played here.
    """
    for stream in STREAMS:
        sent = [one for one in market(Random(seed)) if one.stream == stream.name]
        numbers: dict[bytes, list[int]] = {}
        for number, one in reversed(list(enumerate(sent))):
            numbers.setdefault(one.event, []).append(number)
        rows = []
        for name, event in outcome.rows:
            if name == stream.name:
                assert numbers[event], (stream.name, "twice", event)
                rows.append(numbers[event].pop())
        gaps = [gap for gap in outcome.gaps if gap["stream"] == stream.name]
        missing = set(range(min(rows, default=0), max(rows, default=-1) + 1)) - set(rows)
        late = {row for row, newest in zip(rows, itertools.accumulate(rows, max), strict=True) if row < newest}
        for number in missing | late:
            one = sent[number]
            assert any(is_listed(gap, one.event, one.at_s) for gap in gaps), (stream.name, one, number in late, gaps)


def is_listed(gap: dict[str, Any], event: bytes, at_s: float) -> bool:
    if gap["from_id"] is not None:
        ids = json.loads(event)
        return bool(gap["from_id"] < ids.get("a", ids.get("u")) <= gap["to_id"])
    return bool(gap["from_ns"] <= ns(at_s + 1.4) and ns(at_s) <= gap["to_ns"])
