"""A problem that lasts is told once, again after an interval, and when it is over; nothing else is."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from binance_streamer.config.schema import AlertsConfig, WebhookConfig
from binance_streamer.health.judge import SILENT_S
from binance_streamer.health.problem import Problem
from services.monitor.alerts.alerts import EVENT_S, Alerts, Notice
from services.monitor.alerts.memory import Memory
from services.monitor.alerts.posts import MOST_NOTICES, body_of, place_of
from services.monitor.snapshots.collector import Collector
from services.monitor.snapshots.page import MonitorSnapshot
from tests.support import monitor_scene as scene
from tests.support.monitor_scene import NOW_MS, NOW_NS, NOW_S

CONFIG = AlertsConfig(delay=10, repeat_interval=3600)
FULL = Problem(what="writer", why="disk full", since_ms=NOW_MS, condition="disk", severity="failure")


def snapshot(*problems: Problem, seconds: float = 0, **fields: Any) -> MonitorSnapshot:
    whole = scene.collector().end_second(NOW_S, NOW_MS)
    page = msgspec.structs.replace(whole.page, problems=problems, time_ms=NOW_MS + int(seconds * 1000))
    return msgspec.structs.replace(whole, page=page, **fields)


class Watch:
    """Snapshots one after the other, and what was told."""

    def __init__(self) -> None:
        self.alerts = Alerts(CONFIG)

    def at(self, seconds: float, *problems: Problem, **fields: Any) -> list[str]:
        notices = self.alerts.look(snapshot(*problems, seconds=seconds, **fields), NOW_S + seconds)
        return [f"{notice.happening} {notice.problem.what}" for notice in notices]


def test_all_is_well_and_nothing_is_told() -> None:
    watch = Watch()
    assert [watch.at(second) for second in range(100)] == [[]] * 100


def test_a_problem_that_lasts_is_told_when_it_opens_and_when_it_closes() -> None:
    watch = Watch()
    assert [watch.at(second, FULL) for second in range(10)] == [[]] * 10
    assert watch.at(10, FULL) == ["opened writer"]
    assert [watch.at(second, FULL) for second in range(11, 60)] == [[]] * 49
    assert [watch.at(second) for second in range(60, 69)] == [[]] * 9
    assert watch.at(69) == ["closed writer"]
    assert watch.at(70) == []


def test_a_problem_that_is_over_soon_is_not_told() -> None:
    watch = Watch()
    told = [watch.at(second, *([FULL] if second % 30 < 9 else [])) for second in range(300)]
    assert told == [[]] * 300


def test_a_problem_that_comes_and_goes_is_told_once() -> None:
    watch = Watch()
    told = [line for second in range(300) for line in watch.at(second, *([FULL] if second % 10 < 5 else []))]
    assert told == ["opened writer"]


def test_a_problem_that_goes_on_is_told_again_after_the_interval() -> None:
    watch = Watch()
    told = {second: watch.at(second, FULL) for second in range(0, 7300, 10)}
    assert {second: lines for second, lines in told.items() if lines} == {
        10: ["opened writer"],
        3610: ["still writer"],
        7210: ["still writer"],
    }


def test_a_failure_is_told_though_a_warning_of_the_same_is_open() -> None:
    watch = Watch()
    warning = msgspec.structs.replace(FULL, why="never delivered", severity="warning")
    assert [line for second in range(20) for line in watch.at(second, warning)] == ["opened writer"]
    told = {second: lines for second in range(20, 60) if (lines := watch.at(second, FULL))}
    assert told == {30: ["opened writer"]}
    told = {second: lines for second in range(60, 100) if (lines := watch.at(second, warning))}
    assert told == {69: ["closed writer"]}


@pytest.mark.parametrize("away", ["bus", "writer"])
def test_a_problem_is_not_over_while_nobody_can_tell(away: str) -> None:
    watch = Watch()
    absence = Problem(what=away, why="no status", since_ms=None, condition="process", severity="failure")
    assert [line for second in range(20) for line in watch.at(second, FULL)] == ["opened writer"]
    told = [line for second in range(20, 100) for line in watch.at(second, absence)]
    assert told == [f"opened {away}"]
    told_at = {second: lines for second in range(100, 150) if (lines := watch.at(second, FULL))}
    assert told_at == {109: [f"closed {away}"]}
    told_at = {second: lines for second in range(150, 200) if (lines := watch.at(second))}
    assert told_at == {159: ["closed writer"]}


def test_gaps_are_told_at_once_and_are_over_when_none_came_for_a_while() -> None:
    watch = Watch()
    key = ("BTCUSDT", "btcusdt@depth@0ms")
    assert watch.at(0, ended_gaps={key: 5}) == []  # before anybody looked
    assert watch.at(1, ended_gaps={key: 6}) == ["opened BTCUSDT depth@0ms gaps"]
    assert watch.at(2, ended_gaps={key: 9}) == []
    told = [watch.at(2 + second, ended_gaps={key: 9}) for second in range(1, int(EVENT_S) + 20)]
    assert [line for lines in told for line in lines] == ["closed BTCUSDT depth@0ms gaps"]
    assert told[int(EVENT_S) + 8] == ["closed BTCUSDT depth@0ms gaps"]


class Restarted(Watch):
    """The monitor after a kill: what it knows is in the file."""

    def __init__(self, path: Path, seconds: float = 0) -> None:
        super().__init__()
        self.memory = Memory(path, self.alerts, NOW_S + seconds, NOW_MS + int(seconds * 1000))

    def at(self, seconds: float, *problems: Problem, **fields: Any) -> list[str]:
        told = super().at(seconds, *problems, **fields)
        self.memory.keep(NOW_S + seconds, NOW_MS + int(seconds * 1000))
        return told


def test_a_restarted_monitor_repeats_no_alert_and_closes_what_an_earlier_run_opened(tmp_path: Path) -> None:
    path = tmp_path / "run" / "alerts.json"
    first = Restarted(path)
    assert [line for second in range(21) for line in first.at(second, FULL)] == ["opened writer"]
    second_run = Restarted(path, 30)
    told = [line for second in range(30, 60) for line in second_run.at(second, FULL)]
    assert told == []
    third = Restarted(path, 70)
    told_at = {second: lines for second in range(70, 120) if (lines := third.at(second))}
    assert told_at == {90: ["closed writer"]}
    assert [line for second in range(130, 160) for line in Restarted(path, 130).at(second)] == []


def open_disk_problem(path: Path) -> None:
    """A monitor that told of it, and has ended."""
    first = Restarted(path)
    for second in range(21):
        first.at(second, FULL)


def test_a_restarted_monitor_repeats_after_the_interval_as_if_it_had_run(tmp_path: Path) -> None:
    path = tmp_path / "alerts.json"
    open_disk_problem(path)
    later = Restarted(path, 3000)
    told = {second: lines for second in range(3000, 3700, 10) if (lines := later.at(second, FULL))}
    assert told == {3610: ["still writer"]}


def test_a_restarted_monitor_repeats_nothing_that_may_be_over(tmp_path: Path) -> None:
    path = tmp_path / "alerts.json"
    open_disk_problem(path)
    later = Restarted(path, 4000)
    told = {second: lines for second in range(4000, 4040) if (lines := later.at(second))}
    assert told == {4020: ["closed writer"]}


def test_a_restarted_monitor_knows_whether_a_failure_or_a_warning_was_told(tmp_path: Path) -> None:
    path = tmp_path / "alerts.json"
    first = Restarted(path)
    for second in range(20):
        first.at(second, msgspec.structs.replace(FULL, severity="warning"))
    later = Restarted(path, 20)
    told = {second: lines for second in range(20, 60) if (lines := later.at(second, FULL))}
    assert told == {30: ["opened writer"]}


def test_gaps_that_an_earlier_run_told_are_over_in_the_next(tmp_path: Path) -> None:
    path = tmp_path / "alerts.json"
    key = ("BTCUSDT", "btcusdt@depth@0ms")
    first = Restarted(path)
    assert [first.at(second, ended_gaps={key: 5 + (second > 0)}) for second in range(3)][1] == [
        "opened BTCUSDT depth@0ms gaps"
    ]
    later = Restarted(path, 60)
    told = {second: lines for second in range(60, 700) if (lines := later.at(second, ended_gaps={}))}
    assert told == {int(EVENT_S) + 10: ["closed BTCUSDT depth@0ms gaps"]}


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"episodes":[{}]}', b"\xff"])
def test_a_damaged_memory_is_none(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "alerts.json"
    path.write_bytes(content)
    watch = Restarted(path)
    assert [line for second in range(12) for line in watch.at(second, FULL)] == ["opened writer"]
    assert b"disk full" in path.read_bytes()


def test_without_a_delay_a_start_tells_of_no_process_that_was_not_heard_yet() -> None:
    collector, alerts = Collector(scene.config(), NOW_NS), Alerts(AlertsConfig(delay=0))
    told = []
    for second in range(30):
        if second:
            for name, fields in scene.statuses().items():
                if name != "rest":
                    collector.take(*scene.frame("status", name, **fields), NOW_S + second)
        notices = alerts.look(collector.end_second(NOW_S + second, NOW_MS + second * 1000), NOW_S + second)
        told += [(second, one.happening, one.problem.what) for one in notices]
    assert told == [(int(SILENT_S), "opened", "rest")]


def test_an_audit_that_a_book_failed_is_told() -> None:
    collector, alerts = scene.collector(), Alerts(AlertsConfig(delay=0))
    for second, failed in enumerate((0, 0, 1)):
        collector.take(*scene.frame("orderbook", "BTCUSDT", valid=True, audits_failed=failed), NOW_S)
        notices = alerts.look(collector.end_second(NOW_S + second, NOW_MS + second * 1000), NOW_S + second)
    assert [(one.happening, one.problem.condition, one.problem.what) for one in notices] == [
        ("opened", "book", "BTCUSDT order book audit")
    ]


def test_audits_that_a_book_failed_before_the_monitor_heard_of_it_are_not_told() -> None:
    collector, alerts = scene.collector(), Alerts(AlertsConfig(delay=0))
    assert alerts.look(collector.end_second(NOW_S, NOW_MS), NOW_S) == []
    told = []
    for second, failed in ((1, 3), (2, 3), (3, 4)):
        collector.take(*scene.frame("orderbook", "BTCUSDT", valid=True, audits_failed=failed), NOW_S)
        told.append(alerts.look(collector.end_second(NOW_S + second, NOW_MS + second * 1000), NOW_S + second))
    assert [[one.problem.why for one in notices] for notices in told] == [[], [], ["failed 1 audits since then"]]


OPENED = Notice("opened", FULL, 12.0)
CLOSED = Notice("closed", FULL, 63.0)


def body(form: str, *notices: Notice, chat_id: str = "") -> Any:
    webhook = WebhookConfig(url="https://hooks.example/T0/secret", format=form, chat_id=chat_id)  # type: ignore[arg-type]
    return msgspec.json.decode(body_of(webhook, notices, recorder="host1", time_ms=NOW_MS))


def test_the_generic_form_has_everything() -> None:
    assert body("json", OPENED) == {
        "recorder": "host1",
        "time_ms": NOW_MS,
        "omitted": 0,
        "alerts": [
            {
                "event": "opened",
                "condition": "disk",
                "severity": "failure",
                "what": "writer",
                "why": "disk full",
                "since_ms": NOW_MS,
                "lasted_s": 12.0,
            }
        ],
    }


def test_slack_gets_a_text_in_which_nothing_is_markup() -> None:
    strange = msgspec.structs.replace(FULL, why="<!channel> & co")
    assert body("slack", Notice("opened", strange, 1.0), CLOSED) == {
        "text": "binance-streamer on host1\n"
        "NEW failure: writer: &lt;!channel&gt; &amp; co, since 2026-11-26 12:00:00 UTC\n"
        "OVER: writer (disk) after 63 s"
    }


def test_telegram_gets_a_chat_and_no_more_than_it_takes() -> None:
    found = body("telegram", *[OPENED] * 500, chat_id="-100")
    assert found["chat_id"] == "-100"
    assert len(found["text"]) <= 4096
    assert body("json", *[OPENED] * 500)["omitted"] == 500 - MOST_NOTICES


@pytest.mark.parametrize("url", ["https://hooks.slack.com/services/T0/B0/secret", "https://u:secret@hooks.slack.com/x"])
def test_of_a_url_only_the_host_is_shown(url: str) -> None:
    assert place_of(WebhookConfig(url=url)) == "https://hooks.slack.com/…"
