"""A disk that stands still for ten seconds delays no pong and no stamp, and the time is told by a row."""

import json
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from services.runtime.journal.journal import Journal
from tests.support.configs import write_config
from tests.support.processes import Program, Simulator, service
from tests.support.recorded import recorded_rows
from tests.support.tape import sent_events
from tests.support.waiting import eventually

STALLED_INGEST = """
import os, sys, time
from services.runtime.journal.journal import Journal
real, marker = Journal._write, sys.argv.pop(1)
def slow(self, *arguments):
    if os.path.exists(marker):
        os.unlink(marker)
        time.sleep(10)
        open(marker + ".over", "w").close()
    return real(self, *arguments)
Journal._write = slow
from services.ingest.app import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.slow
def test_a_disk_that_stands_still_delays_neither_pongs_nor_stamps(place: Path) -> None:
    assert hasattr(Journal, "_write")
    marker = place / "stall"
    with Simulator(place, "--symbols", "BTCUSDT", "--rate", "200", "--ping-interval-s", "1", "--seed", "1") as exchange:
        config = write_config(place, {"BTCUSDT": ["aggTrade", "depth@0ms"]}, {**exchange.urls, "connections": 1})
        worker: list[str | Path] = [sys.executable, "-c", STALLED_INGEST, marker, "--symbol", "BTCUSDT", "-c", config]
        with (
            service("bus", config, output=place / "bus.txt"),
            service("writer", config, output=place / "writer.txt"),
            Program(worker, place / "ingest.txt") as ingest,
        ):
            eventually(lambda: recorded_rows(place / "data", "BTCUSDT", "depth"))
            marker.touch()
            eventually(lambda: not marker.exists())
            before = exchange.stats()["pongs"]
            eventually(lambda: exchange.stats()["pongs"] >= before + 3, what="pings are answered")
            assert not (place / "stall.over").exists(), "pings went unanswered while the disk stood still"
            eventually(lambda: list((place / "data").glob("*/status_*")), 60)
            assert ingest.stop() == 0
        sent = [json.loads(event)["u"] for event in sent_events(exchange.tape)["btcusdt@depth@0ms"]]
    rows = recorded_rows(place / "data", "BTCUSDT", "depth")
    assert [int(row["final_update_id"]) for row in rows] == sent[: len(rows)]
    stamps = [int(row["recv_ns"]) for row in rows]
    assert max(b - a for a, b in pairwise(stamps)) < 5e9, "stamps waited for the disk"
    assert recorded_rows(place / "data", "BTCUSDT", "gap") == []
    (told,) = (place / "data").glob("*/status_*")
    assert "journal stalled" in told.read_text(encoding="utf-8")
