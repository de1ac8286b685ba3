"""Rows that REST brought: the same files and columns, what it does not say is empty."""

import csv
import io

import msgpack
import pytest

from binance_streamer.wire.frames import Topic
from services.writer.rows.rows import Row, RowMaker, Run
from services.writer.store.losses import LossTracker

RUN = Run("ingest-BTCUSDT", 77)
RECV_NS = 1_790_526_539_058_352_268
TRADE = (
    b'{"a":3466782974,"p":"84551.10","q":"0.030","nq":"0.030","f":8123344783,"l":8123344783,"T":1790526538883,"m":true}'
)
BAR = (
    b'[1791269820000,"85300.00","85301.00","85296.00","85297.00","8.410",1791269879999,"717368.32060",321,"4.732",'
    b'"403639.25130","0"]'
)


def row_of(event: bytes, *, source: str = "rest", stream: str = "btcusdt@aggTrade", seq: int = 5) -> Row:
    stream_type = "kline" if "kline" in stream else "aggtrade"
    data = {
        "symbol": "BTCUSDT", "stream": stream, "recv_ns": RECV_NS, "producer": "ingest-BTCUSDT", "epoch": 77,
        "seq": seq, "source": source, "connection": 0, "requested_ns": RECV_NS - 1, "event": event,
    }  # fmt: skip
    (row,) = RowMaker().rows(RUN, 9, [msgpack.packb((stream_type, data))], now_ns=RECV_NS)
    return row


def cells_of(row: Row) -> dict[str, str]:
    header, cells = csv.reader(io.StringIO((row.target.header + row.line).decode(), newline=""))
    return dict(zip(header, cells, strict=True))


def test_a_trade_has_no_event_time_and_nothing_extra() -> None:
    row = row_of(TRADE)
    assert row.target.path == "BTCUSDT/aggtrade_BTCUSDT_20260927.csv"
    assert row.line == (
        b"3466782974,84551.10,0.030,8123344783,8123344783,1790526538883,true,,0.030,"
        b"1790526539058352268,77,5,rest,\n"
    )  # fmt: skip


def test_a_kline_is_closed_and_has_no_trade_ids() -> None:
    row = row_of(BAR, stream="btcusdt@kline_1m")
    assert row.target.path == "BTCUSDT/kline_1m_BTCUSDT_20261006.csv"
    assert row.line == (
        b"1791269820000,85300.00,85301.00,85296.00,85297.00,8.410,1791269879999,717368.32060,321,4.732,403639.25130,0,"
        b"true,,,,1790526539058352268,77,5,rest,\n"
    )


def test_files_have_one_header_whoever_brought_the_rows() -> None:
    event = TRADE[:-1] + b',"e":"aggTrade","s":"BTCUSDT","E":1790526539033}'
    assert row_of(event, source="ws").target == row_of(TRADE).target


def test_what_rest_says_beyond_that_is_kept() -> None:
    assert cells_of(row_of(TRADE[:-1] + b',"st":1}'))["extra"] == '{"st":1}'
    assert cells_of(row_of(BAR[:-1] + b',"7"]', stream="btcusdt@kline_1m"))["extra"] == '{"12":"7"}'


@pytest.mark.parametrize(
    ("event", "stream"),
    [
        (BAR, "btcusdt@aggTrade"),
        (TRADE, "btcusdt@kline_1m"),
        (BAR[:20] + b"]", "btcusdt@kline_1m"),
        (b'{"a":1}', "btcusdt@aggTrade"),
        (b"[]", "btcusdt@kline_1m"),
    ],
)
def test_what_is_no_such_row_is_recorded_raw(event: bytes, stream: str) -> None:
    row = row_of(event, stream=stream)
    assert row.target.path.startswith("BTCUSDT/raw_")
    assert cells_of(row)["event"] == event.decode()


def test_a_message_of_a_connection_must_have_its_event_time() -> None:
    assert row_of(TRADE, source="ws").target.path.startswith("BTCUSDT/raw_")


def streaming(number: int, seq: int) -> Row:
    event = TRADE.replace(b"3466782974", b"%d" % number)[:-1] + b',"e":"aggTrade","s":"BTCUSDT","E":1790526539033}'
    return row_of(event, source="ws", seq=seq)


def test_a_row_that_fills_an_old_hole_does_not_set_its_stream_back() -> None:
    streams = LossTracker()
    streams.note("ingest-BTCUSDT", [streaming(5000, 1), row_of(TRADE, seq=2)])
    (record,) = streams.take_changed()
    assert (record.topic, record.seq, record.last_id) == (Topic("aggtrade", "BTCUSDT", ""), 2, 5000)
    streams.lost_positions(RUN, any_stream=False)
    (hole,) = streams.note("ingest-BTCUSDT", [streaming(5003, 5)])
    assert (hole.from_id, hole.to_id) == (5000, 5002)


def test_rows_of_rest_are_numbered_with_the_others() -> None:
    streams = LossTracker()
    streams.note("ingest-BTCUSDT", [streaming(5000, 1), row_of(TRADE, seq=2)])
    streams.lost_positions(RUN, any_stream=False)
    assert streams.note("ingest-BTCUSDT", [streaming(5001, 3)]) == []
