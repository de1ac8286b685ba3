"""A change of the configuration gives some symbols to another worker; these are named, and no others."""

from pathlib import Path

import msgspec
import pytest
import yaml

from binance_streamer.cli.supervisor.moves import Moves, moves_of
from binance_streamer.config import schema as configuration
from binance_streamer.config.groups import MembersFile, workers_by_symbol
from binance_streamer.config.schema import Config

SYMBOLS = ("BNBUSDT", "BTCUSDT", "ETHUSDT", "XRPUSDT")
MATCHING = {"name": "all", "match": {"symbol": "*"}}


def config_of(place: Path, **mode: object) -> Config:
    path = place / "streamer.yaml"
    (place / "members.json").write_bytes(msgspec.json.encode({"all": SYMBOLS}))
    values = {"mode": "production", "modes": {"production": mode}, "endpoints": {"run_directory": "."}}
    path.write_text(yaml.safe_dump(values))
    return configuration.load(path)


def before(place: Path, **mode: object) -> dict[str, str]:
    return workers_by_symbol(MembersFile(config_of(place, **mode)).config)


def test_with_one_worker_more_a_symbol_moves_and_whoever_loses_or_gets_one_is_named(tmp_path: Path) -> None:
    recorded = before(tmp_path, groups=[{**MATCHING, "workers": 2}])
    moves = moves_of(recorded, config_of(tmp_path, groups=[{**MATCHING, "workers": 3}]))
    assert moves == Moves(("XRPUSDT",), frozenset({recorded["XRPUSDT"], "all-2"}))
    assert "symbols that move to another worker: 1 (XRPUSDT)" in moves.warning


def test_a_symbol_moves_between_a_group_and_a_worker_of_its_own(tmp_path: Path) -> None:
    named = {"symbols": [{"symbol": "BTCUSDT"}], "groups": [MATCHING]}
    there = moves_of(before(tmp_path, groups=[MATCHING]), config_of(tmp_path, **named))
    config = config_of(tmp_path, groups=[MATCHING])
    found = {"all": tuple(one for one in SYMBOLS if one != "BTCUSDT")}  # as `rest` has written it for the named one
    recorded = before(tmp_path, **named)
    (tmp_path / "members.json").write_bytes(msgspec.json.encode(found))
    back = moves_of(recorded, config)
    assert there == back == Moves(("BTCUSDT",), frozenset({"BTCUSDT", "all-0"}))


@pytest.mark.parametrize(
    "mode",
    [
        {"groups": [{**MATCHING, "workers": 2}]},
        {"groups": [{**MATCHING, "workers": 2, "streams": ["aggTrade"]}]},
        {"groups": [{**MATCHING, "workers": 2, "exclude": ["BTCUSDT"]}]},
    ],
    ids=["nothing changes", "streams", "one is left out"],
)
def test_a_symbol_that_stays_or_is_recorded_no_more_does_not_move(tmp_path: Path, mode: dict[str, object]) -> None:
    moves = moves_of(before(tmp_path, groups=[{**MATCHING, "workers": 2}]), config_of(tmp_path, **mode))
    assert (moves, moves.warning) == (Moves(), "")
