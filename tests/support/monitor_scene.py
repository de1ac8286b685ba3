"""A recording in which all is well, as the monitor sees it on the bus."""

from pathlib import Path
from typing import Any

import msgspec

from binance_streamer.config import schema as configuration
from binance_streamer.config.schema import Config
from binance_streamer.wire.frames import encode_frame, encode_topic
from services.monitor.snapshots.collector import Collector

NOW_MS = 1_795_694_400_000  # 2026-11-26 12:00 UTC
NOW_NS = NOW_MS * 1_000_000
NOW_S = 1000.0
YAML = """
mode: production
modes:
  production:
    symbols:
      - symbol: BTCUSDT
        streams: [aggTrade, depth@0ms]
orderbook: {enabled: false}
monitor: {enabled: false}
"""


def config(text: str = YAML) -> Config:
    return configuration.parse(text, Path("/etc/recorder/streamer.yaml"))


def frame(stream_type: str, symbol: str, *, variant: str = "", **fields: Any) -> tuple[bytes, bytes]:
    """Topic and frame of a message of this producer's (a status's symbol is its producer)."""
    data = {
        "symbol": symbol,
        "stream": stream_type,
        "recv_ns": NOW_NS,
        "producer": symbol if stream_type == "status" else f"ingest-{symbol}",
        "epoch": 1,
        "seq": 1,
        "source": "local",
        **fields,
    }
    return encode_topic(stream_type, symbol, variant), encode_frame(stream_type, data)


def market(stream_type: str, event: dict[str, Any], *, variant: str = "", stream: str = "") -> tuple[bytes, bytes]:
    return frame(
        stream_type, "BTCUSDT", variant=variant, stream=stream, source="ws", connection=1,
        event=msgspec.json.encode(event),
    )  # fmt: skip


def journal(**fields: Any) -> dict[str, Any]:
    return {
        "state": "recording", "appended": 1000, "unacknowledged_bytes": 4096, "unacknowledged_s": 2.5,
        "next_position": 1000, "durable": [1, 990], "syncs": 10, "sync_s": 0.5, **fields,
    }  # fmt: skip


def stream_status(**fields: Any) -> dict[str, Any]:
    return {
        "messages": 20, "rows": 10, "rate": 5.0, "gaps": 0, "latency_ms": 12.5, "last_recv_ns": NOW_NS - 3 * 10**9,
        "state": "live", "silent_s": 0.1, "patience_s": 60.0, **fields,
    }  # fmt: skip


def link(number: int, route: str, **fields: Any) -> dict[str, Any]:
    return {
        "connection": number, "route": route, "ordinal": 0, "state": "delivering", "age_s": 60.0,
        "first_arrivals": 0.75, **fields,
    }  # fmt: skip


def statuses() -> dict[str, dict[str, Any]]:
    common = {"pid": 4711, "up_s": 3600.0, "rss_bytes": 30_000_000, "cpu_s": 36.0}
    return {
        "bus": {**common, "state": "forwarding", "messages_in": 7, "messages_out": 8},
        "writer": {
            **common, "state": "recording", "rows": 500, "bytes": 3600 * 10**6, "commits": 4, "commit_s": 1.0,
            "disk_free_bytes": 864 * 10**9, "disk_total_bytes": 10**12,
            "producers": {"ingest-BTCUSDT": {"next_received": 100, "next_durable": 60}},
        },
        "rest": {
            **common, "state": "answered", "used_weight": 21, "weight_limit": 2400, "clock_offset_ms": -3.0,
            "clock_error_ms": 0.5, "symbols": {"BTCUSDT": "TRADING"}, "journal": journal(), "snapshots": 2,
        },
        "ingest-BTCUSDT": {
            **common,
            "streams": {"btcusdt@aggTrade": stream_status(patience_s=300.0), "btcusdt@depth@0ms": stream_status()},
            "connections": [link(1, "public"), link(2, "market", first_arrivals=1.0)],
            "opened": {"public": 3, "market": 1}, "lost": {"public": 2}, "journal": journal(),
        },
    }  # fmt: skip


def collector(text: str = YAML, **changed: dict[str, Any]) -> Collector:
    """A collector that has heard every process once; `ingest` is the worker."""
    found = Collector(config(text), NOW_NS)
    for name, fields in statuses().items():
        changes = changed.get(name.partition("-")[0], {})
        found.take(*frame("status", name, **{**fields, **changes}), NOW_S)
    return found
