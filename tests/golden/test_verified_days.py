"""Recordings of the real exchange verify clean: the verifier's own book agrees with bookTicker at every equal id."""

import json
from collections import Counter
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from binance_streamer.days.checks.verify import verify_day
from binance_streamer.days.day_files import days_in
from tests.support.data import captured, market_data
from tests.support.recorded_market import record

HEADER = "last_update_id,transact_time,event_time,bids,asks,requested_ns,recv_ns,epoch,seq,source,extra\n"


def add_snapshots(capture: Path, data: Path) -> None:
    """Write the REST snapshots of a capture as the files that the recorder has of them."""
    numbers: Counter[str] = Counter()
    for message in captured(capture):
        if not message.name.startswith("/fapi/v1/depth?"):
            continue
        (symbol,) = parse_qs(urlsplit(message.name).query)["symbol"]
        body = json.loads(message.event, parse_float=str)
        levels = [json.dumps(body[side]).replace('"', "").replace(" ", "") for side in ("bids", "asks")]
        numbers[symbol] += 1
        times = f"{body.get('T', '')},{body.get('E', '')}"
        # the day is that of the updates, which a snapshot without a time does not say
        day = min((data / symbol).glob("depth*_*.csv")).stem.rpartition("_")[2]
        path = data / symbol / f"snapshot_{symbol}_{day}.csv"
        with path.open("a", encoding="utf-8") as file:
            file.write(HEADER if file.tell() == 0 else "")
            cells = f'{body["lastUpdateId"]},{times},"{levels[0]}","{levels[1]}",{message.recv_ns},{message.recv_ns}'
            file.write(f"{cells},1,{numbers[symbol]},rest,\n")


@pytest.mark.parametrize(
    ("folder", "updates", "tops"),
    [("usdm-btceth-20240808", 13_117, 1_109), ("usdm-4sym-20210722", 749, 50)],
)
def test_a_recording_of_the_exchange_verifies_clean(folder: str, updates: int, tops: int, tmp_path: Path) -> None:
    capture = market_data(folder) / "capture.gz"
    record(capture, tmp_path)
    add_snapshots(capture, tmp_path)
    compared: Counter[str] = Counter()
    for files in days_in([tmp_path]):
        report, _ = verify_day(files, None, state="recorded")
        assert report.findings == ()
        compared.update({result.check: result.compared for result in report.results})
    assert (compared["book"], compared["tops"]) == (updates, tops)
