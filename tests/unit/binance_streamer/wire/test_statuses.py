"""Status messages: what a process builds is what a reader gets."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from binance_streamer.wire import statuses
from binance_streamer.wire.frames import WireError, decode_frame, encode_frame
from binance_streamer.wire.status_parts import (
    BookStatus,
    ConnectionStatus,
    DiskRoom,
    JournalStatus,
    PlannedRemoval,
    StoredFormat,
    StreamStatus,
    Volumes,
    WebhookStatus,
    WrittenStatus,
)
from binance_streamer.wire.statuses import (
    ArchiverStatus,
    BusStatus,
    IngestStatus,
    MonitorStatus,
    OrderbookStatus,
    RestStatus,
    Status,
    WriterStatus,
    read_status,
    status_data,
)

RUN: dict[str, Any] = {"epoch": 1_790_000_000_000_000_000, "recv_ns": 1_790_000_000_000_000_001, "seq": 7, "pid": 42}
PARTS = (BookStatus, ConnectionStatus, JournalStatus, StreamStatus, Volumes, WebhookStatus, WrittenStatus)
STORED = Volumes(
    formats={"csv": StoredFormat(bytes=3, days=1, bytes_per_day=3.5)},
    removals=(PlannedRemoval(format="csv", day="20261122", bytes=3, at_ns=5, why="age"),),
    disks=(DiskRoom(path="/data", free_bytes=1, total_bytes=2, days_left=None),),
    fills=False,
)
WHOLE = (
    BusStatus(producer="bus", state="forwarding", messages_in=3, subscribers_cut=1, **RUN),
    WriterStatus(
        producer="writer",
        state="disk full",
        streams={"BTCUSDT/trade": 3},
        new_keys={"BTCUSDT/trade": ("zz",)},
        producers={"rest": WrittenStatus(epoch=5, next_received=9, next_durable=8)},
        disk_free_bytes=None,
        **RUN,
    ),
    RestStatus(
        producer="rest",
        answers={"200": 3},
        clock_offset_ms=-1.5,
        clock_measured_ns=None,
        off_session=("AAPLUSDT",),
        journal=JournalStatus(durable=(5, 8), received=(5, 9), writer_id="w"),
        **RUN,
    ),
    IngestStatus(
        producer="ingest-BTCUSDT",
        streams={"btcusdt@trade": StreamStatus(messages=3, last_id=9, latency_ms=-0.5, state="live")},
        connections=(ConnectionStatus(connection=1, route="/market", state="open", lag_ms=3.5),),
        failing={"/public": "refused"},
        snapshots_wanted={"BTCUSDT": 12},
        journal=JournalStatus(),
        **RUN,
    ),
    OrderbookStatus(producer="orderbook", books={"BTCUSDT": BookStatus(valid=True, levels=(3, 4))}, valid=1, **RUN),
    MonitorStatus(producer="monitor", alerts=(WebhookStatus(posted=1, dropped=2),), cut={"streams": 9000}, **RUN),
    ArchiverStatus(
        producer="archiver",
        state="sealing",
        due=3,
        pending={"BTCUSDT 20261122 depth": "line 3"},
        stored=STORED,
        **RUN,
    ),
    Status(producer="someone-new", state="well", **RUN),
)


@pytest.mark.parametrize("status", WHOLE, ids=lambda status: status.producer)
def test_a_status_is_read_as_the_struct_that_was_built(status: Status) -> None:
    stream_type, data = decode_frame(encode_frame("status", status_data(status)))
    assert (stream_type, data["symbol"], data["stream"], data["source"]) == (
        "status",
        status.producer,
        "status",
        "local",
    )
    assert read_status(data) == status


def test_a_status_of_an_older_producer_has_defaults() -> None:
    data = {"symbol": "bus", "stream": "status", "source": "local", "producer": "bus", **RUN, "messages_in": 3}
    assert read_status(data) == BusStatus(producer="bus", messages_in=3, **RUN)


def test_a_field_of_another_type_is_an_error_that_names_the_producer() -> None:
    data = status_data(BusStatus(producer="bus", **RUN)) | {"messages_in": "many"}
    with pytest.raises(WireError, match=r"status of 'bus'.*messages_in"):
        read_status(data)


def test_every_field_stands_in_the_page_of_operations() -> None:
    page = Path("docs/operations.md").read_text(encoding="utf-8")
    explained = page.partition("## What a process says of itself")[2].partition("\n## ")[0]
    structs: list[type[msgspec.Struct]] = [*PARTS, *{type(status) for status in WHOLE}]
    fields = {field for struct in structs for field in struct.__struct_fields__}
    absent = {name for name in fields if f"`{name}`" not in explained and f".{name}`" not in explained}
    assert absent - {"producer", "alerts", "books", "streams", "connections", "producers"} == set()


def test_all_structs_are_tried_here() -> None:
    public = {one for name, one in vars(statuses).items() if not name.startswith("_") and isinstance(one, type)}
    structs = {one for one in public if issubclass(one, msgspec.Struct)}
    assert structs == {*PARTS, *{type(status) for status in WHOLE}}
