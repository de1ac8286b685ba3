"""Before the run: the symbols are chosen from the exchange's list, or it says why it cannot run."""

import pytest

from binance_streamer.cli.errors import CommandError, Exit
from binance_streamer.cli.fieldtest.run import nothing_seen, preflight
from tests.support.simulated_exchange import SimulatedExchange


def test_symbols_come_from_the_list_and_the_limit_too(exchange: SimulatedExchange) -> None:
    asker, symbols = preflight(exchange.network, ())
    assert symbols == ("BTCUSDT",)
    assert asker.weight_limit == 2400


def test_a_symbol_that_is_not_traded_is_refused(exchange: SimulatedExchange) -> None:
    with pytest.raises(CommandError, match="not traded: NOUSDT") as caught:
        preflight(exchange.network, ("BTCUSDT", "NOUSDT"))
    assert caught.value.code is Exit.NOT_CHECKED


@pytest.mark.parametrize("fault", ["rest 451 9", "rest html 9", "rest truncated 9"])
def test_an_exchange_that_does_not_serve_us_is_no_run(exchange: SimulatedExchange, fault: str) -> None:
    exchange.command(fault)
    with pytest.raises(CommandError) as caught:
        preflight(exchange.network, ())
    assert caught.value.code is Exit.NOT_CHECKED
    assert "127.0.0.1" not in str(caught.value)


def test_a_run_that_has_not_begun_has_all_streams_and_no_message() -> None:
    seen = nothing_seen(("BTCUSDT", "牛来USDT"), 30)
    assert len(seen.traffic.streams) == 14
    assert not any(one.messages for one in seen.traffic.streams.values())
