"""Where each stream of a journal stands: its last id, its last times, its open gaps.

The state is folded from rows and gap rows in their order, by the functions here alone: a running producer folds what it
journals, a starting one what its journal holds. So a successor knows what the killed run knew
(tests/property/test_repair.py compares the two at each kill).

| a row that covers (previous, last] | the stream |
|---|---|
| has no ids, or is the first with ids | stands behind it; its id never falls |
| last below the newest id: a straggler | stays; the open gap in which the row lies is narrowed |
| previous above the newest id, older than the newest event: left over from before the ids began anew | stays |
| any other | stands at `last` |

| a gap row (from, to] | the stream |
|---|---|
| to above the newest id | stands at `to`: a kill may have cut off the row behind the gap |
| from above to: the ids began anew | stands at `to` |
| has no ids, or is repaired | stays |
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

import msgspec

from binance_streamer.exchange.messages import ExchangeError, Reading
from binance_streamer.exchange.readers import EventReader
from binance_streamer.exchange.rest import rest_row
from binance_streamer.exchange.rest_series import REST_SERIES, series_from_name
from binance_streamer.exchange.stream_types import has_sequence_ids, is_repairable
from binance_streamer.exchange.streams import stream_from_name
from services.runtime.gaps.open_gaps import OpenGaps, with_gap, with_row

_DAY_MS = 86_400_000
_MOST_READERS = 64


class LastRow(msgspec.Struct, frozen=True, array_like=True):
    """The place at which a stream stands in a journal; ids and event time are None where its messages have none.

    `open_gaps`: what REST may still have of it. `event`: the last message of a stream whose messages do not name their
    predecessor; by it alone another connection can be seen to go on behind it.
    """

    stream_type: str
    symbol: str
    last_id: int | None
    event_time_ms: int | None
    recv_ns: int
    open_gaps: OpenGaps = ()
    event: bytes = b""


LastRows = dict[str, LastRow]
"""By the exchange's name of the stream."""


def newest_ns(rows: Iterable[LastRow]) -> int:
    """Return the receive stamp of the newest of these rows; 0 where there are none."""
    return max((row.recv_ns for row in rows), default=0)


def latest_ms(recv_ns: int) -> int:
    """The latest event time that says something: a day ahead of our clock one of the two is wrong."""
    return recv_ns // 1_000_000 + _DAY_MS


def fold_message(rows: LastRows, stream_type: str, data: Mapping[str, Any], reading: Reading | None = None) -> None:
    """Bring `rows` up to date with one message of the journal; `reading` is that of its event where it is known.

    Raw rows and our own messages say nothing of where a stream stands.
    """
    name, event = data["stream"], data.get("event")
    if stream_type == "gap":
        if name in rows:
            rows[name] = _behind_gap(rows[name], data)
    elif stream_type == "raw" or event is None:
        return
    elif data["source"] == "ws" or stream_type in REST_SERIES:
        fold_event(rows, name, data["symbol"], stream_type, recv_ns=data["recv_ns"], event=event, reading=reading)
    elif name in rows and rows[name].open_gaps and rows[name].stream_type == stream_type:
        rows[name] = _behind_backfill(rows[name], name, event)


def fold_event(  # noqa: PLR0913 (the parts of a message)
    rows: LastRows,
    name: str,
    symbol: str,
    stream_type: str,
    *,
    recv_ns: int,
    event: Any,
    reading: Reading | None = None,
) -> None:
    """Bring `rows` up to date with a message of a connection; one that cannot be read changes nothing."""
    reading = reading or _reading_of(name, event)
    if reading is not None:
        rows[name] = behind_row(rows.get(name), stream_type, symbol, reading, recv_ns=recv_ns, event=event)


def behind_row(  # noqa: PLR0913 (the parts of a row)
    before: LastRow | None, stream_type: str, symbol: str, reading: Reading, *, recv_ns: int, event: bytes = b""
) -> LastRow:
    """Return where a stream stands behind one more row, or behind consecutive ones that `reading` sums up.

    `event` is that of the last one.
    """
    if has_sequence_ids(stream_type):
        event = b""
    previous_id, last_id, event_time_ms = reading
    if event_time_ms > latest_ms(recv_ns):
        event_time_ms = 0
    if before is None:
        return LastRow(stream_type, symbol, last_id, event_time_ms, recv_ns, (), event)
    newest_id, newest_ms, open_gaps = before.last_id, before.event_time_ms or 0, before.open_gaps
    if newest_id is None:
        pass
    elif previous_id is None or last_id is None:
        last_id = newest_id if last_id is None else max(last_id, newest_id)
    else:
        if open_gaps:  # a kill had cut off the row behind a gap, and it came again
            open_gaps = with_row(open_gaps, previous_id, last_id)
        if last_id < newest_id or (previous_id > newest_id and event_time_ms < newest_ms):
            return msgspec.structs.replace(before, open_gaps=open_gaps)
    return LastRow(stream_type, symbol, last_id, max(event_time_ms, newest_ms), recv_ns, open_gaps, event)


def _behind_gap(before: LastRow, fields: Mapping[str, Any]) -> LastRow:
    open_gaps = with_gap(before.open_gaps, fields) if is_repairable(before.stream_type) else ()
    last_id, event_time_ms = before.last_id, before.event_time_ms
    from_id, to_id, to_ns = fields.get("from_id"), fields.get("to_id"), fields.get("to_ns")
    if last_id is not None and type(from_id) is int and type(to_id) is int and fields.get("state") != "repaired":
        if from_id > to_id:
            last_id = to_id
        elif to_id > last_id:
            last_id = to_id
            if type(to_ns) is int:  # what comes late for the gap is not newer than the row behind it
                event_time_ms = max(event_time_ms or 0, to_ns // 1_000_000)
    return msgspec.structs.replace(before, open_gaps=open_gaps, last_id=last_id, event_time_ms=event_time_ms)


def _behind_backfill(before: LastRow, name: str, event: Any) -> LastRow:
    """Return the state without the ids that a row of REST fills."""
    try:
        previous_id, last_id = rest_row(stream_from_name(name), event)[:2]
    except ExchangeError:
        return before
    return msgspec.structs.replace(before, open_gaps=with_row(before.open_gaps, previous_id, last_id))


def _reading_of(name: str, event: Any) -> Reading | None:
    try:
        if series := series_from_name(name):
            return series[0].reading(event, series[1])
        return _reader_of(name).read(event)
    except ExchangeError:
        return None


@lru_cache(_MOST_READERS)
def _reader_of(name: str) -> EventReader:
    return EventReader(stream_from_name(name))
