"""A recorded market as daily files, made by the writer's own rows without any process."""

from collections.abc import Iterable, Mapping
from itertools import count
from pathlib import Path
from urllib.parse import parse_qs

from binance_streamer.exchange.messages import ExchangeError
from binance_streamer.exchange.streams import stream_from_name
from binance_streamer.wire.frames import encode_frame
from services.runtime.delivery.events import EventFrames, rest_data
from services.writer.rows.rows import RowMaker, Run
from tests.support.data import captured

RUN = Run("ingest-1", 1723160000000000000)


def record(capture: Path, data: Path) -> None:
    """Write the daily files of all streams of a capture below `data`, as the writer would."""
    record_messages(((one.recv_ns, one.name, one.event) for one in captured(capture)), data)


def record_messages(messages: Iterable[tuple[int, str, bytes]], data: Path) -> None:
    """Write the daily files of messages (receive stamp, stream, event) below `data`; what is no stream is left out."""
    maker = RowMaker()
    frames: dict[str, tuple[EventFrames, count[int]]] = {}
    lines: dict[str, list[bytes]] = {}
    for recv_ns, name, event in messages:
        try:
            stream = stream_from_name(name)
        except ExchangeError:
            continue
        topic = (stream.stream_type, stream.symbol, name)
        made, numbers = frames.setdefault(
            name, (EventFrames(topic, 1, producer=RUN.producer, epoch=RUN.epoch), count(1))
        )
        frame = made.encode(next(numbers), (recv_ns,), (event,))
        (row,) = maker.rows(RUN, 1, frame, now_ns=recv_ns)
        lines.setdefault(row.target.path, [row.target.header]).append(row.line)
    _write(data, lines)


def record_snapshots(capture: Path, data: Path) -> None:
    """Write the daily files of the depth snapshots of a capture, too."""
    record_rest_snapshots(((one.recv_ns, one.name, one.event) for one in captured(capture)), data)


def record_rest_snapshots(messages: Iterable[tuple[int, str, bytes]], data: Path) -> None:
    """Write the daily files of those messages (receive stamp, request, answer) that are depth snapshots."""
    maker = RowMaker()
    numbers: dict[str, count[int]] = {}
    lines: dict[str, list[bytes]] = {}
    for recv_ns, name, event in messages:
        path, _, query = name.partition("?")
        if path != "/fapi/v1/depth":
            continue
        (symbol,) = parse_qs(query)["symbol"]
        own = rest_data(symbol, name, event, recv_ns=recv_ns, requested_ns=recv_ns - 1_000_000)
        seq = next(numbers.setdefault(symbol, count(1)))
        frame = encode_frame("depth_snapshot", own | {"producer": RUN.producer, "epoch": RUN.epoch, "seq": seq})
        (row,) = maker.rows(RUN, 1, [frame], now_ns=recv_ns)
        lines.setdefault(row.target.path, [row.target.header]).append(row.line)
    _write(data, lines)


def _write(data: Path, lines: Mapping[str, Iterable[bytes]]) -> None:
    for name, text in lines.items():
        path = data / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"".join(text))
