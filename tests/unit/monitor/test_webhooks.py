"""Posts, against a receiver on this machine."""

import json
import logging
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from binance_streamer.config import WebhookConfig
from services.monitor.alerts import Notice
from services.monitor.picture import ProblemPart
from services.monitor.webhooks import Delays, Webhook
from tests.support.waiting import eventually

QUICK = Delays(interval_s=0.02, first_s=0.02, longest_s=0.1)


class Receiver(ThreadingHTTPServer):
    """Answers with `statuses`, one after the other, then with 200."""

    def __init__(self, *statuses: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.statuses = list(statuses)
        self.bodies: list[Any] = []
        self.paths: list[str] = []
        self.hold = threading.Event()
        self.hold.set()
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/bot1234:SECRET/sendMessage"


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.hold.wait(20)
        status = self.server.statuses.pop(0) if self.server.statuses else 200
        if status == 200:
            self.server.bodies.append(json.loads(body))
        self.server.paths.append(self.path)
        self.send_response(status)
        self.send_header("location", "/elsewhere")
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    found = Receiver()
    yield found
    found.hold.set()
    found.shutdown()
    found.server_close()


def notice(what: str = "writer", condition: str = "disk") -> Notice:
    problem = ProblemPart(what=what, why="disk full", since_ms=1, condition=condition, severity="failure")
    return Notice("opened", problem, 1.0)


def webhook(receiver: Receiver, **fields: Any) -> Webhook:
    return Webhook(WebhookConfig(url=receiver.url, **fields), "host1", lambda: 7, QUICK)


def told(receiver: Receiver) -> list[str]:
    return [alert["what"] for body in receiver.bodies for alert in body["alerts"]]


def test_a_notice_is_posted_once(receiver: Receiver) -> None:
    hook = webhook(receiver)
    hook.tell([notice()])
    eventually(lambda: hook.posted == 1)
    assert told(receiver) == ["writer"]
    hook.close()


def test_only_the_conditions_that_are_wanted_are_posted(receiver: Receiver) -> None:
    hook = webhook(receiver, conditions=("gap",))
    hook.tell([notice(), notice("BTCUSDT", "gap")])
    eventually(lambda: hook.posted == 1)
    assert told(receiver) == ["BTCUSDT"]
    hook.close()


def test_what_was_not_taken_is_posted_again_with_what_came_meanwhile(receiver: Receiver) -> None:
    receiver.statuses = [500, 503, 429, 302]
    hook = webhook(receiver)
    hook.tell([notice("first")])
    eventually(lambda: hook.failed >= 1)
    hook.tell([notice("second")])
    eventually(lambda: told(receiver) == ["first", "second"])
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
    assert told(receiver) == ["second"]
    assert hook.dropped == 1
    hook.close()


def test_a_flood_becomes_few_posts_and_a_receiver_that_hangs_holds_nobody(receiver: Receiver) -> None:
    receiver.hold.clear()
    hook = webhook(receiver)
    for number in range(5000):
        hook.tell([notice(str(number))])
    assert hook.dropped >= 2900  # one post and one queue hold 1000 each
    receiver.hold.set()
    eventually(lambda: receiver.bodies and told(receiver)[-1:] != ["0"])
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
