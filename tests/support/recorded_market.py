"""A recorded market as daily files, made by the writer's own rows without any process."""

from itertools import count
from pathlib import Path

from binance_streamer.exchange.messages import ExchangeError
from binance_streamer.exchange.streams import stream_from_name
from services.runtime.delivery.events import EventFrames
from services.writer.rows.rows import RowMaker, Run
from tests.support.data import captured

RUN = Run("ingest-1", 1723160000000000000)


def record(capture: Path, data: Path) -> None:
    """Write the daily files of all streams of a capture below `data`, as the writer would."""
    maker = RowMaker()
    frames: dict[str, tuple[EventFrames, count[int]]] = {}
    lines: dict[str, list[bytes]] = {}
    for message in captured(capture):
        try:
            stream = stream_from_name(message.name)
        except ExchangeError:
            continue
        topic = (stream.stream_type, stream.symbol, message.name)
        made, numbers = frames.setdefault(
            message.name, (EventFrames(topic, 1, producer=RUN.producer, epoch=RUN.epoch), count(1))
        )
        frame = made.encode(next(numbers), (message.recv_ns,), (message.event,))
        (row,) = maker.rows(RUN, 1, frame, now_ns=message.recv_ns)
        lines.setdefault(row.target.path, [row.target.header]).append(row.line)
    for name, text in lines.items():
        path = data / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"".join(text))
