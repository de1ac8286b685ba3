"""Workers as they are judged: one that waits, and one of a group, which speaks for many symbols."""

import pytest

from binance_streamer.config.schema import Config, GroupConfig, MatchConfig, ModeConfig, SymbolConfig
from binance_streamer.health.problem import Problem, Severity
from binance_streamer.health.workers import empty_groups, folded_by_worker, standby_fault, waiting_symbols, with_symbols
from binance_streamer.wire.statuses import IngestStatus, Status


@pytest.mark.parametrize(
    ("status", "is_faulty"),
    [
        (None, False),
        (Status(up_s=3600.0), False),
        (IngestStatus(up_s=3600.0, is_warm=True), False),
        (IngestStatus(up_s=5.0), False),
        (IngestStatus(up_s=3600.0), True),
    ],
)
def test_a_worker_that_does_not_receive_everything_could_not_go_on(status: Status | None, is_faulty: bool) -> None:
    assert ("would be a gap" in standby_fault(status)) is is_faulty


def config_of_group() -> Config:
    group = GroupConfig(name="all", members=("AUSDT", "BUSDT", "CUSDT", "DUSDT", "EUSDT"))
    mode = ModeConfig(symbols=(SymbolConfig(symbol="BTCUSDT"),), groups=(group,))
    return Config(mode="production", modes={"production": mode})


def problem(what: str, why: str, severity: Severity = "failure") -> Problem:
    return Problem("recording", severity, what, why, 7)


def test_a_group_s_worker_speaks_for_its_symbols() -> None:
    one, other = IngestStatus(producer="ingest-BTCUSDT"), IngestStatus(producer="ingest-all-0")
    found = with_symbols(config_of_group(), {"ingest-BTCUSDT": one, "ingest-all-0": other})
    assert found["ingest-BTCUSDT"] is one
    assert found["ingest-AUSDT"] is found["ingest-EUSDT"] is found["ingest-all-0"] is other
    assert "ingest-AUSDT" not in with_symbols(config_of_group(), {"ingest-BTCUSDT": one})


def test_many_problems_of_a_group_s_worker_are_one() -> None:
    away = [problem(f"{name}USDT aggTrade", "no connection") for name in "ABCDE"]
    named = [problem(f"BTCUSDT stream{number}", "no connection") for number in range(5)]
    odd = problem("AUSDT aggTrade", "3 rows raw", "warning")
    found = list(folded_by_worker(config_of_group(), [*away, *named, odd]))
    assert found == [
        *named,
        problem("ingest-all-0", "5 streams, AUSDT aggTrade and others; of 5 of them: no connection"),
        odd,
    ]
    assert list(folded_by_worker(config_of_group(), away[:3])) == away[:3]
    books = [Problem("book", "warning", f"{name}USDT order book", "unreliable: gap") for name in "ABCD"]
    (found_book,) = folded_by_worker(config_of_group(), books)
    assert found_book.why == "4 order books, AUSDT order book and others; of 4 of them: unreliable: gap"


def test_a_group_that_matches_nothing_is_a_failure_and_one_whose_members_are_not_known_yet_is_blocked() -> None:
    group = GroupConfig(name="none", match=MatchConfig(symbol="*NOTHING"))
    mode = ModeConfig(groups=(group, *config_of_group().groups))
    config = Config(mode="production", modes={"production": mode})
    recording, blocked = IngestStatus(), Status(state="blocked: the members of the group are not known yet")
    (found,) = empty_groups(config, {"ingest-none-0": recording, "ingest-all-0": recording})
    assert (found.severity, found.what) == ("failure", "group none")
    assert list(empty_groups(config, {"ingest-none-0": blocked, "ingest-all-0": recording})) == []
    assert list(empty_groups(config, {})) == []


@pytest.mark.parametrize(
    ("up_s", "fault", "severities"),
    [(5.0, "", []), (3600.0, "", ["warning"]), (5.0, "no lock can be made for it", ["failure"])],
)
def test_a_symbol_that_waits_is_told_and_a_failure_where_nobody_records_it(
    up_s: float, fault: str, severities: list[Severity]
) -> None:
    status = IngestStatus(up_s=up_s, waiting={"AUSDT": fault})
    found = list(waiting_symbols(config_of_group(), {"ingest-all-0": status}))
    assert [(one.what, one.severity) for one in found] == [("AUSDT", severity) for severity in severities]
