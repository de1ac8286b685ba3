"""The exchange's true book at any update id: replayed from the simulator's tape, without any code of ours."""

import json
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from tests.support.tape import read_answers, read_tape

Levels = list[tuple[str, str]]


class TrueBook(NamedTuple):
    """All levels of both sides, best first, after the update with this id."""

    update_id: int
    bids: Levels
    asks: Levels


def true_books(tape: Path, symbol: str, stream: str, update_ids: Sequence[int]) -> Iterator[TrueBook]:
    """The books after these updates, in ascending order; of an id at which no update ended there is none.

    From the first snapshot that anybody was given: the simulator's is the whole book. Updates that a fault has lost are
    on the tape too.
    """
    wanted = sorted(set(update_ids), reverse=True)
    snapshot = _first_snapshot(tape, symbol)
    last_id = snapshot["lastUpdateId"]
    bids, asks = (dict(snapshot[side]) for side in ("bids", "asks"))
    events = sorted(
        (json.loads(sent.event) for sent in read_tape(tape) if sent.stream == stream), key=lambda event: event["u"]
    )
    for event in [{"u": last_id, "b": [], "a": []}, *(event for event in events if event["u"] > last_id)]:
        for side, changes in zip((bids, asks), (event["b"], event["a"]), strict=True):
            for price, quantity in changes:
                if Decimal(quantity):
                    side[price] = quantity
                else:
                    side.pop(price, None)
        while wanted and wanted[-1] < event["u"]:
            wanted.pop()
        if wanted and wanted[-1] == event["u"]:
            yield TrueBook(event["u"], _ordered(bids, sign=-1), _ordered(asks, sign=1))


def _first_snapshot(tape: Path, symbol: str) -> dict[str, Any]:
    for answer in read_answers(tape):
        if answer.status == 200 and answer.target.startswith(f"/fapi/v1/depth?symbol={symbol}&"):
            found: dict[str, Any] = json.loads(answer.body)
            return found
    raise AssertionError(f"no snapshot of {symbol} was ever asked for")


def _ordered(levels: dict[str, str], *, sign: int) -> Levels:
    return sorted(levels.items(), key=lambda level: sign * Decimal(level[0]))
