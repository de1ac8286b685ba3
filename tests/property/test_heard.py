"""The table of what was heard says what two separate judges said: one of silent streams, one of stalled connections."""

from collections import Counter
from dataclasses import dataclass, field
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from binance_streamer.exchange.streams import Stream, stream_of
from services.ingest.streams.heard import Findings, Heard, HeardTable, StaleStream, StreamFault
from tests.support.examples import examples

STREAMS = [stream_of("BTCUSDT", one) for one in ("depth@0ms", "bookTicker", "aggTrade", "markPrice@1s", "forceOrder")]
STALE_TIMEOUT_S = 10.0


@dataclass
class Expectation:
    """One stream, as the judge of silence had it."""

    stream: Stream
    patience_s: float
    silent_from_s: float | None = None
    asked_s: float = 0.0
    nagging: int = 1
    state: str = "waiting"
    recorded_s: float = -1.0
    told_s: float = -1.0
    heard_s: dict[int, float] = field(default_factory=dict)


class TwoJudges:
    """Silence and stalls, judged one after the other from what they were told."""

    def __init__(self) -> None:
        self.streams = {one.name: Expectation(one, one.type.patience * STALE_TIMEOUT_S) for one in STREAMS}
        self.opened: dict[int, tuple[str, float]] = {}
        self.behind: dict[tuple[str, int], tuple[float, float]] = {}
        self.asked: dict[str, tuple[float, int]] = {}
        self.checked_s: float | None = None

    def open(self, connection: int, route: str, now_s: float) -> None:
        """Give a stale stream time, and let silence begin where nothing was connected."""
        self.opened[connection] = route, now_s
        for one in self.streams.values():
            if one.stream.route == route and one.silent_from_s is None:
                one.silent_from_s = one.asked_s = now_s
            elif one.stream.route == route and one.state == "stale":
                one.asked_s = now_s

    def close(self, connection: int) -> None:
        """Let silence mean nothing where nothing is connected."""
        route, _ = self.opened.pop(connection)
        for one in self.streams.values():
            if one.stream.route == route and route not in {other for other, _ in self.opened.values()}:
                one.silent_from_s, one.state = None, "waiting"

    def check(self, now_s: float, *, is_expected: bool) -> Findings:
        """Judge silence first, then stalls."""
        slept = self.checked_s is not None and now_s - self.checked_s > 5
        self.checked_s = now_s
        revived = self.hear()
        stale = [] if slept and is_expected else self.stale(now_s, is_expected)
        if slept and is_expected:
            for one in self.streams.values():
                if one.silent_from_s is not None and one.patience_s:
                    one.silent_from_s = one.asked_s = now_s
        return Findings(revived, stale, self.stalled({} if slept else self.behind))

    def hear(self) -> list[str]:
        """Take note of the rows since the last check."""
        revived = []
        for name, one in self.streams.items():
            if one.recorded_s > one.told_s:
                one.told_s = one.recorded_s
                if one.state == "stale":
                    revived.append(name)
                one.silent_from_s = one.asked_s = one.recorded_s
                one.nagging, one.state = 1, "live"
        return revived

    def stale(self, now_s: float, is_expected: bool) -> list[StaleStream]:
        """Find the silent ones, at growing intervals."""
        found = []
        for one in self.streams.values():
            if one.silent_from_s is None or not one.patience_s:
                continue
            if not is_expected:
                one.silent_from_s = one.asked_s = now_s
                one.nagging = 1
                one.state = "waiting" if one.state == "stale" else one.state
            elif now_s - one.asked_s > one.patience_s * one.nagging:
                found.append(StaleStream(one.stream, now_s - one.silent_from_s))
                one.state, one.asked_s, one.nagging = "stale", now_s, min(one.nagging * 2, 32)
        return found

    def stalled(self, before: dict[tuple[str, int], tuple[float, float]]) -> set[StreamFault]:
        """Find the connections that others have left behind for longer than the patience."""
        self.behind, found = {}, set()
        for name, one in self.streams.items():
            for connection, (route, opened_s) in self.opened.items():
                heard_s = max(opened_s, one.heard_s.get(connection, opened_s))
                if route != one.stream.route or not one.patience_s or one.recorded_s <= heard_s:
                    continue
                key = name, connection
                known = before.get(key)
                self.behind[key] = known if known and known[0] == heard_s else (heard_s, one.recorded_s)
                if one.recorded_s - self.behind[key][1] > one.patience_s:
                    found.add(StreamFault("stalled", name, connection))
        return found

    def claim(self, name: str, now_s: float) -> bool:
        """Ask for a replacement at growing intervals where it does not help."""
        asked_s, nagging = self.asked.get(name, (float("-inf"), 0))
        passed = (now_s - asked_s) / self.streams[name].patience_s
        if passed > nagging:
            is_in_vain = passed <= 2 * nagging + 1
            self.asked[name] = now_s, min(nagging * 2, 32) if is_in_vain else 1
        return passed > nagging


class History:
    """A random history of connections, rows and ticks, told to both."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.judges, self.table = TwoJudges(), HeardTable(STALE_TIMEOUT_S)
        self.heard = {one.name: Heard() for one in STREAMS}
        for one in STREAMS:
            self.table.add(one, self.heard[one.name])
        self.now_s = 100.0
        self.silent: set[tuple[str, int]] = set()  # a stream that a connection does not deliver
        self.met: Counter[str] = Counter()

    def run(self, steps: int) -> None:
        """Take random steps, and compare after each of them."""
        for number in range(steps):
            self.now_s += self.rng.choice((0.2, 0.2, 0.5, 1, 3, 6 if self.rng.random() < 0.05 else 2))
            self.change_connections(number)
            for connection, (route, _) in self.judges.opened.items():
                for one in STREAMS:
                    if one.route == route and (one.name, connection) not in self.silent and self.rng.random() < 0.3:
                        self.deliver(one, connection)
            self.compare()

    def change_connections(self, number: int) -> None:
        """Open one, close one, let a stream stop or come back on one."""
        chance = self.rng.random()
        if chance < 0.05 and len(self.judges.opened) < 5:
            route = self.rng.choice(("public", "market"))
            self.judges.open(number, route, self.now_s)
            self.table.open(number, route, self.now_s)
        elif chance < 0.08 and self.judges.opened:
            connection = self.rng.choice(list(self.judges.opened))
            self.judges.close(connection)
            self.table.close(connection)
            for name, heard in self.heard.items():
                heard.by_connection.pop(connection, None)
                self.judges.streams[name].heard_s.pop(connection, None)
        elif chance < 0.2 and self.judges.opened:
            self.silent ^= {(self.rng.choice(STREAMS).name, self.rng.choice(list(self.judges.opened)))}
        elif chance < 0.22:
            self.silent.clear()

    def deliver(self, stream: Stream, connection: int) -> None:
        """Bring a message of a stream: a row, or a copy."""
        self.now_s += 0.001
        judged, heard = self.judges.streams[stream.name], self.heard[stream.name]
        judged.heard_s[connection] = heard.by_connection[connection] = self.now_s
        if self.rng.random() < 0.7:
            judged.recorded_s = heard.row_s = self.now_s

    def compare(self) -> None:
        """Have both judge, and ask for replacements."""
        is_expected = self.rng.random() < 0.98
        found = self.table.check(self.now_s, is_expected=lambda _: is_expected)
        assert found == self.judges.check(self.now_s, is_expected=is_expected)
        self.met.update(revived=len(found.revived), stale=len(found.stale), stalled=len(found.stalled))
        for name, one in self.judges.streams.items():
            assert self.table.state(name) == one.state
            silent_s = None if one.silent_from_s is None else max(0.0, self.now_s - one.silent_from_s)
            assert self.table.silent_s(name, self.now_s) == silent_s
        for _, name, _ in sorted(found.stalled):
            assert self.table.claim_replacement(name, self.now_s) == self.judges.claim(name, self.now_s)


@given(seed=st.integers(0, 2**63))
@settings(max_examples=examples(300), deadline=None)
def test_one_table_judges_as_two_judges_did(seed: int) -> None:
    History(Random(seed)).run(400)


def test_such_histories_have_all_that_is_judged() -> None:
    history = History(Random(7))
    history.run(5000)
    assert min(history.met[one] for one in ("revived", "stale", "stalled")) > 20
