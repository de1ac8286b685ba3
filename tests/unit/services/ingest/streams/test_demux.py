"""Which stream a message belongs to."""

import pytest

from services.ingest.streams import demux


def test_the_inner_object_comes_out_byte_for_byte() -> None:
    message = b'{"stream":"btcusdt@kline_1m","data":{"e":"kline","k":{"t":1, "x":false}}}'
    assert demux.split(message) == (b"btcusdt@kline_1m", b'{"e":"kline","k":{"t":1, "x":false}}')


def test_names_outside_ascii_are_bytes_like_others() -> None:
    message = '{"stream":"币安人生usdt@aggTrade","data":{}}'.encode()
    assert demux.split(message) == ("币安人生usdt@aggTrade".encode(), b"{}")


@pytest.mark.parametrize(
    "message", [b"", b"{}", b'{"stream":"a"}', b'{"stream":"a","data":[', b'["stream"]', b'{"result":null,"id":1}']
)
def test_what_is_not_the_usual_spelling_has_no_name(message: bytes) -> None:
    assert demux.split(message)[0] == b""


@pytest.mark.parametrize(
    "message",
    [
        b'{"stream": "a@b", "data": {"e": 1}}',
        b'{"data":{"e": 1},"stream":"a@b"}',
        b'\n{"stream":"a@\\u0062","data":{"e": 1}, "more": 2}',
    ],
)
def test_other_spellings_are_parsed(message: bytes) -> None:
    assert demux.parse(message) == (b"a@b", b'{"e": 1}')


@pytest.mark.parametrize("message", [b"", b"garbage", b"\xff\xfe", b"[" * 100_000, b'{"stream":1,"data":{}}', b"null"])
def test_what_is_no_wrapper_is_none(message: bytes) -> None:
    assert demux.parse(message) is None


@pytest.mark.parametrize(
    "message",
    [
        b'{"e":"serverShutdown","E":1}',
        b'{"event":{"e":"serverShutdown","E":1}}',
        b'{"stream":"x","data":{"e":"serverShutdown","E":1}}',
    ],
)
def test_a_shutdown_is_known_wherever_it_stands(message: bytes) -> None:
    assert demux.is_shutdown(message)


@pytest.mark.parametrize(
    "message", [b'{"e":"aggTrade","x":"serverShutdown"}', b"serverShutdown", b'{"e":"serverShutdown"}' + b" " * 600]
)
def test_its_word_alone_is_no_shutdown(message: bytes) -> None:
    assert not demux.is_shutdown(message)


def test_only_the_answer_to_a_subscription_is_one() -> None:
    assert demux.is_subscribed(b'{"result":null,"id":1}')
    assert not demux.is_subscribed(b'{"code":2,"msg":"Invalid request"}')
    assert not demux.is_subscribed(b'{"result":["a"],"id":1}')
