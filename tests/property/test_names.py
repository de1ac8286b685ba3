"""No symbol, wherever it comes from, leaves its directory."""

from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from binance_streamer.config.symbols import decode_name, encode_name, symbol_fault

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=64)


@given(texts)
def test_an_encoded_name_is_one_harmless_component(text: str) -> None:
    encoded = encode_name(text)
    assert PurePosixPath("/data", encoded).parent == PurePosixPath("/data")
    assert encoded not in (".", "..", "")
    assert set(encoded) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-%")


@given(texts, texts)
def test_two_names_never_share_a_component(one: str, other: str) -> None:
    assert (encode_name(one) == encode_name(other)) == (one == other)
    assert decode_name(encode_name(one)) == one


@given(texts)
def test_an_accepted_symbol_fits_into_a_file_name(text: str) -> None:
    if symbol_fault(text) is None:
        assert len(f"continuouskline_current_quarter_15m_{encode_name(text)}_20261122.csv") <= 255


@pytest.mark.parametrize(
    "symbol",
    [*("", ".", "..", "../x", "a/b", "a\\b", ".hidden", "A.B", "a%2fb"),
     *("A\x00", "A\nB", "A\x1b[2J", "A\u202eB", "A B", "A" * 65)],
)  # fmt: skip
def test_what_is_no_symbol_is_told(symbol: str) -> None:
    assert symbol_fault(symbol) is not None


@pytest.mark.parametrize("symbol", ["BTCUSDT", "BTCUSDT_260925", "1000SHIBUSDT", "币安人生USDT", "龙虾USDT"])
def test_symbols_of_the_exchange_are_taken(symbol: str) -> None:
    assert symbol_fault(symbol) is None
