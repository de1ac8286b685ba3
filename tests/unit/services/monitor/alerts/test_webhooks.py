"""Posts, against a receiver on this machine."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from binance_streamer.config.schema import Condition, WebhookConfig
from binance_streamer.health.problem import Problem
from services.monitor.alerts.alerts import Notice
from services.monitor.alerts.webhooks import Delays, Webhook
from tests.support.receiver import Receiver
from tests.support.waiting import eventually

QUICK = Delays(interval_s=0.02, first_s=0.02, longest_s=0.1)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as found:
        yield found


def notice(what: str = "writer", condition: Condition = "disk") -> Notice:
    problem = Problem(what=what, why="disk full", since_ms=1, condition=condition, severity="failure")
    return Notice("opened", problem, 1.0)


def webhook(receiver: Receiver, **fields: Any) -> Webhook:
    return Webhook(WebhookConfig(url=receiver.url, **fields), "host1", lambda: 7, QUICK)


def test_a_notice_is_posted_once(receiver: Receiver) -> None:
    hook = webhook(receiver)
    hook.tell([notice()])
    eventually(lambda: hook.posted == 1)
    assert receiver.told() == ["writer"]
    hook.close()


def test_only_the_conditions_that_are_wanted_are_posted(receiver: Receiver) -> None:
    hook = webhook(receiver, conditions=("gap",))
    hook.tell([notice(), notice("BTCUSDT", "gap")])
    eventually(lambda: hook.posted == 1)
    assert receiver.told() == ["BTCUSDT"]
    hook.close()


def test_what_was_not_taken_is_posted_again_with_what_came_meanwhile(receiver: Receiver) -> None:
    receiver.statuses = [500, 503, 429, 302]
    hook = webhook(receiver)
    hook.tell([notice("first")])
    eventually(lambda: hook.failed >= 1)
    hook.tell([notice("second")])
    eventually(lambda: receiver.told() == ["first", "second"])
    assert hook.failed == 4
    assert set(receiver.paths) == {"/bot1234:SECRET/sendMessage"}  # a redirection is not followed
    hook.close()


def test_what_is_refused_for_good_is_not_repeated(receiver: Receiver) -> None:
    receiver.statuses = [400]
    hook = webhook(receiver)
    hook.tell([notice("first")])
    eventually(lambda: hook.failed == 1)
    hook.tell([notice("second")])
    eventually(lambda: hook.posted == 1)
    assert receiver.told() == ["second"]
    assert hook.dropped == 1
    hook.close()


def test_a_post_that_cannot_even_be_tried_is_a_failed_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "ca.pem"))
    hook = Webhook(WebhookConfig(url="https://127.0.0.1:9/alerts"), "host1", lambda: 7, QUICK)
    hook.tell([notice()])
    eventually(lambda: hook.failed >= 2)
    hook.close()


def test_a_flood_becomes_few_posts_and_a_receiver_that_hangs_holds_nobody(receiver: Receiver) -> None:
    receiver.hold.clear()
    hook = webhook(receiver)
    for number in range(5000):
        hook.tell([notice(str(number))])
    assert hook.dropped >= 2900  # one post and one queue hold 1000 each
    receiver.hold.set()
    eventually(lambda: receiver.bodies and receiver.told()[-1:] != ["0"])
    assert len(receiver.bodies) <= 3
    hook.close()


def test_no_secret_is_logged(receiver: Receiver, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    receiver.statuses = [500]
    hook = webhook(receiver)
    hook.tell([notice()])
    eventually(lambda: hook.posted == 1)
    hook.close()
    gone = Webhook(WebhookConfig(url="http://127.0.0.1:9/bot1:SECRET"), "host1", lambda: 7, QUICK)
    gone.tell([notice()])
    eventually(lambda: gone.failed >= 1)
    gone.close()
    assert "alert not delivered to=http://127.0.0.1/…: HTTP 500" in caplog.text
    assert "SECRET" not in caplog.text
