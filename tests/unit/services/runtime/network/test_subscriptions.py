"""The bound on what subscribers make an XPUB keep."""

from services.runtime.network.connections import Connection
from services.runtime.network.subscriptions import Shares

ONE, TWO = Connection(5, 100), Connection(6, 200)


def test_a_repeated_topic_costs_nothing_and_its_end_gives_all_back() -> None:
    shares = Shares(100)
    for _ in range(3):
        shares.subscribe(ONE, b"depth.")
    assert shares.total_bytes == 14
    shares.unsubscribe(ONE, b"depth.")
    shares.unsubscribe(ONE, b"depth.")
    shares.unsubscribe(TWO, b"never.")
    assert shares.total_bytes == 0


def test_the_greediest_goes_and_the_others_stay() -> None:
    shares = Shares(100)
    shares.subscribe(ONE, b"depth.")
    shares.subscribe(TWO, b"x" * 60)
    assert shares.take_surplus() == []
    shares.subscribe(TWO, b"y" * 60)
    shares.subscribe(ONE, b"trade.")
    assert shares.take_surplus() == [TWO]
    assert shares.connections == [ONE]
    assert shares.total_bytes == 28


def test_the_same_descriptor_again_is_another_connection() -> None:
    shares = Shares(100)
    shares.subscribe(ONE, b"x" * 60)
    shares.subscribe(Connection(5, 101), b"depth.")
    shares.forget(ONE)
    assert shares.connections == [Connection(5, 101)]
    assert shares.total_bytes == 14
