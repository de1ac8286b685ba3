"""Types of recorded columns: every column of every daily file has one, whatever the stream."""

import pyarrow as pa
import pytest

from binance_streamer.days.schema import columns, sort_key, table_schema
from binance_streamer.exchange.rows import OWN_COLUMNS
from binance_streamer.exchange.stream_types import STREAM_TYPES

STEMS = sorted([*STREAM_TYPES, *OWN_COLUMNS, "snapshot", "raw", "status", "exchange_info", "depth_100ms", "kline_1m"])


@pytest.mark.parametrize("stem", STEMS)
def test_every_column_of_every_daily_file_has_a_type(stem: str) -> None:
    schema = table_schema(stem)
    assert tuple(schema.names) == columns(stem)
    assert {"recv_ns", "epoch", "seq"} <= set(schema.names)


@pytest.mark.parametrize("stem", STEMS)
def test_rows_are_sorted_by_integers_and_texts_that_they_have(stem: str) -> None:
    schema = table_schema(stem)
    assert {schema.field(name).type for name in sort_key(stem)} <= {pa.int64(), pa.string()}
    assert {"recv_ns", "epoch", "seq"} <= set(sort_key(stem))


def test_columns_are_those_of_the_header() -> None:
    assert ",".join(columns("depth_100ms")) == (
        "first_update_id,final_update_id,prev_final_update_id,transact_time,event_time,bids,asks,"
        "recv_ns,epoch,seq,source,extra"
    )
    assert columns("snapshot")[-6:] == ("requested_ns", "recv_ns", "epoch", "seq", "source", "extra")
    assert columns("depth_snapshot") == columns("snapshot")
    assert columns("continuouskline_perpetual_1m") == columns("kline_1m")
    assert columns("assetindex") == columns("status") == ("recv_ns", "epoch", "seq", "source", "event")


def test_types_are_the_same_for_every_symbol_and_exact() -> None:
    depth, trade, clock = table_schema("depth"), table_schema("trade"), table_schema("clock")
    assert str(depth.field("bids").type.value_type.field("price").type) == "decimal128(38, 8)"
    assert str(trade.field("price").type) == "decimal128(38, 8)"
    assert str(trade.field("time").type) == "timestamp[us, tz=UTC]"
    assert str(trade.field("id").type) == "int64"
    assert str(trade.field("is_buyer_maker").type) == "bool"
    assert str(clock.field("offset_ms").type) == "double"


def test_streams_with_an_id_are_sorted_by_it() -> None:
    assert sort_key("aggtrade") == ("agg_trade_id", "recv_ns", "epoch", "seq")
    assert sort_key("trade")[0] == "id"
    assert sort_key("depth_100ms")[0] == sort_key("partialdepth_5-100ms")[0] == "final_update_id"
    assert sort_key("bookticker")[0] == "update_id"
    assert sort_key("kline_1m") == sort_key("snapshot") == ("recv_ns", "seq", "epoch")
