"""Reads ids off rows: those that prove where a stream stands, and those of what REST brings for holes far behind."""

from binance_streamer.exchange.messages import ExchangeError, Reading
from binance_streamer.exchange.readers import EventReader
from binance_streamer.exchange.stream_types import STREAM_TYPES, Continuity, has_sequence_ids, rest_row_form
from binance_streamer.exchange.streams import stream_from_name
from binance_streamer.wire.frames import Topic
from services.writer.rows.own_rows import MAX_NUMBER
from services.writer.rows.rows import Row


def is_late(row: Row) -> bool:
    """Return True if the row may fill an old hole, so that it does not say where its stream goes on."""
    return row.topic is not None and row.event is None and has_sequence_ids(row.topic.stream_type)


def is_fetched(row: Row) -> bool:
    """Return True if REST brought the row for a hole: an aggregate or a closed bar, which may be there already."""
    return row.topic is not None and row.event is None and rest_row_form(row.topic.stream_type) is not None


def late_id_of(row: Row) -> int:
    """Return the id of a row of REST: `agg_trade_id` and `open_time` stand first in their files."""
    first = row.line.partition(b",")[0]
    return int(first) if first.isdigit() else -1


def ids_of(row: Row) -> tuple[int | None, int | None]:
    """Return the ids (previous, last] that an exchange's message covers; None where they prove nothing."""
    if row.topic is None or row.event is None or not has_sequence_ids(row.topic.stream_type):
        return None, None
    reading = _reading_of(row)
    return _in_range(reading.previous_id), _in_range(reading.last_id)


def has_bars(topic: Topic) -> bool:
    """Return True for klines: most of their messages are updates of an open bar, and closed ones are named by time."""
    found = STREAM_TYPES.get(topic.stream_type)
    return found is not None and found.continuity is Continuity.KLINES


def may_be_closed_bar(topic: Topic, event: bytes) -> bool:
    """Return True where a message has to be looked at though others of its batch follow; few klines are closed."""
    return has_bars(topic) and b"true" in event


def closed_bar_of(row: Row) -> int | None:
    """Return the opening time of a closed bar in ms; None for any other row, and for a bar that is not over yet."""
    if row.topic is None or not has_bars(row.topic):
        return None
    if row.event is None:
        opened_ms: int | None = late_id_of(row)
    else:
        opened_ms = _reading_of(row).last_id if may_be_closed_bar(row.topic, row.event) else None
    return opened_ms if opened_ms is not None and 0 <= opened_ms <= row.recv_ns // 1_000_000 else None


def _reading_of(row: Row) -> Reading:
    try:
        return EventReader(stream_from_name(row.stream)).read(row.event or b"")
    except ExchangeError:
        return Reading(None, None, 0)


def _in_range(number: int | None) -> int | None:
    """Return an id if the ledger and a frame can hold it; the exchange's message may have any number."""
    return number if number is not None and abs(number) <= MAX_NUMBER else None
