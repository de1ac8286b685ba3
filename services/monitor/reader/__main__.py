"""Answers questions of the monitor from stdin, until it closes: `python -m services.monitor.reader DATA LAKE`.

An answer is pieces, each with its length in four bytes in front, and a length of zero at the end. The first piece is
the `AnswerHead` as JSON. An answer that does not come to its end is none: the monitor then ends this process.

Recording comes first: the process runs at a low priority, the kernel chooses it first where memory is short, and
it may not take more than `MAX_BYTES`.
"""

import contextlib
import os
import resource
import signal
import sys
from pathlib import Path
from typing import BinaryIO

import msgspec

from binance_streamer.days.reading.location import Location
from services.monitor.reader.answers import AnswerHead, ApiQuestion
from services.monitor.reader.questions import answer_to

MAX_BYTES = 3 * 2**29
"""1.5 GiB: an hour of depth updates of a busy symbol, decoded, and room for sorting it."""
LASTS_S = 120
"""The kernel ends the process when a question lasts so long, twice as long as the monitor waits: it may be gone."""
_NICENESS = 10
"""A tenth of a core where the recorder takes all; at 19 the libraries alone took 25 s to load on a busy machine."""
_PIECE_BYTES = 2**16


class Pieces:
    """Writes an answer in pieces, none of them empty: an empty one would end it."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out

    def write(self, content: bytes) -> int:
        """Write a part of the answer, in pieces that the monitor can hold, and return its length."""
        for start in range(0, len(content), _PIECE_BYTES):
            piece = content[start : start + _PIECE_BYTES]
            self._out.write(len(piece).to_bytes(4) + piece)
        return len(content)

    def end(self) -> None:
        """Say that the answer is whole."""
        self._out.write(bytes(4))
        self._out.flush()


def main(arguments: list[str]) -> int:
    """Answer until stdin ends; returns the exit code."""
    _stand_back()
    data, lake = arguments
    location = Location(Path(data), lake)
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints is no answer
    for line in sys.stdin.buffer:
        signal.alarm(LASTS_S)
        _answer(msgspec.json.decode(line, type=ApiQuestion), location, Pieces(out))
        signal.alarm(0)
    return 0


def _answer(question: ApiQuestion, location: Location, pieces: Pieces) -> None:
    answer = answer_to(question, location)
    head = AnswerHead(status=answer.status, content_type=answer.content_type, next=answer.next)
    pieces.write(msgspec.json.encode(head))
    answer.write(pieces)
    pieces.end()


def _stand_back() -> None:
    """Take a low place at processor and memory; Ctrl-C is the monitor's, which then closes stdin."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(_NICENESS)
    resource.setrlimit(resource.RLIMIT_DATA, (MAX_BYTES, MAX_BYTES))
    with contextlib.suppress(OSError):  # a system that forbids it
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
