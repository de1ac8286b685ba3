"""The difference in docs/adding-a-stream.md is one that records the stream."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.support.data import REPOSITORY
from tests.support.differences import apply_difference

_RECORD = """
import msgpack
from binance_streamer.exchange.streams import EventReader, stream_of
from services.ingest.streams.silence import is_busy
from services.writer.rows.rows import RowMaker, Run

stream = stream_of("BTCUSDT", "openInterest@3s")
event = b'{"e":"openInterest","E":1790526539033,"s":"BTCUSDT","o":"81234.567"}'
data = {"symbol": stream.symbol, "stream": stream.name, "recv_ns": 1790526539100000000, "producer": "p", "epoch": 7,
        "seq": 1, "source": "ws", "event": event}
(row,) = RowMaker().rows(Run("p", 7), 0, [msgpack.packb((stream.stream_type, data))], now_ns=0)
print(stream.route, is_busy(stream), EventReader(stream).read(event).event_time_ms)
print(row.target.path)
print((row.target.header + row.line).decode(), end="")
"""


def test_the_difference_records_a_row(tmp_path: Path) -> None:
    page = (REPOSITORY / "docs" / "adding-a-stream.md").read_text(encoding="utf-8")
    (difference,) = re.findall(r"```diff\n(.*?)```", page, flags=re.DOTALL)
    for package in ("binance_streamer", "services"):
        shutil.copytree(REPOSITORY / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    apply_difference(difference, tmp_path)  # where a hunk does not fit, bring the page up to date
    done = subprocess.run(
        [sys.executable, "-c", _RECORD],
        check=False,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.stdout.splitlines() == [
        "market True 1790526539033",
        "BTCUSDT/openinterest_3s_BTCUSDT_20260927.csv",
        "event_time,open_interest,recv_ns,epoch,seq,source,extra",
        "1790526539033,81234.567,1790526539100000000,7,1,ws,",
    ], done.stderr
