"""The report of a field test as Markdown, without anything that tells who ran it, where, or on which machine."""

import getpass
import os
import re
import socket
from collections.abc import Iterable, Sequence
from pathlib import Path

from binance_streamer.cli.fieldtest.question import Answer, Question, Verdict
from binance_streamer.cli.fieldtest.seen import Observations
from binance_streamer.cli.fieldtest.traffic import StreamSeen, quantile_ms
from binance_streamer.health.sizes import size

_ADDRESS = re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}\b|(?<![\w:])(?:[0-9a-fA-F]{0,4}:){3,7}[0-9a-fA-F]{1,4}\b")
_PATH = re.compile(r"(?<![\w/.@`])(?:/[\w.+-]+){2,}/?")
_ROUTES = re.compile(r"^/(?:public|market|fapi)\b")
_LEAST_NAME = 3
"""A user or host name of fewer letters would take half of the words out of a report."""

Answered = tuple[Question, Answer]


def answered(questions: Iterable[Question], seen: Observations) -> list[Answered]:
    """Return every question with its answer; one without evidence says for how long it was not seen."""
    found = []
    for question in questions:
        answer = question.answer(seen)
        if answer.verdict is Verdict.NOT_SEEN:
            why = f": {answer.evidence}" if answer.evidence else ""
            answer = Answer(Verdict.NOT_SEEN, f"not seen in {seen.minutes:g} minutes{why}")
        found.append((question, answer))
    return found


def report_of(answers: Sequence[Answered], seen: Observations) -> str:
    """Return the whole report, scrubbed."""
    exchange = "a simulated exchange: this says nothing of the real one" if seen.is_simulated else "the live exchange"
    against = [pair for pair in answers if pair[1].verdict is Verdict.CONTRADICTED]
    lines = [
        "# Field test",
        "",
        f"{seen.minutes:g} minutes of {exchange}; symbols {', '.join(seen.symbols)}. Numbers are those of "
        "docs/exchange.md, section 10.",
        "",
        "## What contradicts our assumptions",
        "",
        *(
            [f"- **{question.number}** {question.words}: {answer.evidence}" for question, answer in against]
            or ["Nothing."]
        ),
        "",
        "## Answers",
        "",
        *_table(("", "assumption", "answer", "evidence"), map(_cells, answers)),
        "",
        "## Streams",
        "",
        *_table(
            ("stream", "messages/s", "latency ms: median", "99 %", "pairs identical", "different", "on one only"),
            [_stream(one) for one in seen.traffic.streams.values()],
        ),
        "",
        "## Processes",
        "",
        *_table(("process", "of a core", "memory"), _processes(seen)),
        "",
    ]
    return scrubbed("\n".join(lines))


def scrubbed(text: str) -> str:
    """Return the text without addresses, names of this host and user, and paths, whatever a message has brought in."""
    names = {socket.gethostname(), socket.getfqdn(), _user(), str(Path.home()), str(Path.cwd())}
    for name in sorted(names, key=len, reverse=True):
        if len(name) >= _LEAST_NAME:
            text = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", "…", text)
    text = _PATH.sub(lambda match: match[0] if _ROUTES.match(match[0]) else "…", text)
    return _ADDRESS.sub("…", text)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    return [_line(heads), _line(["---"] * len(heads)), *map(_line, rows)]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '/').replace(chr(10), ' ') for cell in cells)} |"


def _cells(pair: Answered) -> tuple[str, ...]:
    question, answer = pair
    word = f"**{answer.verdict}**" if answer.verdict is Verdict.CONTRADICTED else str(answer.verdict)
    return question.number, question.words, word, answer.evidence


def _stream(seen: StreamSeen) -> tuple[str, ...]:
    span_s = (seen.last_recv_ns - seen.first_recv_ns) / 1e9
    rate = f"{seen.messages / 2 / span_s:.1f}" if span_s > 0 else "0"  # two connections bring each message
    latencies = [str(quantile_ms(seen.latencies_ms, share)) if seen.latencies_ms else "" for share in (0.5, 0.99)]
    tally = seen.copies.tally
    return (seen.stream.name, rate, *latencies, str(tally.identical), str(tally.different), str(tally.alone))


def _processes(seen: Observations) -> list[tuple[str, ...]]:
    return [
        (name, f"{one.cpu_share * 100:.1f} %", size(one.rss_bytes))
        for name, one in sorted(seen.recorder.processes.items())
    ]
