"""A change of the configuration gives some symbols to another worker; these are named, and no others."""

from pathlib import Path

import msgspec
import pytest
import yaml

from binance_streamer.cli.supervisor.moves import Moves, await_next, moves_of
from binance_streamer.config import schema as configuration
from binance_streamer.config.groups import MembersFile, workers_by_symbol
from binance_streamer.config.schema import Config
from services.runtime.lock import FileLock

SYMBOLS = ("BNBUSDT", "BTCUSDT", "ETHUSDT", "XRPUSDT")
MATCHING = {"name": "all", "match": {"symbol": "*"}}


def config_of(place: Path, **mode: object) -> Config:
    path = place / "streamer.yaml"
    (place / "members.json").write_bytes(msgspec.json.encode({"all": SYMBOLS}))
    values: dict[str, object] = {"mode": "production", "modes": {"production": mode}}
    values |= {"endpoints": {"run_directory": "."}, "storage": {"journal_directory": "journal"}}
    path.write_text(yaml.safe_dump(values))
    return configuration.load(path)


def before(place: Path, **mode: object) -> dict[str, str]:
    return workers_by_symbol(MembersFile(config_of(place, **mode)).config)


def test_with_one_worker_more_a_symbol_moves_and_whoever_loses_one_is_named(tmp_path: Path) -> None:
    recorded = before(tmp_path, groups=[{**MATCHING, "workers": 2}])
    moves = moves_of(recorded, config_of(tmp_path, groups=[{**MATCHING, "workers": 3}]))
    assert moves == Moves(("XRPUSDT",), (recorded["XRPUSDT"],))
    assert moves.of(recorded["XRPUSDT"]) == ["XRPUSDT"]
    assert moves.of("all-2") == []
    assert moves.line == "> symbols that move to another worker: 1 (XRPUSDT)"


def test_a_symbol_moves_between_a_group_and_a_worker_of_its_own(tmp_path: Path) -> None:
    named = {"symbols": [{"symbol": "BTCUSDT"}], "groups": [MATCHING]}
    there = moves_of(before(tmp_path, groups=[MATCHING]), config_of(tmp_path, **named))
    config = config_of(tmp_path, groups=[MATCHING])
    found = {"all": tuple(one for one in SYMBOLS if one != "BTCUSDT")}  # as `rest` has written it for the named one
    recorded = before(tmp_path, **named)
    (tmp_path / "members.json").write_bytes(msgspec.json.encode(found))
    back = moves_of(recorded, config)
    assert there == Moves(("BTCUSDT",), ("all-0",))
    assert back == Moves(("BTCUSDT",), ("BTCUSDT",))


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
    assert (moves, moves.line) == (Moves(), "")


def test_a_symbol_without_an_owner_was_recorded_by_a_version_that_knew_no_claims(tmp_path: Path) -> None:
    config = config_of(tmp_path, groups=[MATCHING])
    folder = Path(config.storage.journal_directory) / "symbols"
    folder.mkdir(parents=True)
    moves = Moves(("BTCUSDT", "ETHUSDT"), ("all-0", "all-0"))
    (folder / "BTCUSDT.owner").write_text("ingest-all-0")
    assert "1 (ETHUSDT)" in moves.warning(config)
    (folder / "ETHUSDT.owner").write_text("ingest-all-0")
    assert moves.warning(config) == ""


def test_nobody_is_stopped_before_the_next_worker_shows_that_it_receives_the_symbol(tmp_path: Path) -> None:
    config = config_of(tmp_path, groups=[MATCHING])
    folder = Path(config.storage.journal_directory) / "symbols"
    shown = FileLock(folder / "BTCUSDT.next")
    assert shown.try_acquire()
    assert await_next(config, ["BTCUSDT", "ETHUSDT"], 0.3) == ["ETHUSDT"]
    assert await_next(config, ["BTCUSDT"], 10) == []
    shown.release()
    assert await_next(config, ["BTCUSDT"], 0.1) == ["BTCUSDT"]
