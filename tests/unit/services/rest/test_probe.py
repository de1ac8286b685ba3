"""The probe counts the members of a group by the exchange's list, before anything is started."""

from binance_streamer.config.groups import Contract
from binance_streamer.config.schema import Config, GroupConfig, MatchConfig, ModeConfig, SymbolConfig
from binance_streamer.wire.check_lines import Check
from services.rest.probe import group_checks

LISTED = [
    Contract("BTCUSDT", "TRADING", "PERPETUAL", "USDT"),
    Contract("ETHUSDT", "TRADING", "PERPETUAL", "USDT"),
    Contract("ETHUSDC", "TRADING", "PERPETUAL", "USDC"),
    Contract("SOLUSDC", "SETTLING", "PERPETUAL", "USDC"),
]


def test_members_are_counted_once_without_named_ones_and_a_group_without_any_fails() -> None:
    groups = (
        GroupConfig(name="usdc", match=MatchConfig(quote=("USDC",))),
        GroupConfig(name="rest", match=MatchConfig(symbol="*")),
        GroupConfig(name="none", match=MatchConfig(quote=("BUSD",))),
        GroupConfig(name="listed", members=("XRPUSDT",)),
    )
    mode = ModeConfig(symbols=(SymbolConfig(symbol="BTCUSDT"),), groups=groups)
    assert group_checks(Config(mode="production", modes={"production": mode}), LISTED) == [
        Check("group usdc", "ok", "1 member by the exchange's list"),
        Check("group rest", "ok", "1 member by the exchange's list"),
        Check("group none", "fail", "matches no symbol that trades", "correct its `match` in the YAML"),
    ]
