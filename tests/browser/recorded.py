"""Answers of the HTTP API, made up: days, a certificate, gaps."""

from typing import Any

HOSTILE = "<img src=x onerror=\"document.title='owned'\">"
DAYS = [f"2026{month:02}{day:02}" for month, days in ((9, 30), (10, 31), (11, 22)) for day in range(1, days + 1)]


def coverage(words: dict[str, str], symbols: int = 3) -> dict[str, Any]:
    """Days as they were asked for: the last one is open, the one before of the second symbol is degraded."""
    days = [day for day in DAYS if words["from"] <= day <= words["to"]]
    found = [
        {"symbol": f"C{number}USDT", "condition": ["available"] * (len(days) - 1) + ["open"],
         "clean_percent": [100.0] * (len(days) - 1) + [None]}
        for number in range(symbols)
    ]  # fmt: skip
    if len(days) > 1:
        found[1]["condition"][-2], found[1]["clean_percent"][-2] = "degraded", 99.5  # type: ignore[index]
    return {"days": days, "symbols": found}


def certificate(words: dict[str, str]) -> dict[str, Any]:
    start = 1_795_219_200_000_000_000
    return {
        "symbol": words["symbol"], "condition": "degraded", "why": HOSTILE, "verified_percent": 71.4,
        "clean_percent": 99.5, "degraded": [{"from_ns": start + at * 10**9, "to_ns": start + (at + 5) * 10**9}
                                            for at in range(60, 3060, 100)],
        "audits": {"passed": 140, "failed": 0}, "clock": {"offset_ms": 1.5, "error_ms": 0.4}, "restarts": 1,
        "sealed_at": "2026-11-22T00:10:00Z",
        "streams": {
            "aggtrade": {"condition": "degraded", "continuity": "proven by ids", "gaps": [{}, {}], "facts": {
                "rows": 1_234_567, "first_recv_ns": start + 10**9, "last_recv_ns": start + 86_399 * 10**9}},
            "markprice": {"condition": "available", "continuity": "not provable", "gaps": [], "facts": {"rows": 0}},
        },
    }  # fmt: skip


def gaps(words: dict[str, str], many: int = 1) -> dict[str, Any]:
    """Gaps of two symbols, with every state; of a symbol that was asked for alone."""
    start = 1_795_305_600_000_000_000
    hour = 3600 * 10**9
    states = (("unrepairable", "disconnected", "network", 5), ("repaired", "restart", "this software", 0),
              ("open", "sequence", "exchange", None))  # fmt: skip
    found = [
        {"symbol": symbol, "stem": stem, "gap_id": f"{number}", "state": state, "reason": reason, "fault": fault,
         "from_ns": start + number % 24 * hour, "to_ns": None if state == "open" else start + (number % 24 + 1) * hour,
         "from_id": 1, "to_id": 6, "missing": missing}
        for symbol in ("C0USDT", "C1USDT") for stem in ("aggtrade", HOSTILE)
        for number, (state, reason, fault, missing) in enumerate(states * many)
        if words.get("symbol", symbol) == symbol
    ]  # fmt: skip
    return {"day": words["day"], "total": len(found), "gaps": found}
