"""The questions that only REST can answer, asked once the streams have run for a while.

In: the asker and the messages so far. Out: rows that were compared, and notes and faults by name, in `Observations`. A
step that gets no answer leaves nothing behind, so that its question stays unseen.
"""

import contextlib
from typing import Any

import requests

from binance_streamer.cli.fieldtest.rest import (
    RestAsker,
    compared_aggregates,
    compared_bars,
    newest_before,
    path_of,
)
from binance_streamer.cli.fieldtest.seen import Observations
from binance_streamer.exchange.streams import stream_of

_AGED_NS = 1_000_000_000
"""A snapshot may lag the stream by some ms; it is asked for after updates that are a second old."""
_LONG_AGO = 10_000_000
"""Aggregates: days of the most liquid symbol, and so more than REST keeps, or before its first."""


def ask_all(seen: Observations, asker: RestAsker) -> None:
    """Ask about everything that streams and REST both say; what gets no answer that can be read is left out."""
    for step in (_aggregates, _bars, _snapshot, _newest, _too_old, _hours):
        with contextlib.suppress(requests.RequestException, AttributeError, KeyError, TypeError, IndexError):
            step(seen, asker)


def _aggregates(seen: Observations, asker: RestAsker) -> None:
    """Ask for aggregates that were streamed a moment ago, of the liquid and the quiet symbol."""
    for symbol in seen.symbols[:2]:
        events = {event["a"]: event for _, event in list(seen.traffic.streams[_name(symbol, "aggTrade")].events)}
        if events:
            first_id = sorted(events)[-900:][0]
            rows = asker.rows(path_of("aggTrades", symbol, fromId=first_id, limit=1000), weight=20)
            seen.rows.append(compared_aggregates(f"aggTrades of {symbol}", events, rows))


def _bars(seen: Observations, asker: RestAsker) -> None:
    """Ask for the closed bars that were streamed; a bar that closed twice is compared as it came last."""
    for symbol in seen.symbols:
        closed = {
            at_ms: bars[-1] for at_ms, bars in list(seen.traffic.streams[_name(symbol, "kline_1m")].closed.items())
        }
        if closed:
            rows = asker.rows(path_of("klines", symbol, interval="1m", startTime=min(closed), limit=99), weight=1)
            seen.rows.append(compared_bars(f"klines of {symbol}", closed, rows))


def _snapshot(seen: Observations, asker: RestAsker) -> None:
    """Ask for a depth snapshot, and compare its id with updates that were received a second before the request."""
    updates = seen.traffic.streams[_name(seen.symbols[0], "depth@0ms")].events
    answer = asker.ask(path_of("depth", seen.symbols[0], limit=1000), weight=20)
    if answer is None or answer.status != 200:
        return
    known = list(updates)
    aged, newest = (newest_before(known, at_ns, "u") for at_ns in (answer.requested_ns - _AGED_NS, answer.recv_ns))
    if aged is None or newest is None:
        return
    update_id, levels = answer.body["lastUpdateId"], min(len(answer.body[side]) for side in ("bids", "asks"))
    seen.notes["snapshot"] = (
        f"its id was {update_id - aged:+d} from an update received 1 s before, {levels} levels a side"
    )
    if update_id < aged:
        seen.faults["snapshot"] = (
            f"a snapshot was older ({aged - update_id} ids) than an update received 1 s before the request"
        )


def _newest(seen: Observations, asker: RestAsker) -> None:
    """Ask for the newest aggregate that REST has, beside the newest that was streamed."""
    events = seen.traffic.streams[_name(seen.symbols[0], "aggTrade")].events
    answer = asker.ask(path_of("aggTrades", seen.symbols[0], limit=1), weight=20)
    newest = newest_before(list(events), answer.recv_ns, "a") if answer is not None else None
    if answer is not None and answer.status == 200 and newest is not None:
        ahead = answer.body[-1]["a"] - newest
        seen.notes["newest"] = f"REST was {ahead:+d} aggregates from the stream at the same moment"


def _too_old(seen: Observations, asker: RestAsker) -> None:
    """Ask for an id that is older than what REST keeps."""
    events = seen.traffic.streams[_name(seen.symbols[0], "aggTrade")].events
    if not events:
        return
    wanted = max(0, events[-1][1]["a"] - _LONG_AGO)
    answer = asker.ask(path_of("aggTrades", seen.symbols[0], fromId=wanted, limit=1), weight=20)
    if answer is None:
        return
    if answer.status != 200:
        seen.notes["too old"] = f"status {answer.status}, code {answer.code}"
    elif isinstance(answer.body, list):  # else it cannot be read
        first = answer.body[0]["a"] if answer.body else None
        kind = "no rows" if first is None else "the row itself" if first == wanted else "later rows"
        seen.notes["too old"] = f"status 200 with {kind}"


def _hours(seen: Observations, asker: RestAsker) -> None:
    """Ask for the hours of markets, where TradFi contracts are listed, and look for each contract's market there."""
    listing = next((one.body for one in asker.seen if one.path.endswith("exchangeInfo") and one.status == 200), None)
    kinds = _tradfi_kinds(listing)
    if not kinds:
        return
    body = asker.rows(path_of("tradingSchedule"), weight=5)
    if body is None:
        return
    missing = kinds - body["marketSchedules"].keys() - {"PREMARKET"}
    seen.notes["hours"] = (
        f"markets {', '.join(sorted(body['marketSchedules']))}; contracts follow {', '.join(sorted(kinds))}"
    )
    if missing:
        seen.faults["hours"] = f"no hours for contracts of {', '.join(sorted(missing))}"


def _tradfi_kinds(listing: Any) -> set[str]:
    symbols = listing["symbols"] if isinstance(listing, dict) else []
    return {
        one.get("underlyingType", "")
        for one in symbols
        if one.get("contractType") == "TRADIFI_PERPETUAL" and one.get("status") == "TRADING"
    }


def _name(symbol: str, suffix: str) -> str:
    return stream_of(symbol, suffix).name
