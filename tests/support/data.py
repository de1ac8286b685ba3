"""Market data recorded by others: read where it lies, never copied into the project."""

import gzip
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


class Captured(NamedTuple):
    """A line of `capture.gz`. `name` is the stream, or for a REST answer the path and query."""

    recv_ns: int
    name: str
    event: bytes
    frame: bytes


def market_data(folder: str) -> Path:
    """The folder of one recording; the test is skipped where it is absent."""
    root = Path(os.environ.get("MARKET_DATA", REPOSITORY.parent / "shared" / "data"))
    path = root / folder
    if not (path / "capture.gz").is_file():
        pytest.skip(f"recorded market data is absent: {path}")
    return path


def golden(folder: Path) -> dict[str, Any]:
    """`golden.json` of a recording."""
    values: dict[str, Any] = json.loads((folder / "golden.json").read_bytes())
    return values


def captured(path: Path) -> Iterator[Captured]:
    """All messages of a capture, in order of arrival."""
    with gzip.open(path, "rb") as file:
        for line in file:
            stamp, _, frame = line.rstrip(b"\n").partition(b" ")
            yield Captured(int(stamp), *_split(frame), frame)


def _split(frame: bytes) -> tuple[str, bytes]:
    head, inner = (b'{"stream":"', b'","data":') if frame.startswith(b'{"stream":"') else (b'{"rest":"', b'","body":')
    end = frame.index(inner)
    return frame[len(head) : end].decode(), frame[end + len(inner) : -1]
