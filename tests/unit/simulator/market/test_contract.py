"""Contracts that are made up have no more digits than those of the exchange."""

from simulator.market.contract import contract_of


def test_no_volume_in_quote_has_more_than_eight_digits() -> None:
    names = [f"SYM{number:03}USDT" for number in range(700)] + ["ETHUSDC"]
    assert max(contract_of(name).quote_digits for name in names) == 8
