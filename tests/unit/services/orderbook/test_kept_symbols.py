"""Which books are kept, and what they are fed by."""

from pathlib import Path

from binance_streamer.config.groups import MembersFile
from binance_streamer.config.schema import Config, EndpointsConfig, GroupConfig, MatchConfig, ModeConfig, SymbolConfig
from services.orderbook.kept_symbols import KeptSymbols


def config_of(tmp_path: Path, *, depth_snapshot: bool) -> Config:
    streams = ("depth@0ms", "bookTicker")
    group = GroupConfig(name="all", match=MatchConfig(), workers=2, streams=streams, depth_snapshot=depth_snapshot)
    named = (SymbolConfig(symbol="BTCUSDT"), SymbolConfig(symbol="XUSDT", streams=("aggTrade",)))
    return Config(
        mode="production",
        modes={"production": ModeConfig(symbols=named, groups=(group,))},
        endpoints=EndpointsConfig(run_directory=str(tmp_path)),
    )


def write_members(config: Config, *symbols: str) -> None:
    file = MembersFile(config)
    file.path.write_bytes(file.content({"all": symbols}))


def test_members_are_kept_as_they_come_and_go(tmp_path: Path) -> None:
    config = config_of(tmp_path, depth_snapshot=True)
    kept = KeptSymbols(config)
    assert set(kept.by_name) == {"BTCUSDT"}
    assert not kept.refresh()
    write_members(config, "AUSDT", "DUSDT")
    assert kept.refresh()
    assert set(kept.by_name) == {"BTCUSDT", "AUSDT", "DUSDT"}
    assert kept.by_name["BTCUSDT"] == (False, b"status.ingest-BTCUSDT.")
    assert kept.by_name["AUSDT"] == (True, b"status.ingest-all-0.")
    assert kept.by_name["DUSDT"] == (True, b"status.ingest-all-1.")
    assert [*kept.topics_of("AUSDT")] == [
        b"depth.AUSDT.0ms",
        b"depth.AUSDT.100ms",
        b"depth.AUSDT.250ms",
        b"depth.AUSDT.500ms",
        b"depth_snapshot.AUSDT.",
        b"bookticker.AUSDT.",
    ]
    assert kept.topics == {b"depth.", b"depth_snapshot.", b"bookticker.", b"status.ingest-"}
    write_members(config, "DUSDT", "CUSDT")
    assert kept.refresh()
    assert set(kept.by_name) == {"BTCUSDT", "DUSDT", "CUSDT"}


def test_a_group_has_no_books_where_nobody_wants_them(tmp_path: Path) -> None:
    config = config_of(tmp_path, depth_snapshot=False)
    write_members(config, "AUSDT", "CUSDT")
    kept = KeptSymbols(config)
    assert set(kept.by_name) == {"BTCUSDT"}
    assert kept.topics == {b"depth.BTCUSDT.", b"depth_snapshot.BTCUSDT.", b"status.ingest-BTCUSDT."}


def test_a_share_keeps_what_was_chosen(tmp_path: Path) -> None:
    config = config_of(tmp_path, depth_snapshot=True)
    write_members(config, "AUSDT", "CUSDT")
    assert set(KeptSymbols(config, ["CUSDT"]).by_name) == {"CUSDT"}
