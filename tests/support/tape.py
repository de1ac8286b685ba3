"""The simulator's tape: the truth that recordings are compared with (docs/simulator.md)."""

import json
from pathlib import Path
from typing import NamedTuple


class Sent(NamedTuple):
    """One market message as produced; `copies` is to how many connections it was handed."""

    sent_ns: int
    copies: int
    stream: str
    event: bytes


class Answered(NamedTuple):
    """One REST answer."""

    sent_ns: int
    status: int
    target: str
    body: bytes


def read_tape(directory: Path) -> list[Sent]:
    """Every market message in the order produced, also those that nobody was handed."""
    found = []
    for line in _lines(directory / "tape.txt"):
        stamp, copies, frame = line.split(b" ", 2)
        end = frame.index(b'","data":')
        found.append(
            Sent(
                int(stamp), int(copies), frame[len(b'{"stream":"') : end].decode(), frame[end + len(b'","data":') : -1]
            )
        )
    return found


def sent_events(directory: Path) -> dict[str, list[bytes]]:
    """The events that somebody was handed, per stream, in order."""
    found: dict[str, list[bytes]] = {}
    for sent in read_tape(directory):
        if sent.copies:
            found.setdefault(sent.stream, []).append(sent.event)
    return found


def read_answers(directory: Path) -> list[Answered]:
    """Every REST answer in the order sent."""
    found = []
    for line in _lines(directory / "rest.txt"):
        stamp, status, target, body = line.split(b" ", 3)
        found.append(Answered(int(stamp), int(status), target.decode(), body))
    return found


def ids_of(events: list[bytes], key: str) -> list[int]:
    """One integer of each event, `a` or `u`."""
    return [json.loads(event)[key] for event in events]


def _lines(path: Path) -> list[bytes]:
    """Whole lines only: the last one may be on its way while the simulator runs."""
    return path.read_bytes().split(b"\n")[:-1]
