"""Changes of the list of symbols: which differences count as one."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from binance_streamer.config.schema import load
from services.rest.answers import AnswerError, RestAnswer
from services.rest.market.exchange_info import Listing, Universe, read_exchange_info
from services.rest.market.group_members import GroupMembers
from services.rest.market.listing import ListingRecorder
from services.rest.oddities import Oddities
from services.runtime.gaps.drafts import Draft


def a_symbol(name: str, status: str = "TRADING", tick: str = "0.10") -> dict[str, Any]:
    return {"symbol": name, "status": status, "filters": [{"filterType": "PRICE_FILTER", "tickSize": tick}]}


def a_body(*symbols: Any, server_time: int = 1, **others: Any) -> bytes:
    return json.dumps({"timezone": "UTC", "serverTime": server_time, "symbols": symbols, **others}).encode()


def a_universe(*symbols: Any, **others: Any) -> Universe:
    return read_exchange_info(a_body(*symbols, **others))


def a_listing(*symbols: dict[str, Any]) -> Listing:
    universe = a_universe(*symbols)
    return Listing(universe.symbols, universe.other)


def test_the_weight_limit_is_the_one_per_minute() -> None:
    limits = [
        {"rateLimitType": "ORDERS", "interval": "MINUTE", "intervalNum": 1, "limit": 1200},
        {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 6000},
    ]
    assert a_universe(a_symbol("A"), rateLimits=limits).weight_limit == 6000
    assert a_universe(a_symbol("A")).weight_limit is None


def test_the_same_list_at_another_time_is_no_change() -> None:
    change = a_listing(a_symbol("A")).change_to(a_universe(a_symbol("A"), server_time=2))
    assert not change


def test_another_order_of_keys_is_no_change() -> None:
    reordered = dict(reversed(a_symbol("A").items()))
    assert not a_listing(a_symbol("A")).change_to(a_universe(reordered))


def test_a_change_holds_whole_objects_and_the_names_of_what_is_gone() -> None:
    listing = a_listing(a_symbol("A"), a_symbol("B"), a_symbol("C"), a_symbol("D"))
    new = a_universe(a_symbol("A"), a_symbol("B", "SETTLING"), a_symbol("C", tick="0.01"), a_symbol("E"))
    assert json.loads(listing.change_to(new).as_json()) == {
        "changed": {"B": a_symbol("B", "SETTLING"), "C": a_symbol("C", tick="0.01"), "E": a_symbol("E")},
        "removed": ["D"],
        "other": {},
    }
    listing.take(new)
    assert not listing.change_to(new)


def test_other_members_than_symbols_are_compared_too() -> None:
    change = a_listing(a_symbol("A")).change_to(a_universe(a_symbol("A"), assets=[{"asset": "USDT"}]))
    assert json.loads(change.as_json()) == {"changed": {}, "removed": [], "other": {"assets": [{"asset": "USDT"}]}}


def test_numbers_keep_their_digits() -> None:
    body = b'{"symbols":[{"symbol":"A","status":"TRADING","tick":0.10,"big":123456789012345678901}]}'
    change = a_listing(a_symbol("B")).change_to(read_exchange_info(body))
    assert b'{"symbol":"A","status":"TRADING","tick":0.10,"big":123456789012345678901}' in change.as_json()


def test_a_great_loss_is_believed_when_it_comes_twice() -> None:
    listing = a_listing(*(a_symbol(name) for name in "ABCD"))
    quarter, half = a_universe(*map(a_symbol, "ABC")), a_universe(*map(a_symbol, "AB"))
    assert not listing.count_doubt(quarter)
    assert listing.count_doubt(half)
    assert not listing.count_doubt(half)


def test_a_great_loss_that_did_not_last_is_forgotten() -> None:
    listing = a_listing(*(a_symbol(name) for name in "ABCD"))
    half = a_universe(*map(a_symbol, "AB"))
    assert listing.count_doubt(half)
    assert not listing.count_doubt(a_universe(*map(a_symbol, "ABCD")))
    assert listing.count_doubt(half)


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b"[]", b"<html>", b'{"symbols":[]}', b'{"symbols":[{}]}', b'{"symbols":{}}', b"\xff", b"[" * 100_000,
     b'{"symbols":[{"symbol":"A","status":"TRADING"}]', b'{"symbols":[{"symbol":1,"status":"TRADING"}]}'],
)  # fmt: skip
def test_what_is_no_exchange_info_is_refused(body: bytes) -> None:
    with pytest.raises(AnswerError):
        read_exchange_info(body)


@pytest.mark.parametrize(
    ("odd", "symbols", "statuses"),
    [
        (7, {}, {}),
        (None, {}, {}),
        ({"status": "TRADING"}, {}, {}),
        ({"symbol": None, "status": "TRADING"}, {}, {}),
        ({"symbol": "ODD"}, {"ODD"}, {"ODD": "TRADING"}),
        ({"symbol": "ODD", "status": None}, {"ODD"}, {"ODD": "TRADING"}),
        ({"symbol": "ODD", "status": "SETTLING", "contractType": 5}, {"ODD"}, {"ODD": "SETTLING"}),
        ({"symbol": "ODD", "status": "BREAK", "underlyingType": ["COIN"]}, {"ODD"}, {"ODD": "BREAK"}),
    ],
)
def test_an_entry_that_is_not_understood_costs_no_other(odd: Any, symbols: set[str], statuses: dict[str, str]) -> None:
    universe = a_universe(a_symbol("A"), odd, a_symbol("B", "SETTLING"))
    assert universe.symbols.keys() == {"A", "B"} | set(symbols)
    assert universe.statuses == {"A": "TRADING", "B": "SETTLING", **statuses}
    assert [(found.place, json.loads(found.raw)) for found in universe.odd] == [("exchangeInfo symbols", odd)]


def test_an_entry_without_a_name_is_kept_as_it_came() -> None:
    change = a_listing(a_symbol("A")).change_to(a_universe(a_symbol("A"), 7))
    assert json.loads(change.as_json()) == {"changed": {}, "removed": [], "other": {"symbols": [7]}}


@pytest.mark.parametrize("odd", [7, {}, {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "limit": "6000"}])
def test_a_limit_that_is_not_understood_costs_no_other(odd: Any) -> None:
    weight = {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 6000}
    universe = a_universe(a_symbol("A"), rateLimits=[odd, weight])
    assert universe.weight_limit == 6000
    assert [(found.place, json.loads(found.raw)) for found in universe.odd] == [("exchangeInfo rateLimits", odd)]


def test_limits_that_are_no_list_cost_the_limits_only() -> None:
    universe = a_universe(a_symbol("A"), rateLimits={"limit": 1})
    assert (universe.weight_limit, list(universe.symbols)) == (None, ["A"])
    assert [found.place for found in universe.odd] == ["exchangeInfo rateLimits"]


@given(
    st.integers(0, 250), st.integers(0, 3), st.sampled_from([b"\xff", b"\xc3", b"1e999", b"[", b"NaN", b"9" * 400, b""])
)
def test_no_bytes_within_a_list_do_more_than_be_odd_or_refused(at: int, cut: int, odd: bytes) -> None:
    weight = {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "limit": 6000}
    body = a_body(a_symbol("A"), a_symbol("B"), rateLimits=[weight], assets=["x"])
    try:
        universe = read_exchange_info(body[:at] + odd + body[at + cut :])
    except AnswerError:
        return
    listing = a_listing(a_symbol("A"), a_symbol("B"))
    listing.change_to(universe).as_json()
    listing.take(universe)
    assert listing.saved()


def test_a_byte_that_is_no_text_costs_its_entry_only() -> None:
    broken = a_body(a_symbol("A"), a_symbol("B"), a_symbol("C")).replace(b'"B"', b'"\xff"')
    universe = read_exchange_info(broken)
    assert list(universe.statuses) == ["A", "C"]
    assert [odd.place for odd in universe.odd] == ["exchangeInfo symbols"]


def test_a_saved_list_is_the_same_list() -> None:
    listing = a_listing(a_symbol("A"), a_symbol("币安人生USDT"))
    loaded = Listing.loaded(listing.saved())
    assert (loaded.symbols, loaded.other) == (listing.symbols, listing.other)


@pytest.mark.parametrize("content", [b"", b"{}", b"[1,2]", b"[{}", b"[{},{},{}]", b"\xff"])
def test_a_damaged_list_is_refused(content: bytes) -> None:
    with pytest.raises(AnswerError):
        Listing.loaded(content)


class Journal:
    """A producer whose journal may be full."""

    def __init__(self) -> None:
        self.is_full = False
        self.events: list[bytes] = []

    def append(self, drafts: Sequence[Draft]) -> bool:
        if not self.is_full:
            self.events += [draft.data["event"] for draft in drafts]
        return not self.is_full

    def publish_live(self, draft: Draft) -> None:
        pass


def test_a_change_that_a_full_journal_did_not_take_is_recorded_later(tmp_path: Path) -> None:
    journal = Journal()
    recorder = ListingRecorder(tmp_path / "list.json", ["A"], journal, oddities=Oddities())
    first, second = (a_body(a_symbol("A", tick=tick)) for tick in ("0.10", "0.01"))
    recorder.take(RestAnswer(200, {}, first, 1, 2), 0.0)
    journal.is_full = True
    recorder.take(RestAnswer(200, {}, second, 3, 4), 1.0)
    journal.is_full = False
    recorder.take(RestAnswer(200, {}, second, 5, 6), 2.0)
    following = ListingRecorder(tmp_path / "list.json", ["A"], journal, oddities=Oddities())
    following.take(RestAnswer(200, {}, second, 7, 8), 3.0)
    assert journal.events[0] == first
    (change,) = journal.events[1:]
    assert list(json.loads(change)["changed"]) == ["A"]


def test_a_name_that_no_member_can_have_is_counted_once_and_breaks_nothing(tmp_path: Path) -> None:
    path, groups = tmp_path / "streamer.yaml", [{"name": "all", "match": {}}]
    modes = {"production": {"groups": groups}}
    path.write_text(json.dumps({"mode": "production", "modes": modes, "endpoints": {"run_directory": "."}}))
    oddities, members = Oddities(), GroupMembers(load(path))
    recorder = ListingRecorder(tmp_path / "list.json", [], Journal(), oddities=oddities, members=members)
    body = a_body(*(a_symbol(name) | {"contractType": "PERPETUAL"} for name in ("AUSDT", "A.USDT")))
    for now_s in (0.0, 1.0):
        recorder.take(RestAnswer(200, {}, body, 1, 2), now_s)
        recorder.publish_due(now_s)
    assert dict(oddities.counts) == {"exchangeInfo names of members": 1}
    assert recorder.statuses() == {"AUSDT": "TRADING"}


def test_hours_that_a_full_journal_did_not_take_are_recorded_later(tmp_path: Path) -> None:
    journal = Journal()
    recorder = ListingRecorder(tmp_path / "list.json", ["A"], journal, oddities=Oddities())
    hours = RestAnswer(200, {}, b'{"marketSchedules":{}}', 1, 2)
    journal.is_full = True
    recorder.take_schedule(hours, 0.0)
    journal.is_full = False
    for _ in range(2):
        recorder.take_schedule(hours, 1.0)
    assert journal.events == [hours.body]


def test_a_configured_symbol_that_is_not_listed_has_the_nearest_names(tmp_path: Path) -> None:
    recorder = ListingRecorder(tmp_path / "list.json", ["BTCUSDT", "WBTCBTC"], Journal(), oddities=Oddities())
    assert recorder.nearest_names() == {}
    names = ("BTCUSDT", "ETHBTC", "WBTCUSDT", "WBETHETH", "DOGEUSDT")
    recorder.take(RestAnswer(200, {}, a_body(*map(a_symbol, names)), 1, 2), 0.0)
    assert recorder.statuses() == {"BTCUSDT": "TRADING", "WBTCBTC": "UNLISTED"}
    assert list(recorder.nearest_names()) == ["WBTCBTC"]
    assert "WBTCUSDT" in recorder.nearest_names()["WBTCBTC"]
    recorder.take(RestAnswer(200, {}, a_body(*map(a_symbol, (*names, "WBTCBTC"))), 3, 4), 1.0)
    assert recorder.nearest_names() == {}
