"""The newest messages of a journal, for a process that takes the journal over: by them it sees what it need not record.

Read once, before the first append, from the newest segments back.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping

from binance_streamer.wire.frames import WireError, decode_frame
from services.runtime.delivery.events import head_of, stamp_and_event
from services.runtime.gaps.last_rows import LastRow

RecordedEvents = dict[str, list[tuple[int, bytes]]]
"""Receive stamps and events by stream, in the order in which they were journalled."""

_MOST_BYTES = 24 * 1024 * 1024
"""8 MiB take 30 ms to read. Who takes over looks back for seconds, in which no worker journals so much."""


def recorded_events(
    segments: Iterable[list[bytes]], last_rows: Mapping[str, LastRow], names: Collection[str], since_ns: int
) -> RecordedEvents:
    """Return the messages of these streams that were received since then; their last one, if all are older.

    `segments` are the frames of each segment, the newest segment first. Streams that have never had a row are left out.
    """
    found: RecordedEvents = {name: [] for name in names}
    read_bytes = 0
    for frames in segments:
        older: RecordedEvents = {name: [] for name in names}
        for name, recv_ns, event in _messages_of(frames, names):
            older[name].append((recv_ns, event))
        found = {name: older[name] + found[name] for name in names}
        begins_ns = [messages[0][0] for messages in older.values() if messages]
        read_bytes += sum(map(len, frames))
        if read_bytes > _MOST_BYTES or (begins_ns and min(begins_ns) < since_ns):
            break
    recent = {name: [one for one in messages if one[0] >= since_ns] for name, messages in found.items()}
    last = {name: [(row.recv_ns, row.event)] for name, row in last_rows.items() if name in found and row.event}
    return {name: messages or last[name] for name, messages in recent.items() if messages or name in last}


def _messages_of(frames: Iterable[bytes], names: Collection[str]) -> Iterator[tuple[str, int, bytes]]:
    known: dict[bytes, str | None] = {}  # by the head of frames: the stream, None where it is none of these
    for frame in frames:
        head = head_of(frame)
        if head not in known:
            known[head] = _stream_of(frame, names)
        name = known[head]
        if name is not None:
            yield (name, *stamp_and_event(frame, len(head)))


def _stream_of(frame: bytes, names: Collection[str]) -> str | None:
    try:
        stream_type, data = decode_frame(frame)
    except WireError:
        return None
    if stream_type in ("gap", "raw") or data.get("source") != "ws" or data["stream"] not in names:
        return None
    name: str = data["stream"]
    return name
