import gzip
from pathlib import Path

import pytest

from binance_streamer.cli.demo.captures import contents
from binance_streamer.cli.errors import CommandError, Exit

LINES = [
    b'1 {"rest":"/fapi/v1/exchangeInfo","body":{}}',
    b'2 {"stream":"btcusdt@depth@0ms","data":{"u":1}}',
    b'3 {"stream":"btcusdt@aggTrade","data":{"a":1}}',
    b'4 {"stream":"btcusdt@depth@0ms","data":{"u":2}}',
    b'5 {"stream":"!forceOrder@arr","data":{}}',
    b'6 {"stream":"!forceOrder@arr","data":{}}',
    '7 {"stream":"龙虾usdt@kline_1m","data":{}}'.encode(),
    b'8 {"stream":"btcusdt_perpetual@continuousKline_5m","data":{}}',
    b'9 {"stream":"btcusdt_260925@markPrice@1s","data":{}}',
]


def capture(tmp_path: Path, *lines: bytes) -> Path:
    path = tmp_path / "capture.gz"
    path.write_bytes(gzip.compress(b"".join(line + b"\n" for line in lines)))
    return path


def test_streams_come_out_as_a_configuration_names_them(tmp_path: Path) -> None:
    assert contents(capture(tmp_path, *LINES)).symbols == {
        "BTCUSDT": ("depth@0ms", "aggTrade", "perpetual@continuousKline_5m"),
        "龙虾USDT": ("kline_1m",),
        "BTCUSDT_260925": ("markPrice@1s",),
    }


def test_streams_of_all_symbols_are_counted(tmp_path: Path) -> None:
    assert contents(capture(tmp_path, *LINES)).skipped == {"!forceOrder@arr": 2}


@pytest.mark.parametrize(
    ("bytes_", "fault"),
    [
        (b"plain", "cannot be read as a recording"),
        (gzip.compress(b"1 hello\n", mtime=0), "line 1 is neither a stream frame nor a REST answer"),
        (gzip.compress(LINES[1], mtime=0)[:-12], "cannot be read as a recording"),
        (gzip.compress(b'1 {"stream":"x', mtime=0), "cannot be read as a recording"),
        (gzip.compress(LINES[4], mtime=0), "holds no stream of a symbol"),
    ],
)
def test_what_is_no_recording_is_said(tmp_path: Path, bytes_: bytes, fault: str) -> None:
    path = tmp_path / "x.gz"
    path.write_bytes(bytes_)
    with pytest.raises(CommandError, match=fault) as raised:
        contents(path)
    assert raised.value.code is Exit.CONFIG
