"""One worker at a time has the claim on a symbol, and the next one learns whose journal has its last rows."""

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from services.ingest.takeover.claims import SymbolClaims, claiming, rows_to_judge
from services.runtime.gaps.last_rows import LastRow
from services.runtime.gaps.open_gaps import OpenGap

OPEN = LastRow("aggtrade", "BTCUSDT", 5, 0, 9, (OpenGap("g", 1, 3, 1, 2, "restart"),))


def config_of(place: Path) -> Any:
    return SimpleNamespace(storage=SimpleNamespace(journal_directory=str(place), fsync=True))


@pytest.fixture
def one(tmp_path: Path) -> SymbolClaims:
    return SymbolClaims(config_of(tmp_path), "ingest-a-0")


@pytest.fixture
def other(tmp_path: Path) -> SymbolClaims:
    return SymbolClaims(config_of(tmp_path), "ingest-a-1")


def test_a_symbol_that_nobody_has_recorded_is_its_first_worker_s(one: SymbolClaims, other: SymbolClaims) -> None:
    assert one.take_own(["BTCUSDT", "币安人生USDT"]) == ["BTCUSDT", "币安人生USDT"]
    assert other.owner("币安人生USDT") == "ingest-a-0"
    assert not other.try_take("BTCUSDT")
    assert other.take_own(["BTCUSDT"]) == []
    one.release("BTCUSDT")
    assert other.try_take("BTCUSDT")
    assert not one.try_take("BTCUSDT")


def test_what_another_journal_has_the_last_rows_of_is_not_our_own_though_its_claim_is(
    one: SymbolClaims, other: SymbolClaims
) -> None:
    one.take_own(["BTCUSDT"])
    one.release("BTCUSDT")
    assert other.take_own(["BTCUSDT"]) == []
    assert other.held == {"BTCUSDT"}
    other.own(["BTCUSDT"])
    assert other.take_own(["BTCUSDT"]) == ["BTCUSDT"]


def test_an_end_in_order_notes_what_is_unlisted_and_the_next_worker_takes_that_note(
    one: SymbolClaims, other: SymbolClaims
) -> None:
    one.take_own(["BTCUSDT", "ETHUSDT"])
    one.release_noted({"BTCUSDT": frozenset({"btcusdt@forceOrder"}), "XRPUSDT": frozenset()})
    assert one.held == {"ETHUSDT"}
    assert other.try_take("BTCUSDT")
    assert other.take_unlisted("BTCUSDT") == frozenset({"btcusdt@forceOrder"})
    assert other.take_unlisted("BTCUSDT") is None
    one.release("ETHUSDT")  # as by a kill
    assert other.take_unlisted("ETHUSDT") is None


def test_who_records_on_forgets_what_its_end_had_noted(one: SymbolClaims, other: SymbolClaims) -> None:
    one.take_own(["BTCUSDT"])
    one.release_noted({"BTCUSDT": frozenset()})
    assert one.take_own(["BTCUSDT"]) == ["BTCUSDT"]
    assert other.take_unlisted("BTCUSDT") is None


def test_a_disk_that_takes_no_file_leaves_the_symbol_unclaimed(tmp_path: Path) -> None:
    (tmp_path / "symbols").write_text("in the way of the folder")
    claims = SymbolClaims(config_of(tmp_path), "ingest-a-0")
    assert claims.take_own(["BTCUSDT"]) == []
    assert "no lock can be made" in claims.refused["BTCUSDT"]
    (tmp_path / "symbols").unlink()
    assert claims.try_take("BTCUSDT")
    assert claims.refused == {}


def test_who_is_the_owner_is_said_once_the_disk_takes_it(
    one: SymbolClaims, other: SymbolClaims, tmp_path: Path
) -> None:
    in_the_way = tmp_path / "symbols" / "BTCUSDT.owner.new"
    in_the_way.mkdir(parents=True)
    assert one.take_own(["BTCUSDT"]) == ["BTCUSDT"]
    one.renew()
    assert other.owner("BTCUSDT") is None
    in_the_way.rmdir()
    one.renew()
    assert other.owner("BTCUSDT") == "ingest-a-0"


def test_files_that_were_deleted_are_made_anew(one: SymbolClaims, other: SymbolClaims, tmp_path: Path) -> None:
    one.take_own(["BTCUSDT"])
    shutil.rmtree(tmp_path / "symbols")
    one.renew()
    assert not other.try_take("BTCUSDT")
    assert other.owner("BTCUSDT") == "ingest-a-0"


def test_at_the_end_all_claims_are_free(tmp_path: Path, other: SymbolClaims) -> None:
    with claiming(config_of(tmp_path), "ingest-a-0") as claims:
        assert claims.take_own(["BTCUSDT"])
        assert not other.try_take("BTCUSDT")
    assert other.try_take("BTCUSDT")


@pytest.mark.parametrize(
    ("moved", "owner", "judged"),
    [
        (set(), None, {"btcusdt@aggTrade"}),
        (set(), "ingest-a-0", {"btcusdt@aggTrade"}),
        (set(), "ingest-a-1", set()),
        ({"BTCUSDT"}, "ingest-a-0", set()),
    ],
    ids=["never claimed", "ended", "another one's, ended", "another one is to go on with them"],
)
def test_open_gaps_are_ended_by_the_owner_of_a_symbol_that_nobody_records(
    one: SymbolClaims, other: SymbolClaims, *, moved: set[str], owner: str | None, judged: set[str]
) -> None:
    symbols: Any = SimpleNamespace(by_name={}, moved=lambda _: moved)
    for claims in (one, other):
        if claims.producer == owner:
            claims.own(["BTCUSDT"])
    assert set(rows_to_judge(symbols, one, (), {"btcusdt@aggTrade": OPEN})) == judged


def test_the_last_rows_of_our_own_symbols_are_ours_and_those_of_a_symbol_that_waits_are_not(one: SymbolClaims) -> None:
    symbols: Any = SimpleNamespace(by_name={"BTCUSDT": None, "ETHUSDT": None}, moved=lambda _: frozenset())
    rows = {"btcusdt@aggTrade": OPEN, "ethusdt@aggTrade": msgspec.structs.replace(OPEN, symbol="ETHUSDT")}
    assert set(rows_to_judge(symbols, one, ["ETHUSDT"], rows)) == {"ethusdt@aggTrade"}
