"""The field test asks REST for rows, a snapshot and an old id; here the simulator answers."""

import pytest

from binance_streamer.cli.fieldtest.asks import ask_all
from binance_streamer.cli.fieldtest.rest import RestAsker
from binance_streamer.cli.fieldtest.run import nothing_seen
from binance_streamer.cli.fieldtest.seen import Observations
from binance_streamer.cli.fieldtest.watch import Watch
from tests.support.field_seen import answer_of
from tests.support.simulated_exchange import SimulatedExchange
from tests.support.waiting import eventually


def _asked(exchange: SimulatedExchange, *commands: str) -> Observations:
    """Listen until updates are two seconds old, then ask."""
    seen = nothing_seen(("BTCUSDT",), 1.0)
    watch = Watch(exchange.network, seen.traffic)
    watch.start()
    updates = seen.traffic.streams["btcusdt@depth@0ms"]
    eventually(lambda: updates.last_recv_ns - updates.first_recv_ns > 2e9, what="updates are old enough")
    for command in commands:
        exchange.command(command)
    ask_all(seen, RestAsker(exchange.network))
    watch.stop()
    return seen


def test_an_honest_exchange_has_what_it_streamed(exchange: SimulatedExchange) -> None:
    seen = _asked(exchange)
    assert [(one.what, one.differences) for one in seen.rows] == [("aggTrades of BTCUSDT", ())]
    assert seen.rows[0].compared > 10
    assert seen.notes["snapshot"].startswith("its id was +")
    assert seen.notes["newest"].startswith("REST was ")
    assert seen.notes["too old"] == "status 200 with later rows"
    assert seen.faults == {}


def test_a_stale_snapshot_is_a_fault(exchange: SimulatedExchange) -> None:
    assert "older" in _asked(exchange, "rest stale 1").faults["snapshot"]


def test_rows_that_differ_are_named_by_their_key(exchange: SimulatedExchange) -> None:
    [compared] = _asked(exchange, "rest differ q 1").rows
    assert [difference[:10] for difference in compared.differences] == ["q streamed"]


def test_an_error_for_an_old_id_is_told_with_its_code(exchange: SimulatedExchange) -> None:
    assert _asked(exchange, "history 600 refuse").notes["too old"] == "status 400, code -1130"


def test_answers_that_cannot_be_read_are_left_out(exchange: SimulatedExchange) -> None:
    seen = _asked(exchange, "rest html 1000")
    assert [one.compared for one in seen.rows] == [0]
    assert "snapshot" not in seen.faults


@pytest.mark.parametrize("fault", ["rest html 1000", "rest truncated 1000"])
def test_an_answer_that_cannot_be_read_settles_no_question(exchange: SimulatedExchange, fault: str) -> None:
    seen = _asked(exchange, fault)
    assert {number: answer_of(number, seen)[0] for number in ("11a", "11b", "11c", "11d", "12c", "15")} == {
        "11a": "not seen",
        "11b": "not seen",
        "11c": "not seen",
        "11d": "not seen",
        "12c": "not seen",
        "15": "not seen",
    }
