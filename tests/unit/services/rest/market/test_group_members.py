"""The members of groups, as the exchange's lists of symbols follow one another."""

from pathlib import Path

import msgspec
import pytest
import yaml

from binance_streamer.config import schema as configuration
from binance_streamer.config.groups import Contract, MembersFile
from binance_streamer.config.schema import Config
from services.rest.market.group_members import GroupMembers


def config_of(place: Path) -> Config:
    path = place / "streamer.yaml"
    groups = [{"name": "usdc", "match": {"quote": ["USDC"]}}, {"name": "all", "match": {"symbol": "*USD*"}}]
    mode = {"symbols": [{"symbol": "BTCUSDT"}], "groups": groups}
    endpoints = {"run_directory": "."}
    path.write_text(yaml.safe_dump({"mode": "production", "modes": {"production": mode}, "endpoints": endpoints}))
    return configuration.load(path)


def listed(*symbols: str, status: str = "TRADING") -> list[Contract]:
    return [Contract(symbol, status, "PERPETUAL", symbol[-4:]) for symbol in symbols]


def test_members_are_what_the_list_says_and_no_symbol_is_recorded_twice(tmp_path: Path) -> None:
    config = config_of(tmp_path)
    members, others = GroupMembers(config), MembersFile(config)
    assert members.symbols == ["BTCUSDT"]
    assert not others.is_known
    members.take(listed("BTCUSDT", "ETHUSDT", "ETHUSDC", "ETHBTC"))
    assert members.symbols == ["BTCUSDT", "ETHUSDC", "ETHUSDT"]
    assert others.refresh()
    assert others.found == {"usdc": ("ETHUSDC",), "all": ("ETHUSDT",)}


def test_the_file_is_written_where_members_change_and_only_then(tmp_path: Path) -> None:
    config = config_of(tmp_path)
    members, path = GroupMembers(config), tmp_path / "members.json"
    members.take(listed("ETHUSDT"))
    first = path.stat().st_ino, path.stat().st_mtime_ns
    members.take(listed("ETHUSDT"))
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == first
    members.take(listed("ETHUSDT", "NEWUSDT"))
    assert msgspec.json.decode(path.read_bytes()) == {"usdc": [], "all": ["ETHUSDT", "NEWUSDT"]}
    members.take([*listed("NEWUSDT"), *listed("ETHUSDT", status="SETTLING")])
    assert msgspec.json.decode(path.read_bytes()) == {"usdc": [], "all": ["NEWUSDT"]}


@pytest.mark.parametrize("content", ["", "{}", "\0{", '{"elsewhere": ["XUSDT"]}', '{"usdc": [], "all": ["XUSDT"]}'])
def test_a_file_that_another_hand_has_changed_is_mended_with_the_next_list(tmp_path: Path, content: str) -> None:
    members, path = GroupMembers(config_of(tmp_path)), tmp_path / "members.json"
    members.take(listed("ETHUSDT"))
    path.write_text(content)
    members.take(listed("ETHUSDT"))
    assert msgspec.json.decode(path.read_bytes()) == {"usdc": [], "all": ["ETHUSDT"]}
    assert members.symbols == ["BTCUSDT", "ETHUSDT"]


def test_the_next_run_knows_the_members_before_the_exchange_answers(tmp_path: Path) -> None:
    config = config_of(tmp_path)
    GroupMembers(config).take(listed("ETHUSDT", "PAUSEDUSDT"))
    again = GroupMembers(config)
    assert again.symbols == ["BTCUSDT", "ETHUSDT", "PAUSEDUSDT"]
    again.take([*listed("ETHUSDT"), *listed("PAUSEDUSDT", status="PRE_SETTLE")])
    assert again.symbols == ["BTCUSDT", "ETHUSDT", "PAUSEDUSDT"]


def test_a_member_is_absent_once_two_lists_in_a_row_lack_it(tmp_path: Path) -> None:
    members = GroupMembers(config_of(tmp_path))
    seen = []
    for names in (["AUSDT", "BUSDT"], ["AUSDT"], ["AUSDT", "BUSDT"], ["AUSDT"], ["AUSDT"], ["AUSDT"]):
        members.take(listed(*names))
        seen.append(members.symbols[1:])
    assert seen == [["AUSDT", "BUSDT"]] * 4 + [["AUSDT"]] * 2


def test_a_member_whose_entry_changes_stays_in_its_group(tmp_path: Path) -> None:
    members, path = GroupMembers(config_of(tmp_path)), tmp_path / "members.json"
    members.take(listed("AUSDT", "BUSDT"))
    for one in (
        Contract("AUSDT", "TRADING", "PERPETUAL_DELIVERING", "USDT"),
        Contract("AUSDT", "TRADING", "PERPETUAL", ""),
        Contract("AUSDT", "TRADING", "PERPETUAL", "USDC"),  # by which a group that is listed earlier matches
    ):
        members.take([one, *listed("BUSDT")])
        assert msgspec.json.decode(path.read_bytes()) == {"usdc": [], "all": ["AUSDT", "BUSDT"]}


def test_the_first_list_of_a_run_judges_by_its_configuration(tmp_path: Path) -> None:
    config = config_of(tmp_path)
    (tmp_path / "members.json").write_text('{"usdc": ["AUSDT", "BUSDC", "CUSDC"], "all": ["DUSDC"]}')
    members = GroupMembers(config)
    members.take([*listed("AUSDT", "BUSDC", "DUSDC"), Contract("CUSDC")])
    assert MembersFile(config).found == {"usdc": ("BUSDC", "CUSDC", "DUSDC"), "all": ("AUSDT",)}


def test_names_that_cannot_be_recorded_are_told_and_are_no_members(tmp_path: Path) -> None:
    members = GroupMembers(config_of(tmp_path))
    odd = members.take([*listed("AUSDT", "A.USDT", "A.BTC"), *listed("B.USDT", status="CLOSE")])
    assert [(one.place, one.raw) for one in odd] == [("exchangeInfo names of members", b"A.USDT")]
    assert members.symbols == ["BTCUSDT", "AUSDT"]


def test_a_member_that_is_named_now_is_out_of_the_file_at_the_start(tmp_path: Path) -> None:
    path = tmp_path / "members.json"
    path.write_text('{"all": ["AUSDT", "BTCUSDT"]}')
    members = GroupMembers(config_of(tmp_path))
    assert msgspec.json.decode(path.read_bytes()) == {"all": ["AUSDT"]}
    assert members.symbols == ["BTCUSDT", "AUSDT"]


def test_at_the_start_nothing_else_is_written(tmp_path: Path) -> None:
    path, config = tmp_path / "members.json", config_of(tmp_path)
    GroupMembers(config)
    assert not path.exists()
    for text in ("{", "{}", '{"elsewhere": ["BTCUSDT"]}', '{"all": [ "AUSDT" ]}'):
        path.write_text(text)
        GroupMembers(config)
        assert path.read_text() == text


def test_a_disk_that_takes_nothing_leaves_the_members_as_they_were(tmp_path: Path) -> None:
    config = config_of(tmp_path)
    members = GroupMembers(config)
    members.take(listed("ETHUSDT"))
    (tmp_path / "members.json").unlink()
    (tmp_path / "members.json").mkdir()
    members.take(listed("ETHUSDT", "NEWUSDT"))
    assert members.symbols == ["BTCUSDT", "ETHUSDT"]


def top_two(place: Path) -> GroupMembers:
    path = place / "streamer.yaml"
    mode = {"groups": [{"name": "most", "match": {}, "top": 2}, {"name": "rest", "match": {}}]}
    values = {"mode": "production", "modes": {"production": mode}, "endpoints": {"run_directory": "."}}
    path.write_text(yaml.safe_dump(values))
    return GroupMembers(configuration.load(path))


def found_in(place: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = msgspec.json.decode((place / "members.json").read_bytes())
    return found


def test_the_top_of_a_group_waits_for_the_turnover_and_the_next_group_has_the_others(tmp_path: Path) -> None:
    members = top_two(tmp_path)
    assert members.needs_turnover
    members.take(listed("AUSDT", "BUSDT", "CUSDT"))
    assert found_in(tmp_path) == {}
    assert not members.are_known
    members.take_turnover({"AUSDT": 1.0, "BUSDT": 9.0, "CUSDT": 5.0})
    members.take(listed("AUSDT", "BUSDT", "CUSDT"))
    assert found_in(tmp_path) == {"most": ["BUSDT", "CUSDT"], "rest": ["AUSDT"]}


def test_a_member_stays_until_others_have_clearly_more(tmp_path: Path) -> None:
    names = [f"S{number}USDT" for number in range(8)]
    path = tmp_path / "streamer.yaml"
    mode = {"groups": [{"name": "most", "match": {}, "top": 4}]}
    values = {"mode": "production", "modes": {"production": mode}, "endpoints": {"run_directory": "."}}
    path.write_text(yaml.safe_dump(values))
    members = GroupMembers(configuration.load(path))
    turnover = {name: 100.0 - number for number, name in enumerate(names)}
    members.take_turnover(turnover)
    members.take(listed(*names))
    assert found_in(tmp_path) == {"most": names[:4]}
    members.take_turnover({**turnover, names[4]: 97.5})  # the fifth is before the fourth, which stays
    members.take(listed(*names))
    assert found_in(tmp_path) == {"most": names[:4]}
    members.take_turnover({**turnover, names[4]: 97.5, names[5]: 97.4})  # now it is the sixth of them
    members.take(listed(*names))
    assert found_in(tmp_path) == {"most": [*names[:3], names[4]]}
    members.take([*listed(*names[1:]), *listed(names[0], status="SETTLING")])
    assert found_in(tmp_path) == {"most": [*names[1:3], *names[4:6]]}
    again = GroupMembers(configuration.load(path))
    again.take(listed(*names[1:], "NEWUSDT"))  # the turnover is not known yet: who is there stays
    assert found_in(tmp_path) == {"most": [*names[1:3], *names[4:6]]}
