"""A group has members, and each of them one worker that serves it."""

from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from binance_streamer.config import schema as configuration
from binance_streamer.config.groups import (
    Contract,
    MembersFile,
    is_part,
    members_of,
    part_of,
    parts_of,
    symbols_of,
    workers_by_symbol,
)
from binance_streamer.config.schema import Config, ConfigError, GroupConfig, MatchConfig, with_members
from services.writer.store.handovers import RecordedSymbols

SYMBOLS = [f"SYM{number}USDT" for number in range(520)]
PERPETUAL = "PERPETUAL"


def group(**fields: Any) -> GroupConfig:
    return GroupConfig(**{"name": "all", "match": MatchConfig(), "workers": 4, **fields})


def config_of(place: Path, mode: dict[str, Any]) -> Config:
    path = place / "streamer.yaml"
    endpoints = {"run_directory": "run"}
    path.write_text(yaml.safe_dump({"mode": "production", "modes": {"production": mode}, "endpoints": endpoints}))
    return configuration.load(path)


def put(config: Config, text: str) -> None:
    path = Path(config.endpoints.run_directory) / "members.json"
    path.parent.mkdir(exist_ok=True)
    path.with_suffix(".new").write_text(text)
    path.with_suffix(".new").rename(path)


def test_a_member_has_the_same_worker_wherever_that_is_asked() -> None:
    found = {symbol: part_of(group(workers=8), symbol) for symbol in ("BTCUSDT", "ETHUSDT", "SOLUSDT", "币安人生USDT")}
    assert found == {"BTCUSDT": 7, "ETHUSDT": 5, "SOLUSDT": 4, "币安人生USDT": 0}


def test_the_members_of_a_group_are_spread_over_its_workers() -> None:
    counts = Counter(part_of(group(workers=8), symbol) for symbol in SYMBOLS)
    assert len(counts) == 8
    assert min(counts.values()) > 45
    assert max(counts.values()) < 90


def test_one_worker_more_moves_only_the_members_that_it_gets() -> None:
    before = {symbol: part_of(group(workers=8), symbol) for symbol in SYMBOLS}
    after = {symbol: part_of(group(workers=9), symbol) for symbol in SYMBOLS}
    moved = {symbol for symbol in SYMBOLS if before[symbol] != after[symbol]}
    assert {after[symbol] for symbol in moved} == {8}
    assert 30 < len(moved) < 90


def test_every_member_is_served_once() -> None:
    parts = parts_of(group(members=tuple(SYMBOLS)))
    assert list(parts) == ["all-0", "all-1", "all-2", "all-3"]
    assert sorted(symbol for symbols in parts.values() for symbol in symbols) == sorted(SYMBOLS)


def test_a_worker_of_a_group_is_told_from_a_symbol() -> None:
    assert [is_part(name) for name in ("all-0", "usdt_perpetuals-12")] == [True, True]
    assert not any(is_part(name) for name in ("BTCUSDT", "BTCUSDT_260925", "all", "A-1", "1-0", "all-123", "币安-0"))


@pytest.mark.parametrize(
    ("match", "members"),
    [
        (MatchConfig(), ("AUSDC", "AUSDT", "BUSDT")),
        (MatchConfig(quote=("USDT",)), ("AUSDT", "BUSDT")),
        (MatchConfig(symbol="A*"), ("AUSDC", "AUSDT")),
        (MatchConfig(contract=("CURRENT_QUARTER",)), ("AUSDT_260925",)),
    ],
)
def test_a_group_matches_what_the_exchange_says_of_symbols(match: MatchConfig, members: tuple[str, ...]) -> None:
    listed = [
        Contract("BUSDT", "TRADING", PERPETUAL, "USDT"),
        Contract("AUSDT", "TRADING", PERPETUAL, "USDT"),
        Contract("AUSDC", "TRADING", PERPETUAL, "USDC"),
        Contract("AUSDT_260925", "TRADING", "CURRENT_QUARTER", "USDT"),
        Contract("CUSDT", "TRADING", PERPETUAL, "USDT"),
    ]
    assert members_of(group(match=match, exclude=("CUSDT",)), listed) == members


@pytest.mark.parametrize(
    ("status", "begins", "stays"),
    [
        ("TRADING", True, True),
        ("PENDING_TRADING", False, True),
        ("PRE_SETTLE", False, True),
        ("SETTLING", False, False),
        ("CLOSE", False, False),
        ("DELIVERED", False, False),
    ],
)
def test_a_member_begins_when_it_trades_and_stays_until_it_has_ended(status: str, begins: bool, stays: bool) -> None:
    listed = [Contract("AUSDT", status, PERPETUAL)]
    assert members_of(group(), listed) == (("AUSDT",) if begins else ())
    assert members_of(group(), listed, ["AUSDT"]) == (("AUSDT",) if stays else ())
    assert members_of(group(), [], ["AUSDT"]) == ()


@pytest.mark.parametrize("change", [{"contract": "PERPETUAL_DELIVERING"}, {"quote": ""}, {"contract": "", "quote": ""}])
def test_of_a_member_only_the_status_counts(change: dict[str, str]) -> None:
    one = Contract("AUSDT", "TRADING", PERPETUAL, "USDT")._replace(**change)
    usdt = group(match=MatchConfig(quote=("USDT",)))
    assert (members_of(usdt, [one]), members_of(usdt, [one], ["AUSDT"])) == ((), ("AUSDT",))
    assert members_of(usdt, [one._replace(status="SETTLING")], ["AUSDT"]) == ()
    assert members_of(group(match=MatchConfig(), exclude=("AUSDT",)), [one], ["AUSDT"]) == ()
    assert members_of(group(match=MatchConfig(symbol="B*")), [one], ["AUSDT"]) == ()


ODD = ["", " ", "/", ",", ":", "%", "A.USDT", "A/USDT", "AUSDT\n", "aUSDT", "all-0", "X" * 65]


@pytest.mark.parametrize("odd", ODD)
def test_a_symbol_that_cannot_be_recorded_under_its_name_is_no_member(tmp_path: Path, odd: str) -> None:
    listed = [Contract("AUSDT", "TRADING", PERPETUAL), Contract(odd, "TRADING", PERPETUAL)]
    assert members_of(group(), listed, [odd]) == ("AUSDT",)
    config = config_of(tmp_path, {"groups": [{"name": "all", "match": {}}]})
    put(config, msgspec.json.encode({"all": ["AUSDT", odd]}).decode())
    assert MembersFile(config).found == {"all": ("AUSDT",)}


def test_a_named_symbol_is_left_out_of_groups_and_a_member_belongs_to_one(tmp_path: Path) -> None:
    mode = {
        "symbols": [{"symbol": "BTCUSDT", "streams": ["depth@0ms"]}, {"symbol": "OFFUSDT", "enabled": False}],
        "groups": [
            {"name": "first", "match": {"symbol": "*"}, "streams": ["aggTrade"]},
            {"name": "second", "match": {}, "workers": 2},
        ],
    }
    config = config_of(tmp_path, mode)
    assert config.workers == ("BTCUSDT", "first-0", "second-0", "second-1")
    found = {"first": ["BTCUSDT", "AUSDT", "OFFUSDT"], "second": ["AUSDT", "BUSDT"], "gone": ["CUSDT"]}
    known = with_members(config, found)
    assert [(one.symbol, one.streams) for one in known.symbols] == [
        ("BTCUSDT", ("depth@0ms",)),
        ("AUSDT", ("aggTrade",)),
        ("BUSDT", ("aggTrade", "depth@0ms", "kline_1m")),
    ]
    assert workers_by_symbol(known)["BTCUSDT"] == "BTCUSDT"
    assert workers_by_symbol(known)["AUSDT"] == "first-0"
    assert [one.symbol for one in symbols_of(known, "first-0")] == ["AUSDT"]
    assert not any(one.depth_snapshot for one in known.symbols[1:])


def test_members_are_known_once_the_file_is_there_and_followed(tmp_path: Path) -> None:
    config = config_of(tmp_path, {"groups": [{"name": "all", "match": {}}]})
    file, recorded = MembersFile(config), RecordedSymbols(config)
    assert not file.is_known
    assert "AUSDT" in recorded  # for all that anybody knows
    put(config, '{"all": ["AUSDT"]}')
    assert file.refresh()
    assert not file.refresh()
    assert file.is_known
    assert [one.symbol for one in file.config.symbols] == ["AUSDT"]
    assert ("AUSDT" in recorded, "BUSDT" in recorded) == (True, False)
    put(config, '{"all": ["AUSDT", "BUSDT"]}')
    assert file.refresh()
    assert "BUSDT" in recorded
    put(config, '{"all": ["AU')
    assert not file.refresh()
    assert [one.symbol for one in file.config.symbols] == ["AUSDT", "BUSDT"]


def test_a_file_without_a_group_changes_nothing_of_it(tmp_path: Path) -> None:
    file = MembersFile(config := config_of(tmp_path, {"groups": [{"name": "all", "match": {}}]}))
    put(config, '{"all": ["AUSDT"]}')
    assert file.refresh()
    for text in ("{}", '{"elsewhere": ["BUSDT"]}'):
        put(config, text)
        assert not file.refresh()
        assert [one.symbol for one in file.config.symbols] == ["AUSDT"]
    assert not MembersFile(config).is_known
    put(config, '{"all": []}')
    assert file.refresh()
    assert file.config.symbols == ()


def test_a_worker_needs_the_members_of_its_group_and_of_those_before_it(tmp_path: Path) -> None:
    groups: list[dict[str, Any]] = [{"name": name, "match": {}} for name in ("first", "second", "third")]
    config = config_of(tmp_path, {"symbols": [{"symbol": "BTCUSDT"}], "groups": groups})
    workers = ("BTCUSDT", "first-0", "second-0", "third-0")
    put(config, "{}")
    assert [MembersFile(config).knows(worker) for worker in workers] == [True, False, False, False]
    put(config, '{"first": ["AUSDT"], "third": []}')
    assert [MembersFile(config).knows(worker) for worker in workers] == [True, True, False, False]
    put(config, '{"first": ["AUSDT"], "second": [], "third": []}')
    assert [MembersFile(config).knows(worker) for worker in workers] == [True, True, True, True]


def test_members_by_name_need_no_file(tmp_path: Path) -> None:
    config = config_of(tmp_path, {"groups": [{"name": "few", "members": ["AUSDT", "BUSDT"], "workers": 2}]})
    assert MembersFile(config).is_known
    assert [one.symbol for one in config.symbols] == ["AUSDT", "BUSDT"]


@pytest.mark.parametrize(
    ("groups", "fault"),
    [
        ([{"name": "a", "match": {}}, {"name": "a", "match": {}}], "groups[1].name: 'a' is listed twice"),
        ([{"name": "a"}], "groups[0]: needs either match, or members by name"),
        ([{"name": "a", "match": {}, "members": ["AUSDT"]}], "groups[0]: needs either match, or members by name"),
        ([{"name": "a", "members": ["BTCUSDT"]}], "groups[0].members[0]: 'BTCUSDT' is listed twice"),
        ([{"name": "a", "members": ["ausdt"]}], "groups[0].members[0]: 'ausdt' must be in upper case"),
        ([{"name": "a", "match": {}, "streams": ["depht"]}], "groups[0].streams[0]: stream 'depht'"),
        (
            [{"name": "a", "match": {}, "streams": []}],
            "groups[0].streams: at least one stream of the websocket",
        ),
        ([{"name": "A", "match": {}}], "groups[0].name"),
        ([{"name": "a-b", "match": {}}], "groups[0].name"),
    ],
)
def test_groups_that_cannot_be_meant_are_refused(tmp_path: Path, groups: list[dict[str, Any]], fault: str) -> None:
    with pytest.raises(ConfigError) as refused:
        config_of(tmp_path, {"symbols": [{"symbol": "BTCUSDT"}], "groups": groups})
    assert fault in str(refused.value)
