"""Recorded files opened as lines: plain, gzip and zstd, and one that the writer has not finished."""

import gzip
from pathlib import Path

import pytest

from binance_streamer.cli.recordings.files import found, latencies
from binance_streamer.cli.recordings.opening import opened_lines
from binance_streamer.compression import zstd

HEADER = b"event_time,recv_ns,source,extra\n"
ROWS = [b"1790526539000,1790526539005000000,ws,\n", b"1790526539010,1790526539012500000,ws,\n"]


def lines_of(path: Path) -> list[str]:
    with opened_lines(path) as lines:
        return list(lines)


@pytest.mark.parametrize(
    ("suffix", "content"),
    [
        (".csv", HEADER + ROWS[0] + ROWS[1]),
        (".csv.gz", gzip.compress(HEADER + ROWS[0] + ROWS[1])),
        (".csv.zst", zstd.compress(HEADER + ROWS[0]) + zstd.compress(ROWS[1])),
        (".csv.zst", zstd.compress(HEADER + ROWS[0] + ROWS[1])),
    ],
    ids=["plain", "gzip", "zstd frames", "one zstd frame"],
)
def test_latencies_are_read_from_every_format(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / "BTCUSDT" / f"aggtrade_BTCUSDT_20260927{suffix}"
    path.parent.mkdir()
    path.write_bytes(content)
    (recorded,) = found([tmp_path])
    assert recorded[1:] == ("BTCUSDT", "aggtrade", "20260927")
    read: list[int] = []
    assert list(latencies(recorded, read.append)) == [5.0, 2.5]
    assert sum(read) == len(content)


def test_lines_end_in_front_of_half_a_frame(tmp_path: Path) -> None:
    path = tmp_path / "x.csv.zst"
    whole, torn = zstd.compress(HEADER + ROWS[0]), zstd.compress(ROWS[1])
    for size in range(len(torn)):
        path.write_bytes(whole + torn[:size])
        assert lines_of(path) == [HEADER.decode(), ROWS[0].decode()]
    path.write_bytes(whole + torn)
    assert lines_of(path) == [HEADER.decode(), ROWS[0].decode(), ROWS[1].decode()]


def test_a_file_that_has_just_been_made_has_no_lines(tmp_path: Path) -> None:
    path = tmp_path / "x.csv.zst"
    path.write_bytes(b"")
    assert lines_of(path) == []
