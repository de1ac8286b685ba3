"""Snapshots as the monitor sends them, made up."""

import math
from collections.abc import Sequence
from typing import Any

NOW_MS = 1_795_000_000_000
STREAMS = ("aggTrade", "depth@0ms", "kline_1m")
Snapshot = dict[str, Any]


def some_gaps(**changes: float) -> dict[str, float]:
    totals: dict[str, float] = {"listed": 0, "open": 0, "repaired": 0, "unrepairable": 0, "missing_messages": 0}
    return totals | {"unrepairable_messages": 0, "unrepairable_s": 0.0} | changes


def a_stream(name: str, second: int) -> dict[str, Any]:
    rates = [round(20 + 8 * math.sin((second + at) / 7) + len(name), 1) for at in range(60)]
    return {
        "stream": name, "state": "live", "why": "", "rate": rates[-1], "messages": 100 * second,
        "age_s": 0.1, "latency_ms": 12.5, "gaps": some_gaps(), "rates": rates,
    }  # fmt: skip


def a_symbol(symbol: str, second: int = 0, streams: Sequence[str] = STREAMS) -> dict[str, Any]:
    levels = [[f"{67_000 - at / 10:.1f}", f"{1.5 + at:.3f}"] for at in range(5)]
    return {
        "symbol": symbol, "status": "TRADING", "price": f"{67_000 + second:.2f}", "spread": "0.10",
        "book": {"valid": True, "state": "valid", "reason": "", "since_ms": NOW_MS - 60_000, "resyncs": 1,
                 "audits_passed": 12, "audits_failed": 0, "bids": levels, "asks": levels},
        "market": {"mark_price": f"{67_001 + second:.8f}", "funding_rate": "0.00010000", "next_funding_ms": NOW_MS,
                   "change_percent": "-1.250", "quote_volume": "12345678901.25"},
        "gaps": some_gaps(), "streams": [a_stream(name, second) for name in streams],
    }  # fmt: skip


def a_process(name: str, state: str, **fields: Any) -> dict[str, Any]:
    return {
        "name": name, "kind": name.partition("-")[0], "up": True, "state": state, "pid": 4321, "uptime_s": 3700.0,
        "rss_bytes": 36_000_000, "cpu_percent": 3.4, "backlog_bytes": 1200, "backlog_s": 0.1, "detail": "", **fields,
    }  # fmt: skip


def a_problem(what: str, why: str, since_ms: int = 0, severity: str = "failure") -> dict[str, Any]:
    return {"what": what, "why": why, "since_ms": since_ms, "severity": severity}


def a_snapshot(symbols: Sequence[str] = ("BTCUSDT", "ETHUSDT", "SOLUSDT"), second: int = 0) -> Snapshot:
    """All is well, `second` seconds after the monitor started."""
    times = range(max(0, second - 300), second + 1)
    return {
        "time_ms": NOW_MS + second * 1000, "mode": "production", "healthy": True, "problems": [],
        "symbols": [a_symbol(symbol, second) for symbol in symbols],
        "processes": [
            a_process("bus", "forwarding"), *(a_process(f"ingest-{symbol}", "recording") for symbol in symbols),
            a_process("rest", "ok"), a_process("writer", "recording"), a_process("orderbook", "live"),
            a_process("monitor", "serving"),
        ],
        "series": {
            "t_ms": [NOW_MS + at * 1000 for at in times],
            "messages_per_s": [900 + 200 * math.sin(at / 20) for at in times],
            "latency_p50_ms": [12 + math.sin(at / 9) for at in times],
            "latency_p99_ms": [48 + 10 * math.sin(at / 5) for at in times],
        },
        "recorded": {"rows": 12_345_678, "bytes": 1_234_567_890, "since_ms": NOW_MS - 3_600_000},
        "gaps": some_gaps(), "newest_gaps": [], "data_directory": "/srv/data",
        "disk": {"free_bytes": 412e9, "total_bytes": 512e9, "written_bytes_per_day": 6.1e9,
                 "days_left": 67.5},
        "clock": {"offset_ms": 1.4, "error_ms": 0.8},
        "weight": {"used": 126, "limit": 2400, "stand_down_s": 0},
    }  # fmt: skip


def without_writer(snapshot: Snapshot) -> Snapshot:
    """The same with a writer that was killed."""
    for process in snapshot["processes"]:
        if process["name"] == "writer":
            process.update(up=False, state="down", pid=None, uptime_s=None, rss_bytes=None, cpu_percent=None)
        if process["kind"] == "ingest":
            process.update(backlog_bytes=48_000_000, backlog_s=41.0)
    why = "no status for 12 s: is it running? `binance-streamer status`"
    snapshot.update(healthy=False, problems=[{"what": "writer", "why": why, "since_ms": snapshot["time_ms"] - 12_000}])
    return snapshot
