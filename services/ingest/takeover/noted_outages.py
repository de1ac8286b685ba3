"""Tells the next run of a worker which streams have never had a row, and since when they have no connection.

What is missing of any other stream its next row shows. Of these there is none, so that only the process that records
knows; it keeps a file beside the journal (docs/decisions/0073). Where there is none, a start is the first one.
"""

from pathlib import Path

import msgspec

from services.ingest.streams.outages import Noted, Outage
from services.runtime.delivery.producer import lock_path
from services.runtime.files import replace_file
from services.runtime.process import Shell

_decode = msgspec.json.Decoder(dict[str, Outage | None]).decode


def noted_outages_path(shell: Shell, producer: str) -> Path:
    """Return the path of the file, beside the lock of the journal."""
    return lock_path(shell, producer).with_name("outages")


class NotedOutages:
    """The note of one producer, in a file of the process that records."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._noted: Noted | None = None

    def read(self) -> Noted:
        """Return what the run before has noted; nothing where it has not, or it is not readable."""
        try:
            return _decode(self._path.read_bytes())
        except (OSError, msgspec.MsgspecError):
            return {}

    def note(self, noted: Noted) -> None:
        """Replace what is noted; cheap where nothing has changed. Where the disk takes it not, it is tried again."""
        if noted == self._noted:
            return
        try:
            replace_file(self._path, msgspec.json.encode(noted))
        except OSError:
            self._noted = None
        else:
            self._noted = noted
