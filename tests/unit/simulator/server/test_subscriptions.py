"""SUBSCRIBE and its kin, and the request weight, as the exchange keeps them."""

import json
from typing import Any

import pytest

from simulator.rest.weights import RequestWeight, request_weight
from simulator.server.subscriptions import StreamSubscriptions, parse_target
from simulator.stream_names import Route


class _Client:
    def __init__(self) -> None:
        self.subscriptions = StreamSubscriptions(is_combined=False)
        self.added: list[str] = []
        self.removed: list[str] = []

    def say(self, text: str) -> Any:
        answer = self.subscriptions.answer(text, self.added.append, self.removed.append)
        return None if answer is None else json.loads(answer)

    def ask(self, method: str, params: object = None, request_id: object = 1) -> Any:
        request = {"method": method, "id": request_id} | ({} if params is None else {"params": params})
        return self.say(json.dumps(request))


def test_subscribe_list_unsubscribe() -> None:
    client = _Client()
    assert client.ask("SUBSCRIBE", ["btcusdt@trade", "BTCUSDT@trade"]) == {"result": None, "id": 1}
    assert client.ask("LIST_SUBSCRIPTIONS", request_id=7) == {"result": ["btcusdt@trade", "BTCUSDT@trade"], "id": 7}
    assert client.ask("UNSUBSCRIBE", ["btcusdt@trade"], 8) == {"result": None, "id": 8}
    assert client.ask("LIST_SUBSCRIPTIONS", request_id="uuid") == {"result": ["BTCUSDT@trade"], "id": "uuid"}
    assert (client.added, client.removed) == (["btcusdt@trade", "BTCUSDT@trade"], ["btcusdt@trade"])


def test_properties() -> None:
    client = _Client()
    assert client.ask("GET_PROPERTY", ["combined"]) == {"result": False, "id": 1}
    assert client.ask("SET_PROPERTY", ["combined", True]) == {"result": None, "id": 1}
    assert client.ask("GET_PROPERTY", ["combined"]) == {"result": True, "id": 1}
    assert client.ask("GET_PROPERTY", ["nonsense"]) == {"code": 0, "msg": "Unknown property", "id": 1}


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("{", 3), ("hello", 3), ("[]", 2), ('{"method":"SUBSCRIBE","params":["a"]}', 2),
        ('{"method":"SUBSCRIBE","params":["a"],"id":-1}', 2), ('{"method":"SUBSCRIBE","params":"a","id":1}', 2),
        ('{"method":"DANCE","id":1}', 2),
    ],
)  # fmt: skip
def test_wrong_requests_get_a_code(text: str, code: int) -> None:
    client = _Client()
    assert client.say(text)["code"] == code
    assert client.added == []


def test_a_request_over_4096_bytes_gets_no_answer() -> None:
    client = _Client()
    assert client.ask("SUBSCRIBE", ["x" * 4096]) is None
    assert client.added == []


def test_no_more_than_1024_streams() -> None:
    client = _Client()
    for part in range(11):
        answer = client.ask("SUBSCRIBE", [f"a{part * 100 + n}@trade" for n in range(100)])
    assert answer == {"error": {"code": 4, "msg": "Too many subscriptions"}, "id": 1}
    assert len(client.subscriptions.names) == 1000


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/public/stream?streams=a@trade/b@depth", (Route.PUBLIC, True, ["a@trade", "b@depth"])),
        ("/market/ws/a@aggTrade/b@aggTrade", (Route.MARKET, False, ["a@aggTrade", "b@aggTrade"])),
        ("/public/ws", (Route.PUBLIC, False, [])),
        ("/stream?streams=a@trade", (Route.LEGACY, True, ["a@trade"])),
        ("/ws/a@trade", (Route.LEGACY, False, ["a@trade"])),
        ("/market/stream?streams=%E5%B8%81%E5%AE%89usdt%40trade", (Route.MARKET, True, ["币安usdt@trade"])),
        ("/", None), ("/public", None), ("/private/ws/x", None), ("/public/stream/a@trade", None),
    ],
)  # fmt: skip
def test_targets(target: str, expected: object) -> None:
    assert parse_target(target) == expected


@pytest.mark.parametrize(
    ("path", "limit", "weight"),
    [
        ("/fapi/v1/depth", 5, 2), ("/fapi/v1/depth", 50, 2), ("/fapi/v1/depth", 100, 5), ("/fapi/v1/depth", 500, 10),
        ("/fapi/v1/depth", 1000, 20), ("/fapi/v1/klines", 99, 1), ("/fapi/v1/klines", 100, 2),
        ("/fapi/v1/klines", 500, 5), ("/fapi/v1/klines", 1000, 5), ("/fapi/v1/klines", 1001, 10),
        ("/fapi/v1/aggTrades", 10, 20), ("/fapi/v1/rpiDepth", 1000, 20), ("/fapi/v1/time", 0, 1),
        ("/fapi/v1/exchangeInfo", 0, 1),
    ],
)  # fmt: skip
def test_weights(path: str, limit: int, weight: int) -> None:
    assert request_weight(path, limit) == weight


def test_the_weight_is_of_a_calendar_minute() -> None:
    weight = RequestWeight(limit=40)
    assert [weight.admit(20, 59_000), weight.admit(20, 59_500), weight.admit(1, 59_999)] == ["ok", "ok", "too_many"]
    assert weight.retry_after_s(59_500) == 1
    assert (weight.admit(20, 60_000), weight.used) == ("ok", 20)


def test_going_on_after_429_is_a_ban_that_each_request_lengthens() -> None:
    weight = RequestWeight(limit=0, bans_after=2, ban_ms=120_000)
    assert [weight.admit(1, 1000), weight.admit(1, 1000), weight.admit(1, 1000)] == ["too_many", "too_many", "banned"]
    assert (weight.banned_until_ms, weight.requests_during_ban) == (121_000, 0)
    assert weight.admit(1, 2000) == "banned"
    assert (weight.banned_until_ms, weight.requests_during_ban) == (242_000, 1)
    assert weight.retry_after_s(2000) == 240
    assert weight.admit(1, 242_000) == "too_many"
