"""Runs that went on in place of another one are told by rows of `status`, of the day and the one before."""

from pathlib import Path

from binance_streamer.days.checks.facts import takeovers_of
from binance_streamer.days.day_files import days_in
from binance_streamer.exchange.rows import COMMON_COLUMNS
from binance_streamer.wire.frames import encode_frame
from services.ingest.takeover.waiting import WorkerStreams
from services.writer.rows.rows import RowMaker, Run

NOON_NS = 1_795_348_800_000_000_000  # of 2026-11-22


def lines_of(epoch: int, recv_ns: int) -> bytes:
    """Return the row that tells of a takeover, as a worker makes it and the writer writes it."""
    streams = WorkerStreams("a-0", (), last_rows={}, new_gap_id=str)
    streams.note_takeover(["BTCUSDT"], recv_ns)
    (draft,) = streams.collect(0)
    assert isinstance(draft, tuple)
    data = {**draft.data, "producer": "ingest-a-0", "epoch": epoch, "seq": 1}
    (row,) = RowMaker({}).rows(Run("ingest-a-0", epoch), 0, [encode_frame("status", data)], now_ns=recv_ns)
    return row.line


def test_a_takeover_is_told_by_a_row_and_a_stalled_journal_is_none(tmp_path: Path) -> None:
    folder = tmp_path / "BTCUSDT"
    folder.mkdir()
    header = f"{','.join(COMMON_COLUMNS)},event\n".encode().replace(b",extra,", b",")
    stalled = b'%d,7,1,local,"{""reason"":""journal stalled"",""from_ns"":1,""to_ns"":2}"\n' % NOON_NS
    (folder / "status_BTCUSDT_20261122.csv").write_bytes(header + lines_of(8, NOON_NS) + stalled)
    (folder / "status_BTCUSDT_20261121.csv").write_bytes(header + lines_of(5, NOON_NS - 86_400_000_000_000))
    (files,) = [one for one in days_in([tmp_path]) if one.day == "20261122"]
    assert takeovers_of(files) == {5, 8}
