"""The recorder's configuration stays within a tenth of every limit; gaps in its files are counted by their reasons."""

from pathlib import Path

from binance_streamer.cli.fieldtest.recorder import note_files, recorder_config
from binance_streamer.cli.fieldtest.seen import RecorderSeen
from binance_streamer.cli.fieldtest.watch import ATTEMPTS
from binance_streamer.config.schema import NetworkConfig, load

_NETWORK = NetworkConfig(websocket_url="ws://127.0.0.1:1", rest_url="http://127.0.0.1:2", connect_attempts=5)


def test_a_tenth_of_every_limit_is_for_all_together(place: Path) -> None:
    config = recorder_config(_NETWORK, ["BTCUSDT", "牛来USDT"], duration_s=1800, data=place, run=place / "run")
    assert config.network.connect_attempts + ATTEMPTS == 30
    assert config.network.weight_share < 0.1
    assert (config.network.connection_lifetime, config.connections) == (600, 2)
    assert (config.network.websocket_url, config.network.rest_url) == ("ws://127.0.0.1:1", "http://127.0.0.1:2")
    assert [symbol.symbol for symbol in config.symbols] == ["BTCUSDT", "牛来USDT"]
    assert load(place / "streamer.yaml") == config


_GAPS = """gap_id,state,stream,from_id,to_id,from_ns,to_ns,reason,repaired_by,first_from_id,first_to_id,missing,recv_ns
1-1,open,btcusdt@aggTrade,7,9,1796000000000000000,1796000001000000000,restart,,7,9,2,1796000001000000000
1-1,repaired,btcusdt@aggTrade,8,9,1796000000000000000,1796000001000000000,restart,rest,7,9,0,1796000001000000000
1-2,unrepairable,btcusdt@kline_1m,,,1796000000000000000,1796000001000000000,restart,,,,,1796000001000000000
1-3,unrepairable,btcusdt@trade,7,9,1796000000000000000,1796000001000000000,restart,,7,9,2,1796000001000000000
1-4,unrepairable,btcusdt@aggTrade,17,19,1796000000000000000,1796000001000000000,sequence,,17,19,2,1796000001000000000
"""


def test_gaps_that_rest_should_have_filled_are_told_apart(place: Path) -> None:
    (place / "BTCUSDT").mkdir()
    (place / "BTCUSDT" / "gap_BTCUSDT_20261129.csv").write_text(_GAPS)
    seen = RecorderSeen()
    note_files(seen, place)
    assert (seen.gaps, seen.unrepaired, seen.repaired) == ({"restart": 3, "sequence": 1}, {"sequence": 1}, 1)
    assert seen.verified is not None


def test_an_empty_folder_has_no_finding(place: Path) -> None:
    seen = RecorderSeen()
    note_files(seen, place)
    assert (seen.gaps, seen.verified, seen.findings) == ({}, 0, [])
