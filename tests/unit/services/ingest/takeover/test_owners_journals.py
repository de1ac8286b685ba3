"""A worker reads the journals of those who have recorded a symbol, each once and as far as it needs."""

from types import SimpleNamespace
from typing import Any

from services.ingest.takeover.owners_journals import ends_in, with_rows_of
from services.ingest.takeover.release import JournalEnd
from services.runtime.gaps.last_rows import LastRow

NOW_NS = 10**18
S = 10**9
MARK, TICKER, OTHER = "btcusdt@markPrice@1s", "btcusdt@bookTicker", "ethusdt@markPrice@1s"


def row(name: str, *, ago_s: int = 0) -> LastRow:
    symbol, _, suffix = name.partition("@")
    return LastRow(suffix.partition("@")[0].lower(), symbol.upper(), None, 0, NOW_NS - ago_s * S, ())


class Journal:
    """A journal with one message of each stream, at its last row."""

    def __init__(self, *names: str, ago_s: int = 0) -> None:
        self.last_rows = {name: row(name, ago_s=ago_s) for name in names}
        self.asked: list[tuple[list[str], int]] = []

    def recorded_events(self, names: list[str], since_ns: int) -> dict[str, list[tuple[int, bytes]]]:
        self.asked.append((names, since_ns))
        return {name: [(self.last_rows[name].recv_ns, b"{}")] for name in names}


def test_a_journal_is_read_once_for_all_symbols_and_only_for_the_streams_that_are_recorded_here() -> None:
    journal: Any = Journal(MARK, TICKER, OTHER)
    ends = ends_in(journal, ["BTCUSDT", "ETHUSDT"], [MARK, OTHER])
    assert journal.asked == [([MARK, OTHER], NOW_NS - 8 * S)]
    assert set(ends["BTCUSDT"].last_rows) == {MARK, TICKER}
    assert set(ends["BTCUSDT"].recorded) == {MARK}
    assert set(ends["ETHUSDT"].recorded) == {OTHER}


def test_a_journal_that_knows_nothing_of_a_symbol_is_not_read() -> None:
    journal: Any = Journal(MARK)
    assert ends_in(journal, ["ETHUSDT"], [OTHER]) == {"ETHUSDT": JournalEnd({}, {}, None)}
    assert journal.asked == []


def test_of_earlier_owners_only_the_same_seconds_count() -> None:
    end = JournalEnd({MARK: row(MARK)}, {MARK: [(NOW_NS, b"{}")]}, None)
    of_these_seconds: Any = Journal(MARK, ago_s=3)
    older: Any = SimpleNamespace(last_rows={MARK: row(MARK, ago_s=9)})
    assert with_rows_of(end, [older, of_these_seconds]).recorded == {MARK: [(NOW_NS - 3 * S, b"{}"), (NOW_NS, b"{}")]}
