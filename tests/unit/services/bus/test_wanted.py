"""The few prefixes that publishers are asked for."""

from services.bus.wanted import prefixes_of


def test_a_topic_is_asked_for_by_type_and_symbol() -> None:
    topics = [b"depth.BTCUSDT.0ms", b"depth.BTCUSDT.", b"depth.BTC", b"status.", b"gap.", b"hello"]
    assert prefixes_of(topics) == [b"depth.BTCUSDT.", b"depth.BTC", b"status.", b"gap.", b"hello"]


def test_nobody_asks_for_nothing() -> None:
    assert prefixes_of([]) == []


def test_who_wants_everything_is_asked_for_everything_alone() -> None:
    assert prefixes_of([b"depth.BTCUSDT.", b""]) == [b""]


def test_many_symbols_are_asked_for_by_type() -> None:
    topics = [b"%s.S%dUSDT." % (kind, number) for number in range(65) for kind in (b"depth", b"bookticker")]
    assert prefixes_of(topics) == [b"depth.", b"bookticker."]
    assert len(prefixes_of(topics[::2][:64])) == 64


def test_many_types_are_asked_for_by_one_prefix_of_all() -> None:
    assert prefixes_of(b"t%d.X." % number for number in range(65)) == [b""]


def test_a_long_prefix_is_cut() -> None:
    assert prefixes_of([b"x" * 400, b"depth." + b"y" * 100 + b".0ms"]) == [b"x" * 64, b"depth." + b"y" * 58]
