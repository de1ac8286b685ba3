"""The report: what contradicts comes first, and nothing tells who ran it, or where."""

import getpass
import socket
from pathlib import Path

import pytest

from binance_streamer.cli.fieldtest.question import Answer, Question, Verdict
from binance_streamer.cli.fieldtest.questions import QUESTIONS
from binance_streamer.cli.fieldtest.report import answered, report_of, scrubbed
from tests.support.field_seen import everything, nothing


def test_a_run_without_contradictions_says_so() -> None:
    seen = everything()
    report = report_of(answered(QUESTIONS, seen), seen)
    assert "## What contradicts our assumptions\n\nNothing.\n" in report
    assert "| 3 | copies over two connections are byte-identical | confirmed | identical pairs: aggtrade 2," in report
    assert "| btcusdt@trade | 0 | 5 | 5 | 2 | 0 | 0 |" in report
    assert "| writer | 2.0 % | 35.0 MB |" in report


def test_what_contradicts_is_listed_before_everything_else() -> None:
    seen = everything()
    seen.recorder.gaps["sequence"] = 1
    report = report_of(answered(QUESTIONS, seen), seen)
    listed = report.partition("our assumptions\n\n")[2].partition("\n\n")[0]
    assert listed == "- **8c** nothing is missing over two connections: the recorder listed 1 gaps `sequence`"


def test_what_was_not_seen_says_for_how_long() -> None:
    answers = {question.number: answer for question, answer in answered(QUESTIONS, nothing())}
    assert answers["18"] == Answer(Verdict.NOT_SEEN, "not seen in 3 minutes")
    assert answers["5"] == Answer(Verdict.NOT_SEEN, "not seen in 3 minutes: no ban")


def test_a_simulated_exchange_is_called_so() -> None:
    seen = everything()
    seen.is_simulated = True
    assert "a simulated exchange: this says nothing of the real one" in report_of([], seen)


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("IP(203.0.113.7) banned", "IP(…) banned"),
        ("at 2001:db8:0:1:2:3:4:5 now", "at … now"),
        ("see /home/somebody/data/gap_BTCUSDT_20261130.csv: line 3", "see …: line 3"),
        (
            "/public: FIN, /market and /fapi/v1/depth, 3 messages/s",
            "/public: FIN, /market and /fapi/v1/depth, 3 messages/s",
        ),
        ("12:30:01 +5744, 1.25 ms, 0.5 of 2400", "12:30:01 +5744, 1.25 ms, 0.5 of 2400"),
    ],
)
def test_addresses_and_paths_are_left_out(text: str, clean: str) -> None:
    assert scrubbed(text) == clean


def test_names_of_host_and_user_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "tower7")
    monkeypatch.setattr(getpass, "getuser", lambda: "somebody")
    assert scrubbed(f"somebody@tower7 in {Path.cwd()} and somebodyelse") == "…@… in … and somebodyelse"


def test_a_text_of_the_exchange_cannot_break_the_table() -> None:
    seen = nothing()
    question = Question("1", "words", lambda _: Answer(Verdict.CONFIRMED, "a | b\nc"))
    assert "| 1 | words | confirmed | a / b c |" in report_of(answered([question], seen), seen)
