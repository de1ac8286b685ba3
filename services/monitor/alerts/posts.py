"""The bodies that webhooks take."""

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
    """JSON in the webhook's form."""
    if webhook.format == "json":
        return msgspec.json.encode(_plain(notices, recorder, time_ms))
    text = _text(notices, recorder)
    if webhook.format == "slack":
        return msgspec.json.encode({"text": text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")})
    return msgspec.json.encode({"chat_id": webhook.chat_id, "text": text, "disable_web_page_preview": True})


def place_of(webhook: WebhookConfig) -> str:
    """What of a webhook may be shown: its path holds a secret."""
    parts = urlsplit(webhook.url)
    return f"{parts.scheme}://{parts.hostname}/…"


def _plain(notices: Sequence[Notice], recorder: str, time_ms: int) -> dict[str, Any]:
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
    lines = [f"binance-streamer on {recorder}"]
    lines += [_line(notice) for notice in notices[:MOST_NOTICES]]
    if len(notices) > MOST_NOTICES:
        lines.append(f"and {len(notices) - MOST_NOTICES} more")
    return "\n".join(lines)[:_MOST_CHARACTERS]


def _line(notice: Notice) -> str:
    problem = notice.problem
    lasted = "" if notice.lasted_s is None else f" after {notice.lasted_s:.0f} s"
    if notice.happening == "closed":
        return f"OVER: {problem.what} ({problem.condition}){lasted}"
    since = "" if problem.since_ms is None else f", since {_clock_time(problem.since_ms)}"
    word = "STILL" if notice.happening == "still" else "NEW"
    return f"{word} {problem.severity}: {problem.what}: {problem.why}{since}"


def _clock_time(time_ms: int) -> str:
    return f"{datetime.fromtimestamp(time_ms / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"
