"""The tape: everything that was sent, the truth that recordings are compared with. Formats in docs/simulator.md.

A line is in its file before anybody receives what it tells of. So whoever has received a message, or the answer to a
command, may count on the tape everything up to then.
"""

import json
from pathlib import Path
from typing import BinaryIO

_BUFFER_BYTES = 1 << 20
_NAMES = ("tape.txt", "noise.txt", "rest.txt")


class Tape:
    """Three files in a directory; without a directory nothing is written."""

    def __init__(self, directory: Path | None) -> None:
        self._files: list[BinaryIO] = []
        if directory:
            directory.mkdir(parents=True, exist_ok=True)
            self._files = [(directory / name).open("wb", _BUFFER_BYTES) for name in _NAMES]

    def market(self, sent_ns: int, copies: int, combined: bytes) -> None:
        """Write a market message: when it was sent, to how many connections (0: lost), and its combined form.

        The line is buffered until `flush`, which has to come before the message leaves.
        """
        if self._files:
            self._files[0].write(b"%d %d %b\n" % (sent_ns, copies, combined))

    def noise(self, sent_ns: int, stream: str, payload: bytes) -> None:
        """Write something that is no market message: its size, and how it begins."""
        if self._files:
            start = json.dumps(payload[:200].decode("utf-8", "replace"))
            self._files[1].write(f"{sent_ns} {stream} {len(payload)} {start}\n".encode())
            self._files[1].flush()

    def rest(self, sent_ns: int, status: int, target: str, body: bytes) -> None:
        """Write an answer of REST, whole."""
        if self._files:
            self._files[2].write(b"%d %d %b %b\n" % (sent_ns, status, target.encode(), body))
            self._files[2].flush()

    def flush(self) -> None:
        """Hand the market messages that are buffered to the kernel."""
        if self._files:
            self._files[0].flush()

    def close(self) -> None:
        """Flush and close the files."""
        for file in self._files:
            file.close()
