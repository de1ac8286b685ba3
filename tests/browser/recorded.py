"""Answers of the HTTP API, made up: days, a certificate, gaps."""

import json
from datetime import datetime
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


def book(words: dict[str, str]) -> dict[str, Any]:
    """A book of as many levels as were asked for; not known in the last hour of a day."""
    ns = 1_795_219_200_000_000_000
    unknown = words["at"].endswith("23:30:00")
    levels = range(0 if unknown else int(words["depth"]))
    return {
        "symbol": words["symbol"], "ns": ns, "why": "updates missing" if unknown else "", "bids_known_to": None,
        "asks_known_to": None, "update_id": None if unknown else 8800, "recv_ns": None if unknown else ns + 305 * 10**6,
        "unknown_from_ns": ns + 84_000 * 10**9 if unknown else None,
        "unknown_to_ns": ns + 85_000 * 10**9 if unknown else None,
        "bids": [[f"{84_000 - at}.50000000", f"{at + 1}.25000000"] for at in levels],
        "asks": [[f"{84_001 + at}.00000000", f"{at + 1}.00000000"] for at in levels],
    }  # fmt: skip


def trades(words: dict[str, str], each_s: int = 1) -> str:
    """A trade each second of the time that was asked for, as JSON lines."""
    start, end = (datetime.fromisoformat(f"{words[name]}+00:00").timestamp() for name in ("from", "to"))
    rows = [
        {"recv_ns": (int(start) + second) * 10**9 + 5 * 10**6, "price": "84000.10000000", "quantity": "0.00500000",
         "is_buyer_maker": second % 2 == 0}
        for second in range(0, int(end - start), each_s)
    ]  # fmt: skip
    return "".join(f"{json.dumps(row)}\n" for row in rows)
