"""The note of streams that have never had a row, beside the journal."""

from pathlib import Path

from services.ingest.streams.outages import Noted, Outage
from services.ingest.takeover.noted_outages import NotedOutages

NOTED: Noted = {"btcusdt@forceOrder": Outage(1_790_526_539_033_000_001, "disconnected"), "btcusdt@trade": None}


def test_the_next_run_reads_what_was_noted_last(tmp_path: Path) -> None:
    outages = NotedOutages(tmp_path / "outages")
    assert outages.read() == {}
    outages.note({"btcusdt@trade": None})
    outages.note(NOTED)
    assert NotedOutages(tmp_path / "outages").read() == NOTED


def test_what_cannot_be_read_or_written_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "place").write_text("a file, where a folder is wanted")
    outages = NotedOutages(tmp_path / "place" / "outages")
    outages.note(NOTED)
    (tmp_path / "place").unlink()
    outages.note(NOTED)
    assert outages.read() == NOTED
    for content in (b"", b"[]", b'{"a":[1]}', b"\xff"):
        (tmp_path / "outages").write_bytes(content)
        assert NotedOutages(tmp_path / "outages").read() == {}
