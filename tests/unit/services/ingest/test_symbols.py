"""The symbols of a worker as they come and go, and what is known of each."""

from pathlib import Path

import yaml

from binance_streamer.config import schema as configuration
from binance_streamer.config.schema import Config
from binance_streamer.wire.requests import SnapshotRequest
from services.ingest.symbols import WorkerSymbols, topics_of

MEMBERS = '{"all": ["AUSDT", "BUSDT"]}'


def config_of(place: Path) -> Config:
    path = place / "streamer.yaml"
    group = {"name": "all", "match": {}, "streams": ["depth@0ms", "aggTrade"]}
    mode = {"symbols": [{"symbol": "BTCUSDT"}], "groups": [group]}
    endpoints = {"run_directory": "."}
    path.write_text(yaml.safe_dump({"mode": "production", "modes": {"production": mode}, "endpoints": endpoints}))
    return configuration.load(path)


def put(place: Path, text: str) -> None:
    (place / "members.new").write_text(text)
    (place / "members.new").rename(place / "members.json")


def said(symbol: str, status: str, off_session: list[tuple[int, int]]) -> dict[str, object]:
    return {"symbol": symbol, "stream": "/fapi/v1/exchangeInfo", "recv_ns": 1, "status": status,
            "off_session": off_session}  # fmt: skip


def test_a_named_worker_has_one_symbol_whatever_the_group_has(tmp_path: Path) -> None:
    put(tmp_path, MEMBERS)
    symbols = WorkerSymbols(config_of(tmp_path), "BTCUSDT")
    assert list(symbols.by_name) == ["BTCUSDT"]
    put(tmp_path, '{"all": []}')
    changes = symbols.look(1e9)
    assert changes is None or changes == ((), ())


def test_a_worker_of_a_group_follows_its_members(tmp_path: Path) -> None:
    config = config_of(tmp_path)
    assert not WorkerSymbols(config, "all-0").are_known
    put(tmp_path, MEMBERS)
    symbols = WorkerSymbols(config, "all-0")
    assert symbols.are_known
    assert [stream.name for stream in symbols.streams] == [
        "ausdt@depth@0ms", "ausdt@aggTrade", "busdt@depth@0ms", "busdt@aggTrade"
    ]  # fmt: skip
    put(tmp_path, '{"all": ["BUSDT", "CUSDT"]}')
    changes = symbols.look(10.0)
    assert changes is not None
    assert [one.symbol for one in changes.begun] == ["CUSDT"]
    assert [one.symbol for one in changes.ended] == ["AUSDT"]
    assert symbols.look(20.0) is None
    assert list(symbols.by_name) == ["BUSDT", "CUSDT"]


def test_a_worker_keeps_its_members_where_the_file_has_lost_its_group(tmp_path: Path) -> None:
    put(tmp_path, MEMBERS)
    symbols = WorkerSymbols(config_of(tmp_path), "all-0")
    put(tmp_path, '{"elsewhere": ["CUSDT"]}')
    assert not symbols.look(10.0)
    assert (list(symbols.by_name), symbols.are_known) == (["AUSDT", "BUSDT"], True)


def test_a_named_worker_waits_for_no_group(tmp_path: Path) -> None:
    config = config_of(tmp_path)
    assert [WorkerSymbols(config, worker).are_known for worker in ("BTCUSDT", "all-0")] == [True, False]


def test_a_member_that_is_another_worker_s_by_now_is_recorded_until_that_one_is_ready(tmp_path: Path) -> None:
    put(tmp_path, MEMBERS)
    config = config_of(tmp_path)
    symbols = WorkerSymbols(config, "all-0", tmp_path / "streamer.yaml")
    values = yaml.safe_load((tmp_path / "streamer.yaml").read_text())
    values["modes"]["production"]["symbols"] = [{"symbol": "AUSDT"}]
    (tmp_path / "streamer.yaml").write_text(yaml.safe_dump(values))
    put(tmp_path, '{"all": ["BTCUSDT"]}')  # by then BTCUSDT is named no more, and BUSDT has ended
    changes = symbols.look(10.0)
    assert changes is not None
    assert [one.symbol for one in changes.begun] == ["BTCUSDT"], "though it was named when this process began"
    assert [one.symbol for one in changes.ended] == ["BUSDT"]
    assert symbols.leaving == {"AUSDT"}
    assert set(symbols.by_name) == {"AUSDT", "BTCUSDT"}
    symbols.forget("AUSDT")
    assert (set(symbols.leaving), set(symbols.by_name)) == (set(), {"BTCUSDT"})


def test_a_member_that_comes_back_before_the_next_worker_was_ready_stays(tmp_path: Path) -> None:
    put(tmp_path, MEMBERS)
    symbols = WorkerSymbols(config_of(tmp_path), "all-0", tmp_path / "streamer.yaml")
    values = yaml.safe_load((tmp_path / "streamer.yaml").read_text())
    values["modes"]["production"]["symbols"] = [{"symbol": "AUSDT"}]
    (tmp_path / "streamer.yaml").write_text(yaml.safe_dump(values))
    put(tmp_path, '{"all": ["BUSDT"]}')
    assert symbols.look(10.0) == ((), ())
    assert symbols.leaving == {"AUSDT"}
    put(tmp_path, MEMBERS)
    assert symbols.look(20.0) == ((), ())
    assert (set(symbols.leaving), set(symbols.by_name)) == (set(), {"AUSDT", "BUSDT"})


def test_it_looks_once_a_second(tmp_path: Path) -> None:
    put(tmp_path, MEMBERS)
    symbols = WorkerSymbols(config_of(tmp_path), "all-0")
    assert symbols.look(10.0) is None
    put(tmp_path, '{"all": []}')
    assert symbols.look(10.9) is None
    assert symbols.look(11.0) is not None


def test_each_symbol_is_judged_by_what_is_said_of_it(tmp_path: Path) -> None:
    put(tmp_path, MEMBERS)
    symbols = WorkerSymbols(config_of(tmp_path), "all-0")
    symbols.take_status(said("AUSDT", "SETTLING", []), 5.0)
    symbols.take_status(said("BUSDT", "TRADING", [(1000, 2000)]), 5.0)
    symbols.take_status(said("OTHERUSDT", "SETTLING", []), 5.0)
    assert [symbols.expected(6.0, 3000)(name) for name in ("AUSDT", "BUSDT", "OTHERUSDT")] == [False, True, False]
    assert not symbols.expected(6.0, 1500)("BUSDT")
    assert symbols.not_trading(6.0) == ("AUSDT",)
    assert symbols.off_session(1500) == ("BUSDT",)


def test_snapshots_are_wanted_of_symbols_with_a_book_alone(tmp_path: Path) -> None:
    put(tmp_path, MEMBERS)
    config = config_of(tmp_path)
    member, named = WorkerSymbols(config, "all-0"), WorkerSymbols(config, "BTCUSDT")
    member.want_snapshots([SnapshotRequest("AUSDT", 7, "connected"), SnapshotRequest("GONE", 7, "connected")], 1.0)
    named.want_snapshots([SnapshotRequest("BTCUSDT", 7, "connected")], 1.0)
    assert (member.snapshots_wanted, named.snapshots_wanted) == ({}, {"BTCUSDT": 7})
    named.take_snapshot({"symbol": "BTCUSDT", "event": b'{"lastUpdateId":6}'})
    assert named.snapshots_wanted == {"BTCUSDT": 7}
    named.take_snapshot({"symbol": "BTCUSDT", "event": b'{"lastUpdateId":7}'})
    assert named.snapshots_wanted == {}


def test_a_worker_listens_for_each_of_its_symbols() -> None:
    assert topics_of("AUSDT") == [
        b"depth_snapshot.AUSDT.", b"symbol_status.AUSDT.", b"repair.AUSDT.", b"offered_gap.AUSDT."
    ]  # fmt: skip
