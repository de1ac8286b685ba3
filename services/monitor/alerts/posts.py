"""The bodies that webhooks take.

In: notices and the form of the webhook (`json`, `slack` or `telegram`). Out: bytes, JSON in UTF-8. Slack
and Telegram get text with a line per notice; `json` gets every field, for programs. Called in the thread of
the webhook.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import msgspec

from binance_streamer.config.schema import WebhookConfig
from services.monitor.alerts.alerts import Notice

MOST_NOTICES = 50
"""Of one post; further ones are counted."""
_MOST_CHARACTERS = 3900
"""Telegram takes 4096."""


def body_of(webhook: WebhookConfig, notices: Sequence[Notice], *, recorder: str, time_ms: int) -> bytes:
    """Return the body of one post, JSON in the webhook's form, with at most `MOST_NOTICES` in their order.

    `recorder` is the name of this machine, `time_ms` the wall clock. Slack reads `&`, `<` and `>` as its own
    markup, so that they are escaped; Telegram gets plain text, since no parse mode is named.
    """
    if webhook.format == "json":
        return msgspec.json.encode(_plain(notices, recorder, time_ms))
    text = _text(notices, recorder)
    if webhook.format == "slack":
        return msgspec.json.encode({"text": text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")})
    return msgspec.json.encode({"chat_id": webhook.chat_id, "text": text, "disable_web_page_preview": True})


def place_of(webhook: WebhookConfig) -> str:
    """Return the part of a webhook's address that may be logged: its path holds a secret."""
    parts = urlsplit(webhook.url)
    return f"{parts.scheme}://{parts.hostname}/…"


def _plain(notices: Sequence[Notice], recorder: str, time_ms: int) -> dict[str, Any]:
    """Return all fields of the notices; `omitted` counts those beyond `MOST_NOTICES`."""
    return {
        "recorder": recorder,
        "time_ms": time_ms,
        "omitted": max(0, len(notices) - MOST_NOTICES),
        "alerts": [
            {
                "event": notice.happening,
                "condition": notice.problem.condition,
                "severity": notice.problem.severity,
                "what": notice.problem.what,
                "why": notice.problem.why,
                "since_ms": notice.problem.since_ms,
                "lasted_s": notice.lasted_s,
            }
            for notice in notices[:MOST_NOTICES]
        ],
    }


def _text(notices: Sequence[Notice], recorder: str) -> str:
    """Return a line per notice under the name of the machine, cut at `_MOST_CHARACTERS`."""
    lines = [f"binance-streamer on {recorder}"]
    lines += [_line(notice) for notice in notices[:MOST_NOTICES]]
    if len(notices) > MOST_NOTICES:
        lines.append(f"and {len(notices) - MOST_NOTICES} more")
    return "\n".join(lines)[:_MOST_CHARACTERS]


def _line(notice: Notice) -> str:
    """Return one notice as a line that begins with NEW, STILL or OVER, so that a phone's preview shows it."""
    problem = notice.problem
    lasted = "" if notice.lasted_s is None else f" after {notice.lasted_s:.0f} s"
    if notice.happening == "closed":
        return f"OVER: {problem.what} ({problem.condition}){lasted}"
    since = "" if problem.since_ms is None else f", since {_clock_time(problem.since_ms)}"
    word = "STILL" if notice.happening == "still" else "NEW"
    return f"{word} {problem.severity}: {problem.what}: {problem.why}{since}"


def _clock_time(time_ms: int) -> str:
    """Return milliseconds since 1970 as a date and time, UTC, to the second."""
    return f"{datetime.fromtimestamp(time_ms / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"
